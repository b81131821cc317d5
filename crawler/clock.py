"""The clock of a job: wall-clock time that does not jump while the job runs.

Somebody may set the machine's clock at any moment. A run takes the time of day once, and goes on
from there by the monotonic clock. What an earlier run has kept in times to come, as the clock was
set back since, moves back with it: then no time has passed in between, instead of an hour.
"""

from __future__ import annotations

import time

LEAST_JUMP = 1.0
"""Seconds that are no jump: clocks are put right a little all the time."""


class WallClock:
    """``wall()`` is seconds since the epoch."""

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()

    def wall(self) -> float:
        """The time, as far as this run knows."""
        return self._ahead + time.monotonic()

    def set_back_since(self, known: float) -> float:
        """Seconds by which the clock was set back since it was ``known``; 0 when it was not."""
        back = known - self.wall()
        return back if back > LEAST_JUMP else 0.0
