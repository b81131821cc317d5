"""The broad crawl: many hosts, each asked seldom, by us and by Scrapy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import median

from benchmarks.broad import DELAY, HOSTS, PAGES, TOLERANCE, serve
from benchmarks.calm import Calm
from benchmarks.crawlers import OURS_BROAD, SCRAPY_BROAD, Crawler
from benchmarks.items import Output
from benchmarks.machine import describe
from benchmarks.measure import Measurement, check
from benchmarks.results import Goal, Row, Section, row_of, today

ALLOWED = HOSTS / DELAY
"""Pages a second that the delay allows over all hosts."""
_SHARE = Goal(85, 95)
_CONNECTIONS = Goal(250, None, at_most=True)
_EARLY = Goal(0.1, 0, at_most=True)
"""Percent of requests."""


def section(
    runs: int,
    calm: Calm,
    crawlers: Sequence[Crawler] = (OURS_BROAD, SCRAPY_BROAD),
    pages: int = PAGES,
) -> Section:
    """Crawl all hosts ``runs`` times with each crawler, in turn. Raises CrawlError."""
    taken: dict[Crawler, list[Measurement]] = {crawler: [] for crawler in crawlers}
    wanted: Output | None = None
    with serve(pages) as place:
        for turn in range(runs):
            for crawler, found in taken.items():
                crawler.prepare()
                measured, output = calm.measure(crawler, crawler.concurrencies[0], place)
                wanted = wanted or output
                check(measured, output, wanted)
                found.append(measured)
                print(_progress(turn, measured), file=sys.stderr, flush=True)
    everything = [one for found in taken.values() for one in found]
    return Section(
        key="broad",
        title=f"{HOSTS} hosts, {HOSTS * pages:,} pages: politeness allows {ALLOWED:.0f} pages/s",
        runs=runs,
        rows=[row for crawler, found in taken.items() for row in _rows(crawler, found)],
        machine=describe(crawlers),
        notes=[*map(_manners, taken.values()), _limit(everything)],
        others=[one.others for one in everything],
        day=today(),
    )


def _progress(turn: int, one: Measurement) -> str:
    return (
        f"run {turn + 1}, broad: {one.crawler.name}: {one.rate:,.0f} pages/s, "
        f"{one.seen.connections} connections, {one.seen.early} requests too early, "
        f"others {one.others:.1f} cores"
    )


def _rows(crawler: Crawler, found: Sequence[Measurement]) -> list[Row]:
    row = row_of(found)
    if not crawler.is_ours:
        return [row]
    # What comes in the first delay is not held up by it, so short crawls can reach a little more.
    share = min(100 * row.value / ALLOWED, 100.0)
    opened = median(one.seen.connections for one in found)
    early = 100 * sum(one.seen.early for one in found) / sum(one.seen.requests for one in found)
    return [
        row,
        Row(name="… of what politeness allows", value=share, unit="%", goal=_SHARE, ours=True),
        Row(name="… connections", value=opened, unit="", goal=_CONNECTIONS, ours=True),
        Row(name="… requests that came too early", value=early, unit="%", goal=_EARLY, ours=True),
    ]


def _manners(found: Sequence[Measurement]) -> str:
    early = sum(one.seen.early for one in found)
    asked = sum(one.seen.requests for one in found)
    return (
        f"{found[0].crawler.name}: {early} of {asked:,} requests came more than "
        f"{TOLERANCE * 1000:.0f} ms too early or beside another one; "
        f"the least time between two was {min(one.seen.least_gap for one in found):.3f} s."
    )


def _limit(runs: Sequence[Measurement]) -> str:
    """Whether the server was what held the crawlers up."""
    each = median(one.serving / one.seen.requests for one in runs)
    return (
        f"The server of the {HOSTS} hosts is written in Python and needs {each * 1000:.2f} ms of "
        f"CPU time for a page, so it could give {1 / each:,.0f} pages/s by itself."
    )
