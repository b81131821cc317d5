"""A host at work: its clock, the head of its queue, and its requests in flight. No I/O."""

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
    """A host at work.

    ``heap`` holds every pending request up to the key ``cursor``, except those that are ``sent``
    or wait for a retry; ``more`` is True if the store has further requests behind it.
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
    """All requests go to one worker, as the session logs in."""
    robots: RobotsFile | None = None
    """The rules, or why there are none; None before they are known, or if they are not obeyed."""
    version: int = 0
    """Grows with each change that workers need to know."""
    has_quota: bool = False
    """The account has a quota, so nothing is sent to a worker before its turn."""
    knows_robots: bool = True
    robots_until: float = math.inf
    """The time at which its robots.txt must be asked for again."""
    release_at: float | None = None
    """The time at which the first request that waits for a retry is due."""
    heap: list[QueuedRequest] = field(default_factory=list)
    cursor: Key | None = None
    more: bool = False
    sent: set[int] = field(default_factory=set)
    """The ids of the requests that were sent to a worker, until their outcome is committed."""
    in_flight: list[int] = field(default_factory=list)
    """The number of requests that each worker has."""
    running: int = 0
    """Their sum."""
    slots: list[int] = field(default_factory=list)
    """The number of requests that each worker may run at the same time."""
    preferred_worker: int = 0
    """The worker that gets this host's requests first."""
    workers: tuple[int, ...] = ()
    """All workers that may get them, from the preferred one on."""
    ticket: int = 0
    """Its number in the list of turns; 0 when it is not listed."""
    ticket_at: float = 0.0
    asking_robots: bool = False
    probing: bool = False
    """The probe page of its session is asked for, or is about to be."""
    suspended: bool = False
    """No request goes out, since its session could not log in."""

    @property
    def is_idle(self) -> bool:
        """True if the host has nothing to do, now or later."""
        waits = self.more or self.release_at is not None or self.asking_robots
        return not (self.heap or self.sent or waits)

    @property
    def can_send(self) -> bool:
        """True if a request could go out, were it the host's turn."""
        if not self.heap or self.suspended or (self.asking_robots and not self.knows_robots):
            return False
        return self.running < self.concurrency or self.has_room

    @property
    def has_room(self) -> bool:
        """True if one more request of this host may be out."""
        if self.running < self.concurrency:
            return True
        prefetch = self.prefetch
        if prefetch is None or not self.knows_robots:
            return False
        return self.running < self.concurrency + prefetch * sum(map(bool, self.slots))

    @property
    def prefetch(self) -> int | None:
        """The number of requests that a worker may hold besides those it runs; None with a delay.

        With a delay they are counted one by one as they go out. A request that must not be sent
        twice is not sent ahead: if its worker were killed while it waits there, it would be
        reported as possibly sent.
        """
        if self.clock.effective_delay > 0:
            return None
        return 0 if self.has_quota or (self.heap and self.heap[0].delivery) else PREFETCH

    def assign_workers(self, workers: int) -> None:
        """Set which workers may have requests of the host, and how many each may run at once."""
        several = 1 if self.exclusive else workers
        self.workers = tuple(
            (self.preferred_worker + number) % workers for number in range(several)
        )
        if self.clock.effective_delay > 0:
            self.slots = [self.concurrency] * workers
        elif self.exclusive:
            self.slots = [
                self.concurrency if n == self.preferred_worker else 0 for n in range(workers)
            ]
        else:
            share, rest = divmod(self.concurrency, workers)
            self.slots = [
                share + ((n - self.preferred_worker) % workers < rest) for n in range(workers)
            ]


class Assignment(msgspec.Struct, eq=False):
    """A task on its way to a worker: one page, or the robots.txt of its host."""

    id: int
    host: HostQueue
    worker: int
    clock_before: tuple[float, float]
    """``ready_at`` and ``granted`` of the host's clock, to restore if no request is sent …"""
    ready_at: float
    """… and ``ready_at`` as the assignment set it; if it differs by then, it has moved since."""


class PageAssignment(Assignment, eq=False):
    """A page on its way to a worker."""

    queued: QueuedRequest
    isolated: bool = False
    """The worker has no other request: if it dies, this one has killed it."""


class RobotsAssignment(Assignment, eq=False):
    """The robots.txt of a host, asked for before its next page."""


class ProbeAssignment(Assignment, eq=False):
    """The probe page of a host's session, asked for to prove that the session is logged in."""
