"""Login: one at a time, once for a session, and again when the site has ended it."""

from __future__ import annotations

import logging
import time

from msgspec.structs import replace

from crawler import urls
from crawler.errors import LoginError
from crawler.request import Request
from crawler.session import Session
from crawler.spider import Spider

log = logging.getLogger(__name__)


class Login:
    """Keeps the sessions of one spider logged in."""

    def __init__(self, spider: Spider, retries: int) -> None:
        self._spider = spider
        self._retries = retries

    def ensure(self, session: Session) -> None:
        """Log in unless that has been done. Raises LoginError, also for each later request."""
        with session.lock:
            if session.logged_in_at is None:
                self._log_in(session)

    def has_ended(self, session: Session, request: Request, sent: float) -> Request:
        """A request sent at ``sent`` (monotonic) was answered as if nobody were logged in.

        Returns the request that asks for the same once more; the session will log in before,
        unless it has done so since. Raises LoginError when logging in does not help.
        """
        with session.lock:
            sent_at = time.time() - (time.monotonic() - sent)
            if session.logged_in_at is not None and session.logged_in_at <= sent_at:
                session.set_logged_in(None)
            if request.tries >= self._retries:
                session.login_error = (
                    f"{urls.redacted(request.url)} is still answered as if nobody were logged in"
                )
                raise LoginError(self._message(session))
        first = request.history[0].url if request.history else request.url
        return replace(request, url=first, history=[], tries=request.tries + 1)

    def _log_in(self, session: Session) -> None:
        """One try; when it fails, all requests of the session wait and none tries again."""
        if session.login_error is None:
            try:
                self._spider.login(session)
            except Exception as error:
                log.exception("login failed")
                session.login_error = f"{type(error).__name__}: {error}"
            else:
                session.set_logged_in(time.time())
                log.info("logged in (%s)", session.key)
        if session.login_error is not None:
            raise LoginError(self._message(session))

    def _message(self, session: Session) -> str:
        return f"login() of {self._spider.name} failed: {session.login_error}"
