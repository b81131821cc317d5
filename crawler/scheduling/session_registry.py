"""The sessions of the hosts at work, as the store keeps them, and what the fetching process lacks.

A session lives in the fetching process, which reports its changes with the outcomes. So a request
has at least the cookies that were there when the page that it was found on came.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from msgspec.structs import replace

from crawler.messages import HostUpdate, SessionChange, TaskBatch
from crawler.records import Cookie, LoginState, SessionRecord, Usage
from crawler.scheduling.host_queue import HostQueue
from crawler.scope import NetlocSet
from crawler.session.accounts import Account, count_page, quota_wait
from crawler.store.protocols import SessionStore

CookieKey = tuple[str, str, str]
"""Domain, path and name."""


@dataclass(slots=True)
class ManagedSession:
    """A session's cookies and login state as the store will have them."""

    key: str
    cookies: dict[CookieKey, Cookie]
    login: LoginState
    usage: Usage
    account: Account | None
    hosts: set[int] = field(default_factory=set)
    """The ids of the hosts at work that belong to it."""
    _deleted: dict[CookieKey, Cookie] = field(default_factory=dict)
    """The cookies that were deleted since the last ``take_changes``; some may have come again."""
    _changed: dict[CookieKey, Cookie] = field(default_factory=dict)
    """The cookies that were set since then."""

    @property
    def is_new(self) -> bool:
        """True if there is nothing to store."""
        return not self.cookies and self.login == LoginState()

    def record(self) -> SessionRecord:
        """Return the session as the store keeps it."""
        return SessionRecord(self.key, list(self.cookies.values()), self.login, self.usage)

    def apply(self, cookie: Cookie) -> None:
        """Set a cookie, or delete it if it has no value."""
        key = cookie.key
        if cookie.value is None:
            self._changed.pop(key, None)
            if self.cookies.pop(key, None) is not None:
                self._deleted[key] = cookie
        elif self.cookies.get(key) != cookie:
            self.cookies[key] = self._changed[key] = cookie

    def take_changes(self) -> SessionRecord:
        """Return what has changed since the last call, for ``SessionStore.update``."""
        cookies = [*self._deleted.values(), *self._changed.values()]
        self._deleted.clear()
        self._changed.clear()
        return SessionRecord(self.key, cookies, self.login, self.usage)


class SessionRegistry:
    """All sessions in memory, by key."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        """``wall`` returns the time in seconds since the epoch."""
        self._wall = wall
        self._sessions: dict[str, ManagedSession] = {}
        self._changed: dict[str, ManagedSession] = {}
        """Those that have changed since the last ``save``."""
        self._logins = 0

    def __contains__(self, key: str) -> bool:
        return key in self._sessions

    def get(self, key: str) -> ManagedSession:
        """Return the session with this key, which must be in memory."""
        return self._sessions[key]

    def hosts(self, key: str) -> Collection[int]:
        """Return the ids of the hosts at work that belong to the session."""
        return self._sessions[key].hosts

    def load(self, record: SessionRecord, account: Account | None = None) -> None:
        """Take a session from its record in the store."""
        cookies = {cookie.key: cookie for cookie in record.cookies}
        self._sessions[record.key] = ManagedSession(
            record.key, cookies, record.login, record.usage, account
        )

    def acquire(self, key: str, host_id: int) -> None:
        """Add a host at work that belongs to the session."""
        self._sessions[key].hosts.add(host_id)

    def release(self, key: str, host_id: int) -> None:
        """Take a host out; the session leaves memory after its last host and its last save."""
        session = self._sessions[key]
        session.hosts.discard(host_id)
        if not session.hosts and key not in self._changed:
            del self._sessions[key]

    def apply(self, change: SessionChange) -> None:
        """Apply the changes that responses made to a session."""
        session = self._sessions[change.key]
        for cookie in change.cookies:
            session.apply(cookie)
        if change.login is not None:
            self._set_login(session, change.login)
        self._changed[change.key] = session

    def _set_login(self, session: ManagedSession, login: LoginState) -> None:
        was_logged_in, is_logged_in = session.login.at is not None, login.at is not None
        if is_logged_in and login.at != session.login.at:
            session.usage = replace(session.usage, logins=session.usage.logins + 1)
            self._logins += 1
        elif was_logged_in and not is_logged_in:
            session.usage = replace(session.usage, logged_out_at=self._wall())
        session.login = login

    def count_page(self, key: str) -> None:
        """Count a response that came through a session."""
        session = self._sessions[key]
        session.usage = count_page(session.usage, self._wall(), session.account)
        self._changed[key] = session

    def cooldown(self, key: str) -> float:
        """Return the seconds that the account rests after the site refused it (403, 429)."""
        account = self._sessions[key].account
        return 0.0 if account is None else account.cooldown

    def quota_wait(self, key: str) -> float:
        """Return the seconds until the account may have another page."""
        session = self._sessions[key]
        return quota_wait(session.usage, self._wall(), session.account)

    def save(self, store: SessionStore) -> int:
        """Save what has changed of the sessions; those without hosts leave memory.

        Part of a transaction. Returns the number of logins since the last call.
        """
        for session in self._changed.values():
            store.update(session.take_changes())
            if not session.hosts:
                del self._sessions[session.key]
        self._changed.clear()
        logins, self._logins = self._logins, 0
        return logins


class FetcherSync:
    """What the fetching process lacks: sessions, hosts that are new or have changed, and scope.

    It gets a session with the first task that needs it, and keeps it until all hosts of the session
    are forgotten. Meanwhile the session changes there alone, and its changes are reported.
    """

    def __init__(self, sessions: SessionRegistry) -> None:
        self._sessions = sessions
        self._versions: dict[int, int] = {}
        """The version of each host that the fetching process has, by the host's id."""
        self._hosts: Counter[str] = Counter()
        """The number of these hosts, by the key of their session."""
        self._forgotten: list[int] = []
        self.netlocs = NetlocSet()
        """The netlocs in scope, with which a fetching process starts."""
        self._new_netlocs: list[str] = []

    def extend_scope(self, netloc: str) -> None:
        """Bring a host into scope."""
        if self.netlocs.add(netloc):
            self._new_netlocs.append(netloc)

    def forget_host(self, host: HostQueue) -> None:
        """Let the fetching process forget a host that is no longer at work."""
        if self._versions.pop(host.id, None) is not None:
            self._forgotten.append(host.id)
            self._hosts[host.session] -= 1
            if not self._hosts[host.session]:
                del self._hosts[host.session]

    def add_updates(self, batch: TaskBatch, host: HostQueue) -> None:
        """Add to ``batch`` the updates that are needed before a task of ``host``."""
        if self._new_netlocs:
            batch.scope += self._new_netlocs
            self._new_netlocs = []
        if self._forgotten:
            batch.forget += self._forgotten
            self._forgotten = []
        version = self._versions.get(host.id)
        if version != host.version:
            self._versions[host.id] = host.version
            batch.hosts.append(_host_update(host))
        if version is None:
            self._hosts[host.session] += 1
            session = self._sessions.get(host.session)
            if self._hosts[host.session] == 1 and not session.is_new:
                batch.sessions.append(session.record())

    def reset(self) -> None:
        """Begin anew, as the fetching process was replaced."""
        self._versions.clear()
        self._hosts.clear()
        self._forgotten = []
        self._new_netlocs = []


def _host_update(host: HostQueue) -> HostUpdate:
    return HostUpdate(
        host.id,
        host.origin,
        host.session,
        host.concurrency,
        host.clock.effective_delay,
        host.robots,
        host.account,
        host.seeded,
    )
