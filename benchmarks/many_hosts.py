"""The section "many": up to a million hosts. Does the crawler slow down, or grow?"""

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
"""Hosts of the first crawl, which are at work at the same time, ``PAGES`` times, and of the second,
with a page each."""
PAGES = 6
IN_ALL = 100_000
"""Hosts of the third crawl, with a page each; ``--hosts`` sets another number."""
MEMORY = 400
"""Megabytes that all processes together may take, however many hosts there are."""
LATENCY = 1.0
DELAY = 1.0

_STEADY = Goal(0.9, 1)
_COST = Goal(1.1, 1, at_most=True)
_MEMORY = Goal(MEMORY, None, at_most=True)


def section(runs: int, calm: Calm, at_work: int = AT_WORK, in_all: int = IN_ALL) -> Section:
    """Crawl all of them. Raises CrawlError."""
    rows: list[Row] = []
    measured: list[Measurement] = []
    few: list[Measurement] = []
    for hosts, pages in ((at_work, PAGES), (at_work, 1), (in_all, 1)):
        with serve(pages, LATENCY, hosts=hosts, delay=DELAY) as site:
            (own,) = broad_crawl.run_in_turn([OURS_DEFAULT], runs, calm, site).values()
        of = f"{pages} pages each" if pages > 1 else "a page each"
        rows.append(replace(row_of(own), name=f"{hosts:,} hosts, {of}"))
        rows.append(_steadiness(own))
        rows.append(_memory(own))
        if hosts == in_all:
            rows.append(_cost(few, own))
        few = own
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


def _memory(runs: Sequence[Measurement]) -> Row:
    memory = median(run.memory for run in runs) / 1e6
    return Row(name="… memory of all processes", value=memory, unit="MB", goal=_MEMORY, ours=True)


def _cost(few: Sequence[Measurement], many: Sequence[Measurement]) -> Row:
    """Compare what a page costs where hosts are many with what it costs where they are few."""
    base, cost = (median(run.cpu / run.traffic.pages for run in runs) for runs in (few, many))
    return ratio("… CPU of a page, against that of few hosts", cost, base, _COST)
