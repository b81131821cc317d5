"""Two real sites, crawled completely: one item per page, also after eight kills."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import lxml.html
import pytest

from benchmarks import kill, spiders
from benchmarks.crawlers import OURS
from benchmarks.site import SOURCES, PackagesError, Site, serve


@pytest.fixture(params=["postgresql", pytest.param("python", marks=pytest.mark.thorough)])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    try:
        with serve(request.param) as found:
            yield found
    except PackagesError as error:
        pytest.skip(str(error))


def pages_of(folder: Path) -> set[str]:
    """The site's pages that can be reached, found out without any of the crawler's code."""
    waiting, seen = deque(["/index.html"]), {"/index.html"}
    pages = set()
    while waiting:
        path = waiting.popleft()
        file = folder / path.lstrip("/")
        if not file.is_file() or file.suffix != ".html":
            continue
        pages.add(path)
        for href in lxml.html.fromstring(file.read_bytes()).xpath("//a/@href | //area/@href"):
            target = urlsplit(urldefrag(urljoin(f"http://site{path}", href.strip())).url)
            if target.netloc == "site" and target.scheme == "http" and target.path not in seen:
                seen.add(target.path)
                waiting.append(target.path)
    return pages


def test_a_manual_gives_one_item_for_each_page(site: Site, tmp_path: Path) -> None:
    expected = pages_of(SOURCES[site.name].folder)
    command = [sys.executable, "-m", "crawler", "run", f"{spiders.__file__}:Pages", site.seeds[0]]
    command += ["-o", "pages.jsonl", "--job", "job", "-s", "delay=0", "-s", "workers=2"]
    command += ["-s", "concurrency_per_host=8"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=200)
    lines = (tmp_path / "pages.jsonl").read_bytes().splitlines()
    found = [urlsplit(json.loads(line)["url"]).path for line in lines]
    assert sorted(found) == sorted(expected)
    assert len(expected) > 500


def test_a_crawl_that_is_killed_eight_times_loses_nothing_and_doubles_nothing() -> None:
    try:
        results = kill.kill_crawls(OURS, "postgresql", kills=8, seed=1)
    except PackagesError as error:
        pytest.skip(str(error))
    assert results.kills.total() == 8
    assert results.pages > 1000
    assert results.differences, "no crawl was compared"
    assert not any(results.differences), kill.summary(results, "postgresql")
