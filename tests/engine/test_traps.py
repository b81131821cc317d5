"""Shapes of URLs that take most pages and give no items are found, named, and left out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crawler import Spider
from crawler.cli.report import status_json, status_text, summary_text
from crawler.engine.traps import MOST_SHAPES, TrapFinder
from crawler.job.lookup import job_status
from crawler.request import Request, packed
from tests.jobs import items, run_job, values
from tests.sites import Site, Visit, links, redirect

SITE = "https://wiki.example"


def fed(pages: list[tuple[str, int]]) -> TrapFinder:
    """Return a finder that has seen these URLs, each with its number of items."""
    finder = TrapFinder()
    for url, number in pages:
        finder.add(packed(Request(SITE + url)), number)
    return finder


def test_a_calendar_is_named() -> None:
    days = [(f"/thisday/{date(2026, 1, 1) + timedelta(days=n)}", 0) for n in range(20_000)]
    finder = fed([*((f"/article/{n}", 1) for n in range(200)), *days])
    assert finder.traps() == {"/thisday/{date}": 99}


def test_a_wiki_s_histories_are_named() -> None:
    pages = [(f"/doku.php?id=page{n}", 1) for n in range(93)]
    for n in range(93):
        pages += [(f"/doku.php?id=page{n}&do=diff&rev={1700000000 + rev}", 0) for rev in range(60)]
        pages += [(f"/doku.php?id=page{n}&do=edit", 0), (f"/doku.php?id=page{n}&rev={n}", 0)]
    (shape,) = fed(pages).traps()
    assert "do=diff&rev={n}" in shape


@pytest.mark.parametrize(
    "pages",
    [
        [(f"/product/{n}", 1) for n in range(5000)],
        [(f"/list?page={n}", 20) for n in range(5000)],
        [(f"/product/{n}", 0) for n in range(5000)],
        [(f"/thisday/2026-01-{n:02}", 0) for n in range(1, 30)],
        [(f"/{chr(97 + n % 26)}{n}/{n}", int(n % 2 == 0)) for n in range(5000)],
    ],
    ids=["items", "many items", "a job without items", "few pages", "half of them"],
)
def test_a_crawl_that_goes_well_is_not_disturbed(pages: list[tuple[str, int]]) -> None:
    assert fed(pages).traps() == {}


def test_the_counts_go_on_after_a_restart() -> None:
    days = [(f"/thisday/2026-01-{n % 28 + 1:02}", 0) for n in range(400)]
    finder = fed([("/", 1), *days])
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(finder.state()))
    assert TrapFinder(state).traps() == finder.traps() == {"/thisday/{date}": 100}


def test_the_memory_is_bounded() -> None:
    urls = [packed(Request(f"{SITE}/slug-{n}")) for n in range(20_000)]
    finder = TrapFinder()
    tracemalloc.start()
    try:
        for url in urls:
            finder.add(url, 0)
        assert len(finder.state()["shapes"]) <= MOST_SHAPES
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


class Everything(Spider):
    """Follows every link; articles give items."""

    name = "everything"

    def parse(self, response: Any) -> Iterator[Any]:
        if "/article/" in response.url:
            yield {"url": response.url}
        yield from response.follow_all()


def calendar(visit: Visit) -> str:
    """A page of a calendar that leads to the next day, for ever; or an article."""
    if visit.path.startswith("/thisday/"):
        day = date.fromisoformat(visit.path[9:19])
        return links(f"/thisday/{day + timedelta(days=1)}")
    return "an article"


@pytest.fixture
def endless(site: Site) -> Site:
    site.pages["/"] = links("/thisday/2026-11-28", *(f"/article/{n}" for n in range(20)))
    site.otherwise = calendar
    return site


def test_a_crawl_names_its_trap_and_leaves_it_out_when_it_goes_on(
    tmp_path: Path, endless: Site, caplog: pytest.LogCaptureFixture
) -> None:
    summary = run_job(
        Everything, tmp_path, f"{endless.url}/", max_pages=300, concurrency_per_host=4
    )
    text = summary_text(summary)
    assert "no items   from most of the pages: 93 % /thisday/{date}" in text
    assert "leave out  -s 'deny=/thisday/{date}'" in text
    assert "URLs such as /thisday/{date} and give no items" in caplog.text
    status = {**job_status(tmp_path), "waiting": {}}
    assert status["traps"] == {"/thisday/{date}": 93}
    assert "93 % /thisday/{date}" in status_text(status, tmp_path)
    assert '"/thisday/{date}": 93' in status_json(status, tmp_path)
    asked = len(endless.visits())
    summary = run_job(Everything, tmp_path, f"{endless.url}/", deny=["/thisday/{date}"])
    assert (summary.counters.reason, summary.counters.pending) == ("finished", 0)
    assert summary.counters.skipped_by_limit == {"deny": 1}
    assert summary.counters.done == 300
    assert len(endless.visits()) == asked
    assert "left out   1 link: 1 deny" in summary_text(summary)


@pytest.mark.parametrize(
    ("workers", "pattern"),
    [(0, "/thisday/{date}"), (0, r"/thisday/\d{4}"), (0, "thisday"), (2, "/thisday/{date}")],
)
def test_denied_urls_are_not_requested(
    tmp_path: Path, endless: Site, workers: int, pattern: str
) -> None:
    summary = run_job(
        *(Everything, tmp_path, f"{endless.url}/"), deny=[pattern, "/never"], workers=workers
    )
    assert values(items(tmp_path)) == sorted(f"{endless.url}/article/{n}" for n in range(20))
    assert set(endless.asked) == {"/", *(f"/article/{n}" for n in range(20))}
    assert summary.counters.skipped_by_limit == {"deny": 1}


def test_pending_pages_that_are_denied_later_take_no_time(tmp_path: Path, site: Site) -> None:
    """They wait for no delay, and count as no pages."""
    site.pages["/"] = links(*(f"/day/{n}" for n in range(500)), "/good")
    site.otherwise = lambda visit: "x"
    run_job(Everything, tmp_path, f"{site.url}/", max_pages=1)
    summary = run_job(
        Everything, tmp_path, f"{site.url}/", deny=["/day/{n}"], delay=0.3, max_pages=2
    )
    assert (summary.counters.done, summary.counters.pending) == (2, 0)
    assert set(site.asked) == {"/", "/good"}
    assert summary.counters.skipped_by_limit == {"deny": 500}
    assert summary.counters.seconds < 60


def test_a_redirect_to_what_is_denied_is_not_followed(tmp_path: Path, site: Site) -> None:
    site.pages = {"/": links("/hop", "/good"), "/hop": redirect("/day/1"), "/good": "x"}
    summary = run_job(Everything, tmp_path, f"{site.url}/", deny=["/day/{n}"])
    assert set(site.asked) == {"/", "/hop", "/good"}
    assert (summary.counters.failed, summary.counters.skipped_by_limit) == (0, {"deny": 1})


def test_seeds_are_not_denied(tmp_path: Path, site: Site) -> None:
    site.pages["/article/1"] = "x"
    run_job(Everything, tmp_path, f"{site.url}/article/1", deny=["article"])
    assert len(items(tmp_path)) == 1
