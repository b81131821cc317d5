"""The section "many": tens of thousands of hosts. Does the crawler slow down?"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from msgspec.structs import replace

from benchmarks import broad_crawl
from benchmarks.broad_site import serve
from benchmarks.calm import Calm
from benchmarks.crawlers import OURS_DEFAULT
from benchmarks.machine import describe
from benchmarks.measure import Measurement
from benchmarks.results import Goal, Row, Section, ratio, row_of, today

AT_WORK = 10_000
"""Hosts of the first crawl, which are at work at the same time, ``PAGES`` times."""
PAGES = 6
IN_ALL = 100_000
"""Hosts of the second crawl, with a page each."""
LATENCY = 1.0
DELAY = 1.0

_STEADY = Goal(0.9, 1)


def section(runs: int, calm: Calm, at_work: int = AT_WORK, in_all: int = IN_ALL) -> Section:
    """Crawl both. Raises CrawlError."""
    rows: list[Row] = []
    measured: list[Measurement] = []
    for hosts, pages in ((at_work, PAGES), (in_all, 1)):
        with serve(pages, LATENCY, hosts=hosts, delay=DELAY) as site:
            (own,) = broad_crawl.run_in_turn([OURS_DEFAULT], runs, calm, site).values()
        of = f"{pages} pages each" if pages > 1 else "a page each"
        rows.append(replace(row_of(own), name=f"{hosts:,} hosts, {of}"))
        rows.append(_steadiness(own))
        measured += own
    return Section(
        key="many",
        title=f"many hosts, each page takes {LATENCY:g} s",
        runs=runs,
        rows=rows,
        machine=describe(),
        notes=[broad_crawl.limit(measured, "many hosts")],
        others=[run.others for run in measured],
        day=today(),
    )


def _steadiness(runs: Sequence[Measurement]) -> Row:
    rates = [run.traffic.tenths for run in runs if run.traffic.tenths]
    last, second = (median(tenths[n] for tenths in rates) if rates else 1.0 for n in (9, 1))
    return ratio("… the last tenth against the second", last, second, _STEADY)
