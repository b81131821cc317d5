"""Login: call the spider's login, and see whether it has logged in."""

from __future__ import annotations

import inspect
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Protocol

from crawler import urls
from crawler.errors import (
    AccountError,
    FetchError,
    InputRequiredError,
    LoginError,
    NoNetworkError,
    SpiderError,
    StatusError,
)
from crawler.parsing.response import Response
from crawler.request import Request
from crawler.session.accounts import SessionKey
from crawler.session.concurrency import FetchTurn
from crawler.session.credentials import unset_variable
from crawler.session.evidence import Weight
from crawler.session.login_progress import ENDS_AT_A_PAGE, MAX_UNCONFIRMED, first_url
from crawler.session.prober import NETWORK_ERRORS, Prober
from crawler.session.session import Session
from crawler.store.permissions import open_safely
from crawler.system_errors import out_of_handles, too_many_open_files
from crawler.tracebacks import traceback_of
from crawler.values.plain import message_of

log = logging.getLogger(__name__)

UNCONFIRMED = "login check"
"""The cause of a login after which the probe page came as to a stranger, for the first time."""
LONGEST_PAUSE = 120.0
"""Seconds that a login waits at the most until it is tried again in the same run."""


class LoginSpider(Protocol):
    """The part of a spider that logs in."""

    @property
    def name(self) -> str:
        """The name of the spider, for messages."""

    def login(self, session: Session, *args: Any) -> None:
        """Log in through ``session``."""


