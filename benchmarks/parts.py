"""The sections "trees" and "frontier": parts of the crawler, measured separately."""

from __future__ import annotations

from benchmarks import frontier as frontier_benchmark
from benchmarks import plaintable, soup_trees
from benchmarks.machine import describe
from benchmarks.measure import CrawlError, scratch
from benchmarks.results import Goal, Row, Section, ratio, today
from benchmarks.site import SOURCES

_TREE = Goal(2.5, 4)
_ADDED = Goal(60_000, 120_000)
_TAKEN = Goal(25_000, 50_000)
_RESUME = Goal(3.0, 1.0, at_most=True)
_MEMORY = Goal(400, None, at_most=True)
_MB = 1024**2


def frontier(urls: int = frontier_benchmark.URLS, seeds: int = frontier_benchmark.SEEDS) -> Section:
    """Measure scheduler and store alone: URLs added, dispatched and finished, and a resume."""
    measured = frontier_benchmark.measure(urls, seeds)
    rows: list[Row] = []
    for row, goal in zip(measured.rows, (_ADDED, _TAKEN, _ADDED), strict=True):
        rows += _frontier_rows(row, goal)
    resume, memory = measured.resume, measured.memory / _MB
    with scratch() as folder:
        plain = plaintable.rate(folder, seeds)
    return Section(
        key="frontier",
        title=f"scheduler and store alone, {urls:,} URLs on {frontier_benchmark.HOSTS:,} hosts",
        rows=[
            *rows,
            Row(name=f"{_PLAIN}, {seeds:,}", value=plain, unit="URLs/s"),
            Row(name="resume of that job", value=resume, unit="s", goal=_RESUME, ours=True),
            Row(name="memory of that process", value=memory, unit="MB", goal=_MEMORY, ours=True),
            Row(name="size of the store", value=measured.file / _MB, unit="MB", ours=True),
        ],
        machine=describe(),
        notes=[_YARDSTICK],
        day=today(),
    )


_YARDSTICK = (
    "The goals for scheduler and store are in URLs per second, so they depend on the machine. They "
    "were set on a machine where plain INSERT OR IGNORE reached 290,000 per second for the first "
    "million."
)
_PLAIN = "for comparison, plain INSERT OR IGNORE of fingerprints"
_DONE = {"added": "found and added", "taken": "taken and finished", "seeds": "seeds added"}


def _frontier_rows(row: frontier_benchmark.Row, goal: Goal) -> list[Row]:
    """Return the rate over all of the work, and over the last tenth."""
    name = _DONE[row.work]
    rates = (row.first, row.middle, row.last)
    rate = Row(
        name=f"{name}, {row.urls:,}",
        value=row.rate,
        unit="URLs/s",
        low=min(rates),
        high=max(rates),
        goal=goal,
        ours=True,
    )
    if row.work == "seeds":
        return [rate]
    last = Row(name="… the last tenth of them", value=row.last, unit="URLs/s", goal=goal, ours=True)
    return [rate, last]


def trees(rounds: int = 3, every: int = 8) -> Section:
    """Measure trees for BeautifulSoup and ``select()`` on every ``every``-th page of both sites.

    Raises CrawlError if the results differ.
    """
    try:
        measured = [
            row for site in SOURCES for row in soup_trees.measure(site, rounds=rounds, every=every)
        ]
    except soup_trees.DifferentError as error:
        raise CrawlError(str(error)) from error
    return Section(
        key="trees",
        title="trees for BeautifulSoup, in one process",
        rows=[row for pair in measured for row in _tree_rows(pair)],
        runs=rounds,
        machine=describe(),
        notes=[_NOTE],
        day=today(),
    )


_NOTE = (
    "Trees: CPU time of one process. Garbage is collected between pages, as in workers, and not "
    "counted, except in the rows that say so."
)


def _tree_rows(row: soup_trees.Row) -> list[Row]:
    is_tree = row.name.startswith("tree")
    goal = (_TREE if is_tree else None) if "by Python" not in row.name else None
    name = f"{SOURCES[row.site].package}, {row.name}"
    return [
        Row(name=name, value=row.ours * 1000, unit="µs/page", ours=True),
        ratio(f"… against {row.other_name}", row.other, row.ours, goal),
    ]
