"""The clock of a job: wall-clock time that does not jump while the job runs.

The machine's clock may be set at any moment. A run reads the time of day once, and continues from
there by the monotonic clock. If the clock was set back since the last run, stored future times are
shifted back by the same amount, so that no request waits for the difference.
"""

from __future__ import annotations

import time

LEAST_JUMP = 1.0
"""Seconds below which a difference is no jump: clocks are corrected a little all the time."""


class WallClock:
    """The time of day, in seconds since the epoch, of one run."""

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()

    def wall(self) -> float:
        """Return the time, which never jumps within a run."""
        return self._ahead + time.monotonic()

    def set_back_since(self, earlier: float) -> float:
        """Return how many seconds the clock was set back since ``earlier``; 0 if it was not."""
        back = earlier - self.wall()
        return back if back > LEAST_JUMP else 0.0
