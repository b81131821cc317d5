"""Starting: how long it takes until the first request, and for one page in all."""

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
    """Crawl a site of one page ``runs`` times with us and with Scrapy, in turn."""
    taken: dict[Crawler, list[Measurement]] = {OURS: [], SCRAPY: []}
    wanted: Output | None = None
    with _one_page() as site:
        for turn in range(runs):
            for crawler, found in taken.items():
                crawler.prepare()
                measured, output = calm.measure(crawler, crawler.concurrencies[0], site)
                wanted = wanted or output
                check(measured, output, wanted)
                found.append(measured)
                print(_progress(turn, measured), file=sys.stderr, flush=True)
    ours, theirs = taken.values()
    whole = _row("crawler, one page, whole process", [one.wall for one in ours], ours=True)
    peer = _row("Scrapy, one page, whole process", [one.wall for one in theirs])
    return Section(
        key="start",
        title="a site of one page",
        runs=runs,
        rows=[
            _row("crawler, until the first request", [o.starting for o in ours], _FIRST, ours=True),
            _row("Scrapy, until the first request", [one.starting for one in theirs]),
            whole,
            ratio("… against Scrapy (less is better)", whole.value, peer.value, _WHOLE),
            peer,
        ],
        machine=describe(taken),
        others=[one.others for found in taken.values() for one in found],
        day=today(),
    )


def _row(name: str, times: list[float], goal: Goal | None = None, *, ours: bool = False) -> Row:
    least, most = min(times), max(times)
    return Row(name=name, value=median(times), unit="s", low=least, high=most, goal=goal, ours=ours)


def _progress(turn: int, one: Measurement) -> str:
    return (
        f"run {turn + 1}, one page: {one.crawler.name}: first request after "
        f"{one.starting:.2f} s, whole process {one.wall:.2f} s, others {one.others:.1f} cores"
    )


@contextmanager
def _one_page() -> Iterator[Site]:
    # Not in a folder of the user's: started as root, nginx reads as another user.
    with TemporaryDirectory(prefix="benchmark-one-page-") as folder:
        Path(folder).chmod(0o755)
        Path(folder, "index.html").write_text(_PAGE)
        with serve_source("one page", Source("one page", Path(folder))) as site:
            yield site
