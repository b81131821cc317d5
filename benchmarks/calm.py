"""Calm: measuring while little else goes on, without waiting for it for ever."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from benchmarks.crawlers import Crawler
from benchmarks.items import Output
from benchmarks.measure import Measurement, Place, measure
from benchmarks.processes import machine_busy

T = TypeVar("T")

_LOOK = 0.5
"""Seconds over which it is seen what the machine does."""


class Calm:
    """Runs beside which other work takes at most ``most`` cores, if that can be had.

    ``patience`` is how many seconds may be spent on that in all: on waiting for a quiet machine,
    and on runs that were disturbed and are made again. Without it the slower crawlers, which run
    longer, would be disturbed more often.
    """

    def __init__(self, most: float, patience: float) -> None:
        self._most = most
        self._left = patience
        self.again = 0
        """Runs that were made again."""

    def measure(self, crawler: Crawler, concurrency: int, place: Place) -> MeasuredRun:
        """One crawl, or the calmest of a few."""
        return self.run(lambda: measure(crawler, concurrency, place), lambda found: found[0].others)

    def run(self, once: Callable[[], T], others: Callable[[T], float]) -> T:
        """What ``once`` gives, ``others`` telling how many cores something else took."""
        best: T | None = None
        while True:
            self.wait()
            began = time.monotonic()
            found = once()
            took = time.monotonic() - began
            if best is None or others(found) < others(best):
                best = found
            if others(found) <= self._most or self._left < took:
                return best
            self._left -= took
            self.again += 1

    def wait(self) -> None:
        """Until the machine is quiet, or patience is at its end."""
        while self._most < float("inf") and self._left > 0 and _busy_cores() > self._most:
            self._left -= _LOOK
            if self._left <= 0:
                print("The machine does not become quiet; going on.", file=sys.stderr)


MeasuredRun = tuple[Measurement, Output]


def _busy_cores() -> float:
    began, before = time.monotonic(), machine_busy()
    time.sleep(_LOOK)
    return (machine_busy() - before) / (time.monotonic() - began)
