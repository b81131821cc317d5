"""Politeness: when a host may be asked again. Pure: the time is an argument.

Times are seconds on whatever clock the caller uses; a clock that never jumps is best. Only
``restore`` and ``stored`` know of the wall clock, because that is what a store can keep.
"""

from __future__ import annotations

FIRST_BACK_OFF = 1.0
"""Extra delay, in seconds, after the first answer that says a host is overloaded."""
LONGEST_BACK_OFF = 300.0


class HostClock:
    """When one host may be asked again.

    Between two requests lies ``effective_delay``, and while the host answers that it has too much
    to do also ``back_off``. ``granted`` is the wait that led to ``next_at``: how long the host
    may at most be left alone, should the wall clock turn out to have jumped.
    """

    __slots__ = ("back_off", "crawl_delay", "delay", "granted", "next_at")

    def __init__(self, delay: float = 0.0, crawl_delay: float | None = None) -> None:
        self.delay = delay
        """Seconds between two requests, as the settings have it."""
        self.crawl_delay = crawl_delay
        """The same as the host's robots.txt asks for it."""
        self.next_at = 0.0
        self.granted = 0.0
        self.back_off = 0.0

    @property
    def effective_delay(self) -> float:
        """The longer of ``delay`` and ``crawl_delay``."""
        asked_for = self.crawl_delay
        return self.delay if asked_for is None or asked_for < self.delay else asked_for

    @property
    def ready_at(self) -> float:
        """The earliest time for the next request."""
        return self.next_at

    def asked(self, at: float) -> None:
        """A request went out."""
        self._wait(self.effective_delay + self.back_off, at)

    def retry_after(self, seconds: float, now: float) -> None:
        """The host asked to be left alone; ``seconds`` is what is granted of it."""
        self._wait(seconds, now)

    def backed_off(self, now: float) -> None:
        """The host answered 429 or 503: each time the extra delay doubles."""
        self.back_off = min(max(2.0 * self.back_off, FIRST_BACK_OFF), LONGEST_BACK_OFF)
        self._wait(self.effective_delay + self.back_off, now)

    def answered(self) -> None:
        """A good answer: half of the extra delay goes away, and what is little all at once."""
        if self.back_off:
            self.back_off = self.back_off / 2.0 if self.back_off > FIRST_BACK_OFF / 2.0 else 0.0

    def _wait(self, seconds: float, now: float) -> None:
        if now + seconds > self.next_at:
            self.next_at = now + seconds
            self.granted = seconds

    def stored(self, now: float, wall_now: float) -> float:
        """``next_at`` on the wall clock, for ``restore`` after a restart."""
        return wall_now + (self.next_at - now)

    def restore(self, next_at_wall: float, wall_now: float, now: float, longest: float) -> None:
        """Go on from ``stored``, ``longest`` being the wait that was granted then.

        Whatever happened to the wall clock in between, the host waits no longer than ``longest``
        or its own delay.
        """
        wait = min(next_at_wall - wall_now, max(longest, self.effective_delay))
        if wait > 0.0:  # also false for NaN
            self._wait(wait, now)
