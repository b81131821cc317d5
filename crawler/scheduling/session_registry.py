"""The sessions of the hosts at work, and the copies of sessions and hosts that workers have.

The scheduling process owns them. A worker gets an update together with the first task for which its
copy is too old, so that a request always has at least the cookies that were there when the page
that it was found on came.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from crawler.messages import HostUpdate, SessionChange, SessionUpdate, TaskBatch
from crawler.records import Cookie, LoginState, SessionRecord, Usage
from crawler.scheduling.host_queue import HostQueue
from crawler.session.accounts import Account, count_page, quota_wait
from crawler.store.protocols import SessionStore


@dataclass(slots=True)
class SessionCopy:
    """The copy of a session that one worker has."""

    version: int = -1
    """-1 if the worker has none."""
    received: int = 0
    """The number of changes that the worker has reported."""


@dataclass(slots=True)
class ManagedSession:
    """A session's cookies and login state as the store will have them."""

    key: str
    cookies: dict[tuple[str, str, str], Cookie]
    login: LoginState
    usage: Usage
    account: Account | None
    version: int = 0
    """Grows with each change."""
    hosts: int = 0
    """The number of hosts at work that belong to it."""
    is_dirty: bool = False
    """Something is not in the store yet."""
    copies: list[SessionCopy] = field(default_factory=list)
    """One for each worker; kept by ``WorkerSync``."""

    def record(self) -> SessionRecord:
        """Return the session as the store keeps it."""
        return SessionRecord(self.key, list(self.cookies.values()), self.login, self.usage)


class SessionRegistry:
    """All sessions in memory, by key. The scheduling process owns them; workers have copies."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        """``wall`` returns the time in seconds since the epoch."""
        self._wall = wall
        self._sessions: dict[str, ManagedSession] = {}
        self._logins = 0

    def __contains__(self, key: str) -> bool:
        return key in self._sessions

    def get(self, key: str) -> ManagedSession:
        """Return the session with this key, which must be in memory."""
        return self._sessions[key]

    def all(self) -> list[ManagedSession]:
        """Return all sessions in memory."""
        return list(self._sessions.values())

    def load(self, record: SessionRecord, account: Account | None = None) -> None:
        """Take a session from its record in the store."""
        cookies = {cookie.key: cookie for cookie in record.cookies}
        self._sessions[record.key] = ManagedSession(
            record.key, cookies, record.login, record.usage, account
        )

    def acquire(self, key: str) -> None:
        """Count one more host at work that belongs to the session."""
        self._sessions[key].hosts += 1

    def release(self, key: str) -> None:
        """Count one host less; the session leaves memory after its last host and its last save."""
        session = self._sessions[key]
        session.hosts -= 1
        if not session.hosts and not session.is_dirty:
            del self._sessions[key]

    def apply(self, change: SessionChange) -> None:
        """Apply the changes that responses made to a session."""
        session = self._sessions[change.key]
        for cookie in change.cookies:
            if cookie.value is None:
                session.cookies.pop(cookie.key, None)
            else:
                session.cookies[cookie.key] = cookie
        if change.login is not None:
            self._set_login(session, change.login)
        session.version += 1
        session.is_dirty = True

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
        session.is_dirty = True

    def cooldown(self, key: str) -> float:
        """Return the seconds that the account rests after the site refused it (403, 429)."""
        account = self._sessions[key].account
        return 0.0 if account is None else account.cooldown

    def quota_wait(self, key: str) -> float:
        """Return the seconds until the account may have another page."""
        session = self._sessions[key]
        return quota_wait(session.usage, self._wall(), session.account)

    def save(self, store: SessionStore) -> int:
        """Save the sessions that have changed; those without hosts leave memory.

        Part of a transaction. Returns the number of logins since the last call.
        """
        for session in list(self._sessions.values()):
            if session.is_dirty:
                session.is_dirty = False
                store.save(session.record())
                if not session.hosts:
                    del self._sessions[session.key]
        logins, self._logins = self._logins, 0
        return logins


class WorkerSync:
    """The versions that each worker has, and the updates that follow from them."""

    def __init__(self, sessions: SessionRegistry, workers: int) -> None:
        self._sessions = sessions
        self._workers = workers
        self._hosts: list[dict[int, int]] = [{} for _ in range(workers)]
        self._netlocs: dict[str, None] = {}
        self._new_netlocs: list[list[str]] = [[] for _ in range(workers)]
        self._evicted: list[list[int]] = [[] for _ in range(workers)]

    def extend_scope(self, netloc: str) -> None:
        """Bring a host into the scope of all workers."""
        if netloc not in self._netlocs:
            self._netlocs[netloc] = None
            for waiting in self._new_netlocs:
                waiting.append(netloc)

    def forget_host(self, host_id: int) -> None:
        """Let workers forget a host that is no longer at work."""
        for versions, evicted in zip(self._hosts, self._evicted, strict=True):
            if versions.pop(host_id, None) is not None:
                evicted.append(host_id)

    def receive(self, worker: int, change: SessionChange) -> None:
        """Apply the changes that a worker reports; its own copy has them already."""
        session = self._sessions.get(change.key)
        copy = self._copies(session)[worker]
        was_current = copy.version == session.version
        self._sessions.apply(change)
        copy.received += len(change.cookies)
        if was_current:
            copy.version = session.version

    def add_updates(self, batch: TaskBatch, worker: int, host: HostQueue) -> None:
        """Add to ``batch`` the updates that ``worker`` needs before it gets a task of ``host``."""
        if self._new_netlocs[worker]:
            batch.scope += self._new_netlocs[worker]
            self._new_netlocs[worker] = []
        if self._evicted[worker]:
            batch.forget += self._evicted[worker]
            self._evicted[worker] = []
        versions = self._hosts[worker]
        if versions.get(host.id) != host.version:
            versions[host.id] = host.version
            batch.hosts.append(_host_update(host, worker))
        session = self._sessions.get(host.session)
        copy = self._copies(session)[worker]
        if copy.version != session.version:
            copy.version = session.version
            update = SessionUpdate(
                session.key, list(session.cookies.values()), copy.received, session.login
            )
            batch.sessions.append(update)

    def reset(self, worker: int) -> None:
        """Forget the copies of a worker that is replaced by a new one."""
        self._hosts[worker] = {}
        self._evicted[worker] = []
        self._new_netlocs[worker] = list(self._netlocs)
        for session in self._sessions.all():
            if session.copies:
                session.copies[worker] = SessionCopy()

    def _copies(self, session: ManagedSession) -> list[SessionCopy]:
        if not session.copies:
            session.copies = [SessionCopy() for _ in range(self._workers)]
        return session.copies


def _host_update(host: HostQueue, worker: int) -> HostUpdate:
    return HostUpdate(
        host.id,
        host.origin,
        host.session,
        host.slots[worker] or host.concurrency,
        host.robots,
        host.account,
        host.seeded,
    )
