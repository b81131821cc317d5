"""The section "broad": our crawler and Scrapy on 200 hosts, each asked rarely."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import median

from benchmarks.broad_site import DELAY, HOSTS, PAGES, TOLERANCE, serve
from benchmarks.calm import Calm
from benchmarks.crawlers import OURS_BROAD, SCRAPY_BROAD, Crawler
from benchmarks.items import Output
from benchmarks.machine import describe
from benchmarks.measure import Measurement, Target, check
from benchmarks.results import Goal, Row, Section, row_of, today

ALLOWED = HOSTS / DELAY
"""Pages per second that the delay allows over all hosts."""
_SHARE = Goal(85, 95)
_CONNECTIONS = Goal(250, None, at_most=True)
_EARLY = Goal(0.1, 0, at_most=True)
"""The share of early requests, in percent."""


def section(
    runs: int,
    calm: Calm,
    crawlers: Sequence[Crawler] = (OURS_BROAD, SCRAPY_BROAD),
    pages: int = PAGES,
) -> Section:
    """Crawl all hosts ``runs`` times with each crawler, in turn. Raises CrawlError."""
    with serve(pages) as site:
        measurements = run_in_turn(crawlers, runs, calm, site)
    all_runs = [run for own in measurements.values() for run in own]
    return Section(
        key="broad",
        title=f"{HOSTS} hosts, {HOSTS * pages:,} pages: politeness allows {ALLOWED:.0f} pages/s",
        runs=runs,
        rows=[row for crawler, runs in measurements.items() for row in _rows(crawler, runs)],
        machine=describe(crawlers),
        notes=[*map(politeness, measurements.values()), limit(all_runs, f"{HOSTS} hosts")],
        others=[run.others for run in all_runs],
        day=today(),
    )


def run_in_turn(
    crawlers: Sequence[Crawler],
    runs: int,
    calm: Calm,
    site: Target,
) -> dict[Crawler, list[Measurement]]:
    """Crawl a site ``runs`` times with each crawler, in turn.

    Raises CrawlError unless all of them do the same work.
    """
    measurements: dict[Crawler, list[Measurement]] = {crawler: [] for crawler in crawlers}
    wanted: Output | None = None
    for turn in range(runs):
        for crawler, own in measurements.items():
            crawler.prepare()
            run, output = calm.measure(crawler, crawler.concurrencies[0], site)
            wanted = wanted or output
            check(run, output, wanted)
            own.append(run)
            print(_progress(turn, run, site.name), file=sys.stderr, flush=True)
    return measurements


def _progress(turn: int, run: Measurement, name: str) -> str:
    per_page = 1000 / run.traffic.pages
    return (
        f"run {turn + 1}, {name}: {run.crawler.name}: {run.rate:,.0f} pages/s, "
        f"{run.cpu * per_page:.2f} ms of CPU a page, server {run.serving * per_page:.2f} ms, "
        f"{run.memory / 1024**2:,.0f} MB, {run.traffic.connections:,} connections, "
        f"{run.traffic.early} requests too early, others {run.others:.1f} cores"
    )


def _rows(crawler: Crawler, runs: Sequence[Measurement]) -> list[Row]:
    row = row_of(runs)
    if not crawler.is_ours:
        return [row]
    # The first request to a host waits for no delay, so a short crawl can exceed the rate a little.
    share = min(100 * row.value / ALLOWED, 100.0)
    opened = median(run.traffic.connections for run in runs)
    return [
        row,
        Row(name="… of what politeness allows", value=share, unit="%", goal=_SHARE, ours=True),
        Row(name="… connections", value=opened, unit="", goal=_CONNECTIONS, ours=True),
        early_row(runs),
    ]


def early_row(runs: Sequence[Measurement]) -> Row:
    """Return a row with the share of requests that were too early."""
    early = sum(run.traffic.early for run in runs)
    share = 100 * early / sum(run.traffic.requests for run in runs)
    name = "… requests that came too early"
    return Row(name=name, value=share, unit="%", goal=_EARLY, ours=True)


def politeness(runs: Sequence[Measurement]) -> str:
    """Return a sentence on how early requests came."""
    early = sum(run.traffic.early for run in runs)
    requests = sum(run.traffic.requests for run in runs)
    return (
        f"{runs[0].crawler.name}: {early} of {requests:,} requests came more than "
        f"{TOLERANCE * 1000:.0f} ms too early or in parallel with another; "
        f"the shortest time between two was {min(run.traffic.least_gap for run in runs):.3f} s."
    )


def limit(runs: Sequence[Measurement], hosts: str) -> str:
    """Return a sentence on the rate that the server can reach by itself."""
    ticks = max(sum(run.serving for run in runs), 0.01)  # what the system counts at the least
    per_page = ticks / sum(run.traffic.requests for run in runs)
    return (
        f"The server of the {hosts} is written in Python and needs {per_page * 1000:.2f} ms "
        f"of CPU time for a page, so it could serve {1 / per_page:,.0f} pages/s."
    )
