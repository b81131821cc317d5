"""The two sites, crawled completely by all crawlers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.calm import Calm
from benchmarks.crawlers import (
    AT_MANUALS,
    CRAWLEE,
    GO_CRAWLER,
    OURS,
    OURS_SELECT,
    OURS_SOUP,
    REQUESTS,
    SCRAPY,
    SCRAPY_LINKS,
    SCRAPY_SOUP,
    Crawler,
)
from benchmarks.environments import NotThereError
from benchmarks.items import Output
from benchmarks.machine import describe
from benchmarks.measure import Measurement, check
from benchmarks.results import Goal, Row, Section, ratio, row_of, today
from benchmarks.site import SOURCES, Site, serve

_WITH_SCRAPY = {"postgresql": Goal(8, 10), "python": Goal(8, 15)}
_MEMORY = Goal(250, 180, at_most=True)
_MB = 1024**2


def section(name: str, runs: int, calm: Calm, crawlers: Sequence[Crawler] = AT_MANUALS) -> Section:
    """Crawl one site ``runs`` times with each crawler, in turn. Raises CrawlError."""
    crawlers, notes = available(crawlers)
    taken: dict[Crawler, list[Measurement]] = {crawler: [] for crawler in crawlers}
    others = []
    again = calm.again
    with serve(name) as site:
        wanted: Output | None = None
        for turn in range(runs):
            for crawler, concurrency in _variants(taken, turn):
                measured, output = calm.measure(crawler, concurrency, site)
                wanted = wanted or output
                check(measured, output, wanted)
                taken[crawler].append(measured)
                others.append(measured.others)
                print(_progress(turn, site, measured), file=sys.stderr, flush=True)
    if calm.again > again:
        notes.append(f"{calm.again - again} runs were disturbed and repeated.")
    pages = taken[crawlers[0]][0].seen.pages
    return Section(
        key=name,
        title=f"{SOURCES[name].package}: {pages:,} pages",
        runs=runs,
        rows=rows(name, {crawler: best(found) for crawler, found in taken.items()}),
        machine=describe(crawlers),
        notes=notes,
        others=others,
        day=today(),
    )


def available(crawlers: Sequence[Crawler]) -> tuple[list[Crawler], list[str]]:
    """Return the crawlers that can run here, and why the others cannot."""
    found, notes = [], []
    for crawler in crawlers:
        try:
            crawler.prepare()
            found.append(crawler)
        except NotThereError as error:
            notes.append(f"Not compared: {error}.")
    return found, notes


def _variants(taken: dict[Crawler, list[Measurement]], turn: int) -> Iterator[tuple[Crawler, int]]:
    """Yield each crawler at each concurrency in the first turn, later only at its best."""
    for crawler, found in taken.items():
        for concurrency in crawler.concurrencies if not turn else (best(found)[0].concurrency,):
            yield crawler, concurrency


def best(found: Sequence[Measurement]) -> list[Measurement]:
    """Return the runs at the concurrency that was fastest in the first turn."""
    first: dict[int, Measurement] = {}
    for one in found:
        first.setdefault(one.concurrency, one)
    best = max(first.values(), key=lambda one: one.rate)
    return [one for one in found if one.concurrency == best.concurrency]


def _progress(turn: int, site: Site, one: Measurement) -> str:
    return (
        f"run {turn + 1}, {site.name}: {one.crawler.name}, {one.concurrency} at a time: "
        f"{one.rate:,.0f} pages/s, {one.wall:.1f} s, {one.seen.requests} requests, "
        f"others {one.others:.1f} cores"
    )


def rows(name: str, taken: dict[Crawler, list[Measurement]]) -> list[Row]:
    """Return our rows, each followed by the comparisons and the peers that do the same work."""
    found: list[Row] = []
    rates = {crawler: median(run.rate for run in runs) for crawler, runs in taken.items()}

    def block(ours: Crawler, peers: Sequence[tuple[Crawler, str, Goal | None]]) -> None:
        if ours in taken:
            found.append(row_of(taken[ours]))
        for peer, against, goal in peers:
            if {ours, peer} <= taken.keys():
                found.append(ratio(f"… against {against}", rates[ours], rates[peer], goal))
        found.extend(
            row_of(taken[peer]) for peer, _, _ in peers if peer in taken and not peer.is_ours
        )

    goal = _WITH_SCRAPY[name]
    block(
        OURS,
        [
            (SCRAPY_LINKS, "Scrapy as documented", goal),
            (SCRAPY, "Scrapy tuned by hand", goal),
            (GO_CRAWLER, "Go", Goal(None, 1.2)),
        ],
    )
    block(
        OURS_SOUP,
        [
            (SCRAPY_SOUP, "Scrapy with BeautifulSoup", Goal(5, 7)),
            (CRAWLEE, "Crawlee", None),
            (REQUESTS, "requests + BeautifulSoup", None),
        ],
    )
    select_goal = Goal(2, 5) if name == "python" else None
    block(OURS_SELECT, [(OURS_SOUP, "our own BeautifulSoup spider", select_goal)])
    if name == "postgresql":
        found += _memory(taken)
    return found


def _memory(taken: dict[Crawler, list[Measurement]]) -> list[Row]:
    ours = [runs for crawler, runs in taken.items() if crawler.is_ours]
    most = max((median(run.memory for run in runs) for runs in ours), default=None)
    if most is None:
        return []
    name = "memory of all processes, the spider that needs most"
    return [Row(name=name, value=most / _MB, unit="MB", goal=_MEMORY, ours=True)]
