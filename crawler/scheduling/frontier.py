"""The frontier: every request of a job with its state, and the only face of scheduling.

The store has all requests; the scheduler has the hosts whose turn may come soon. The frontier loads
hosts and requests from the store, yields those whose turn it is, takes them back, moves the clocks
of hosts, releases requests whose retry is due, and evicts hosts that have nothing to do, or nothing
for long. Each verb keeps its own invariants: a host whose clock moves is scheduled anew and saved
with the next commit.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter

from crawler.messages import Done, Failed, FetchStats, Outcome, Redirected
from crawler.parsing.robots import MAX_AGE
from crawler.records import Delivery, HostRow, PendingRow, RobotsFile
from crawler.scheduling.admission import Admission
from crawler.scheduling.eviction import Eviction, Leaving
from crawler.scheduling.host_loader import HostLoader
from crawler.scheduling.host_queue import Assignment, HostQueue, PageAssignment
from crawler.scheduling.retry import ROBOTS_MAX_WAIT
from crawler.scheduling.robots_retry import UnreachableRobots
from crawler.scheduling.scheduler import HEAD_TOTAL, Scheduler
from crawler.scheduling.session_registry import FetcherSync, SessionRegistry
from crawler.session.accounts import Account
from crawler.settings import Settings
from crawler.store.protocols import AT_WORK, Store

log = logging.getLogger(__name__)

MOST_HOSTS = 10_000
"""Hosts in memory."""
AT_ONCE = 200
"""Hosts that are loaded, or whose retries are released, between two turns of the loop."""
FIRST_HEAD = 16
"""Requests that are loaded with a host: when the first hosts come, their number is not known."""
MOST_IDLE = 1_000
"""Hosts in memory that have nothing to do, kept since they may soon have.

