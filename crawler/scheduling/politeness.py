"""Decide when a host may be asked again (politeness). The time is an argument.

Times are seconds on whatever clock the caller uses; a clock that never jumps is best. Only
``restore`` and ``stored`` know of the wall clock, because that is what a store can keep.
"""

from __future__ import annotations

import math

FIRST_BACK_OFF = 1.0
"""Extra delay, in seconds, after the first answer that says a host is overloaded."""
LONGEST_BACK_OFF = 300.0


class HostClock:
    """The clock of a host, which may not be asked again before ``ready_at``.

    Between two requests lies ``effective_delay``, and while the host answers that it has too much
    to do also ``back_off``. Of several requests at the same time, the first such answer counts: the
    others were on their way before the host could be left alone. ``granted`` is the wait that led
    to ``ready_at``: how long the host may at most be left alone, should the wall clock turn out to
    have jumped.
    """

    __slots__ = ("_backed_off_at", "_delay", "back_off", "effective_delay", "granted", "ready_at")

    def __init__(self, delay: float = 0.0, crawl_delay: float | None = None) -> None:
        """``delay`` is that of the settings, ``crawl_delay`` what robots.txt asks for, seconds."""
        self._delay = delay
        self.ready_at = 0.0
        self.granted = 0.0
        self.back_off = 0.0
        self._backed_off_at = -math.inf
        self.set_crawl_delay(crawl_delay)

    def set_crawl_delay(self, seconds: float | None) -> None:
        """Set the delay that robots.txt asks for; it counts if it is longer than ``delay``."""
        self.effective_delay = self._delay if seconds is None else max(self._delay, seconds)

    def asked(self, at: float) -> None:
        """Start the delay, as a request was sent."""
        self._wait(self.effective_delay + self.back_off, at)

    def fetched(self, started: float, host_wait: float | None, now: float) -> None:
        """Take the outcome of a fetch.

        ``started`` is when the request was sent, 0 if it was not; ``host_wait`` the seconds that
        the host asked for, None if it did not answer that it is overloaded.
        """
        if started:
            self.asked(started)
        is_new_round = started > self._backed_off_at
        if host_wait is not None:
            if is_new_round:
                self.backed_off(now)
            self._wait(self.effective_delay + self.back_off, now)
            self.retry_after(host_wait, now)
        elif started and is_new_round:
            self.answered()

    def retry_after(self, seconds: float, now: float) -> None:
        """Wait for ``seconds``, which the host asked for (``Retry-After``), within limits."""
        self._wait(seconds, now)

    def backed_off(self, now: float) -> None:
        """Double the extra delay, as the host answered 429 or 503."""
        self.back_off = min(max(2.0 * self.back_off, FIRST_BACK_OFF), LONGEST_BACK_OFF)
        self._backed_off_at = now
        self._wait(self.effective_delay + self.back_off, now)

    def answered(self) -> None:
        """Halve the extra delay after a good answer; a short one ends at once."""
        if self.back_off:
            self.back_off = self.back_off / 2.0 if self.back_off > FIRST_BACK_OFF / 2.0 else 0.0

    def _wait(self, seconds: float, now: float) -> None:
        if now + seconds > self.ready_at:
            self.ready_at = now + seconds
            self.granted = seconds

    def stored(self, now: float, wall_now: float) -> float:
        """Return ``ready_at`` on the wall clock, for ``restore`` after a restart."""
        return wall_now + (self.ready_at - now)

    def restore(
        self,
        ready_at_wall: float,
        wall_now: float,
        now: float,
        longest: float,
        back_off: float = 0.0,
    ) -> None:
        """Go on from ``stored``, ``longest`` being the wait that was granted then.

        Whatever happened to the wall clock in between, the host waits no longer than ``longest``
        or its own delay.
        """
        self.back_off = back_off
        wait = min(ready_at_wall - wall_now, max(longest, self.effective_delay))
        if wait > 0.0:  # also false for NaN
            self._wait(wait, now)
