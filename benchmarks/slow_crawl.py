"""The sections "slow" and "private": thousands of hosts that take a second to answer.

In "private" they are asked over HTTPS, with certificates of a private authority.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from benchmarks import broad_crawl
from benchmarks.broad_site import serve
from benchmarks.calm import Calm
from benchmarks.crawlers import (
    OURS,
    OURS_DEFAULT,
    OURS_PRIVATE,
    SCRAPY_SLOW,
    Crawler,
    earlier,
)
from benchmarks.machine import describe
from benchmarks.measure import Measurement
from benchmarks.results import Goal, Row, Section, ratio, row_of, today

HOSTS = 3000
PAGES = 15
"""Pages of each host."""
PEER_PAGES = 3
"""The same for the peers, which would need ten minutes for all."""
LATENCY = 1.0
"""Seconds until a response is sent."""
DELAY = 1.0
"""Seconds that a crawler must leave between two requests to a host."""

_RATE = Goal(2000, None)
_CPU = Goal(1.3, None, at_most=True)
_CONNECTIONS = Goal(1.05, 1, at_most=True)
_HANDSHAKES = Goal(1, None, at_most=True)
_MEMORY = Goal(300, None, at_most=True)
_MB = 1024**2


def slow(
    runs: int,
    calm: Calm,
    hosts: int = HOSTS,
    pages: int = PAGES,
    peers: Sequence[Crawler] = (SCRAPY_SLOW,),
    against: Path | None = None,
) -> Section:
    """Crawl slow hosts, and one fast host with as many pages. Raises CrawlError.

    The peers run once, and get few pages: they take far longer.
    """
    before = [] if against is None else [earlier(OURS_DEFAULT, against)]
    with serve(hosts * pages, 0.0, hosts=1, delay=0.0) as host:
        (narrow,) = broad_crawl.run_in_turn([OURS], runs, calm, host).values()
    with serve(pages, LATENCY, hosts=hosts, delay=DELAY) as site:
        broad = broad_crawl.run_in_turn([OURS_DEFAULT, *before], runs, calm, site)
    with serve(PEER_PAGES, LATENCY, hosts=hosts, delay=DELAY) as site:
        broad |= broad_crawl.run_in_turn(peers, 1, calm, site)
    ours = broad[OURS_DEFAULT]
    base = replace(row_of(narrow), name=f"{OURS.name}, 8 in flight at one fast host", drawn=False)
    rows = [
        *_rows(ours, hosts),
        base,
        ratio("… CPU for a page, slow against fast", _cpu(ours), _cpu(narrow), _CPU),
        *(row_of(broad[crawler]) for crawler in (*before, *peers)),
    ]
    return _section("slow", hosts, pages, runs, rows, [*broad.values()], [*broad])


def private(runs: int, calm: Calm, hosts: int = HOSTS, pages: int = PAGES) -> Section:
    """Crawl slow hosts over HTTPS. Raises CrawlError."""
    with serve(pages, LATENCY, hosts=hosts, delay=DELAY, is_https=True) as site:
        broad = broad_crawl.run_in_turn([OURS_PRIVATE], runs, calm, site)
    (ours,) = broad.values()
    handshakes = median(run.traffic.handshakes for run in ours)
    connections = median(run.traffic.connections for run in ours)
    handshakes_row = ratio("… handshakes for a connection", handshakes, connections, _HANDSHAKES)
    rows = [*_rows(ours, hosts), handshakes_row]
    return _section("private", hosts, pages, runs, rows, [ours], [OURS_PRIVATE])


def _rows(runs: Sequence[Measurement], hosts: int) -> list[Row]:
    """Return the rate of our runs, and what else has a goal."""
    opened = median(run.traffic.connections for run in runs)
    memory = median(run.memory for run in runs) / _MB
    return [
        replace(row_of(runs), goal=_RATE),
        ratio("… connections for a host", opened, hosts, _CONNECTIONS),
        Row(name="… memory of all processes", value=memory, unit="MB", goal=_MEMORY, ours=True),
        broad_crawl.early_row(runs),
    ]


def _section(
    key: str,
    hosts: int,
    pages: int,
    runs: int,
    rows: list[Row],
    measured: Sequence[Sequence[Measurement]],
    crawlers: Sequence[Crawler],
) -> Section:
    of = f"{hosts:,} slow hosts" + (" over HTTPS" if key == "private" else "")
    all_runs = [run for own in measured for run in own]
    return Section(
        key=key,
        title=f"{of}, {hosts * pages:,} pages: each takes {LATENCY:g} s",
        runs=runs,
        rows=rows,
        machine=describe(crawlers),
        notes=[*map(broad_crawl.politeness, measured), broad_crawl.limit(all_runs, of)],
        others=[run.others for run in all_runs],
        day=today(),
    )


def _cpu(runs: Sequence[Measurement]) -> float:
    return median(run.cpu / run.traffic.pages for run in runs)
