"""The results: rows of the table, in sections that are measured and saved separately."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.measure import Measurement


class Goal(msgspec.Struct, frozen=True):
    """The least value that a figure should have, or with ``at_most`` the greatest.

    ``must`` is required and ``aim`` is desired; None sets no goal.
    """

    must: float | None
    aim: float | None
    at_most: bool = False

    def is_met(self, value: float, wanted: float) -> bool:
        """Return True if a figure is as good as wanted."""
        return value <= wanted if self.at_most else value >= wanted


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: a figure, perhaps with a goal, and the cost of its runs.

    ``value`` is a median; ``low`` and ``high`` are the lowest and the highest of its runs.
    ``cpu`` is in milliseconds per page, ``memory`` in bytes, ``wall`` in seconds.
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
    """The limit of concurrent requests."""
    wall: float | None = None
    ours: bool = False
    drawn: bool = False
    """True if the chart shows the row."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One group of rows, measured together. ``took`` is in seconds."""

    key: str
    title: str
    rows: list[Row]
    runs: int = 0
    """The number of runs of each crawler."""
    machine: list[str]
    notes: list[str] = []
    """Sentences for the report about these measurements."""
    others: list[float] = []
    """Cores that other programs used, in each run."""
    day: str = ""
    took: float = 0.0

    def save(self, folder: Path) -> None:
        """Save the section, in place of an earlier measurement."""
        folder.mkdir(parents=True, exist_ok=True)
        text = msgspec.json.format(msgspec.json.encode(self), indent=1)
        (folder / f"{self.key}.json").write_bytes(text)


def load(folder: Path, keys: Iterable[str]) -> list[Section]:
    """Return the saved sections, in the order of ``keys``."""
    paths = [folder / f"{key}.json" for key in keys]
    return [msgspec.json.decode(p.read_bytes(), type=Section) for p in paths if p.exists()]


def today() -> str:
    """Return the present day in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def row_of(runs: Sequence[Measurement]) -> Row:
    """Return a row with the medians of one crawler's runs."""
    rates = sorted(run.rate for run in runs)
    crawler = runs[0].crawler
    return Row(
        name=crawler.name,
        value=median(rates),
        unit="pages/s",
        low=rates[0],
        high=rates[-1],
        cpu=median(run.cpu / run.traffic.pages for run in runs) * 1000,
        memory=median(run.memory for run in runs),
        connections=median(run.traffic.connections for run in runs),
        at_a_time=runs[0].concurrency or None,
        wall=median(run.wall for run in runs),
        ours=crawler.is_ours,
        drawn=True,
    )


def ratio(name: str, value: float, base: float, goal: Goal | None) -> Row:
    """Return a row with ``value`` as a multiple of ``base``."""
    return Row(name=name, value=value / base, unit="x", goal=goal, ours=True)
