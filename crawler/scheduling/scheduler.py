"""Decide which request goes next, to which worker, and when. No I/O.

Each host at work has a queue: the head of what the store keeps for it, in order. A host's turn
comes when its clock allows: until then it waits, and then it stands in line. Hosts with a delay
get one request at a time, as often as the clock says. Hosts without one get a few more than their
workers can run at once, so that no worker waits for the next; the workers keep to ``slots`` at the
same time.
"""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict, deque
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

    A worker runs ``threads`` requests at the same time and holds more. ``remaining`` limits how
    many further requests may end; ``None`` is no limit.
    """

    def __init__(self, *, workers: int, threads: int, remaining: int | None = None) -> None:
        self.remaining = remaining
        self.hosts: dict[int, HostQueue] = {}
        """The hosts at work, by id."""
        self.assigned: dict[int, Assignment] = {}
        """The assignments that workers have, by id."""
        self._threads = threads
        self._most = threads + 2 * PREFETCH
        self._loads = [0] * workers
        self._paused: set[int] = set()
        self._ready: deque[_Turn] = deque()
        self._waiting: list[_Turn] = []
        self._full: OrderedDict[HostQueue, None] = OrderedDict()
        """Hosts whose workers have no room for them, the longest first."""
        self._order = itertools.count(1)
        self._ids = itertools.count(1)
        self._probes: deque[HostQueue] = deque()
        """Hosts whose sessions are to be proven logged in before anything else is sent."""
        self._quarantine: list[deque[tuple[HostQueue, QueuedRequest]]] = [
            deque() for _ in range(workers)
        ]

    @property
    def workers(self) -> int:
        """The number of workers."""
        return len(self._loads)

    # Hosts and their queues

    def add_host(self, host: HostQueue, now: float) -> None:
        """Add a host; its preferred worker is the next one in turn."""
        host.in_flight = [0] * self.workers
        host.running = 0
        host.preferred_worker = (
            host.preferred_worker if host.exclusive else len(self.hosts)
        ) % self.workers
        host.assign_workers(self.workers)
        self.hosts[host.id] = host
        self._schedule(host, now)

    def remove_host(self, host: HostQueue) -> None:
        """Remove a host that has nothing to do for now; its queue stays in the store."""
        del self.hosts[host.id]
        self._full.pop(host, None)
        host.ticket = 0

    def set_delay(self, host: HostQueue, crawl_delay: float | None) -> None:
        """Set the delay that the host's robots.txt asks for, or none."""
        host.clock.set_crawl_delay(crawl_delay)
        host.assign_workers(self.workers)

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
        self._schedule(host, now)

    def refill(self, host: HostQueue, rows: list[QueuedRequest], *, more: bool, now: float) -> None:
        """Add the next requests from the store, those behind ``host.cursor``."""
        if rows:
            host.cursor = rows[-1].key
        host.heap += [queued for queued in rows if queued.id not in host.sent]
        host.heap.sort()  # which makes it a heap
        host.more = more
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
        while self._probes and (probe := self._next_probe(now)):
            yield probe
        while not self._is_at_limit:
            assignment = any(self._quarantine) and self._next_isolated(now)
            assignment = assignment or self._next_in_turn(now)
            if not assignment:
                return
            yield assignment

    def next_at(self) -> float | None:
        """Return when the next host may be asked; None if nothing waits for time alone.

        That is so if no host is listed, the workers are full, or the limit is reached.
        """
        times = [host.clock.ready_at for host in self._probes]
        if not self._is_at_limit and not self._are_full():
            turns = self._ready or self._waiting
            times += [turns[0][0]] if turns else []
        return min(times, default=None)

    def has_work(self, without: Container[int]) -> bool:
        """Return True if a request may still go out of any host but those with these ids."""
        return any(self._quarantine) or any(
            not (host.is_idle or host.suspended or host.id in without)
            for host in self.hosts.values()
        )

    @property
    def _is_at_limit(self) -> bool:
        """True if the requests in flight are enough to reach ``max_pages``: no more are sent."""
        return self.remaining is not None and len(self.assigned) >= self.remaining

    def request_probe(self, host: HostQueue) -> None:
        """Send the probe page of the host's session next, unless it is on its way."""
        if not (host.probing or host.suspended):
            host.probing = True
            self._probes.append(host)

    def _next_probe(self, now: float) -> ProbeAssignment | None:
        for _ in range(len(self._probes)):
            host = self._probes.popleft()
            worker = host.workers[0]
            if host.suspended:
                host.probing = False
            elif host.clock.ready_at > now or worker in self._paused:
                self._probes.append(host)
            else:
                before = (host.clock.ready_at, host.clock.granted)
                host.clock.asked(now)
                ready_at = host.clock.ready_at
                probe = ProbeAssignment(next(self._ids), host, worker, before, ready_at)
                self._assign(probe, now)
                return probe
        return None

    def _next_isolated(self, now: float) -> Assignment | None:
        for worker, quarantined in enumerate(self._quarantine):
            if quarantined and not self._loads[worker]:
                host, queued = quarantined[0]
                if host.clock.ready_at <= now and host.has_room:
                    quarantined.popleft()
                    return self._send_page(host, queued, worker, now, isolated=True)
        return None

    def _next_in_turn(self, now: float) -> Assignment | None:
        while self._waiting and self._waiting[0][0] <= now:
            self._ready.append(heapq.heappop(self._waiting))
        while self._ready and not self._are_full():  # or turns wait where they are
            _, ticket, host = self._ready.popleft()
            if ticket != host.ticket:
                continue  # it has been listed anew since
            host.ticket = 0
            if host.clock.ready_at > now:  # it was asked to wait since it was listed
                self._schedule(host, now)
            elif host.can_send:
                host.knows_robots = host.knows_robots and now < host.robots_until
                worker = self._worker_for(host)
                if worker is not None:
                    if not host.knows_robots:
                        return self._send_robots(host, worker, now)
                    return self._send_page(host, heapq.heappop(host.heap), worker, now)
                self._full[host] = None
        return None

    def reschedule(self, host: HostQueue, now: float) -> None:
        """Schedule a host whose clock has moved: its turn may come sooner than it is listed."""
        if host.ticket and host.clock.ready_at < host.ticket_at:
            host.ticket = 0
        self._schedule(host, now)

    def _schedule(self, host: HostQueue, now: float) -> None:
        if host.heap and not host.ticket and host.can_send:
            host.ticket = next(self._order)
            at = host.clock.ready_at
            if at > now:
                host.ticket_at = at
                heapq.heappush(self._waiting, (at, host.ticket, host))
            else:
                host.ticket_at = now
                self._ready.append((now, host.ticket, host))

    def _send_page(
        self,
        host: HostQueue,
        queued: QueuedRequest,
        worker: int,
        now: float,
        *,
        isolated: bool = False,
    ) -> PageAssignment:
        before = (host.clock.ready_at, host.clock.granted)
        host.clock.asked(now)
        number = next(self._ids)
        ready_at = host.clock.ready_at
        assignment = PageAssignment(number, host, worker, before, ready_at, queued, isolated)
        host.sent.add(queued.id)
        self._assign(assignment, now)
        return assignment

    def _send_robots(self, host: HostQueue, worker: int, now: float) -> RobotsAssignment:
        before = (host.clock.ready_at, host.clock.granted)
        host.clock.asked(now)
        number = next(self._ids)
        assignment = RobotsAssignment(number, host, worker, before, host.clock.ready_at)
        host.asking_robots = True
        self._assign(assignment, now)
        return assignment

    def _assign(self, assignment: Assignment, now: float) -> None:
        host, worker = assignment.host, assignment.worker
        self.assigned[assignment.id] = assignment
        self._loads[worker] += 1
        host.in_flight[worker] += 1
        host.running += 1
        self._schedule(host, now)

    # Outcomes

    def finish(self, assignment_id: int, now: float) -> Assignment | None:
        """Take an assignment back from its worker; None if none with this id is in flight."""
        assignment = self.assigned.pop(assignment_id, None)
        if assignment is not None:
            host, worker = assignment.host, assignment.worker
            self._loads[worker] -= 1
            host.in_flight[worker] -= 1
            host.running -= 1
            if isinstance(assignment, RobotsAssignment):
                host.asking_robots = False
            if isinstance(assignment, ProbeAssignment):
                host.probing = False
            self._schedule(host, now)
            if isinstance(assignment, PageAssignment) and assignment.isolated:
                self._end_pause(worker)
            if self._full:
                # The room of one request lets few hosts go on; looking at all would cost more.
                for _ in range(min(4, len(self._full))):
                    self._schedule(self._full.popitem(last=False)[0], now)
        return assignment

    # Workers

    def worker_died(self, worker: int, now: float) -> list[Assignment]:
        """Take back all assignments of a dead worker."""
        assignments = [each for each in self.assigned.values() if each.worker == worker]
        for assignment in assignments:
            self.finish(assignment.id, now)
        return assignments

    def quarantine(self, worker: int, host: HostQueue, queued: QueuedRequest) -> None:
        """Let a request that may have killed a worker go out again, with no other beside it."""
        self._quarantine[worker].append((host, queued))
        self._paused.add(worker)

    def pause(self, worker: int) -> bool:
        """Give a worker nothing more. Returns False if it is paused already, for quarantine."""
        if worker in self._paused:
            return False
        self._paused.add(worker)
        return True

    def resume(self, worker: int, now: float) -> None:
        """Give a worker requests again."""
        self._end_pause(worker)
        while self._full:
            self._schedule(self._full.popitem(last=False)[0], now)

    def is_busy(self, worker: int) -> bool:
        """Return True while the worker has requests."""
        return self._loads[worker] > 0

    def _end_pause(self, worker: int) -> None:
        """Let the worker have any request again, unless a quarantined one waits for it."""
        if not self._quarantine[worker]:
            self._paused.discard(worker)

    def _are_full(self) -> bool:
        """Return True if no worker would take a request of any host."""
        for worker, load in enumerate(self._loads):
            if load < self._most and worker not in self._paused:
                return False
        return True

    def _worker_for(self, host: HostQueue) -> int | None:
        """Return the worker with the most room for a host; the preferred one if all are equal."""
        best, most = None, 0
        prefetch = host.prefetch
        for worker in host.workers:
            if worker in self._paused:
                continue
            load = self._loads[worker]
            if prefetch is not None:
                slots = host.slots[worker]
                room = slots + prefetch - host.in_flight[worker] if slots else 0
            # The preferred worker has its connection: another must have half of its threads free.
            elif worker == host.preferred_worker or 2 * load < self._threads:
                room = self._most - self._threads + 1
            else:
                continue
            if load + room > self._most:
                room = self._most - load
            if room > most:
                best, most = worker, room
        return best