class Login:
    """Keeps the sessions of one spider logged in."""

    def __init__(
        self,
        spider: LoginSpider,
        prober: Prober,
        retries: int,
        pages: Path | None = None,
        *,
        wall: Callable[[], float] = time.time,
        wait: Callable[[FetchError, int], float | None] = lambda _error, _tries: None,
    ) -> None:
        """``pages`` is the folder where a page that shows a failed login is saved.

        ``wait`` returns the seconds after which a login is tried again, from its error and the
        number of earlier tries; None if it is not.

        ``wall`` is the clock of ``Request.asked``. It must not jump: times by it tell requests from
        before a login from those after it.
        """
        self._spider = spider
        self.prober = prober
        self._pages = pages
        self._wall = wall
        self._wait = wait
        self._retries = retries

    @contextmanager
    def logged_in(
        self, session: Session, request: Request, *, alone: bool = False
    ) -> Iterator[FetchTurn]:
        """Hold the session logged in, and its fetches in their order, within the block.

        ``alone`` lets no other page be fetched meanwhile.
        """
        while True:
            self.ensure(session, request)
            # A page at which the session has ended before is fetched with no other beside it.
            exclusive = alone or session.progress.ends_at(request) > 0
            with session.turns.page(exclusive=exclusive) as turn:
                if session.progress.logged_in_at is not None:
                    yield turn
                    return

    def ensure(self, session: Session, request: Request | None = None) -> None:
        """Log in unless that has been done. Raises LoginError, also for each later request.

        ``request`` is the page that needs the login.
        """
        if session.progress.logged_in_at is None:
            with session.turns.login():
                if session.progress.logged_in_at is None:
                    self._log_in(session, request)

    def _log_in(self, session: Session, request: Request | None) -> None:
        """Try to log in. After a failure all requests of the session wait, and none tries again."""
        progress = session.progress
        if progress.failure is None and progress.waiting:  # since an earlier run
            progress.mark_failed(f"login of {self._owner(session)} needs {progress.waiting}")
        if progress.failure is not None:
            raise progress.error()
        began = time.monotonic()
        for tries in range(self._retries + 1):
            error = self._call(session, request)
            if error is None:
                break
            # A form that has expired is opened anew at once.
            at_once = error.cause in {"http 419", UNCONFIRMED}
            pause = 0.0 if at_once else self._wait(error, tries)
            if pause is None or tries == self._retries:
                self.give_up(session, progress.page, str(error))
            if pause > LONGEST_PAUSE:
                self.give_up(session, progress.page, f"{error}, to be asked in {pause:.0f} s")
            log.warning(
                "%s: the login is tried again in %.1f s: %s",
                session.key,
                pause,
                session.mask(str(error)),
            )
            time.sleep(pause)
        session.hide_credentials()
        session.throttle.wait()
        progress.mark_logged_in(
            self._wall(), verified=self._is_proven_since(session, request, began)
        )
        log.info("%s: logged in", session.key)

    def _is_proven_since(self, session: Session, request: Request | None, began: float) -> bool:
        if request is None:
            return False
        return session.progress.evidence.probe(request.url).proven_at >= began

    def _call(self, session: Session, request: Request | None) -> FetchError | None:
        """Call the spider's ``login``. Return an error that passes; raise LoginError for others."""
        progress = session.progress
        progress.mark_started(has_cookies=bool(list(session.cookies)))
        try:
            self._call_spider(session)
        except InputRequiredError as error:
            question = " ".join(session.mask(error.question).split()) or "a person"
            message = self._message(session, progress.page, f"needs {question}")
            progress.mark_waiting(question, message)
            raise progress.error() from error
        except AccountError as error:
            self.give_up(session, progress.page, str(error))
        except BaseException as error:  # it may end by sys.exit()
            if isinstance(error, KeyboardInterrupt) and is_main_thread():
                raise  # of `crawl login`
            session.hide_credentials()
            if out_of_handles(error):  # the login has not failed: there will be another try
                raise too_many_open_files() from error
            cause = error if error.__cause__ is None else error.__cause__
            if isinstance(cause, NoNetworkError):
                raise cause from error
            return self._handle_error(session, request, error)
        try:
            session.check()
        except SpiderError as error:
            self.give_up(session, progress.page, str(error))
        return self._check_result(session, request)

    def _call_spider(self, session: Session) -> None:
        with session.user_urls_allowed():
            if len(inspect.signature(self._spider.login).parameters) > 1:
                self._spider.login(session, session.account)
            else:
                self._spider.login(session)

    def _handle_error(
        self, session: Session, request: Request | None, error: BaseException
    ) -> FetchError | None:
        """Return an error that passes, or None if the session turns out to be logged in."""
        if (passing := _passing_error(session.progress.page)) is not None:
            return passing
        if isinstance(error, FetchError):
            return error
        if isinstance(error, NETWORK_ERRORS):
            message = f"{type(error).__name__}: {message_of(error)}"
            return FetchError("connection", message, retryable=True)
        page = session.progress.page  # before the probe takes its place
        if request is not None and self.prober.sees_member(session, request, is_likely=bool(page)):
            log.info("%s: was logged in already (%s)", session.key, session.mask(message_of(error)))
            return None
        if isinstance(error, LoginError):
            self.give_up(session, page, str(error))
        if session.progress.began_with_cookies and not session.progress.retried_as_stranger:
            # The site may have seen a session that is neither logged in nor anonymous.
            session.progress.retried_as_stranger = True
            session.cookies.clear()
            return self._call(session, request)
        log.error("%s: login failed\n%s", session.key, traceback_of(error, session.mask))
        reason = unset_variable(error) or f"{type(error).__name__}: {message_of(error)}"
        raise self.give_up(session, page, reason)

    def _check_result(self, session: Session, request: Request | None) -> FetchError | None:
        """Check that ``login`` has logged in, if a page can show it. Raises LoginError if not."""
        progress, prober = session.progress, self.prober
        page = progress.page
        if (passing := _passing_error(page)) is not None:
            return passing
        is_out = page is not None and self._looks_logged_out(session, page)
        url = None if request is None else first_url(request)
        is_member = None
        if url is not None and prober.is_known(session, url):
            is_member = prober.look(session, url)
        elif is_out and request is not None:
            is_member = prober.try_page(session, request)
        if is_member or (is_member is None and not is_out):
            return None
        if not is_out or (is_member is False and not self._shows_login_form(session, page)):
            reason = prober.describe_stranger(session, url or "")
            progress.unconfirmed += 1
            # A page that only members get shows that the login is right, however often it ends.
            is_right = page is not None and self._shows_member(session, page)
            if progress.unconfirmed <= (ENDS_AT_A_PAGE if is_right else MAX_UNCONFIRMED):
                return FetchError(UNCONFIRMED, reason, retryable=True)
        elif self.prober.has_own_check:
            reason = "it ended still logged out"
        else:
            reason = "the page after it asks for the password again"
        raise self.give_up(session, page, reason)

    def _looks_logged_out(self, session: Session, page: Response) -> bool:
        """Return True if the last page of a login has its form again, or is a stranger's."""
        if self.prober.has_own_check:
            return self.prober.is_logged_out(page)
        return session.progress.evidence.has_login_form(page) or asks_again(session, page)

    def _shows_member(self, session: Session, page: Response) -> bool:
        """Return True if the last page of a login looks like one that only members get."""
        evidence = session.progress.evidence
        if self.prober.has_own_check:
            return False
        is_member = evidence.probe(page.url).is_member_view(evidence.view(page))
        return bool(is_member) or evidence.weigh(page).weight is Weight.MEMBER

    def _shows_login_form(self, session: Session, page: Response | None) -> bool:
        """Return False if the last page of a login may have another form for a password only."""
        if self.prober.has_own_check or page is None:
            return True
        return session.progress.evidence.has_login_form(page)

    def probe(self, session: Session, request: Request) -> None:
        """Look at the probe page; if it is a stranger's, the next page of the session logs in."""
        with self.logged_in(session, request) as turn:
            if session.turns.finish_others(turn) or not self.prober.is_known(session, request.url):
                return
            if self.look(session, request.url)[0] is False:
                log.info("%s: logged out (%s)", session.key, urls.redacted(request.url))
                session.progress.mark_ended()

    def look(self, session: Session, url: str) -> tuple[bool | None, bool]:
        """Look at the probe page: whether it is the account's, and whether it was only made so.

        A site may renew a session by a second cookie, or by a provider that still knows the user.
        Then the pages that came before were no longer the account's.
        """
        progress, unproven, before = session.progress, session.progress.unproven, _values(session)
        is_member = self.prober.look(session, url)
        if not is_member or progress.rotates or (after := _values(session)) == before:
            return is_member, False
        self.prober.look(session, url)
        if progress.mark_renewal(changes_again=_values(session) != after):
            return is_member, False
        self.mark_renewed(session, unproven)
        return is_member, True

    def mark_renewed(self, session: Session, unproven: Iterable[str]) -> None:
        """Have the ``unproven`` pages asked again, as the session had ended before they came."""
        log.info("%s: the site has renewed the session", session.key)
        session.progress.mark_renewed(self._wall(), unproven)

    def give_up(self, session: Session, page: Response | None, reason: str) -> NoReturn:
        """Try no more logins in this process. Raises LoginError."""
        session.progress.mark_failed(self._message(session, page, f"failed: {reason}"))
        raise session.progress.error()

    def _message(self, session: Session, page: Response | None, verdict: str) -> str:
        """Say whose login it is, how it ended, and at which page, which is saved."""
        details = [] if page is None else facts(page)
        if page is not None and self._pages is not None:
            details += save(session, page, self._pages)
        where = f" ({', '.join(details)})" if details else ""
        return session.mask(f"login of {self._owner(session)} {verdict.rstrip('.')}{where}")

    def _owner(self, session: Session) -> str:
        account = SessionKey.parse(session.key).account
        return f"{self._spider.name} as {account}" if account else self._spider.name


