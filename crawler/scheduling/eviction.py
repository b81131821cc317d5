"""Decide which hosts leave memory for others, while there is no room for all.

Memory belongs to hosts that can be asked. Hosts leave it from which no request goes out in this
run, then those that rest for long, and those that have had many turns, while others are due.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Container
from operator import itemgetter

from crawler.scheduling.host_queue import HostQueue
from crawler.scheduling.robots_retry import UnreachableRobots
from crawler.scheduling.scheduler import Scheduler
from crawler.store.protocols import Store

LEAST_REST = 10.0
"""Seconds of rest that are left to a host which leaves memory for one that is due."""
MOST_TURNS = 100
"""Requests of a host, from which on it leaves memory for one that is due; it comes back later."""
LOOK_EVERY = 1.0
"""Seconds between two looks for hosts that are due in the store."""
AT_ONCE = 200
"""Hosts that leave for others at the same time."""

Leaving = list[tuple[HostQueue, float | None]]
"""Hosts that leave memory, with when they are due: see ``HostStore.set_due``."""


class Eviction:
    """Chooses the hosts that leave. Times (``now``) are on the monotonic clock."""

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        unreachable: UnreachableRobots,
        wall: Callable[[], float],
    ) -> None:
        """``wall`` returns the time in seconds since the epoch."""
        self._store = store
        self._scheduler = scheduler
        self._unreachable = unreachable
        self._wall = wall
        self.has_more = False
        """The store may have hosts with work that are not in memory."""
        self.look_at = -math.inf
        """When to look for them again, while there is no room."""
        self._looked_at = -math.inf

    def add_waiting(self) -> None:
        """Note that a host has got work for which there is no room."""
        self.has_more = True
        self.look_at = min(self.look_at, self._looked_at + LOOK_EVERY)

    def choose(self, unmarked: Container[int], now: float) -> Leaving:
        """Return hosts that leave, as memory is full of hosts that have something to do.

        ``unmarked`` are hosts in memory that the store does not know to be at work.
        """
        return self.useless_hosts() or self._resting_hosts(unmarked, now)

    def useless_hosts(self) -> Leaving:
        """Return the hosts from which no request goes out in this run."""
        hosts = [*self._scheduler.suspended.values()]
        for host_id in self._unreachable.evictable():
            host = self._scheduler.hosts.get(host_id)
            hosts += [host] if host is not None and not host.suspended else []
        return [(host, math.inf) for host in hosts if host.is_resting]

    def _resting_hosts(self, unmarked: Container[int], now: float) -> Leaving:
        """Return at most as many hosts that rest, or have had many turns, as others are due."""
        wall = self._wall()
        due = len(self._store.hosts.with_work(AT_ONCE, unmarked, wall))
        self._looked_at, self.look_at = now, now + LOOK_EVERY
        if not due:
            self.has_more = bool(self._store.hosts.with_work(1, unmarked))
            next_due = self._store.hosts.next_due(wall) or wall
            self.look_at = now + max(LOOK_EVERY, next_due - wall)
            return []
        resting = self._scheduler.resting(now + LEAST_REST, MOST_TURNS)
        longest = heapq.nlargest(due, resting, key=itemgetter(0))
        return [(host, wall + max(until - now, 0.0)) for until, host in longest]
