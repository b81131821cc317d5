"""A host at work: its clock, the head of its queue, and what is out. Pure data and small rules."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec

from crawler.records import Key, QueuedRequest, RobotsFile
from crawler.scheduling.politeness import HostClock

PREFETCH = 24
"""Requests that a worker holds for a host without a delay, beyond those that it runs."""


@dataclass(slots=True, eq=False)
class HostQueue:
    """A host at work: its clock, the head of its queue, and what is out.

    ``heap`` holds every pending request up to the key ``cursor``, except those that are ``sent``
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
    robots: RobotsFile | None = None
    """The rules, or why there are none; None if nobody asks for rules."""
    version: int = 0
    """Grows when a worker's copy of this host has to be renewed."""
    has_quota: bool = False
    """The account has a quota, so nothing is sent to a worker before its turn."""
    knows_robots: bool = True
    robots_until: float = math.inf
    """When its robots.txt must be asked for again."""
    release_at: float | None = None
    """When the first request that waits for another try is due."""
    heap: list[QueuedRequest] = field(default_factory=list)
    cursor: Key | None = None
    more: bool = False
    sent: set[int] = field(default_factory=set)
    """The ids of those that were sent to a worker, until what became of them is committed."""
    in_flight: list[int] = field(default_factory=list)
    """Requests that each worker has."""
    running: int = 0
    """Their sum."""
    slots: list[int] = field(default_factory=list)
    """Requests that each worker may run at the same time."""
    preferred_worker: int = 0
    """The worker that gets this host's requests first."""
    workers: tuple[int, ...] = ()
    """All that may get them, from its home on."""
    ticket: int = 0
    """Its number in the list of turns; 0 when it is not listed."""
    ticket_at: float = 0.0
    asking_robots: bool = False
    suspended: bool = False
    """Nothing goes out: its session could not log in."""

    @property
    def is_idle(self) -> bool:
        """True when the host has nothing to do, now or later."""
        waits = self.more or self.release_at is not None or self.asking_robots
        return not (self.heap or self.sent or waits)

    def is_beyond_head(self, rank: int, id: int) -> bool:
        """True when a new request belongs behind the head, where the store has it."""
        return self.more and self.cursor is not None and (rank, id) > self.cursor

    @property
    def has_work(self) -> bool:
        """True when a request could go out, were it the host's turn."""
        return (
            bool(self.heap) and not self.suspended and (self.knows_robots or not self.asking_robots)
        )

    def assign_workers(self, workers: int) -> None:
        """Say which workers may have requests of the host, and how many they may run at once."""
        several = 1 if self.exclusive else workers
        self.workers = tuple(
            (self.preferred_worker + number) % workers for number in range(several)
        )
        if self.has_delay:
            self.slots = [self.concurrency] * workers  # they are counted one by one as they go out
        elif self.exclusive:
            self.slots = [
                self.concurrency if n == self.preferred_worker else 0 for n in range(workers)
            ]
        else:
            share, rest = divmod(self.concurrency, workers)
            self.slots = [
                share + ((n - self.preferred_worker) % workers < rest) for n in range(workers)
            ]

    @property
    def has_delay(self) -> bool:
        """True when there is a delay between two requests."""
        return self.clock.effective_delay > 0

    @property
    def has_room(self) -> bool:
        """Politeness: may one more request of this host be out?"""
        if self.running < self.concurrency:
            return True
        if self.has_delay or not self.knows_robots:
            return False
        ahead = self.prefetch * sum(1 for slots in self.slots if slots)
        return self.running < self.concurrency + ahead

    @property
    def prefetch(self) -> int:
        """How many requests of a host without a delay a worker may hold beyond those it runs.

        No sending ahead for ``replay=False``: a request waiting in a killed worker would be
        reported as possibly sent.
        """
        return 0 if self.has_quota or (self.heap and self.heap[0].delivery) else PREFETCH


class Assignment(msgspec.Struct, eq=False):
    """A task on its way to a worker: one page, or the robots.txt of its host."""

    id: int
    host: HostQueue
    worker: int
    clock_before: tuple[float, float]
    """``ready_at`` and ``granted`` of the host's clock, should nothing be sent after all …"""
    ready_at: float
    """… and how it was set; if it differs by then, something else has moved it."""


class PageAssignment(Assignment, eq=False):
    """A page on its way to a worker."""

    queued: QueuedRequest
    isolated: bool = False
    """The worker has nothing else. If it dies, this request did it."""


class RobotsAssignment(Assignment, eq=False):
    """The robots.txt of a host, asked for before its next page."""
