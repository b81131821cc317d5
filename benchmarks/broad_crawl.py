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
from benchmarks.measure import Measurement, check
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
    measurements: dict[Crawler, list[Measurement]] = {crawler: [] for crawler in crawlers}
    wanted: Output | None = None
    with serve(pages) as site:
        for turn in range(runs):
            for crawler, own in measurements.items():
                crawler.prepare()
                run, output = calm.measure(crawler, crawler.concurrencies[0], site)
                wanted = wanted or output
                check(run, output, wanted)
                own.append(run)
                print(_progress(turn, run), file=sys.stderr, flush=True)
    all_runs = [run for own in measurements.values() for run in own]
    return Section(
        key="broad",
        title=f"{HOSTS} hosts, {HOSTS * pages:,} pages: politeness allows {ALLOWED:.0f} pages/s",
        runs=runs,
        rows=[row for crawler, runs in measurements.items() for row in _rows(crawler, runs)],
        machine=describe(crawlers),
        notes=[*map(_politeness, measurements.values()), _limit(all_runs)],
        others=[run.others for run in all_runs],
        day=today(),
    )


def _progress(turn: int, run: Measurement) -> str:
    return (
        f"run {turn + 1}, broad: {run.crawler.name}: {run.rate:,.0f} pages/s, "
        f"{run.traffic.connections} connections, {run.traffic.early} requests too early, "
        f"others {run.others:.1f} cores"
    )


def _rows(crawler: Crawler, runs: Sequence[Measurement]) -> list[Row]:
    row = row_of(runs)
    if not crawler.is_ours:
        return [row]
    # The first request to a host waits for no delay, so a short crawl can exceed the rate a little.
    share = min(100 * row.value / ALLOWED, 100.0)
    opened = median(run.traffic.connections for run in runs)
    early = sum(run.traffic.early for run in runs)
    early_share = 100 * early / sum(run.traffic.requests for run in runs)
    return [
        row,
        Row(name="… of what politeness allows", value=share, unit="%", goal=_SHARE, ours=True),
        Row(name="… connections", value=opened, unit="", goal=_CONNECTIONS, ours=True),
        Row(
            name="… requests that came too early",
            value=early_share,
            unit="%",
            goal=_EARLY,
            ours=True,
        ),
    ]


def _politeness(runs: Sequence[Measurement]) -> str:
    early = sum(run.traffic.early for run in runs)
    requests = sum(run.traffic.requests for run in runs)
    return (
        f"{runs[0].crawler.name}: {early} of {requests:,} requests came more than "
        f"{TOLERANCE * 1000:.0f} ms too early or in parallel with another; "
        f"the shortest time between two was {min(run.traffic.least_gap for run in runs):.3f} s."
    )


def _limit(runs: Sequence[Measurement]) -> str:
    """Return a sentence on the rate that the server can reach by itself."""
    per_page = median(run.serving / run.traffic.requests for run in runs)
    return (
        f"The server of the {HOSTS} hosts is written in Python and needs {per_page * 1000:.2f} ms "
        f"of CPU time for a page, so it could serve {1 / per_page:,.0f} pages/s."
    )
