"""The sessions of the hosts at work: their cookies, login states and use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from crawler.messages import SessionChange
from crawler.records import Cookie, LoginState, SessionRecord, Usage
from crawler.session.accounts import Account, count_page, quota_wait


@dataclass(slots=True)
class SessionCopy:
    """The copy of a session that one worker has."""

    version: int = -1
    """-1 if the worker has none."""
    received: int = 0
    """How many changes the worker has reported."""


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
    """How many hosts at work belong to it."""
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

    def pop_logins(self) -> int:
        """Return the number of logins since the last call."""
        logins, self._logins = self._logins, 0
        return logins

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

    def pop_changed(self) -> Iterator[SessionRecord]:
        """Yield the sessions that the next commit must save; those without hosts leave memory."""
        for session in list(self._sessions.values()):
            if session.is_dirty:
                session.is_dirty = False
                yield session.record()
                if not session.hosts:
                    del self._sessions[session.key]
