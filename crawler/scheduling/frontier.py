"""The frontier at work: which hosts are in memory, and the heads of their queues.

The store has everything; the scheduler sees the hosts whose turn may come soon. This stands in
between: it brings hosts and requests in from the store, wakes what waited for another try, and
puts hosts with nothing to do out of memory again.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable, Iterable
from operator import itemgetter

from crawler import urls
from crawler.parsing.robots import MAX_AGE
from crawler.records import HostRow, PendingRow, QueuedRequest, RobotsFile, SessionRecord
from crawler.scheduling.host_queue import HostQueue
from crawler.scheduling.page_budget import PageBudget
from crawler.scheduling.politeness import HostClock
from crawler.scheduling.retry import TRY_AGAIN
from crawler.scheduling.robots_retry import UnreachableRobots
from crawler.scheduling.scheduler import HEAD_TOTAL, Scheduler
from crawler.scheduling.worker_sync import WorkerSync
from crawler.session.accounts import Account
from crawler.session.keys import SessionKey
from crawler.settings import Settings
from crawler.store.protocols import Store

MOST_HOSTS = 10_000
"""Hosts in memory."""
AT_ONCE = 200
"""Hosts that are brought in between two turns of the loop: the first request waits for no more."""
FIRST_HEAD = 16
"""Requests that a host brings along: when the first hosts come, nobody knows how many will."""
MOST_IDLE = 1_000
"""Hosts in memory that have nothing to do, kept since they may soon have."""


class Frontier:
    """Hosts and requests between store and scheduler. Times are monotonic seconds."""

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        settings: Settings,
        news: WorkerSync,
        *,
        logs_in: bool,
        accounts: Iterable[Account] = (),
        wall: Callable[[], float] | None = None,
        patience: UnreachableRobots | None = None,
    ) -> None:
        """``wall`` is the time, seconds since the epoch."""
        self._store = store
        self._scheduler = scheduler
        self._settings = settings
        self._news = news
        self._wall = wall or time.time
        self._patience = patience or UnreachableRobots(settings.retries, settings.robots_wait)
        self._logs_in = logs_in
        self._accounts = {account.name: account for account in accounts}
        self._ids: dict[tuple[str, str], int] = {}
        self.page_budget = PageBudget(
            settings.max_pages_per_host, lambda host_id: store.hosts.get(host_id).requests
        )
        self._rows: dict[int, HostRow] = {}
        self._evicted: set[int] = set()
        self._dirty: set[int] = set()
        self._robots_changed: set[int] = set()
        self._wakes: list[tuple[float, int]] = []
        self._overflow = True
        self._loading: dict[int, HostRow] = {}
        self._killed: tuple[float, int] = (0.0, 0)

    # Hosts come and go

    def load(self, now: float, *, was_killed: bool) -> None:
        """Bring in hosts with pending requests: some now, the others with each ``release_due``.

        After a kill nobody knows which hosts were asked last, so each rests for its delay first.
        """
        if was_killed:
            self._killed = (now, self._store.hosts.count())
        self._load_hosts(now)

    def host_id(self, origin: str, account: str = "") -> int:
        """The number of a host, as an account asks it; part of a transaction, as it may be new."""
        id = self._ids.get((origin, account))
        if id is None:
            if len(self._ids) >= MOST_HOSTS:
                self._ids.clear()
            id = self._ids[origin, account] = self._store.hosts.add(origin, account).id
        return id

    def push_new(self, new: Iterable[PendingRow], now: float) -> None:
        """Requests that have just been committed enter the scheduler."""
        fresh: set[int] = set()
        for id, of_host in itertools.groupby(new, itemgetter(0)):
            host = self._scheduler.host(id)
            if host is not None and id not in fresh:
                for _, rank, number, once, request in of_host:
                    if not host.is_beyond_head(rank, number):
                        self._scheduler.push(host, QueuedRequest(rank, number, request, once), now)
            elif host is None and (id in self._loading or self._has_room):
                row = self._loading.pop(id, None) or self._store.hosts.get(id)
                self._activate(row, now)  # with everything that the store has for it
                fresh.add(id)
            elif host is None:
                self._overflow = True

    def _load_hosts(self, now: float) -> None:
        if not self._loading:
            room = MOST_HOSTS - len(self._rows)
            rows = self._store.hosts.with_work(room, without=self._evicted.union(self._rows))
            self._loading = {row.id: row for row in rows}
            self._overflow = len(rows) == room
        for id in list(itertools.islice(self._loading, AT_ONCE)):
            self._activate(self._loading.pop(id), now)

    @property
    def _has_room(self) -> bool:
        return len(self._rows) + len(self._loading) < MOST_HOSTS

    @property
    def is_loading(self) -> bool:
        """True while hosts with work are on their way into memory."""
        return bool(self._loading)

    def _activate(self, row: HostRow, now: float) -> None:
        settings = self._settings
        robots = row.robots if settings.obey_robots else None
        account = self._accounts.get(row.account)
        delay = settings.delay if account is None or account.delay is None else account.delay
        clock = HostClock(delay, None if robots is None else robots.crawl_delay)
        clock.restore(row.next_at, self._wall(), now, row.granted)
        killed_at, known = self._killed
        if row.id <= known:
            clock.asked(killed_at)
        host = HostQueue(
            row.id,
            row.origin,
            self._session_of(row),
            clock,
            concurrency=settings.concurrency_per_host,
            account=row.account,
            seeded=row.seeded or self._is_seeded_twin(row),
            exclusive=self._logs_in,
            has_quota=account is not None and account.max_pages is not None,
            preferred_worker=list(self._accounts).index(row.account) if account else 0,
            suspended=account is None and (bool(row.account) or bool(self._accounts)),
        )
        robots_age = self._wall() - row.robots_at
        host.knows_robots = not settings.obey_robots or 0 <= robots_age < MAX_AGE
        host.robots_until = now + MAX_AGE - robots_age if settings.obey_robots else math.inf
        self._rows[row.id] = row
        if robots is not None and robots.cause:
            self._patience.restore(row.id, row.origin, robots.cause)
        self._news.set_robots(row.id, robots)
        self._load_session(host.session, account)
        clock.retry_after(self._news.quota_wait(host.session, self._wall()), now)
        self._set_wake(host, now)
        self._scheduler.add_host(host, now)
        self.refill(host, now, FIRST_HEAD)

    def _is_seeded_twin(self, row: HostRow) -> bool:
        """True when a seed is at the same host by https instead of http, or the other way."""
        scheme, _, netloc = row.origin.partition("://")
        twin = self._store.hosts.find(f"{'http' if scheme == 'https' else 'https'}://{netloc}")
        return twin is not None and twin.seeded

    def _session_of(self, row: HostRow) -> str:
        """An account is one identity everywhere; without one, each site has its own."""
        if row.account or self._logs_in:
            return str(SessionKey.of_account(row.account))
        return str(SessionKey.of_site(urls.site(row.origin)))

    def _load_session(self, key: str, account: Account | None) -> None:
        if not self._news.knows_session(key):
            record = self._store.sessions.get(key) or SessionRecord(key, [])
            self._news.load_session(record, account)
        self._news.use_session(key)

    def evict_idle_hosts(self, now: float) -> None:
        """Hosts with nothing to do leave memory when there are many; waiting ones come in.

        If need be, hosts leave too whose robots.txt nobody waits for: for the rest of the run.
        """
        if len(self._rows) > MOST_IDLE:
            idle = [host for host in self._scheduler.hosts if host.is_idle]
            for host in idle if len(idle) > MOST_IDLE else ():
                self._evict(host)
        if self._overflow and len(self._rows) >= MOST_HOSTS:
            for id in self._patience.evictable():
                at_end = self._scheduler.host(id)
                if at_end is not None and not (at_end.running or at_end.sent):
                    self._evicted.add(id)
                    self._evict(at_end)
        if self._overflow and not self._loading and len(self._rows) < MOST_HOSTS:
            self._load_hosts(now)

    def _evict(self, host: HostQueue) -> None:
        self._scheduler.remove_host(host)
        self._news.forget_host(host)
        del self._rows[host.id]

    # Requests come in

    def refill(self, host: HostQueue, now: float, most: int | None = None) -> None:
        """Bring in the next requests of a host whose head is worked off, ``most`` at the most."""
        size = min(self._scheduler.head_size, most or HEAD_TOTAL)
        host.more = True
        while host.more and not host.heap:  # all that comes may be out already
            rows = self._store.queue.next_requests(host.id, host.cursor, size)
            self._scheduler.refill(host, rows, more=len(rows) == size, now=now)

    def wait(self, host: HostQueue, due: float) -> None:
        """A request of this host waits for another try until ``due``."""
        if host.wake_at is None or due < host.wake_at:
            host.wake_at = due
            heapq.heappush(self._wakes, (due, host.id))

    def release_due(self, now: float) -> None:
        """More hosts come in; requests whose further try is due become ordinary pending ones."""
        if self._loading:
            self._load_hosts(now)
        while self._wakes and self._wakes[0][0] <= now:
            _, id = heapq.heappop(self._wakes)
            host = self._scheduler.host(id)
            if host is None or host.wake_at is None or host.wake_at > now:
                continue
            with self._store.transaction():
                due = self._store.queue.release_due(id, self._wall())
            for queued in due:
                self._scheduler.requeue(host, queued, now)
            self._set_wake(host, now)

    def next_release_at(self) -> float | None:
        """When ``release_due`` has something to do."""
        if self._loading:
            return -math.inf
        return self._wakes[0][0] if self._wakes else None

    def _set_wake(self, host: HostQueue, now: float) -> None:
        host.wake_at = None
        due = self._store.queue.next_due(host.id)
        if due is not None:
            # Never longer than was granted, should the wall clock have been set back meanwhile.
            wait = min(max(due - self._wall(), 0.0), self._settings.max_retry_wait)
            self.wait(host, now + wait + 0.001)

    # Hosts are kept

    def mark_dirty(self, host: HostQueue) -> None:
        """The host's clock has moved; the next commit keeps it."""
        self._dirty.add(host.id)

    def set_robots(self, host: HostQueue, robots: RobotsFile, now: float) -> None:
        """A host's robots.txt has come, or with its cause why not: its requests fail with that."""
        self.note_robots(host, robots)
        host.knows_robots = True
        host.robots_until = now + (MAX_AGE if not robots.cause else TRY_AGAIN)
        self._scheduler.set_delay(host, robots.crawl_delay)
        self._news.set_robots(host.id, robots)

    def note_robots(self, host: HostQueue, robots: RobotsFile) -> None:
        """The next commit keeps what is known of a host's robots.txt."""
        robots_at = 0.0 if robots.cause else self._wall()
        self._rows[host.id] = self._rows[host.id]._replace(robots=robots, robots_at=robots_at)
        self._robots_changed.add(host.id)
        self.mark_dirty(host)

    def extend_rules(self, host: HostQueue, now: float) -> bool:
        """robots.txt could not be had again: the rules of before hold on, if there are any."""
        known = self._rows[host.id].robots
        if known is None or known.cause:
            return False
        host.knows_robots, host.robots_until = True, now + TRY_AGAIN
        return True

    def save_hosts(self, now: float) -> None:
        """Keep the clocks that have moved, unless nobody waits for them; part of a commit."""
        wall = self._wall()
        rows = []
        for id in self._dirty:
            host = self._scheduler.host(id)
            if host is None:
                continue
            clock, row = host.clock, self._rows[id]
            if clock.granted or row.granted or id in self._robots_changed:
                row = row._replace(next_at=clock.stored(now, wall), granted=clock.granted)
                self._rows[id] = row
                rows.append(row)
        self._store.hosts.save(rows)
        self._dirty.clear()
        self._robots_changed.clear()
