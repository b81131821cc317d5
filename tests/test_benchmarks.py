"""The benchmarks' own promises: a wrong yardstick would be worse than none."""

from __future__ import annotations

import json
import shutil
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

if sys.platform != "linux":
    pytest.skip("the benchmarks read /proc", allow_module_level=True)

# The benchmarks are no part of what is installed, and `pytest` looks for that alone.
sys.path.append(str(Path(__file__).parents[1]))

from benchmarks import report, reuse, site
from benchmarks.crawlers import OURS, SCRAPY, Crawler
from benchmarks.items import Item, Output, difference, read
from benchmarks.measure import Measurement
from benchmarks.processes import Launched

ONE = Item("http://x.example/1", "One", ("One",), (), 3)
TWO = Item("http://x.example/2", "Two", (), ("a", "b"), 0)


def line(item: Item) -> str:
    return json.dumps({name: getattr(item, name) for name in item.__struct_fields__})


# Items


def test_an_output_that_is_whole_does_not_differ(tmp_path: Path) -> None:
    output = tmp_path / "items.jsonl"
    output.write_text(f"{line(ONE)}\n{line(TWO)}\n")
    assert not difference(read(output), Output(Counter([TWO, ONE]), 0))


def test_a_missing_output_has_lost_everything(tmp_path: Path) -> None:
    found = difference(read(tmp_path / "nothing"), Output(Counter([ONE, TWO]), 0))
    assert (found.lost, found.twice, found.foreign, found.torn) == (2, 0, 0, 0)


def test_every_kind_of_difference_is_counted(tmp_path: Path) -> None:
    output = tmp_path / "items.jsonl"
    output.write_text(f"{line(TWO)}\n{line(TWO)}\n{line(ONE)[:20]}\n{{}}\n{line(ONE)}")
    found = difference(read(output), Output(Counter([ONE]), 0))
    assert (found.lost, found.twice, found.foreign, found.torn) == (1, 1, 1, 3)


# Processes

_FAMILY = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])  # a child
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)  # what is left is an orphan in a session of its own
time.sleep(600)
"""


def test_a_kill_reaches_every_process_and_orphans_too(tmp_path: Path) -> None:
    launched = Launched([sys.executable, "-c", _FAMILY], tmp_path, tmp_path / "log")
    try:
        deadline = time.monotonic() + 30
        while len(launched.pids()) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not launched.ended(within=0.1)
        assert launched.memory() > 1_000_000
        assert launched.kill() >= 3
        assert launched.pids() == []
        assert launched.ended(within=5)
    finally:
        launched.close()


def test_an_end_tells_status_time_and_cpu(tmp_path: Path) -> None:
    code = "import time; time.sleep(0.3); print('last words'); raise SystemExit(3)"
    launched = Launched([sys.executable, "-c", code], tmp_path, tmp_path / "log")
    try:
        end = launched.finish()
    finally:
        launched.close()
    assert end.status == 3
    assert 0.3 < end.seconds < 30
    assert 0 < end.cpu < 30
    assert end.memory > 1_000_000
    assert launched.last_words() == "last words"


# The table


def measured(crawler: Crawler, concurrency: int, rate: float) -> Measurement:
    return Measurement(crawler, concurrency, 10, 11, 8, rate, 2.0, 0.1, 1024**2, 0.0)


def test_a_row_is_the_median_at_the_better_concurrency() -> None:
    runs = [measured(SCRAPY, 8, rate) for rate in (300, 100, 120)]
    runs += [measured(SCRAPY, 16, rate) for rate in (130, 110, 140)]
    (row,) = report.rows(runs)
    assert (row.concurrency, row.rate, row.rates) == (16, 130, (110, 130, 140))


def test_the_table_compares_with_scrapy() -> None:
    rows = report.rows([measured(OURS, 8, 500), measured(SCRAPY, 8, 200)])
    ours = report.table(rows).splitlines()[2]
    assert [cell.strip() for cell in ours.split("|")[2:5]] == ["500", "2.5 x", "2.0 s"]


# What a session saves


def test_each_way_gets_every_page_and_only_sessions_reuse_connections() -> None:
    rows = reuse.compare(pages=5, runs=1)
    assert [row.connections for row in rows] == [10, 1, 1] * 2
    assert reuse.table(rows).count("| 1.0 x |") >= 2


# The server


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_the_server_logs_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not tmp_path: started as root, nginx reads as another user, who may not enter there.
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        Path(folder, "index.html").write_text("<h1>Hello</h1>")
        monkeypatch.setitem(site.SOURCES, "tiny", site.Source("tiny-doc", Path(folder)))
        hit = ask_tiny()
    assert (hit.uri, hit.status, hit.is_page) == ("/index.html", 200, True)


def ask_tiny() -> site.Hit:
    with site.serve("tiny") as tiny:
        since = tiny.log_end()
        with urllib.request.urlopen(tiny.seed) as response:
            assert response.read() == b"<h1>Hello</h1>"
        (hit,) = tiny.hits(since)
    return hit


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(site.SOURCES, "tiny", site.Source("tiny-doc", tmp_path))
    with pytest.raises(site.PackagesError, match=r"apt-get install (nginx )?tiny-doc$"):
        site.check_packages(["tiny"])
