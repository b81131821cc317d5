"""Login: one at a time, once for a session, and again when the site has ended it."""

from __future__ import annotations

import logging
import time
from typing import NoReturn

from msgspec.structs import replace

from crawler import urls
from crawler.errors import FetchError, LoginError
from crawler.request import Request
from crawler.session import Session
from crawler.spider import Spider

log = logging.getLogger(__name__)


MOST_FRUITLESS = 1
"""Logins in a row after which the very next page may come back as if logged out."""


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
        unless it has done so since. Raises LoginError when logging in changes nothing, and
        FetchError when it helps other pages but not this one.
        """
        with session.lock:
            sent_at = time.time() - (time.monotonic() - sent)
            if session.logged_in_at is not None and session.logged_in_at <= sent_at:
                session.set_logged_in(None)
                session.fruitless_logins += 1
        if session.fruitless_logins > MOST_FRUITLESS:
            self._give_up(session, f"{urls.redacted(request.url)} came back as if logged out")
        if request.tries >= self._retries:
            url = urls.redacted(request.url)
            raise FetchError("logged out", f"{url}: logging in again does not help this page")
        first = request.history[0].url if request.history else request.url
        return replace(request, url=first, history=[], tries=request.tries + 1)

    def has_worked(self, session: Session) -> None:
        """A page came back as it should to somebody who is logged in."""
        session.fruitless_logins = 0

    def _log_in(self, session: Session) -> None:
        """One try; when it fails, all requests of the session wait and none tries again."""
        if session.login_error is not None:
            raise LoginError(session.login_error)
        try:
            self._spider.login(session)
        except Exception as error:
            log.exception("login failed")
            self._give_up(session, f"{type(error).__name__}: {error}")
        page = session.page
        if page is not None and self._spider.is_logged_out(page):
            self._give_up(session, f"it ended on {urls.redacted(page.url)}, still logged out")
        session.pace()
        session.set_logged_in(time.time())
        log.info("logged in (%s)", session.key)

    def _give_up(self, session: Session, why: str) -> NoReturn:
        session.login_error = f"login() of {self._spider.name} failed: {why}"
        raise LoginError(session.login_error)
