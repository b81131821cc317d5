"""Login: keep a session logged in, and judge by each response whether it still is."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum, auto
from http.client import HTTPException
from pathlib import Path
from typing import Any, NoReturn, Protocol

import requests
from msgspec.structs import replace
from urllib3.exceptions import HTTPError

from crawler import urls
from crawler.errors import AccountError, FetchError, InputRequiredError, LoginError
from crawler.http.redirects import is_redirect, leads_to
from crawler.parsing.response import Response
from crawler.request import Request, unpacked
from crawler.scope import Scope
from crawler.session import login_page
from crawler.session.concurrency import FetchTurn
from crawler.session.credentials import unset_variable
from crawler.session.keys import SessionKey
from crawler.session.session import Session
from crawler.system_errors import out_of_handles, too_many_open_files
from crawler.tracebacks import traceback_of

log = logging.getLogger(__name__)


MAX_FAILED_LOGINS = 1
"""Logins in a row after which the very next page may come back as if logged out."""


class LoginSpider(Protocol):
    """The part of a spider that logs in."""

    @property
    def name(self) -> str:
        """The name of the spider, for messages."""

    def login(self, session: Session, *args: Any) -> None:
        """Log in through ``session``."""

    def is_logged_out(self, response: Response) -> bool:
        """Return True if ``response`` shows that the session has ended."""


class AskAgain(Exception):  # noqa: N818 (it is no error)
    """The response is not the page: ``request`` is to be sent in its place, later."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.url)
        self.request = request


class Verdict(Enum):
    """The meaning of a response for the login of its session."""

    ACCEPTED = auto()
    """A logged-in session gets this response."""
    RETRY = auto()
    """Says nothing: the request was sent before the last login, or with cookies since replaced."""
    LOGGED_OUT = auto()
    """The site has ended the session."""
    FORBIDDEN = auto()
    """The session is logged in, but its account may not see this page."""