None is kept while the store has hosts for which there is no room.
"""


class Frontier:
    """All requests of a job. Times (``now``) are on the caller's monotonic clock, in seconds."""

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        settings: Settings,
        sessions: SessionRegistry,
        *,
        logs_in: bool,
        accounts: Iterable[Account] = (),
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``wall`` returns the time in seconds since the epoch."""
        self._store = store
        self._scheduler = scheduler
        self._settings = settings
        self._sessions = sessions
        self._wall = wall
        self._loader = HostLoader(
            store, settings, sessions, logs_in=logs_in, accounts=accounts, wall=wall
        )
        self.sync = FetcherSync(sessions)
        self.unreachable = UnreachableRobots.of(settings)
        self.admission = Admission(store, settings.max_pages_per_host)
        self._rows: dict[int, HostRow] = {}
        self._unmarked: set[int] = set()
        """The hosts in memory that the store does not yet know to be at work."""
        self._dirty: set[int] = set()
        self._robots_changed: set[int] = set()
        self._releases: list[tuple[float, int]] = []
        self._loading: dict[int, HostRow] = {}
        self._eviction = Eviction(store, scheduler, self.unreachable, wall)

    # Hosts come and go

    def load(self, now: float, *, was_killed: bool) -> None:
        """Load hosts with pending requests: some now, the others with each ``release_due``.

        After a kill it is not known which hosts were asked last, so each rests for its delay first.
        """
        if was_killed:
            self._loader.killed(now)
        with self._store.transaction():
            self._store.hosts.reset_dues()
        self._load_hosts(now)

    @property
    def is_loading(self) -> bool:
        """True while hosts with work are on their way into memory."""
        return bool(self._loading)

    @property
    def busy_hosts(self) -> int:
        """The number of hosts in memory that have something to do."""
        return len(self._scheduler.hosts) - len(self._scheduler.idle)

    def _load_hosts(self, now: float) -> None:
        if not self._loading:
            limit = MOST_HOSTS - len(self._rows)
            rows = self._store.hosts.with_work(limit, without=self._unmarked)
            self._loading = {row.id: row for row in rows}
            self._eviction.has_more = len(rows) == limit
        for host_id in list(itertools.islice(self._loading, AT_ONCE)):
            self._activate(self._loading.pop(host_id), now)

    @property
    def _has_room(self) -> bool:
        return len(self._rows) + len(self._loading) < MOST_HOSTS

    def _activate(self, row: HostRow, now: float) -> None:
        """Bring a host into memory, and the head of its queue."""
        host = self._loader.load(row, now)
        self._rows[row.id] = row
        self._unmarked.add(row.id)
        if host.robots is not None and host.robots.cause:
            self.unreachable.restore(row.id, row.origin, host.robots.cause)
        self._schedule_release(host, now)
        self._scheduler.add_host(host, now)
        self.refill(host, now, FIRST_HEAD)

    def evict_idle_hosts(self, now: float) -> None:
        """Let hosts leave memory that have nothing to do, and load others.

        Some that have nothing to do stay. If there is no room for others, hosts leave from which no
        request goes out in this run, and then those that rest for long while others are due.
        """
        leaving: Leaving = []
        if self._eviction.has_more or len(self._scheduler.idle) > MOST_IDLE:
            leaving += [(host, None) for host in self._scheduler.idle.values()]
        if not (leaving or self._loading or self._has_room) and self._next_look_at <= now:
            leaving = self._eviction.choose(self._unmarked, now)
        if leaving:
            with self._store.transaction():
                self.save_hosts(now)
                self._store.hosts.set_due((host.id, due) for host, due in leaving)
            for host, due in leaving:
                self._evict(host, for_good=due == math.inf)
        if self._eviction.has_more and self._has_room and not self._loading:
            self._load_hosts(now)

    def _evict(self, host: HostQueue, *, for_good: bool) -> None:
        if for_good:
            self.unreachable.evict(host.id)
        self._scheduler.remove_host(host)
        self.sync.forget_host(host)
        self._sessions.release(host.session, host.id)
        del self._rows[host.id]

    # Requests come in

    def after_commit(
        self,
        pages: Iterable[PageAssignment],
        retries: Iterable[tuple[PageAssignment, bytes, float]],
        new: Iterable[PendingRow],
        now: float,
    ) -> None:
        """Let the scheduler see what was committed.

        The outcomes of ``pages``, the ``retries`` among them, each with its request and when it is
        due, and ``new`` requests.
        """
        for assignment in pages:
            self._scheduler.committed(assignment)
        for assignment, request, due in retries:
            if due > now:
                self._release_at(assignment.host, due)
            else:
                queued = assignment.queued._replace(request=request)
                self._scheduler.requeue(assignment.host, queued, now)
        self._push(new, now)

    def _push(self, rows: Iterable[PendingRow], now: float) -> None:
        activated: set[int] = set()
        for host_id, host_rows in itertools.groupby(rows, itemgetter(0)):
            host = self._scheduler.hosts.get(host_id)
            if host is not None and host_id not in activated:
                self._scheduler.push(host, host_rows, now)
            elif host is None and (host_id in self._loading or self._has_room):
                row = self._loading.pop(host_id, None) or self._store.hosts.get(host_id)
                self._activate(row, now)  # with everything that the store has for it
                activated.add(host_id)
            elif host is None:
                self._eviction.add_waiting()

    def refill(self, host: HostQueue, now: float, most: int | None = None) -> None:
        """Load the next requests of a host whose head is empty, ``most`` at the most."""
        size = min(self._scheduler.head_size, most or HEAD_TOTAL)
        host.more = True
        while host.more and not host.heap:  # all that comes may have been sent already
            rows = self._store.queue.next_requests(host.id, host.cursor, size)
            self._scheduler.refill(host, rows, more=len(rows) == size, now=now)

    def release_due(self, now: float) -> None:
        """Load more hosts, and put requests whose retry is due back into their queues."""
        if self._loading:
            self._load_hosts(now)
        elif self._next_look_at <= now:
            self.evict_idle_hosts(now)
        if hosts := self._take_due(now):
            wall = self._wall()
            with self._store.transaction():
                due = [self._store.queue.release_due(host.id, wall) for host in hosts]
            for host, requests in zip(hosts, due, strict=True):
                for queued in requests:
                    self._scheduler.requeue(host, queued, now)
                self._schedule_release(host, now)

    def _take_due(self, now: float) -> list[HostQueue]:
        """Return hosts of which a request's retry is due."""
        hosts: list[HostQueue] = []
        while self._releases and self._releases[0][0] <= now and len(hosts) < AT_ONCE:
            host = self._scheduler.hosts.get(heapq.heappop(self._releases)[1])
            if host is not None and host.release_at is not None and host.release_at <= now:
                host.release_at = None
                hosts.append(host)
        return hosts

    @property
    def _next_look_at(self) -> float:
        if not self._eviction.has_more:
            return math.inf
        return -math.inf if self._has_room else self._eviction.look_at

    def next_release_at(self) -> float | None:
        """Return when ``release_due`` has something to do."""
        if self._loading:
            return -math.inf
        at = min(self._next_look_at, self._releases[0][0] if self._releases else math.inf)
        return None if at == math.inf else at

    def _release_at(self, host: HostQueue, due: float) -> None:
        if host.release_at is None or due < host.release_at:
            host.release_at = due
            self._scheduler.classify(host)
            heapq.heappush(self._releases, (due, host.id))

    def _schedule_release(self, host: HostQueue, now: float) -> None:
        host.release_at = None
        due = self._store.queue.next_due(host.id)
        if due is not None:
            # Never longer than was granted, should the wall clock have been set back meanwhile.
            wait = min(max(due - self._wall(), 0.0), self._settings.max_retry_wait)
            self._release_at(host, now + wait + 0.001)
        self._scheduler.classify(host)

    # Requests go out, and come back

    def take_ready(self, now: float) -> Iterator[Assignment]:
        """Yield every assignment whose turn it is, those included whose retry is due."""
        self.release_due(now)
        for assignment in self._scheduler.take_ready(now):
            host = assignment.host
            self._dirty.add(host.id)
            yield assignment
            if host.more and not host.heap:
                self.refill(host, now)

    def finish(self, outcome: Outcome, now: float) -> Assignment | None:
        """Take an assignment back from the fetching process, and move its host and session on.

        Returns None if the assignment is no longer in flight.
        """
        assignment = self._scheduler.finish(outcome.task, now)
        if assignment is None:
            return None
        for change in outcome.sessions:
            self._sessions.apply(change)
        self._move_clock(assignment, outcome.fetch, now)
        is_page = isinstance(assignment, PageAssignment)
        if is_page and isinstance(outcome.result, (Done, Failed, Redirected)):
            self.count_finished()
        return assignment

    def count_finished(self) -> None:
        """Count a page that is done or has failed for good, as ``max_pages`` limits them."""
        if self._scheduler.remaining is not None:
            self._scheduler.remaining -= 1

    def uncount_finished(self) -> None:
        """Take back that a page counts: it is asked again, or its redirect was committed."""
        if self._scheduler.remaining is not None:
            self._scheduler.remaining += 1

    def request_probe(self, host: HostQueue) -> None:
        """Ask for the probe page of a host's session, as the host's next request."""
        self._scheduler.request_probe(host)

    def requeue(self, assignment: Assignment, now: float) -> None:
        """Put a page back into its queue as it was; robots.txt is asked for again by itself."""
        if isinstance(assignment, PageAssignment):
            self._scheduler.requeue(assignment.host, assignment.queued, now)

    def requeue_maybe_sent(self, assignment: PageAssignment, now: float) -> None:
        """Put a page that may have been sent back into its queue."""
        queued = assignment.queued
        if queued.delivery:  # it fails without being sent again
            queued = queued._replace(delivery=Delivery.MAYBE_SENT)
        self._scheduler.requeue(assignment.host, queued, now)

    def isolate(self, assignment: PageAssignment, now: float, *, alone: bool) -> None:
        """Give a page that may have killed its worker out again, to a worker of its own.

        ``alone`` lets the fetching process, which may have died, have nothing else meanwhile.
        """
        queued = assignment.queued
        if queued.delivery:  # the worker reports to the spider that it may have been sent
            queued = queued._replace(delivery=Delivery.MAYBE_SENT)
        if alone:
            self._scheduler.quarantine(assignment.host, queued)
        else:
            self._scheduler.isolate(assignment.host, queued, now)

    def fetcher_died(self, now: float) -> list[Assignment]:
        """Take back all assignments, as the fetching process died; the next one has nothing yet.

        It is not known when it asked, so each host rests from now on.
        """
        self.sync.reset()
        assignments = self._scheduler.fetcher_died(now)
        for assignment in assignments:
            assignment.host.clock.asked(now)
            self._dirty.add(assignment.host.id)
        return assignments

    # Work, and the time until there is some

    @property
    def remaining(self) -> int | None:
        """The number of further requests that may end (``max_pages``); None is no limit."""
        return self._scheduler.remaining

    @remaining.setter
    def remaining(self, requests: int | None) -> None:
        self._scheduler.remaining = requests

    @property
    def in_flight(self) -> int:
        """The number of requests that the fetching process has."""
        return len(self._scheduler.assigned)

    @property
    def has_queued(self) -> bool:
        """True if a request in memory is there to be sent, now or later."""
        return self._scheduler.has_queued

    def is_exhausted(self, *, stopping: bool) -> bool:
        """Return True if no request is in flight, and none may go out in this run any more.

        That is so at once while ``stopping``. A host whose robots.txt is unreachable has nothing
        to send once the run no longer waits for it.
        """
        if self._scheduler.assigned:
            return False
        if stopping or self._scheduler.remaining == 0:
            return True
        return not self.has_work

    @property
    def has_work(self) -> bool:
        """True while a request may still go out in this run, whatever ``max_pages`` says."""
        if self._loading or self._scheduler.active_hosts > len(self.unreachable.failures):
            return True
        if self._eviction.has_more and (
            self._has_room or self._scheduler.idle or self._eviction.useless_hosts()
        ):
            return True
        return self._scheduler.has_work(set(self.unreachable.given_up()))

    def next_at(self) -> float | None:
        """Return when a host's turn comes or a retry is due; None if nothing waits for time."""
        times = (self._scheduler.next_at(), self.next_release_at())
        return min((at for at in times if at), default=None)

    # The clocks of hosts

    def _move_clock(self, assignment: Assignment, fetch: FetchStats, now: float) -> None:
        host, clock = assignment.host, assignment.host.clock
        if not fetch.started and clock.ready_at == assignment.ready_at and not host.running:
            # Nothing was sent, so nothing need wait, unless for something else (Retry-After).
            clock.ready_at, clock.granted = assignment.clock_before
            self._scheduler.reschedule(host, now)
        clock.fetched(fetch.started, fetch.host_wait, now)
        if fetch.status:
            self.unreachable.has_network = True
        self._dirty.add(host.id)

    def delay(self, host: HostQueue, seconds: float, now: float) -> None:
        """Ask nothing more of a host for ``seconds``."""
        host.clock.retry_after(seconds, now)
        self._dirty.add(host.id)
        self._scheduler.reschedule(host, now)

    def delay_session(self, key: str, seconds: float, now: float) -> None:
        """Ask nothing more of all hosts of a session for ``seconds``."""
        for host_id in self._sessions.hosts(key):
            self.delay(self._scheduler.hosts[host_id], seconds, now)

    def suspend_session(self, key: str) -> None:
        """Give out no more requests of a session in this run, as it could not log in."""
        self._loader.suspend(key)
        for host_id in self._sessions.hosts(key):
            host = self._scheduler.hosts[host_id]
            host.suspended = True
            self._scheduler.classify(host)

    def save_hosts(self, now: float) -> None:
        """Save the clocks that have moved, unless nothing waits for them; part of a commit.

        Hosts that have come into memory are marked as being at work.
        """
        rows = []
        for host_id in self._dirty:
            host = self._scheduler.hosts.get(host_id)
            if host is None:
                continue
            clock, row = host.clock, self._rows[host_id]
            is_moved = clock.granted or row.granted or clock.back_off != row.back_off
            if is_moved or host_id in self._robots_changed:
                row = self._rows[host_id] = row._replace(
                    next_at=clock.stored(now, self._wall()),
                    granted=clock.granted,
                    back_off=clock.back_off,
                )
                rows.append(row)
        if rows:
            self._store.hosts.save(rows)
        if self._unmarked:
            self._store.hosts.set_due((host_id, AT_WORK) for host_id in self._unmarked)
            self._unmarked.clear()
        self._dirty.clear()
        self._robots_changed.clear()

    # robots.txt

    def robots_fetched(self, host: HostQueue, robots: RobotsFile, now: float) -> None:
        """Take the rules of a host, or the cause for which its requests fail without any."""
        if robots.cause:
            log.warning("%s; nothing is requested from this host", robots.message)
        self.unreachable.forget(host.id)
        self._keep_robots(host, robots)
        host.robots, host.knows_robots = robots, True
        host.robots_until = now + (ROBOTS_MAX_WAIT if robots.cause else MAX_AGE)
        host.version += 1
        host.clock.set_crawl_delay(robots.crawl_delay)

    def robots_unavailable(
        self, host: HostQueue, robots: RobotsFile, wait: float, now: float
    ) -> None:
        """Keep the known rules of a host, or its requests pending, as no rules are to be had."""
        rules = self._rows[host.id].robots
        if rules is not None and not rules.cause:
            log.warning("%s; the earlier rules still apply", robots.message)
            host.knows_robots, host.robots_until = True, now + ROBOTS_MAX_WAIT
            return
        self.unreachable.failed(host.id, host.origin, robots.cause, now, now + wait)
        if self.unreachable.does_not_exist(host.id):
            self.robots_fetched(host, robots, now)
            return
        log.warning("%s; it is requested again in %.1f s", robots.message, wait)
        host.clock.retry_after(wait, now)
        self._keep_robots(host, robots)

    def robots_asked(self, host: HostQueue, started: float, now: float) -> None:
        """Let a crawl-delay count from the request for robots.txt on."""
        host.clock.asked(started)
        self._scheduler.reschedule(host, now)

    def _keep_robots(self, host: HostQueue, robots: RobotsFile) -> None:
        robots_at = 0.0 if robots.cause else self._wall()
        self._rows[host.id] = self._rows[host.id]._replace(robots=robots, robots_at=robots_at)
        self._robots_changed.add(host.id)
        self._dirty.add(host.id)
