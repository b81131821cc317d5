"""Sessions of one worker: made as the spider wants them, shared by hosts, closed after the last."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping

from crawler.http.adapter import PoolAdapter
from crawler.session.accounts import Account
from crawler.session.keys import SessionKey
from crawler.session.session import Session
from crawler.spider import Spider
from crawler.tracebacks import traceback_of

log = logging.getLogger(__name__)


class SessionPool:
    """By their keys. ``new`` makes one, ``shared`` is the adapter that most of them send by."""

    def __init__(
        self,
        spider: Spider,
        new: Callable[[str], Session],
        shared: PoolAdapter,
        accounts: Mapping[str, Account],
    ) -> None:
        self._spider = spider
        self._new = new
        self._shared = shared
        self._accounts = accounts
        self._known: dict[str, Session] = {}
        self._hosts: Counter[str] = Counter()
        self.unprepared: dict[str, str] = {}
        """Why ``Spider.prepare`` could not set a session up."""

    def get(self, key: str) -> Session:
        """The session with this key, prepared by the spider when it is first asked for."""
        session = self._known.get(key)
        if session is None:
            session = self._known[key] = self._new(key)
            session.account = self._accounts.get(SessionKey.parse(key).account)
            if why := prepare(self._spider, session):
                self.unprepared[key] = why
        return session

    def acquire(self, key: str) -> None:
        """One host more goes through this session."""
        self._hosts[key] += 1

    def release(self, key: str) -> None:
        """One host less does; after the last, the session is forgotten."""
        self._hosts[key] -= 1
        if not self._hosts[key]:
            del self._hosts[key]
            gone = self._known.pop(key, None)
            for adapter in () if gone is None else gone.adapters.values():
                if adapter is not self._shared:  # the spider's own
                    adapter.close()

    def close(self) -> None:
        """Close all connections."""
        for session in self._known.values():
            session.close()


def prepare(spider: Spider, session: Session) -> str:
    """Let the spider set up a new session; returns why it could not, if so."""
    why = ""
    try:
        spider.prepare(session)
    except Exception as error:
        log.error("prepare() failed\n%s", traceback_of(error, session.mask))
        what = f"{type(error).__name__}: {error}"
        why = session.mask(f"prepare() of {spider.name} failed: {what}")
    session.freeze_defaults()
    return why