class Login:
    """Keeps the sessions of one spider logged in."""

    def __init__(
        self,
        spider: LoginSpider,
        scope: Scope,
        retries: int,
        callback_lock: AbstractContextManager[Any],
        pages: Path | None = None,
        *,
        has_own_check: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``pages`` is the folder where a page that shows a failed login is saved.

        ``has_own_check`` says that the spider decides itself which pages are logged-out ones.

        ``wall`` is the clock of ``Request.asked``. It must not jump: times by it tell requests from
        before a login from those after it.
        """
        self._spider = spider
        self._has_own_check = has_own_check
        self._scope = scope
        self._callback_lock = callback_lock
        self._pages = pages
        self._wall = wall
        self.retries = retries
        self.proven: set[str] = set()
        """Keys of sessions that have logged in, or brought a page, in this process."""

    @contextmanager
    def turn(self, session: Session, request: Request) -> Iterator[LoginTurn]:
        """Fetch ``request`` while logged in, and pass the response to ``LoginTurn.judge``.

        No login begins before the block ends: a response that comes during a login, or after it to
        a request from before it, would bring cookies of an anonymous session. Raises LoginError
        when the login fails, and AskAgain when ``request`` must not be sent as it is.
        """
        with self._logged_in(session) as fetch_turn:
            turn = LoginTurn(self, session, request, fetch_turn)
            turn.check_request()
            yield turn

    @contextmanager
    def _logged_in(self, session: Session) -> Iterator[FetchTurn]:
        while True:
            self.ensure(session)
            with session.turns.page() as turn:
                if session.progress.logged_in_at is not None:
                    yield turn
                    return

    def ensure(self, session: Session) -> None:
        """Log in unless that has been done. Raises LoginError, also for each later request."""
        if session.progress.logged_in_at is None:
            with session.turns.login():
                if session.progress.logged_in_at is None:
                    self._log_in(session)

    def _log_in(self, session: Session) -> None:
        """Try once. After a failure all requests of the session wait, and none tries again."""
        progress = session.progress
        if progress.failure is None and progress.waiting:  # since an earlier run
            progress.mark_failed(f"login of {self._owner(session)} needs {progress.waiting}")
        if progress.failure is not None:
            raise progress.error()
        progress.mark_started()
        self._call(session)
        page = progress.page
        if page is not None and self.is_logged_out(page):
            self.give_up(session, page, "it ended still logged out")
        if page is not None and not self._has_own_check and login_page.asks_again(session, page):
            self.give_up(session, page, "the page after it asks for the password again")
        session.hide_credentials()
        session.throttle.wait()
        progress.mark_logged_in(self._wall())
        self.proven.add(session.key)
        log.info("%s: logged in", session.key)

    def _call(self, session: Session) -> None:
        """Call the spider's ``login``. Raises LoginError for whatever it raises."""
        try:
            with session.user_urls_allowed():
                if len(inspect.signature(self._spider.login).parameters) > 1:
                    self._spider.login(session, session.account)
                else:
                    self._spider.login(session)
        except InputRequiredError as error:
            question = " ".join(session.mask(error.question).split()) or "a person"
            message = self._message(session, session.progress.page, f"needs {question}")
            session.progress.mark_waiting(question, message)
            raise session.progress.error() from error
        except (AccountError, LoginError) as error:
            self.give_up(session, session.progress.page, str(error))
        except Exception as error:
            session.hide_credentials()
            if out_of_handles(error):  # the login has not failed: there will be another try
                raise too_many_open_files() from error
            log.error("%s: login failed\n%s", session.key, traceback_of(error, session.mask))
            reason = unset_variable(error) or f"{type(error).__name__}: {error}"
            self.give_up(session, session.progress.page, reason)

    def give_up(self, session: Session, page: Response | None, reason: str) -> NoReturn:
        """Try no more logins in this process. Raises LoginError."""
        session.progress.mark_failed(self._message(session, page, f"failed: {reason}"))
        raise session.progress.error()

    def _message(self, session: Session, page: Response | None, verdict: str) -> str:
        """Say whose login it is, how it ended, and at which page, which is saved."""
        facts = [] if page is None else login_page.facts(page)
        if page is not None and self._pages is not None:
            facts += login_page.save(session, page, self._pages)
        details = f" ({', '.join(facts)})" if facts else ""
        return session.mask(f"login of {self._owner(session)} {verdict.rstrip('.')}{details}")

    def _owner(self, session: Session) -> str:
        account = SessionKey.parse(session.key).account
        return f"{self._spider.name} as {account}" if account else self._spider.name

    # For LoginTurn

    def is_logged_out(self, response: Response) -> bool:
        """Ask the spider whether ``response`` shows that the session has ended."""
        with self._callback_lock:
            return self._spider.is_logged_out(response)

    def wants_to_see(self, url: str) -> bool:
        """Return True if the spider judges the login page at ``url`` itself.

        By default, a redirect to such a page is enough, and the page need not be opened.
        """
        return self._has_own_check and self._scope.allows(url)


class LoginTurn:
    """One fetch by a session that is logged in."""

    def __init__(self, login: Login, session: Session, request: Request, turn: FetchTurn) -> None:
        self._login = login
        self._session = session
        self._progress = session.progress
        self._request = request
        self._turn = turn

    def check_request(self) -> None:
        """Raises AskAgain for redirects that began before the last login.

        They say nothing. Where they lead, to the login as a rule, a session that has logged in
        since might be lost again.
        """
        if self._request.history and not self._progress.is_current(self._request):
            raise AskAgain(self._retry(self._request.tries))

    def judge(self, response: Response) -> None:
        """Return if ``response`` is what a logged-in session gets.

        Raises AskAgain when it is not, and the session will log in before the request is sent
        again, unless it has done so since; LoginError when logging in changes nothing; FetchError
        when it helps other pages but not this one.
        """
        self._apply(self._verdict(response), response)

    def _verdict(self, response: Response) -> Verdict:
        target = _redirect_target(response)
        if target is None:
            self._turn.logged_out = self._login.is_logged_out(response)
        else:
            self._turn.logged_out = self._progress.is_login_page(target)
        if not self._turn.logged_out and response.status not in (401, 403):
            return Verdict.ACCEPTED
        # A request sent beside this one may have changed the cookie, or led to a login.
        is_late = self._session.turns.finish_others(self._turn)
        if is_late or not self._progress.is_current(self._request):
            return Verdict.RETRY
        if not self._turn.logged_out or (target and self._login.wants_to_see(target)):
            return Verdict.ACCEPTED
        if self._progress.probe.saw_end_at(self._request) and self._probe_succeeds():
            return Verdict.FORBIDDEN
        return Verdict.LOGGED_OUT

    def _apply(self, verdict: Verdict, response: Response) -> None:
        """Change the session's progress by ``verdict``, and raise what follows from it."""
        session, request = self._session, self._request
        match verdict:
            case Verdict.ACCEPTED:
                if not self._turn.logged_out and not is_redirect(response.status, response.headers):
                    self._turn.accepted = True
                    self._login.proven.add(session.key)
                    # The probe goes out with the session's credentials, so to its origins only.
                    origins = session.credentials
                    may_probe = not origins.visited or origins.allow(request.url)
                    self._progress.mark_verified(request, response, may_probe=may_probe)
            case Verdict.RETRY:
                raise AskAgain(self._retry(request.tries))
            case Verdict.FORBIDDEN:
                self._progress.mark_forbidden(response.status)
                if response.status not in (401, 403):  # a page of the login: not for a callback
                    raise self._unhelped()
            case Verdict.LOGGED_OUT:
                self._log_out(response)

    def _log_out(self, response: Response) -> NoReturn:
        # A response to cookies from the store is no try: newer ones may have been lost with a
        # process that was killed.
        tries = self._request.tries + (self._session.key in self._login.proven)
        if self._progress.mark_logged_out(self._request):
            log.info("%s: logged out (%s)", self._session.key, urls.redacted(response.url))
        elif tries > self._login.retries:
            reason = "pages still come back as if logged out"
            self._login.give_up(self._session, response, reason)
        if self._progress.failed_logins > MAX_FAILED_LOGINS:
            reason = "the pages after it came back as if logged out"
            self._login.give_up(self._session, response, reason)
        raise AskAgain(self._retry(tries))

    def _probe_succeeds(self) -> bool:
        """Fetch the probe page, while nothing else is fetched; return True if it comes."""
        session, url = self._session, self._progress.probe.url
        if not url:
            return False
        session.throttle.wait()  # counts from now on: the page in question was just asked for
        try:
            page = session.open(url)
        except (FetchError, requests.RequestException, HTTPError, HTTPException, OSError):
            return False
        finally:
            session.throttle.wait()
        return page.status < 400 and not self._login.is_logged_out(page)

    def _retry(self, tries: int) -> Request:
        """Return the request to send later, from the first hop. Raises FetchError if none."""
        request = self._request
        if not request.replay:
            raise FetchError(
                "logged out",
                f"{urls.redacted(request.url)}: the session had ended when it was sent, and it is "
                "not sent again (replay=False)",
            )
        if tries > self._login.retries:
            raise self._unhelped()
        if request.first is not None:
            return replace(unpacked(request.first), tries=tries)
        url = request.history[0].url if request.history else request.url
        return replace(request, url=url, history=[], tries=tries)

    def _unhelped(self) -> FetchError:
        url = urls.redacted(self._request.url)
        return FetchError("logged out", f"{url}: logging in again does not help this page")


def _redirect_target(response: Response) -> str | None:
    """Return the URL of a redirect, empty if it leads nowhere; None if it is no redirect."""
    if not is_redirect(response.status, response.headers):
        return None
    return leads_to(response.url, response.headers["location"]) or ""
