"""A host at work: its clock, the head of its queue, and its requests in flight. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec

from crawler.records import Key, QueuedRequest, RobotsFile
from crawler.scheduling.politeness import HostClock

PREFETCH = 48
"""Requests that are sent ahead for a host without a delay, beyond those that may be under way."""


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
    """The number of requests that may be under way at the same time."""
    account: str = ""
    seeded: bool = False
    """A seed is at this host."""
    logs_in: bool = False
    """The session logs in."""
    robots: RobotsFile | None = None
    """The rules, or why there are none; None before they are known, or if they are not obeyed."""
    version: int = 0
    """Grows with each change that the fetching process needs."""
    has_quota: bool = False
    """The account has a quota, so nothing is sent ahead."""
    knows_robots: bool = True
    robots_until: float = math.inf
    """The time at which its robots.txt must be asked for again."""
    release_at: float | None = None
    """The time at which the first request that waits for a retry is due."""
    heap: list[QueuedRequest] = field(default_factory=list)
    cursor: Key | None = None
    more: bool = False
    sent: set[int] = field(default_factory=set)
    """The ids of the requests that were sent, until their outcome is committed, and of suspects."""
    suspects: list[QueuedRequest] = field(default_factory=list)
    """Requests that may have killed a worker, which go out first, isolated."""
    running: int = 0
    """The number of requests that the fetching process has."""
    ticket: int = 0
    """Its number in the list of turns; 0 when it is not listed."""
    ticket_at: float = 0.0
    asking_robots: bool = False
    probing: bool = False
    """The probe page of its session is asked for, or is about to be."""
    turns: int = 0
    """The number of requests that have gone out since it came into memory."""
    suspended: bool = False
    """No request goes out, since its session could not log in."""

    @property
    def is_idle(self) -> bool:
        """True if the host has nothing to do, now or later."""
        waits = self.more or self.release_at is not None or self.asking_robots
        return not (self.heap or self.sent or waits)

    @property
    def is_resting(self) -> bool:
        """True if nothing of the host is out, or waits for a commit."""
        return not (self.running or self.sent or self.probing)

    @property
    def wakes_at(self) -> float:
        """The time from which a request could go out, by the host's clock and its retries."""
        at = -math.inf if self.heap or self.more else self.release_at
        return math.inf if at is None else max(at, self.clock.ready_at)

    @property
    def can_send(self) -> bool:
        """True if a request could go out, were it the host's turn."""
        if not (self.heap or self.suspects) or self.suspended:
            return False
        if self.asking_robots and not self.knows_robots:
            return False
        return self.has_room

    @property
    def has_room(self) -> bool:
        """True if one more request of this host may be out."""
        if self.running < self.concurrency:
            return True
        return self.knows_robots and self.running < self.concurrency + self.prefetch

    @property
    def prefetch(self) -> int:
        """The number of requests that may be sent ahead, beyond those that may be under way.

        None with a delay or a back-off, which lies between two requests as they go out. A request
        that must not be sent twice is not sent ahead: if the fetching process were killed while it
        waits there, it would be reported as possibly sent.
        """
        if self.clock.effective_delay > 0 or self.clock.back_off or self.has_quota:
            return 0
        queue = self.suspects or self.heap
        return 0 if queue and queue[0].delivery else PREFETCH


class Assignment(msgspec.Struct, eq=False):
    """A task of the fetching process: a page, or the robots.txt of its host."""

    id: int
    host: HostQueue
    clock_before: tuple[float, float]
    """``ready_at`` and ``granted`` of the host's clock, to restore if no request is sent …"""
    ready_at: float
    """… and ``ready_at`` as the assignment set it; if it differs by then, it has moved since."""


class PageAssignment(Assignment, eq=False):
    """A page that is to be fetched and handled."""

    queued: QueuedRequest
    isolated: bool = False
    """The worker that parses it has no other page: if it dies, this page has killed it."""
    alone: bool = False
    """The fetching process has no other request either."""


class RobotsAssignment(Assignment, eq=False):
    """The robots.txt of a host, asked for before its next page."""


class ProbeAssignment(Assignment, eq=False):
    """The probe page of a host's session, asked for to prove that the session is logged in."""
