"""A host at work: its clock, the head of its queue, and what is out. Pure data and small rules."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from crawler.scheduling.politeness import HostClock
from crawler.store import Key, Queued

AHEAD = 24
"""Requests that a worker holds for a host without a delay, beyond those that it runs."""


@dataclass(slots=True, eq=False)
class HostQueue:
    """A host at work: its clock, the head of its queue, and what is out.

    ``heap`` holds every pending request up to the key ``cursor``, except those that are ``out``
    or wait for another try; ``more`` says that the store has further ones behind it.
    """

    id: int
    origin: str
    session: str
    clock: HostClock
    concurrency: int = 1
    account: str = ""
    seeded: bool = False
    """A seed is at this host."""
    exclusive: bool = False
    """The session lives in one worker."""
    counted: bool = False
    """The account has a quota, so nothing is sent to a worker before its turn."""
    knows_robots: bool = True
    robots_until: float = math.inf
    """When its robots.txt must be asked for again."""
    wake_at: float | None = None
    """When the first request that waits for another try is due."""
    heap: list[Queued] = field(default_factory=list)
    cursor: Key | None = None
    more: bool = False
    out: set[int] = field(default_factory=set)
    """The ids of those that were sent to a worker, until what became of them is committed."""
    in_flight: list[int] = field(default_factory=list)
    """Requests that each worker has."""
    running: int = 0
    """Their sum."""
    slots: list[int] = field(default_factory=list)
    """Requests that each worker may run at the same time."""
    home: int = 0
    """The worker that gets this host's requests first."""
    workers: tuple[int, ...] = ()
    """All that may get them, from its home on."""
    turn: int = 0
    """Its number in the list of turns; 0 when it is not listed."""
    turn_at: float = 0.0
    asking_robots: bool = False
    held: bool = False
    """Nothing goes out: its session could not log in."""

    @property
    def is_idle(self) -> bool:
        """True when the host has nothing to do, now or later."""
        waits = self.more or self.wake_at is not None or self.asking_robots
        return not (self.heap or self.out or waits)

    def is_far(self, rank: int, id: int) -> bool:
        """True when a new request belongs behind the head, where the store has it."""
        return self.more and self.cursor is not None and (rank, id) > self.cursor

    @property
    def has_work(self) -> bool:
        """True when a request could go out, were it the host's turn."""
        return bool(self.heap) and not self.held and (self.knows_robots or not self.asking_robots)

    def share_out(self, workers: int) -> None:
        """Say which workers may have requests of the host, and how many they may run at once."""
        several = 1 if self.exclusive else workers
        self.workers = tuple((self.home + number) % workers for number in range(several))
        if self.is_spaced:
            self.slots = [self.concurrency] * workers  # they are counted one by one as they go out
        elif self.exclusive:
            self.slots = [self.concurrency if n == self.home else 0 for n in range(workers)]
        else:
            share, rest = divmod(self.concurrency, workers)
            self.slots = [share + ((n - self.home) % workers < rest) for n in range(workers)]

    @property
    def is_spaced(self) -> bool:
        """True when there is a delay between two requests."""
        return self.clock.effective_delay > 0

    @property
    def has_room(self) -> bool:
        """Politeness: may one more request of this host be out?"""
        if self.running < self.concurrency:
            return True
        if self.is_spaced or not self.knows_robots:
            return False
        ahead = self.ahead * sum(1 for slots in self.slots if slots)
        return self.running < self.concurrency + ahead

    @property
    def ahead(self) -> int:
        """How many requests of a host without a delay a worker may hold beyond those it runs.

        No sending ahead for ``replay=False``: a request waiting in a killed worker would be
        reported as possibly sent.
        """
        return 0 if self.counted or (self.heap and self.heap[0].once) else AHEAD
