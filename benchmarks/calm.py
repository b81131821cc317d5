"""Measure while the machine has little other load, with a limit on the waiting."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from benchmarks.crawlers import Crawler
from benchmarks.items import Output
from benchmarks.measure import Measurement, Target, measure
from benchmarks.processes import machine_busy

T = TypeVar("T")

_LOOK = 0.5
"""Seconds over which the load of the machine is measured."""


class Calm:
    """Repeats runs until other programs use at most ``most`` cores beside them.

    ``budget`` is the total number of seconds for waiting and for repeated runs. Without repetition
    the slower crawlers, which run longer, would be disturbed more often.
    """

    def __init__(self, most: float, budget: float) -> None:
        self._most = most
        self._left = budget
        self.again = 0
        """Number of repeated runs."""

    def measure(self, crawler: Crawler, concurrency: int, target: Target) -> MeasuredRun:
        """Measure one crawl, or the least disturbed of a few."""
        return self.run(
            lambda: measure(crawler, concurrency, target), lambda result: result[0].others
        )

    def run(self, once: Callable[[], T], others: Callable[[T], float]) -> T:
        """Return the result of ``once``; ``others`` reads the cores that other programs used."""
        best: T | None = None
        while True:
            self.wait()
            began = time.monotonic()
            result = once()
            took = time.monotonic() - began
            if best is None or others(result) < others(best):
                best = result
            if others(result) <= self._most or self._left < took:
                return best
            self._left -= took
            self.again += 1

    def wait(self) -> None:
        """Wait until the machine is quiet, or the budget is used up."""
        while self._most < float("inf") and self._left > 0 and _busy_cores() > self._most:
            self._left -= _LOOK
            if self._left <= 0:
                print("The machine does not become quiet; continuing.", file=sys.stderr)


MeasuredRun = tuple[Measurement, Output]


def _busy_cores() -> float:
    began, before = time.monotonic(), machine_busy()
    time.sleep(_LOOK)
    return (machine_busy() - before) / (time.monotonic() - began)
