"""The section "start": the time until the first request, and the whole time for one page."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.calm import Calm
from benchmarks.crawlers import OURS, SCRAPY, Crawler
from benchmarks.items import Output
from benchmarks.machine import describe
from benchmarks.measure import Measurement, check
from benchmarks.results import Goal, Row, Section, ratio, today
from benchmarks.site import Site, Source, serve_source

_FIRST = Goal(1.0, 0.5, at_most=True)
_WHOLE = Goal(1.0, 0.5, at_most=True)
_PAGE = "<!DOCTYPE html><title>One</title><h1>One page</h1><p>And no link."


def section(runs: int, calm: Calm) -> Section:
    """Crawl a site of one page ``runs`` times with our crawler and with Scrapy, in turn."""
    measurements: dict[Crawler, list[Measurement]] = {OURS: [], SCRAPY: []}
    wanted: Output | None = None
    with _one_page() as site:
        for turn in range(runs):
            for crawler, own in measurements.items():
                crawler.prepare()
                run, output = calm.measure(crawler, crawler.concurrencies[0], site)
                wanted = wanted or output
                check(run, output, wanted)
                own.append(run)
                print(_progress(turn, run), file=sys.stderr, flush=True)
    ours, peers = measurements.values()
    whole = _row("crawler, one page, whole process", [run.wall for run in ours], ours=True)
    peer = _row("Scrapy, one page, whole process", [run.wall for run in peers])
    return Section(
        key="start",
        title="a site of one page",
        runs=runs,
        rows=[
            _row(
                "crawler, until the first request",
                [run.starting for run in ours],
                _FIRST,
                ours=True,
            ),
            _row("Scrapy, until the first request", [run.starting for run in peers]),
            whole,
            ratio("… against Scrapy (less is better)", whole.value, peer.value, _WHOLE),
            peer,
        ],
        machine=describe(measurements),
        others=[run.others for run in (*ours, *peers)],
        day=today(),
    )


def _row(name: str, times: list[float], goal: Goal | None = None, *, ours: bool = False) -> Row:
    least, most = min(times), max(times)
    return Row(name=name, value=median(times), unit="s", low=least, high=most, goal=goal, ours=ours)


def _progress(turn: int, run: Measurement) -> str:
    return (
        f"run {turn + 1}, one page: {run.crawler.name}: first request after "
        f"{run.starting:.2f} s, whole process {run.wall:.2f} s, others {run.others:.1f} cores"
    )


@contextmanager
def _one_page() -> Iterator[Site]:
    # Not in the user's folder: if started as root, nginx reads as another user.
    with TemporaryDirectory(prefix="benchmark-one-page-") as folder:
        Path(folder).chmod(0o755)
        Path(folder, "index.html").write_text(_PAGE)
        with serve_source("one page", Source("one page", Path(folder))) as site:
            yield site
