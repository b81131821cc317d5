"""Results: rows of the table, grouped in sections that are measured, and kept, each by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.measure import Measurement


class Goal(msgspec.Struct, frozen=True):
    """What a figure should be: at least this much, or ``at_most``. None is no such goal."""

    must: float | None
    aim: float | None
    at_most: bool = False

    def is_met(self, value: float, wanted: float) -> bool:
        """Whether a figure is as good as wanted."""
        return value <= wanted if self.at_most else value >= wanted


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: a figure, perhaps with a goal, and what else was seen.

    ``value`` is a median, ``low`` and ``high`` are the slowest and the fastest of its runs.
    ``cpu`` is in milliseconds a page, ``memory`` in bytes, ``wall`` in seconds.
    """

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    goal: Goal | None = None
    cpu: float | None = None
    memory: float | None = None
    connections: float | None = None
    at_a_time: int | None = None
    """Requests that the crawler might have out at once."""
    wall: float | None = None
    ours: bool = False
    drawn: bool = False
    """Part of the chart."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One group of rows, measured together. ``took`` is in seconds."""

    key: str
    title: str
    rows: list[Row]
    runs: int = 0
    """How often each crawler ran."""
    machine: list[str]
    notes: list[str] = []
    """Sentences about this run that a reader should know."""
    others: list[float] = []
    """Cores that other work on the machine took, in each run."""
    day: str = ""
    took: float = 0.0

    def save(self, folder: Path) -> None:
        """Keep it, in place of what was measured before."""
        folder.mkdir(parents=True, exist_ok=True)
        text = msgspec.json.format(msgspec.json.encode(self), indent=1)
        (folder / f"{self.key}.json").write_bytes(text)


def load(folder: Path, keys: Iterable[str]) -> list[Section]:
    """The sections that have been measured, in the order of ``keys``."""
    paths = [folder / f"{key}.json" for key in keys]
    return [msgspec.json.decode(p.read_bytes(), type=Section) for p in paths if p.exists()]


def today() -> str:
    """The day on which something is measured, in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def row_of(runs: Sequence[Measurement]) -> Row:
    """The medians of one crawler's runs."""
    rates = sorted(run.rate for run in runs)
    crawler = runs[0].crawler
    return Row(
        name=crawler.name,
        value=median(rates),
        unit="pages/s",
        low=rates[0],
        high=rates[-1],
        cpu=median(run.cpu / run.seen.pages for run in runs) * 1000,
        memory=median(run.memory for run in runs),
        connections=median(run.seen.connections for run in runs),
        at_a_time=runs[0].concurrency,
        wall=median(run.wall for run in runs),
        ours=crawler.is_ours,
        drawn=True,
    )


def ratio(name: str, value: float, base: float, goal: Goal | None) -> Row:
    """How many times another figure one is."""
    return Row(name=name, value=value / base, unit="x", goal=goal, ours=True)
