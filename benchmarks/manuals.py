"""The sections "postgresql" and "python": two manuals, crawled completely by all crawlers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.calm import Calm
from benchmarks.crawlers import (
    CRAWLEE,
    GO_CRAWLER,
    MANUAL_CRAWLERS,
    OURS,
    OURS_SELECT,
    OURS_SOUP,
    REQUESTS,
    SCRAPY,
    SCRAPY_LINKS,
    SCRAPY_SOUP,
    Crawler,
    earlier,
)
from benchmarks.environments import MissingDependencyError
from benchmarks.items import Output
from benchmarks.machine import describe
from benchmarks.measure import Measurement, check
from benchmarks.results import Goal, Row, Section, ratio, row_of, today
from benchmarks.site import SOURCES, Site, serve

_WITH_SCRAPY = {"postgresql": Goal(8, 10), "python": Goal(8, 15)}
_WITH_BEFORE = Goal(1, 1.3)
_MEMORY = Goal(250, 180, at_most=True)
_MB = 1024**2


def section(
    name: str, runs: int, calm: Calm, crawlers: Sequence[Crawler] = MANUAL_CRAWLERS
) -> Section:
    """Crawl one site ``runs`` times with each crawler, in turn. Raises CrawlError."""
    crawlers, notes = available(crawlers)
    runs_of: dict[Crawler, list[Measurement]] = {crawler: [] for crawler in crawlers}
    others = []
    again = calm.again
    with serve(name) as site:
        wanted: Output | None = None
        for turn in range(runs):
            for crawler, concurrency in _variants(runs_of, turn):
                measured, output = calm.measure(crawler, concurrency, site)
                wanted = wanted or output
                check(measured, output, wanted)
                runs_of[crawler].append(measured)
                others.append(measured.others)
                print(_progress(turn, site, measured), file=sys.stderr, flush=True)
    if calm.again > again:
        notes.append(f"{calm.again - again} runs were disturbed and repeated.")
    pages = runs_of[crawlers[0]][0].traffic.pages
    return Section(
        key=name,
        title=f"{SOURCES[name].package}: {pages:,} pages",
        runs=runs,
        rows=rows(name, {crawler: best(own) for crawler, own in runs_of.items()}),
        machine=describe(crawlers),
        notes=notes,
        others=others,
        day=today(),
    )


def earlier_ones(checkout: Path | None) -> list[Crawler]:
    """Return our crawlers as another checkout runs them; none without one."""
    ours = [crawler for crawler in MANUAL_CRAWLERS if crawler.is_ours]
    return [] if checkout is None else [earlier(crawler, checkout) for crawler in ours]


def available(crawlers: Sequence[Crawler]) -> tuple[list[Crawler], list[str]]:
    """Return the crawlers that can run here, and why the others cannot."""
    present, notes = [], []
    for crawler in crawlers:
        try:
            crawler.prepare()
            present.append(crawler)
        except MissingDependencyError as error:
            notes.append(f"Not compared: {error}.")
    return present, notes


def _variants(
    runs_of: dict[Crawler, list[Measurement]], turn: int
) -> Iterator[tuple[Crawler, int]]:
    """Yield each crawler at each concurrency in the first turn, later only at its best."""
    for crawler, own in runs_of.items():
        for concurrency in crawler.concurrencies if not turn else (best(own)[0].concurrency,):
            yield crawler, concurrency


def best(runs: Sequence[Measurement]) -> list[Measurement]:
    """Return the runs at the concurrency that was fastest in the first turn."""
    first: dict[int, Measurement] = {}
    for run in runs:
        first.setdefault(run.concurrency, run)
    best = max(first.values(), key=lambda run: run.rate)
    return [run for run in runs if run.concurrency == best.concurrency]


def _progress(turn: int, site: Site, run: Measurement) -> str:
    return (
        f"run {turn + 1}, {site.name}: {run.crawler.name}, {run.concurrency} at a time: "
        f"{run.rate:,.0f} pages/s, {run.wall:.1f} s, {run.traffic.requests} requests, "
        f"others {run.others:.1f} cores"
    )


def rows(name: str, runs_of: dict[Crawler, list[Measurement]]) -> list[Row]:
    """Return our rows, each followed by the comparisons and the peers that do the same work."""
    table: list[Row] = []
    rates = {crawler: median(run.rate for run in runs) for crawler, runs in runs_of.items()}

    def block(ours: Crawler, peers: Sequence[tuple[Crawler, str, Goal | None]]) -> None:
        if ours in runs_of:
            table.append(row_of(runs_of[ours]))
        for before in [crawler for crawler in runs_of if crawler.is_earlier(ours)]:
            name = "… against the version before"
            table.append(ratio(name, rates[ours], rates[before], _WITH_BEFORE))
            table.append(row_of(runs_of[before]))
        for peer, against, goal in peers:
            if {ours, peer} <= runs_of.keys():
                table.append(ratio(f"… against {against}", rates[ours], rates[peer], goal))
        table.extend(
            row_of(runs_of[peer]) for peer, _, _ in peers if peer in runs_of and not peer.is_ours
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
        table += _memory(runs_of)
    return table


def _memory(runs_of: dict[Crawler, list[Measurement]]) -> list[Row]:
    ours = [runs for crawler, runs in runs_of.items() if crawler.is_ours]
    most = max((median(run.memory for run in runs) for runs in ours), default=None)
    if most is None:
        return []
    name = "memory of all processes, the spider that needs most"
    return [Row(name=name, value=most / _MB, unit="MB", goal=_MEMORY, ours=True)]
