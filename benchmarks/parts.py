"""Parts of the crawler measured by themselves: trees for BeautifulSoup, and the frontier."""

from __future__ import annotations

from benchmarks import frontier as load
from benchmarks.machine import describe
from benchmarks.results import Goal, Row, Section, today

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


def trees(*, quick: bool = False) -> Section:
    """Trees for BeautifulSoup."""
    raise NotImplementedError
