"""The frontier: every request of a job with its state, and the only face of scheduling.

The store has all requests; the scheduler has the hosts whose turn may come soon. The frontier loads
hosts and requests from the store, yields those whose turn it is, takes them back, moves the clocks
of hosts, releases requests whose retry is due, and evicts hosts that have nothing to do. Each verb
keeps its own invariants: a host whose clock moves is scheduled anew and saved with the next commit.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter

from crawler import urls
from crawler.messages import Done, Failed, FetchStats, Outcome, Redirected
from crawler.parsing.robots import MAX_AGE
from crawler.records import (
    Delivery,
    HostRow,
    PendingRow,
    RobotsFile,
    SessionRecord,
)
from crawler.scheduling.admission import Admission
from crawler.scheduling.host_queue import Assignment, HostQueue, PageAssignment
from crawler.scheduling.politeness import HostClock
from crawler.scheduling.retry import ROBOTS_MAX_WAIT
from crawler.scheduling.robots_retry import UnreachableRobots
from crawler.scheduling.scheduler import HEAD_TOTAL, Scheduler
from crawler.scheduling.session_registry import FetcherSync, SessionRegistry
from crawler.session.accounts import Account, SessionKey
from crawler.settings import Settings
from crawler.store.protocols import Store

log = logging.getLogger(__name__)

MOST_HOSTS = 10_000
"""Hosts in memory."""
AT_ONCE = 200
"""Hosts that are loaded between two turns of the loop, so that the first request need not wait."""
FIRST_HEAD = 16
"""Requests that are loaded with a host: when the first hosts come, their number is not known."""
MOST_IDLE = 1_000
"""Hosts in memory that have nothing to do, kept since they may soon have."""


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
        self._logs_in = logs_in
        self._accounts = {account.name: account for account in accounts}
        self.sync = FetcherSync(sessions)
        self.unreachable = UnreachableRobots.of(settings)
        self.admission = Admission(store, settings.max_pages_per_host)
        self._rows: dict[int, HostRow] = {}
        self._evicted: set[int] = set()
        self._dirty: set[int] = set()
        self._robots_changed: set[int] = set()
        self._releases: list[tuple[float, int]] = []
        self._has_more = True
        """The store may have hosts with work that are not in memory."""
        self._loading: dict[int, HostRow] = {}
        self._killed: tuple[float, int] = (0.0, 0)

    # Hosts come and go

    def load(self, now: float, *, was_killed: bool) -> None:
        """Load hosts with pending requests: some now, the others with each ``release_due``.

        After a kill it is not known which hosts were asked last, so each rests for its delay first.
        """
        if was_killed:
            self._killed = (now, self._store.hosts.count())
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
            rows = self._store.hosts.with_work(limit, without=self._evicted.union(self._rows))
            self._loading = {row.id: row for row in rows}
            self._has_more = len(rows) == limit
        for host_id in list(itertools.islice(self._loading, AT_ONCE)):
            self._activate(self._loading.pop(host_id), now)

    @property
    def _has_room(self) -> bool:
        return len(self._rows) + len(self._loading) < MOST_HOSTS

    def _activate(self, row: HostRow, now: float) -> None:
        """Bring a host into memory, with its clock, its robots.txt, its session and its head."""
        host = HostQueue(
            row.id,
            row.origin,
            self._session_of(row),
            self._clock_of(row, now),
            concurrency=self._settings.concurrency_per_host,
            account=row.account,
            seeded=row.seeded or self._is_seeded_twin(row),
            logs_in=self._logs_in,
        )
        account = self._accounts.get(row.account)
        if account is not None:
            host.has_quota = account.max_pages is not None
        else:
            host.suspended = bool(row.account or self._accounts)
        self._rows[row.id] = row
        self._load_robots(host, row, now)
        self._load_session(host, account)
        host.clock.retry_after(self._sessions.quota_wait(host.session), now)
        self._schedule_release(host, now)
        self._scheduler.add_host(host, now)
        self.refill(host, now, FIRST_HEAD)

    def _clock_of(self, row: HostRow, now: float) -> HostClock:
        account, robots = self._accounts.get(row.account), self._robots_of(row)
        delay = self._settings.delay
        if account is not None and account.delay is not None:
            delay = account.delay
        clock = HostClock(delay, None if robots is None else robots.crawl_delay)
        clock.restore(row.next_at, self._wall(), now, row.granted)
        killed_at, hosts_then = self._killed
        if row.id <= hosts_then:
            clock.asked(killed_at)
        return clock

    def _robots_of(self, row: HostRow) -> RobotsFile | None:
        return row.robots if self._settings.obey_robots else None

    def _load_robots(self, host: HostQueue, row: HostRow, now: float) -> None:
        host.robots = self._robots_of(row)
        if self._settings.obey_robots:
            age = self._wall() - row.robots_at
            host.knows_robots = 0 <= age < MAX_AGE
            host.robots_until = now + MAX_AGE - age
        else:
            host.knows_robots, host.robots_until = True, math.inf
        if host.robots is not None and host.robots.cause:
            self.unreachable.restore(row.id, row.origin, host.robots.cause)

    def _is_seeded_twin(self, row: HostRow) -> bool:
        """Return True if a seed is at the same host by https instead of http, or vice versa."""
        scheme, _, netloc = row.origin.partition("://")
        twin = self._store.hosts.find(f"{'http' if scheme == 'https' else 'https'}://{netloc}")
        return twin is not None and twin.seeded

    def _session_of(self, row: HostRow) -> str:
        """Return the session's key: one for an account everywhere, else one for each site."""
        if row.account or self._logs_in:
            return str(SessionKey.of_account(row.account))
        return str(SessionKey.of_site(urls.site(row.origin)))

    def _load_session(self, host: HostQueue, account: Account | None) -> None:
        key = host.session
        if key not in self._sessions:
            record = self._store.sessions.get(key) or SessionRecord(key, [])
            self._sessions.load(record, account)
        self._sessions.acquire(key, host.id)

    def evict_idle_hosts(self, now: float) -> None:
        """Evict hosts with nothing to do when there are many, and load waiting ones.

        If need be, evict hosts whose robots.txt is unreachable too, for the rest of the run.
        """
        if len(self._scheduler.idle) > MOST_IDLE:
            for host in list(self._scheduler.idle.values()):
                self._evict(host)
        if self._has_more and len(self._rows) >= MOST_HOSTS:
            for host_id in self.unreachable.evictable():
                unreachable_host = self._scheduler.hosts.get(host_id)
                if unreachable_host is None or unreachable_host.running or unreachable_host.sent:
                    continue
                self._evicted.add(host_id)
                self._evict(unreachable_host)
        if self._has_more and not self._loading and len(self._rows) < MOST_HOSTS:
            self._load_hosts(now)

    def _evict(self, host: HostQueue) -> None:
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
                self._has_more = True

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
        while self._releases and self._releases[0][0] <= now:
            _, host_id = heapq.heappop(self._releases)
            host = self._scheduler.hosts.get(host_id)
            if host is None or host.release_at is None or host.release_at > now:
                continue
            with self._store.transaction():
                due = self._store.queue.release_due(host_id, self._wall())
            for queued in due:
                self._scheduler.requeue(host, queued, now)
            self._schedule_release(host, now)

    def next_release_at(self) -> float | None:
        """Return when ``release_due`` has something to do."""
        if self._loading:
            return -math.inf
        return self._releases[0][0] if self._releases else None

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
        """Take back all assignments, as the fetching process died; the next one has nothing yet."""
        self.sync.reset()
        return self._scheduler.fetcher_died(now)

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
        if self._loading or self._scheduler.active_hosts > len(self.unreachable):
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
        for host_id in self._sessions.hosts(key):
            host = self._scheduler.hosts[host_id]
            host.suspended = True
            self._scheduler.classify(host)

    def save_hosts(self, now: float) -> None:
        """Save the clocks that have moved, unless nothing waits for them; part of a commit."""
        rows = []
        for host_id in self._dirty:
            host = self._scheduler.hosts.get(host_id)
            if host is None:
                continue
            clock, row = host.clock, self._rows[host_id]
            if clock.granted or row.granted or host_id in self._robots_changed:
                next_at = clock.stored(now, self._wall())
                row = self._rows[host_id] = row._replace(next_at=next_at, granted=clock.granted)
                rows.append(row)
        if rows:
            self._store.hosts.save(rows)
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
