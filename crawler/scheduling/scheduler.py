"""Decide which request goes next, and when. No I/O.

Each host at work has a queue: the head of what the store keeps for it, in order. A host's turn
comes when its clock allows: until then it waits, and then it stands in line. Hosts with a delay
get one request at a time, as often as the clock says. Hosts without one get more than may be under
way at once, so that the fetching process need not wait for the next.

At most ``concurrency`` requests are under way, over all hosts. A host's turn that comes while there
is no room stands in a line of its own, and goes first when there is room again.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Container, Iterable, Iterator

from crawler.records import Key, PendingRow, QueuedRequest
from crawler.scheduling.host_queue import (
    PREFETCH,
    Assignment,
    HostQueue,
    PageAssignment,
    ProbeAssignment,
    RobotsAssignment,
)

HEAD_TOTAL = 50_000
"""Requests held in memory, over all hosts."""

_Turn = tuple[float, int, HostQueue]
"""The time of a host's turn, the turn's number and the host."""


class Scheduler:
    """Chooses the next request. ``now`` is always a time on the caller's monotonic clock.

    ``remaining`` limits how many further requests may end; ``None`` is no limit.
    """

    def __init__(self, *, concurrency: int, remaining: int | None = None) -> None:
        self.remaining = remaining
        self.hosts: dict[int, HostQueue] = {}
        """The hosts at work, by id."""
        self.idle: dict[int, HostQueue] = {}
        """Those of them that have nothing to do, the first first."""
        self.suspended: dict[int, HostQueue] = {}
        """Those that have something to do, but no request goes out of them in this run."""
        self.assigned: dict[int, Assignment] = {}
        """The assignments that the fetching process has, by id."""
        self._active: set[int] = set()
        """The hosts from which a request may still go out."""
        self._queued: set[int] = set()
        """The hosts with requests in memory."""
        self._concurrency = concurrency
        self._under_way = 0
        """The requests that are under way, or would be if their host had no other ones."""
        self._most_ahead = concurrency + PREFETCH
        self._ahead = 0
        """The requests beyond these, which were sent ahead."""
        self._ready: deque[_Turn] = deque()
        self._waiting: list[_Turn] = []
        self._full: deque[_Turn] = deque()
        """Turns that came while there was no room."""
        self._order = itertools.count(1)
        self._ids = itertools.count(1)
        self._probes: list[_Turn] = []
        """Hosts whose sessions are to be proven logged in before anything else is sent; a heap."""
        self._quarantine: list[tuple[float, int, HostQueue, QueuedRequest]] = []
        """Requests that may have killed the fetching process, which go out alone; a heap.

        The first two are the time of the host's turn and a number.
        """
        self._has_alone = False
        """The fetching process has such a request."""
        self._is_draining = False
        """It is the turn of such a request, which waits until the fetching process has no other."""

    # Hosts and their queues

    def add_host(self, host: HostQueue, now: float) -> None:
        """Add a host."""
        host.running = 0
        self.hosts[host.id] = host
        self.classify(host)
        self._schedule(host, now)

    def remove_host(self, host: HostQueue) -> None:
        """Remove a host that has nothing to do for now; its queue stays in the store."""
        del self.hosts[host.id]
        self.idle.pop(host.id, None)
        self.suspended.pop(host.id, None)
        self._active.discard(host.id)
        self._queued.discard(host.id)
        host.ticket = 0

    def classify(self, host: HostQueue) -> None:
        """Note whether a host has something to do, after a change of its queue."""
        if host.heap:
            self._queued.add(host.id)
        else:
            self._queued.discard(host.id)
        if host.is_idle:
            self.idle[host.id] = host
            self.suspended.pop(host.id, None)
            self._active.discard(host.id)
            return
        self.idle.pop(host.id, None)
        if host.suspended:
            self.suspended[host.id] = host
            self._active.discard(host.id)
        else:
            self._active.add(host.id)

    @property
    def head_size(self) -> int:
        """The number of requests of one host that are held in memory."""
        return max(8, min(512, HEAD_TOTAL // (len(self.hosts) or 1)))

    def push(self, host: HostQueue, rows: Iterable[PendingRow], now: float) -> None:
        """Add new requests of a host; only those whose turn is near are held in memory."""
        size = self.head_size
        for _, rank, number, delivery, request in rows:
            key = Key(rank, number)
            if host.cursor is not None and key <= host.cursor:
                heapq.heappush(host.heap, QueuedRequest(rank, number, request, delivery))
                self._shorten(host)
            elif host.more or len(host.heap) >= size:
                host.more = True
            else:
                host.cursor = key
                heapq.heappush(host.heap, QueuedRequest(rank, number, request, delivery))
        self.classify(host)
        self._schedule(host, now)

    def refill(self, host: HostQueue, rows: list[QueuedRequest], *, more: bool, now: float) -> None:
        """Add the next requests from the store, those behind ``host.cursor``."""
        if rows:
            host.cursor = rows[-1].key
        host.heap += [queued for queued in rows if queued.id not in host.sent]
        host.heap.sort()  # which makes it a heap
        host.more = more
        self.classify(host)
        self._schedule(host, now)

    def requeue(self, host: HostQueue, queued: QueuedRequest, now: float) -> None:
        """Put a request that was out, or waited for a retry, back into its queue."""
        host.sent.discard(queued.id)
        if host.cursor is not None and queued.key > host.cursor and host.more:
            return  # the store will bring it
        if host.cursor is None or queued.key > host.cursor:
            host.cursor = queued.key
        heapq.heappush(host.heap, queued)
        self._shorten(host)
        self.classify(host)
        self._schedule(host, now)

    def _shorten(self, host: HostQueue) -> None:
        """Keep the head short when requests of high priority swell it; the store has the rest."""
        if len(host.heap) > 4 * self.head_size:
            host.heap = heapq.nsmallest(self.head_size, host.heap)
            host.cursor = host.heap[-1].key
            host.more = True

    # The next request

    def take_ready(self, now: float) -> Iterator[Assignment]:
        """Yield every assignment whose turn it is; hosts may be refilled in between."""
        self._is_draining = self._has_suspect(now)
        while self._probes and (probe := self._next_probe(now)):
            yield probe
        while not self._is_at_limit:
            assignment = self._next_alone(now) or self._next_in_turn(now)
            if not assignment:
                return
            yield assignment

    def next_at(self) -> float | None:
        """Return when the next host may be asked; None if nothing waits for time alone.

        That is so if no host is listed, there is no room, or the limit is reached.
        """
        times = []
        if not self._is_paused:
            times += [self._probes[0][0]] if self._probes else []
            turns = (self._has_room and self._full) or self._ready or self._waiting
            times += [turns[0][0]] if turns and not self._is_at_limit else []
        if self._quarantine and not (self._is_paused and self.assigned):
            times.append(self._quarantine[0][0])
        return min(times, default=None)

    def resting(self, until: float, turns: int) -> list[tuple[float, HostQueue]]:
        """Return hosts of which nothing is out, each with the time of their next turn.

        Those that have nothing to do before ``until``, or that have had so many ``turns``.
        """
        hosts = [(host.wakes_at, host) for host in self.hosts.values() if host.is_resting]
        return [entry for entry in hosts if entry[0] > until or entry[1].turns >= turns]

    def has_work(self, without: Container[int]) -> bool:
        """Return True if a request may still go out of any host but those with these ids."""
        return bool(self._quarantine) or any(host_id not in without for host_id in self._active)

    @property
    def active_hosts(self) -> int:
        """The number of hosts from which a request may still go out."""
        return len(self._active)

    @property
    def has_queued(self) -> bool:
        """True if a request in memory is there to be sent, now or later."""
        return bool(self._queued)

    @property
    def _is_at_limit(self) -> bool:
        """True if the requests in flight are enough to reach ``max_pages``: no more are sent."""
        return self.remaining is not None and len(self.assigned) >= self.remaining

    @property
    def _has_room(self) -> bool:
        return self._under_way < self._concurrency

    @property
    def _is_paused(self) -> bool:
        """True while a request is out alone, or is about to be."""
        return self._has_alone or self._is_draining

    def request_probe(self, host: HostQueue) -> None:
        """Send the probe page of the host's session next, unless it is on its way."""
        if not (host.probing or host.suspended):
            host.probing = True
            self._list_probe(host)

    def _list_probe(self, host: HostQueue) -> None:
        heapq.heappush(self._probes, (host.clock.ready_at, next(self._order), host))

    def _next_probe(self, now: float) -> ProbeAssignment | None:
        while self._probes and self._probes[0][0] <= now and not self._is_paused:
            _, _, host = heapq.heappop(self._probes)
            if host.suspended:
                host.probing = False
            elif host.clock.ready_at > now:
                self._list_probe(host)
            else:
                probe = ProbeAssignment(*self._begin(host, now))
                self._assign(probe, now)
                return probe
        return None

    def _has_suspect(self, now: float) -> bool:
        """Return True if a request in quarantine could go out: then it is the first of the heap.

        While all of them rest with their hosts, perhaps for an hour, other requests go out.
        """
        while self._quarantine and self._quarantine[0][0] <= now:
            _, number, host, queued = self._quarantine[0]
            if host.clock.ready_at <= now:
                return True
            heapq.heapreplace(self._quarantine, (host.clock.ready_at, number, host, queued))
        return False

    def _next_alone(self, now: float) -> Assignment | None:
        if self.assigned or not self._is_draining:
            return None
        _, _, host, queued = heapq.heappop(self._quarantine)
        self._has_alone, self._is_draining = True, False
        return self._send_page(host, queued, now, isolated=True, alone=True)

    def _next_in_turn(self, now: float) -> Assignment | None:
        while self._waiting and self._waiting[0][0] <= now:
            self._ready.append(heapq.heappop(self._waiting))
        while not self._is_paused and (entry := self._next_turn()):
            _, ticket, host = entry
            if ticket != host.ticket:
                continue  # it has been listed anew since
            host.ticket = 0
            if host.clock.ready_at > now:  # it was asked to wait since it was listed
                self._schedule(host, now)
            elif not host.can_send:
                continue
            elif host.running < host.concurrency:
                if self._has_room:
                    return self._send_next(host, now)
                host.ticket, host.ticket_at = ticket, -math.inf
                self._full.append(entry)
            elif self._ahead < self._most_ahead:  # or its next outcome lists it
                return self._send_next(host, now)
        return None

    def _next_turn(self) -> _Turn | None:
        if self._full and self._has_room:
            return self._full.popleft()
        return self._ready.popleft() if self._ready else None

    def reschedule(self, host: HostQueue, now: float) -> None:
        """Schedule a host whose clock has moved: its turn may come sooner than it is listed."""
        if host.ticket and host.clock.ready_at < host.ticket_at:
            host.ticket = 0
        self._schedule(host, now)

    def _schedule(self, host: HostQueue, now: float) -> None:
        if not host.ticket and host.can_send:
            host.ticket = next(self._order)
            at = host.clock.ready_at
            if at > now:
                host.ticket_at = at
                heapq.heappush(self._waiting, (at, host.ticket, host))
            else:
                host.ticket_at = now
                self._ready.append((now, host.ticket, host))

    def _send_next(self, host: HostQueue, now: float) -> Assignment:
        host.knows_robots = host.knows_robots and now < host.robots_until
        if not host.knows_robots:
            host.asking_robots = True
            robots = RobotsAssignment(*self._begin(host, now))
            self._assign(robots, now)
            return robots
        if host.suspects:
            return self._send_page(host, host.suspects.pop(0), now, isolated=True)
        return self._send_page(host, heapq.heappop(host.heap), now)

    def _send_page(
        self,
        host: HostQueue,
        queued: QueuedRequest,
        now: float,
        *,
        isolated: bool = False,
        alone: bool = False,
    ) -> PageAssignment:
        assignment = PageAssignment(*self._begin(host, now), queued, isolated, alone)
        host.sent.add(queued.id)
        self._assign(assignment, now)
        return assignment

    def _begin(
        self, host: HostQueue, now: float
    ) -> tuple[int, HostQueue, tuple[float, float], float]:
        """Move the host's clock on; return what every assignment consists of."""
        before = (host.clock.ready_at, host.clock.granted)
        host.clock.asked(now)
        return next(self._ids), host, before, host.clock.ready_at

    def _assign(self, assignment: Assignment, now: float) -> None:
        host = assignment.host
        self.assigned[assignment.id] = assignment
        if host.running < host.concurrency:
            self._under_way += 1
        else:
            self._ahead += 1
        host.running += 1
        host.turns += 1
        self.classify(host)
        self._schedule(host, now)

    # Outcomes

    def finish(self, assignment_id: int, now: float) -> Assignment | None:
        """Take an assignment back; None if none with this id is out."""
        assignment = self.assigned.pop(assignment_id, None)
        if assignment is None:
            return None
        host = assignment.host
        host.running -= 1
        if host.running < host.concurrency:
            self._under_way -= 1
        else:
            self._ahead -= 1
        if isinstance(assignment, PageAssignment):
            self._has_alone = self._has_alone and not assignment.alone
        elif isinstance(assignment, RobotsAssignment):
            host.asking_robots = False
            self.classify(host)
        else:
            host.probing = False
        self._schedule(host, now)
        return assignment

    def committed(self, assignment: PageAssignment) -> None:
        """Forget a page, as its outcome is in the store."""
        assignment.host.sent.discard(assignment.queued.id)
        self.classify(assignment.host)

    # Processes that die

    def fetcher_died(self, now: float) -> list[Assignment]:
        """Take back all assignments, as the fetching process died."""
        assignments = list(self.assigned.values())
        for assignment in assignments:
            self.finish(assignment.id, now)
        return assignments

    def isolate(self, host: HostQueue, queued: QueuedRequest, now: float) -> None:
        """Let a request that may have killed a worker go out again, to a worker of its own."""
        host.suspects.append(queued)
        self._schedule(host, now)

    def quarantine(self, host: HostQueue, queued: QueuedRequest) -> None:
        """Let a request that may have killed the fetching process go out, with no other at all."""
        entry = (host.clock.ready_at, next(self._order), host, queued)
        heapq.heappush(self._quarantine, entry)