def is_main_thread() -> bool:
    """Return True in the thread that Ctrl-C interrupts."""
    return threading.current_thread() is threading.main_thread()


def _values(session: Session) -> dict[tuple[str, str, str], str | None]:
    """Return the values of a session's cookies."""
    return {(cookie.domain, cookie.path, cookie.name): cookie.value for cookie in session.cookies}


def _passing_error(page: Response | None) -> StatusError | None:
    """Return the error of a login's last page that says nothing of the login; None for others."""
    if page is None or (page.status < 500 and page.status not in {419, 429}):
        return None
    return StatusError(
        page.status, f"{urls.redacted(page.url)}: the server answered {page.status}", page
    )


def asks_again(session: Session, page: Response) -> bool:
    """Return True if ``page`` is the login's form once more, as after a wrong password.

    That is a form with a password field, either at a login page or in direct response to the form.
    After a login that works, sites redirect to another page.
    """
    is_direct = page.request.method == "POST" and not page.history
    if not page.is_html or not (is_direct or session.progress.evidence.is_login_page(page.url)):
        return False
    return bool(page.xpath("//form//input[@type='password']"))


def facts(page: Response) -> list[str]:
    """Describe a page by its address, status and title."""
    title = " ".join((page.css("title::text").get() or "").split()) if page.is_html else ""
    address = [f"at {urls.redacted(page.url)}", f"status {page.status}"]
    return [*address, f"{title!r}"] if title else address


def save(session: Session, page: Response, folder: Path) -> list[str]:
    """Save the page, with secrets masked; return where, for a message."""
    path = folder / f"login-{re.sub(r'[^A-Za-z0-9_.-]', '_', session.key)}.html"
    body = session.mask.page(page.body)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.unlink(missing_ok=True)  # so that the new file has the right mode, and is ours
        number = open_safely(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(body)
    except OSError as error:
        log.warning("cannot save %s: %s", path, error)
        return []
    return [f"saved as {path}"]
