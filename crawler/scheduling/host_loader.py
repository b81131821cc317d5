"""Bring hosts into memory: with their clocks, their robots.txt and their sessions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from crawler import urls
from crawler.parsing.robots import MAX_AGE
from crawler.records import HostRow, RobotsFile, SessionRecord
from crawler.scheduling.host_queue import HostQueue
from crawler.scheduling.politeness import HostClock
from crawler.scheduling.session_registry import SessionRegistry
from crawler.session.accounts import Account, SessionKey
from crawler.settings import Settings
from crawler.store.protocols import Store


class HostLoader:
    """Makes the host at work of a row of the store. Times (``now``) are on the monotonic clock."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        sessions: SessionRegistry,
        *,
        logs_in: bool,
        accounts: Iterable[Account],
        wall: Callable[[], float],
    ) -> None:
        """``wall`` returns the time in seconds since the epoch."""
        self._store = store
        self._settings = settings
        self._sessions = sessions
        self._logs_in = logs_in
        self._accounts = {account.name: account for account in accounts}
        self._wall = wall
        self._killed: tuple[float, int] = (0.0, 0)
        self._suspended: set[str] = set()

    def killed(self, now: float) -> None:
        """Let each host rest for its delay first: it is not known which were asked last."""
        self._killed = (now, self._store.hosts.count())

    def suspend(self, session: str) -> None:
        """Suspend the hosts of a session that are still to come, if it is that of an account."""
        if session == str(SessionKey.of_account(SessionKey.parse(session).account)):
            self._suspended.add(session)

    def load(self, row: HostRow, now: float) -> HostQueue:
        """Return a host that takes part in its session, without any request yet."""
        account = self._accounts.get(row.account)
        session = self._session_of(row)
        host = HostQueue(
            row.id,
            row.origin,
            session,
            self._clock_of(row, now),
            concurrency=self._settings.concurrency_per_host,
            account=row.account,
            seeded=row.seeded or self._is_seeded_twin(row),
            logs_in=self._logs_in,
        )
        if account is not None:
            host.has_quota = account.max_pages is not None
            host.suspended = session in self._suspended
        else:
            is_retired = bool(row.account or self._accounts)
            host.suspended = is_retired or session in self._suspended
        self._load_robots(host, row, now)
        self._load_session(host, account)
        host.clock.retry_after(self._sessions.quota_wait(session), now)
        return host

    def _clock_of(self, row: HostRow, now: float) -> HostClock:
        account, robots = self._accounts.get(row.account), self._robots_of(row)
        delay = self._settings.delay
        if account is not None and account.delay is not None:
            delay = account.delay
        clock = HostClock(delay, None if robots is None else robots.crawl_delay)
        clock.restore(row.next_at, self._wall(), now, row.granted, row.back_off)
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
