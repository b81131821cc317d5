"""The sessions of one worker: prepared by the spider, shared by hosts, closed after the last."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from crawler.http.adapter import CurlAdapter
from crawler.session.accounts import Account, SessionKey
from crawler.session.session import Session
from crawler.spider import Spider
from crawler.tracebacks import traceback_of
from crawler.values.plain import message_of

log = logging.getLogger(__name__)

STRANGER = "stranger"
"""The key of a session that never logs in. It is not stored."""


class SessionPool:
    """Sessions by their keys. ``new`` makes one; most of them send by the adapter ``shared``."""

    def __init__(
        self,
        spider: Spider,
        new: Callable[[str], Session],
        shared: CurlAdapter,
        accounts: Mapping[str, Account],
    ) -> None:
        self._spider = spider
        self._new = new
        self._shared = shared
        self._accounts = accounts
        self._sessions: dict[str, Session] = {}
        self._hosts: Counter[str] = Counter()
        self.unprepared: dict[str, str] = {}
        """The error of ``Spider.prepare``, by the key of the session."""

    def get(self, key: str) -> Session:
        """Return the session with this key; the first call lets the spider prepare it."""
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = self._new(key)
            session.account = self._accounts.get(SessionKey.parse(key).account)
            if why := prepare(self._spider, session):
                self.unprepared[key] = why
        return session

    def acquire(self, key: str) -> None:
        """Count one more host that uses this session."""
        self._hosts[key] += 1

    def release(self, key: str) -> None:
        """Count one host less; after the last, drop the session."""
        self._hosts[key] -= 1
        if not self._hosts[key]:
            del self._hosts[key]
            session = self._sessions.pop(key, None)
            if session is not None:
                self._close_own_adapters(session)

    @contextmanager
    def stranger(self, account: Account | None) -> Iterator[Session]:
        """Hold a session that does not log in, set up as that of ``account`` is."""
        session = self._new(STRANGER)
        session.account = account
        prepare(self._spider, session)
        try:
            yield session
        finally:
            self._close_own_adapters(session)

    def _close_own_adapters(self, session: Session) -> None:
        for adapter in session.adapters.values():
            if adapter is not self._shared:  # the spider's own
                adapter.close()

    def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            session.close()


def prepare(spider: Spider, session: Session) -> str:
    """Let the spider set up a new session; return the error as a message, or ""."""
    message = ""
    try:
        spider.prepare(session)
        session.check()
    except BaseException as error:  # it may end by sys.exit()
        log.error("prepare() failed\n%s", traceback_of(error, session.mask))
        message = session.mask(
            f"prepare() of {spider.name} failed: {type(error).__name__}: {message_of(error)}"
        )
    session.freeze_defaults()
    return message
