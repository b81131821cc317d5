"""The scheduler decides which request goes next, to which worker, and when. No I/O.

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
from collections.abc import Iterable

from crawler.records import QueuedRequest
from crawler.scheduling.host_queue import Assignment, HostQueue, PageAssignment, RobotsAssignment
from crawler.scheduling.worker_loads import WorkerLoads

HEAD_TOTAL = 50_000
"""Requests held in memory, over all hosts."""

_Turn = tuple[float, int, HostQueue]
"""When a host's turn is, the turn's number and the host."""


class Scheduler:
    """Which request goes next. ``now`` is always a time on the caller's monotonic clock.

    ``threads`` is how many requests one worker runs at the same time. ``remaining`` limits how
    many further requests may end; ``None`` is no limit.
    """

    def __init__(self, *, workers: int, threads: int, remaining: int | None = None) -> None:
        self.remaining = remaining
        self._workers = WorkerLoads(workers, threads)
        self._hosts: dict[int, HostQueue] = {}
        self._ready: deque[_Turn] = deque()
        self._waiting: list[_Turn] = []
        self._full: OrderedDict[HostQueue, None] = OrderedDict()
        self._order = itertools.count(1)
        self._ids = itertools.count(1)
        self._assigned: dict[int, Assignment] = {}
        self._quarantine: list[deque[tuple[HostQueue, QueuedRequest]]] = [
            deque() for _ in range(workers)
        ]

    @property
    def workers(self) -> int:
        """The number of workers."""
        return self._workers.workers

    # Hosts and their queues

    def add_host(self, host: HostQueue, now: float) -> None:
        """A host comes to work; its home is the next worker in turn."""
        workers = self._workers.workers
        host.in_flight = [0] * workers
        host.running = 0
        host.preferred_worker = (
            host.preferred_worker if host.exclusive else len(self._hosts)
        ) % workers
        host.assign_workers(workers)
        self._hosts[host.id] = host
        self._schedule(host, now)

    def remove_host(self, host: HostQueue) -> None:
        """A host has nothing to do for now; its queue stays in the store."""
        del self._hosts[host.id]
        self._full.pop(host, None)
        host.ticket = 0

    def set_delay(self, host: HostQueue, crawl_delay: float | None) -> None:
        """The host's robots.txt asks for a delay, or for none."""
        host.clock.set_crawl_delay(crawl_delay)
        host.assign_workers(self._workers.workers)

    def host(self, id: int) -> HostQueue | None:
        """The host with this id, if it is at work."""
        return self._hosts.get(id)

    @property
    def hosts(self) -> Iterable[HostQueue]:
        """The hosts at work."""
        return self._hosts.values()

    @property
    def head_size(self) -> int:
        """How many requests of one host are held in memory."""
        return max(8, min(512, HEAD_TOTAL // (len(self._hosts) or 1)))

    def push(self, host: HostQueue, queued: QueuedRequest, now: float) -> None:
        """A new request of a host at work; it is held in memory only if its turn is near."""
        if host.cursor is not None and queued.key <= host.cursor:
            heapq.heappush(host.heap, queued)
            self._shorten(host)
        elif host.more or len(host.heap) >= self.head_size:
            host.more = True
        else:
            host.cursor = queued.key
            heapq.heappush(host.heap, queued)
        self._schedule(host, now)

    def refill(self, host: HostQueue, rows: list[QueuedRequest], *, more: bool, now: float) -> None:
        """The next requests from the store, those behind ``host.cursor``."""
        if rows:
            host.cursor = rows[-1].key
        host.heap += [queued for queued in rows if queued.id not in host.sent]
        host.heap.sort()  # which makes it a heap
        host.more = more
        self._schedule(host, now)

    def requeue(self, host: HostQueue, queued: QueuedRequest, now: float) -> None:
        """A request that was out, or waited for another try, is an ordinary pending one again."""
        host.sent.discard(queued.id)
        if host.cursor is not None and queued.key > host.cursor and host.more:
            return  # the store will bring it
        if host.cursor is None or queued.key > host.cursor:
            host.cursor = queued.key
        heapq.heappush(host.heap, queued)
        self._shorten(host)
        self._schedule(host, now)

    def forget_sent(self, host: HostQueue, id: int) -> None:
        """The outcome of this request has been committed: forget that it was sent."""
        host.sent.discard(id)

    def _shorten(self, host: HostQueue) -> None:
        """Keep the in-memory head short when high-priority requests swell it; the rest stays in
        the store."""
        if len(host.heap) > 4 * self.head_size:
            host.heap = heapq.nsmallest(self.head_size, host.heap)
            host.cursor = host.heap[-1].key
            host.more = True

    # The next request

    def next(self, now: float) -> Assignment | None:
        """The request whose turn it is, with the worker that gets it; None when there is none."""
        if self._is_at_limit:
            return None
        return (any(self._quarantine) and self._next_suspect(now)) or self._next_in_turn(now)

    @property
    def _is_at_limit(self) -> bool:
        """True when the requests in flight are enough to reach ``max_pages``: no more are sent."""
        return self.remaining is not None and len(self._assigned) >= self.remaining

    def _next_suspect(self, now: float) -> Assignment | None:
        for worker, suspects in enumerate(self._quarantine):
            if suspects and not self._workers.of(worker):
                host, queued = suspects[0]
                if host.clock.ready_at <= now and host.has_room:
                    suspects.popleft()
                    return self._send_page(host, queued, worker, now, isolated=True)
        return None

    def _next_in_turn(self, now: float) -> Assignment | None:
        while self._waiting and self._waiting[0][0] <= now:
            self._ready.append(heapq.heappop(self._waiting))
        while self._ready and not self._workers.are_full:  # or turns wait where they are
            _, turn, host = self._ready.popleft()
            if turn != host.ticket:
                continue  # it has been listed anew since
            host.ticket = 0
            if host.clock.ready_at > now:  # it was asked to wait since it was listed
                self._schedule(host, now)
            elif host.has_work and host.has_room:
                host.knows_robots = host.knows_robots and now < host.robots_until
                worker = self._workers.worker_for(host)
                if worker is not None:
                    if not host.knows_robots:
                        return self._send_robots(host, worker, now)
                    return self._send_page(host, heapq.heappop(host.heap), worker, now)
                self._full[host] = None
        return None

    def _open(self, worker: int) -> None:
        """The worker may have any request again, unless a suspect waits to have it alone."""
        if not self._quarantine[worker]:
            self._workers.paused.discard(worker)

    @property
    def has_queued(self) -> bool:
        """True when some request is there to be sent, now or later."""
        return any(host.heap for host in self._hosts.values())

    def next_at(self) -> float | None:
        """When the next host may be asked; None when nothing waits for time alone (no host listed,
        workers full, limit reached)."""
        if self._is_at_limit or self._workers.are_full:
            return None
        turns = self._ready or self._waiting
        return turns[0][0] if turns else None

    def reschedule(self, host: HostQueue, now: float) -> None:
        """The host's clock has moved: its turn may come sooner than it is listed for."""
        if host.ticket and host.clock.ready_at < host.ticket_at:
            host.ticket = 0
        self._schedule(host, now)

    def _schedule(self, host: HostQueue, now: float) -> None:
        if host.heap and not host.ticket and host.has_work and host.has_room:
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
        self._assigned[assignment.id] = assignment
        self._workers.add(assignment.host, assignment.worker)
        self._schedule(assignment.host, now)

    # Outcomes

    def finish(self, assignment_id: int, now: float) -> Assignment | None:
        """Take an assignment back from its worker; None if none with this id is in flight."""
        assignment = self._assigned.pop(assignment_id, None)
        if assignment is not None:
            host, worker = assignment.host, assignment.worker
            self._workers.remove(host, worker)
            if isinstance(assignment, RobotsAssignment):
                host.asking_robots = False
            self._schedule(host, now)
            if isinstance(assignment, PageAssignment) and assignment.isolated:
                self._open(worker)
            if self._full:
                # The room of one request lets few hosts go on; looking at all would cost more.
                for _ in range(min(4, len(self._full))):
                    self._schedule(self._full.popitem(last=False)[0], now)
        return assignment

    def count_finished(self) -> None:
        """A request is done or has failed for good, so one less of ``remaining`` may end."""
        if self.remaining is not None:
            self.remaining -= 1

    def worker_died(self, worker: int, now: float) -> list[Assignment]:
        """A worker has died: everything that it had, no longer in flight."""
        ids = [a.id for a in self._assigned.values() if a.worker == worker]
        return [gone for id in ids if (gone := self.finish(id, now)) is not None]

    def quarantine(self, worker: int, host: HostQueue, queued: QueuedRequest) -> None:
        """A request that a worker may have died of goes out again, but with no other beside it."""
        self._quarantine[worker].append((host, queued))
        self._workers.paused.add(worker)

    def pause(self, worker: int) -> bool:
        """Give this worker nothing more; False while it has a request alone."""
        if worker in self._workers.paused:
            return False
        self._workers.paused.add(worker)
        return True

    def resume(self, worker: int, now: float) -> None:
        """The worker may have requests again."""
        self._open(worker)
        while self._full:
            self._schedule(self._full.popitem(last=False)[0], now)

    def is_busy(self, worker: int) -> bool:
        """True while the worker has requests."""
        return self._workers.of(worker) > 0

    @property
    def in_flight(self) -> int:
        """Requests that workers have."""
        return len(self._assigned)

    @property
    def quarantined(self) -> int:
        """Requests that will be tried alone."""
        return sum(len(suspects) for suspects in self._quarantine)
