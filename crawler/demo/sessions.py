"""The sessions of the shop's visitors, in memory, for all threads."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field


def _token() -> str:
    return secrets.token_urlsafe(18)


@dataclass
class Session:
    """A browser, identified by its cookie's ``token``; ``user`` is ``None`` until it logs in."""

    user: str | None = None
    token: str = field(default_factory=_token)
    before: str | None = None
    csrf: str = field(default_factory=_token)
    since: float = field(default_factory=time.monotonic)
    requests: int = 0


class Sessions:
    """All active sessions.

    A session ends after ``max_requests`` requests or ``max_seconds``, whichever comes first;
    ``None`` is never. With ``rotate`` every request of a logged-in session gets a new token. The
    previous token is valid until the new one has been used, so that a lost response logs
    no user out; older ones are invalid.
    """

    def __init__(
        self,
        max_requests: int | None = None,
        max_seconds: float | None = None,
        rotate: bool = False,
    ) -> None:
        self.max_requests = max_requests
        self.max_seconds = max_seconds
        self.rotate = rotate
        self.logins = 0
        self._by_token: dict[str, Session] = {}
        self._lock = threading.Lock()

    def find(self, token: str | None) -> Session | None:
        """Return the session of a request; ``None`` if it is unknown or has ended."""
        with self._lock:
            session = self._by_token.get(token or "")
            if session is None:
                return None
            session.requests += 1
            if self._is_over(session):
                self._forget(session)
                return None
            if self.rotate and session.user is not None and token == session.token:
                self._give_new_token(session)
            return session

    def open(self) -> Session:
        """Return a new session without a user, as a login form needs it."""
        return self._add(Session())

    def log_in(self, session: Session, user: str) -> Session:
        """Replace ``session`` by a session of ``user``, with a new token."""
        self.close(session)
        self.logins += 1
        return self._add(Session(user))

    def close(self, session: Session) -> None:
        """End a session."""
        with self._lock:
            self._forget(session)

    def close_all(self) -> None:
        """End every session, as the restart of a site does."""
        with self._lock:
            self._by_token.clear()

    def _add(self, session: Session) -> Session:
        with self._lock:
            self._by_token[session.token] = session
        return session

    def _is_over(self, session: Session) -> bool:
        if self.max_requests is not None and session.requests > self.max_requests:
            return True
        return self.max_seconds is not None and time.monotonic() - session.since > self.max_seconds

    def _give_new_token(self, session: Session) -> None:
        self._by_token.pop(session.before or "", None)
        session.before, session.token = session.token, _token()
        self._by_token[session.token] = session

    def _forget(self, session: Session) -> None:
        self._by_token.pop(session.token, None)
        self._by_token.pop(session.before or "", None)
