"""Login: one at a time, once for a session, and again when the site has ended it."""

from __future__ import annotations

import inspect
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from msgspec.structs import replace

from crawler import urls
from crawler.errors import AccountError, FetchError, LoginError, NeedsPersonError
from crawler.failures import traceback_of
from crawler.passwords import unset_variable
from crawler.request import Request
from crawler.response import Response
from crawler.safety import Safety
from crawler.session import Session
from crawler.settings import Settings
from crawler.spider import Spider
from crawler.trouble import no_handles, out_of_handles

log = logging.getLogger(__name__)


_request_of = msgspec.msgpack.Decoder(Request).decode

MOST_FRUITLESS = 1
"""Logins in a row after which the very next page may come back as if logged out."""


class Login:
    """Keeps the sessions of one spider logged in."""

    def __init__(
        self,
        spider: Spider,
        retries: int,
        one_callback: AbstractContextManager[Any],
        pages: Path | None = None,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``pages`` is the folder where a page that shows a failed login is kept.

        ``wall`` is the clock that ``Request.asked`` is of, by which what was sent before a login is
        told from what was sent after it; so it must not jump.
        """
        self._spider = spider
        self._retries = retries
        self._one_callback = one_callback
        self._pages = pages
        self._wall = wall
        self._proven: set[str] = set()
        """Keys of sessions that have logged in, or worked, in this process."""

    def ensure(self, session: Session) -> None:
        """Log in unless that has been done. Raises LoginError, also for each later request."""
        with session.lock:
            if session.logged_in_at is None:
                with session.gate.alone():
                    self._log_in(session)

    @contextmanager
    def inside(self, session: Session) -> Iterator[None]:
        """Logged in, for one fetch: no login begins before it is over.

        An answer that comes during a login, or after it to what was sent before it, would bring
        cookies of nobody into the session. Fetches of a session whose last answer has changed a
        cookie that it had go one by one, so that none is sent with a cookie that has died.
        """
        while True:
            self.ensure(session)
            with session.gate.alone() if session.rotates else session.gate.together():
                if session.logged_in_at is not None:
                    yield
                    return

    def check(self, session: Session, request: Request, response: Response) -> Request | None:
        """None when ``response`` is that of a page, to somebody who is logged in.

        Otherwise the request that asks for the same once more; the session will log in before,
        unless it has done so since. Raises LoginError when logging in changes nothing, and
        FetchError when it helps other pages but not this one.
        """
        with session.lock:
            is_current = _is_current(session, request)
            # Redirects that began before the login say nothing, wherever they have led since.
            crossed = bool(request.history) and not is_current
            if not crossed and not self._is_logged_out(session, response, is_current=is_current):
                self._has_worked(session, request, response)
                return None
            return self._again(session, request, response, is_current=is_current)

    def check_redirect(
        self,
        session: Session,
        request: Request,
        response: Response,
        target: Request,
        *,
        is_foreign: bool,
    ) -> Request | None:
        """As ``check``, for a redirect to ``target``: it may lead to a page of the login.

        Such a page need not be opened, unless the spider wants to see it itself.
        """
        is_default = type(self._spider).is_logged_out is Spider.is_logged_out
        if not session.is_login_page(target.url) or not (is_default or is_foreign):
            return None
        with session.lock:
            is_current = _is_current(session, request)
            return self._again(session, request, response, is_current=is_current)

    def _again(
        self, session: Session, request: Request, response: Response, *, is_current: bool
    ) -> Request:
        # What was sent before the login does not count. Nor what was sent with cookies that were
        # taken over: newer ones may have died with a process that was killed.
        tries = request.tries + (is_current and session.key in self._proven)
        last = tries > self._retries
        if is_current and request.tries and not session.has_worked:
            # A new login did not bring this page back; whether it does others, they will tell.
            if last:
                self._give_up(session, response, "pages still come back as if logged out")
        elif is_current:
            log.info("%s: logged out (%s)", session.key, urls.redacted(response.url))
            session.logged_in_at = None
            session.fruitless_logins += not session.has_worked
        if session.fruitless_logins > MOST_FRUITLESS:
            self._give_up(session, response, "the pages after it came back as if logged out")
        url = urls.redacted(request.url)
        if not request.replay:
            raise FetchError(
                "logged out",
                f"{url}: the session had ended when it was sent, and it is not sent again "
                "(replay=False)",
            )
        if last:
            raise FetchError("logged out", f"{url}: logging in again does not help this page")
        if request.first is not None:
            return replace(_request_of(request.first), tries=tries, asked=0.0)
        first = request.history[0].url if request.history else request.url
        return replace(request, url=first, history=[], tries=tries, asked=0.0)

    def _is_logged_out(self, session: Session, response: Response, *, is_current: bool) -> bool:
        if response.status in (401, 403) and not is_current:
            return True  # it was asked for while the session had ended, which says nothing yet
        with self._one_callback:
            return self._spider.is_logged_out(response)

    def _has_worked(self, session: Session, request: Request, response: Response) -> None:
        session.fruitless_logins = 0
        session.has_worked = True
        self._proven.add(session.key)
        if response.status != 403:
            session.forbidden = 0
            return
        session.forbidden += 1
        if request.tries:
            session.login_cures_403 = False

    def _log_in(self, session: Session) -> None:
        """One try; when it fails, all requests of the session wait and none tries again."""
        if session.waiting and session.login_error is None:  # since an earlier run
            session.login_error = f"login of {self._who(session)} waits for {session.waiting}"
        if session.login_error is not None:
            raise _refusal(session)
        session.start_anew()
        try:
            with session.trusting():
                self._call(session)
        except NeedsPersonError as error:
            session.waiting = " ".join(session.mask(error.question).split()) or "a person"
            self._give_up(session, session.page, "", verdict=f"waits for {session.waiting}")
        except (AccountError, LoginError) as error:
            self._give_up(session, session.page, str(error))
        except Exception as error:
            session.hide_credentials()
            if out_of_handles(error):  # it is not the login that failed: there will be another try
                raise no_handles() from error
            log.error("%s: login failed\n%s", session.key, traceback_of(error, session.mask))
            why = unset_variable(error) or f"{type(error).__name__}: {error}"
            self._give_up(session, session.page, why)
        if session.page is not None and self._is_logged_out(session, session.page, is_current=True):
            self._give_up(session, session.page, "it ended still logged out")
        session.hide_credentials()
        session.pace()
        session.has_worked = False
        session.logged_in_at = self._wall()
        self._proven.add(session.key)
        log.info("%s: logged in", session.key)

    def _call(self, session: Session) -> None:
        """Call ``login`` with the account too, if it takes one."""
        login: Callable[..., None] = self._spider.login
        if len(inspect.signature(login).parameters) > 1:
            login(session, session.account)
        else:
            login(session)

    def _give_up(
        self, session: Session, page: Response | None, why: str, verdict: str = "failed: "
    ) -> NoReturn:
        """No more tries in this run; the message says whose login, where, and what was seen."""
        facts = [] if page is None else [*_facts(page), *self._saved(session, page)]
        seen = f" ({', '.join(facts)})" if facts else ""
        said = f"login of {self._who(session)} {verdict}{why.rstrip('.')}{seen}"
        session.login_error = session.mask(said)
        raise _refusal(session)

    def _who(self, session: Session) -> str:
        account = session.key.partition(":")[2]
        return f"{self._spider.name} as {account}" if account else self._spider.name

    def _saved(self, session: Session, page: Response) -> list[str]:
        """Keep the page for a look, without what was typed into password fields."""
        if self._pages is None:
            return []
        path = self._pages / f"login-{re.sub(r'[^A-Za-z0-9_.-]', '_', session.key)}.html"
        body = session.mask.page(page.body)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with open(path, "wb", opener=_private) as file:
                file.write(body)
        except OSError as error:
            log.warning("cannot save %s: %s", path, error)
            return []
        return [f"saved as {path}"]


def _refusal(session: Session) -> LoginError:
    """Why the session is not logged in."""
    message = session.login_error or ""
    return NeedsPersonError(session.waiting, message) if session.waiting else LoginError(message)


def _facts(page: Response) -> list[str]:
    """A page by its address, status and title."""
    title = " ".join((page.css("title::text").get() or "").split()) if page.is_html else ""
    facts = [f"at {urls.redacted(page.url)}", f"status {page.status}"]
    return [*facts, f"{title!r}"] if title else facts


def _is_current(session: Session, request: Request) -> bool:
    """False when ``request``, or a hop on its way, was sent before the last login."""
    return session.logged_in_at is not None and session.logged_in_at <= request.asked


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def safety_of(spider: Spider, settings: Settings) -> Safety:
    """What a job that logs in does not follow, by its spider and settings."""
    return Safety(
        spider.logout_urls,
        follow_logout=settings.follow_logout,
        follow_destructive=settings.follow_destructive,
    )


def prepare(spider: Spider, session: Session) -> str:
    """Let the spider set up a new session; returns why it could not, if so."""
    why = ""
    try:
        spider.prepare(session)
    except Exception as error:
        log.error("prepare() failed\n%s", traceback_of(error, session.mask))
        what = f"{type(error).__name__}: {error}"
        why = session.mask(f"prepare() of {spider.name} failed: {what}")
    session.settle()
    return why
