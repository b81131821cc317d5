"""The benchmark of the frontier: every URL is added, dispatched and finished exactly once."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the benchmarks read /proc", allow_module_level=True)

# The benchmarks are no part of what is installed, and `pytest` looks for that alone.
sys.path.append(str(Path(__file__).parents[2]))

from benchmarks import frontier, plaintable
from benchmarks.frontier import HOSTS, crawl, seed, table


def test_every_url_is_finished_once_across_a_resume(tmp_path: Path) -> None:
    urls = 3 * HOSTS
    load = crawl(tmp_path / "job", urls)
    added, taken = load.rows
    assert (added.work, taken.work) == ("added", "taken")
    assert 0 < added.urls <= urls - HOSTS, "the seeds were there before"
    assert 0 < taken.urls <= urls
    lines = (tmp_path / "job" / "items.jsonl").read_text().splitlines()
    wanted = {f"https://host-{host}.example/{page}" for host in range(HOSTS) for page in range(3)}
    assert len(lines) == urls
    assert {json.loads(line)["url"] for line in lines} == wanted
    assert load.resume > 0
    assert load.file > 50 * urls
    assert load.memory > load.file
    assert f"| {taken.urls:,} | {taken.rate:,.0f} |" in table(load)


def test_seeds_are_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier, "HOSTS", 7)
    row = seed(tmp_path, 500)
    assert (row.work, row.urls) == ("seeds", 500)
    assert row.first == row.last == row.rate > 0
    assert len((tmp_path / "seeds.txt").read_text().splitlines()) == 500


def test_a_plain_table_takes_every_fingerprint(tmp_path: Path) -> None:
    assert plaintable.rate(tmp_path, 50_001) > 0
    with closing(sqlite3.connect(tmp_path / "plain.db")) as db:
        assert db.execute("SELECT count(*) FROM seen").fetchone() == (50_001,)
