"""Parts of the crawler measured by themselves: trees for BeautifulSoup, and the frontier."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable
from statistics import median

from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning

from benchmarks import frontier as load
from benchmarks.machine import describe
from benchmarks.measure import CrawlError
from benchmarks.results import Goal, Row, Section, ratio, today
from benchmarks.site import SOURCES
from crawler import Response

_TREES = Goal(2.5, 4)
_ADDED = Goal(60_000, 120_000)
_TAKEN = Goal(25_000, 50_000)
_RESUME = Goal(3.0, 1.0, at_most=True)
_MEMORY = Goal(400, None, at_most=True)
_MB = 1024**2


def frontier(urls: int = load.URLS, seeds: int = load.SEEDS) -> Section:
    """The scheduler and store alone: URLs added, taken and finished, and a resume in between."""
    measured = load.measure(urls, seeds)
    rows: list[Row] = []
    for row, goal in zip(measured.rows, (_ADDED, _TAKEN, _ADDED), strict=True):
        rows += _frontier_rows(row, goal)
    resume, memory = measured.resume, measured.memory / _MB
    return Section(
        key="frontier",
        title=f"scheduler and store alone, {urls:,} URLs on {load.HOSTS:,} hosts",
        rows=[
            *rows,
            Row(name="resume of that job", value=resume, unit="s", goal=_RESUME, ours=True),
            Row(name="memory of that process", value=memory, unit="MB", goal=_MEMORY, ours=True),
            Row(name="size of the store", value=measured.file / _MB, unit="MB", ours=True),
        ],
        machine=describe(),
        day=today(),
    )


_DONE = {"added": "found and added", "taken": "taken and finished", "seeds": "seeds added"}


def _frontier_rows(row: load.Row, goal: Goal) -> list[Row]:
    """The rate over all of the work, and whether it is sustained."""
    name = _DONE[row.what]
    stretches = (row.first, row.middle, row.last)
    rate = Row(
        name=f"{name}, {row.urls:,}",
        value=row.rate,
        unit="URLs/s",
        low=min(stretches),
        high=max(stretches),
        goal=goal,
        ours=True,
    )
    if row.what == "seeds":
        return [rate]
    last = Row(name="… the last tenth of them", value=row.last, unit="URLs/s", goal=goal, ours=True)
    return [rate, last]


def trees(pages: int = 100, runs: int = 5) -> Section:
    """A BeautifulSoup tree from ``response.soup`` against ``BeautifulSoup(body, "lxml")``.

    ``pages`` of each site, in turn, ``runs`` times. Raises CrawlError if a tree is not the same.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        rows = [row for name in SOURCES for row in _tree_rows(name, pages, runs)]
    note = (
        f"Trees: {pages} pages of each site, spread over all; processor time of one process, "
        "without garbage collection, which both leave for the time between pages."
    )
    return Section(
        key="trees",
        title="trees for BeautifulSoup",
        rows=rows,
        runs=runs,
        machine=describe(),
        notes=[note],
        day=today(),
    )


def _ours(body: bytes) -> BeautifulSoup:
    return Response("http://x.example/", body, headers={"Content-Type": "text/html"}).soup


def _theirs(body: bytes) -> BeautifulSoup:
    return BeautifulSoup(body, "lxml")


def _seconds(make: Callable[[bytes], BeautifulSoup], body: bytes) -> float:
    """Processor time of one tree; garbage is left for the time between pages, as workers do it."""
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        make(body)
        return time.process_time() - began
    finally:
        gc.enable()


def _tree_rows(name: str, pages: int, runs: int) -> list[Row]:
    all_paths = sorted(SOURCES[name].folder.rglob("*.html"))
    paths = all_paths[:: max(1, len(all_paths) // pages)][:pages]
    bodies = [path.read_bytes() for path in paths]
    for path, body in zip(paths, bodies, strict=True):
        if str(_ours(body)) != str(_theirs(body)):
            raise CrawlError(f"{path.name}: response.soup is not the tree that BeautifulSoup makes")
    rates: dict[str, list[float]] = {"response.soup": [], "BeautifulSoup": []}
    for _ in range(runs):
        for way, make in zip(rates, (_ours, _theirs), strict=True):
            rates[way].append(len(bodies) / sum(_seconds(make, body) for body in bodies))
    ours, theirs = (
        Row(
            name=f"{SOURCES[name].package}: {way}",
            value=median(found),
            unit="trees/s",
            low=min(found),
            high=max(found),
            ours=way == "response.soup",
        )
        for way, found in rates.items()
    )
    return [
        ours,
        ratio('… against BeautifulSoup(body, "lxml")', ours.value, theirs.value, _TREES),
        theirs,
    ]
