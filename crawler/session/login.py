"""Login: one at a time, once for a session, and again when the site has ended it."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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
from crawler.session import login_page as loginpage
from crawler.session.concurrency import FetchTurn
from crawler.session.credentials import unset_variable
from crawler.session.keys import SessionKey
from crawler.session.session import Session
from crawler.system_errors import out_of_handles, too_many_open_files
from crawler.tracebacks import traceback_of

log = logging.getLogger(__name__)


MOST_FRUITLESS = 1
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
    """The response says nothing of the page: ``request`` is to be sent in its place, later."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.url)
        self.request = request


class LoginTurn:
    """One fetch by a session that is logged in."""

    def __init__(self, login: Login, session: Session, request: Request, turn: FetchTurn) -> None:
        self._login = login
        self._session = session
        self._request = request
        self._turn = turn

    def judge(self, response: Response) -> None:
        """Return if ``response`` is what a logged-in session gets.

        Raises AskAgain when it is not, and the session will log in before the request is sent
        again, unless it has done so since; LoginError when logging in changes nothing; FetchError
        when it helps other pages but not this one.
        """
        self._login.judge(self._session, self._request, response, self._turn)


class Login:
    """Keeps the sessions of one spider logged in."""

    def __init__(
        self,
        spider: LoginSpider,
        scope: Scope,
        retries: int,
        one_callback: AbstractContextManager[Any],
        pages: Path | None = None,
        *,
        has_own_check: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``pages`` is the folder where a page that shows a failed login is kept.

        ``has_own_check`` says that the spider decides itself what a logged-out page is.

        ``wall`` is the clock that ``Request.asked`` is of, by which what was sent before a login is
        told from what was sent after it; so it must not jump.
        """
        self._spider = spider
        self._has_own_check = has_own_check
        self._scope = scope
        self._retries = retries
        self._one_callback = one_callback
        self._pages = pages
        self._wall = wall
        self._proven: set[str] = set()
        """Keys of sessions that have logged in, or worked, in this process."""

    def ensure(self, session: Session) -> None:
        """Log in unless that has been done. Raises LoginError, also for each later request."""
        if session.logged_in_at is None:
            with session.turns.alone():
                if session.logged_in_at is None:
                    self._log_in(session)

    @contextmanager
    def turn(self, session: Session, request: Request) -> Iterator[LoginTurn]:
        """Fetch ``request`` while logged in, and pass the response to ``LoginTurn.judge``.

        No login begins before the block ends: a response that comes during a login, or after it to
        a request from before it, would bring cookies of an anonymous session. Raises LoginError
        when the login fails, and AskAgain when ``request`` must not be sent as it is.
        """
        with self._logged_in(session) as turn:
            if request.history and not _is_current(session, request):
                # Redirects that began before the login say nothing. Where they lead, to the login
                # as a rule, a session that has logged in since might be lost again.
                raise AskAgain(self._again(session, request))
            yield LoginTurn(self, session, request, turn)

    @contextmanager
    def _logged_in(self, session: Session) -> Iterator[FetchTurn]:
        while True:
            self.ensure(session)
            with session.turns.next() as turn:
                if session.logged_in_at is not None:
                    yield turn
                    return

    def judge(
        self, session: Session, request: Request, response: Response, turn: FetchTurn
    ) -> None:
        """Decide for ``LoginTurn.judge``."""
        target = _target(response)
        if target is None:
            turn.refused = self._is_logged_out(response)
        else:
            turn.refused = session.is_login_page(target)
        if turn.refused or response.status in (401, 403):
            # What was sent beside it may have changed the cookie, or led to a login.
            is_late = session.turns.settle(turn)
            if is_late or not _is_current(session, request):
                raise AskAgain(self._again(session, request))
            if turn.refused and not (target and self._wants_to_see(target)):
                if session.probe.saw_end_at(request) and self._works_elsewhere(session):
                    _closed(session, request, response)
                    return
                raise AskAgain(self._again(session, request, response))
        if target is None and not turn.refused:
            turn.worked = True
            self._has_worked(session, request, response)

    def _wants_to_see(self, login: str) -> bool:
        """True when the spider decides by the page of the login whether that is being logged out.

        By default such a page need not be opened.
        """
        return self._has_own_check and self._scope.allows(login)

    def _again(
        self, session: Session, request: Request, refusal: Response | None = None
    ) -> Request:
        """The request to ask in the place of ``request``; ``refusal`` is what ends the session.

        Without one, ``request`` was sent to no avail, and that says nothing of the session now.
        """
        # Nor does it count what was sent with cookies that were taken over: newer ones may have
        # died with a process that was killed.
        tries = request.tries + (refusal is not None and session.key in self._proven)
        last = tries > self._retries
        if refusal is not None:
            self._end(session, request, refusal, last=last)
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
            return replace(unpacked(request.first), tries=tries)
        first = request.history[0].url if request.history else request.url
        return replace(request, url=first, history=[], tries=tries)

    def _end(self, session: Session, request: Request, refusal: Response, *, last: bool) -> None:
        if request.tries and not session.has_worked:
            # A new login did not bring this page back; whether it does others, they will tell.
            if last:
                self._give_up(session, refusal, "pages still come back as if logged out")
        else:
            log.info("%s: logged out (%s)", session.key, urls.redacted(refusal.url))
            session.logged_in_at = None
            session.fruitless_logins += not session.has_worked
            session.probe.saw_end(request)
        if session.fruitless_logins > MOST_FRUITLESS:
            self._give_up(session, refusal, "the pages after it came back as if logged out")

    def _works_elsewhere(self, session: Session) -> bool:
        """True when the session's witness comes; nothing else is fetched meanwhile."""
        if not session.probe.url:
            return False
        session.pace()  # counts from now on: the page in question has just been asked for
        try:
            page = session.open(session.probe.url)
        except (FetchError, requests.RequestException, HTTPError, HTTPException, OSError):
            return False
        finally:
            session.pace()
        return page.status < 400 and not self._is_logged_out(page)

    def _is_logged_out(self, response: Response) -> bool:
        with self._one_callback:
            return self._spider.is_logged_out(response)

    def _has_worked(self, session: Session, request: Request, response: Response) -> None:
        with session.lock:
            session.fruitless_logins = 0
            session.has_worked = True
            self._proven.add(session.key)
            if not session.home or urls.site(request.url) in session.home:
                session.probe.saw_page(request, response)  # credentials go to no other site
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
        session.reset_pages()
        try:
            with session.user_urls_allowed():
                self._call(session)
        except InputRequiredError as error:
            session.waiting = " ".join(session.mask(error.question).split()) or "a person"
            self._give_up(session, session.page, "", verdict=f"waits for {session.waiting}")
        except (AccountError, LoginError) as error:
            self._give_up(session, session.page, str(error))
        except Exception as error:
            session.hide_credentials()
            if out_of_handles(error):  # it is not the login that failed: there will be another try
                raise too_many_open_files() from error
            log.error("%s: login failed\n%s", session.key, traceback_of(error, session.mask))
            why = unset_variable(error) or f"{type(error).__name__}: {error}"
            self._give_up(session, session.page, why)
        if session.page is not None and self._is_logged_out(session.page):
            self._give_up(session, session.page, "it ended still logged out")
        if session.page is not None and self._asks_again(session, session.page):
            self._give_up(session, session.page, "the page after it asks for the password again")
        session.hide_credentials()
        session.pace()
        session.has_worked = False
        session.logged_in_at = self._wall()
        self._proven.add(session.key)
        log.info("%s: logged in", session.key)

    def _asks_again(self, session: Session, page: Response) -> bool:
        """A spider with an ``is_logged_out`` of its own knows better than a look at the page."""
        return not self._has_own_check and loginpage.asks_again(session, page)

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
        facts = [] if page is None else loginpage.facts(page)
        if page is not None and self._pages is not None:
            facts += loginpage.save(session, page, self._pages)
        seen = f" ({', '.join(facts)})" if facts else ""
        said = f"login of {self._who(session)} {verdict}{why.rstrip('.')}{seen}"
        session.login_error = session.mask(said)
        raise _refusal(session)

    def _who(self, session: Session) -> str:
        account = SessionKey.parse(session.key).account
        return f"{self._spider.name} as {account}" if account else self._spider.name


def _refusal(session: Session) -> LoginError:
    """Why the session is not logged in."""
    message = session.login_error or ""
    return InputRequiredError(session.waiting, message) if session.waiting else LoginError(message)


def _closed(session: Session, request: Request, response: Response) -> None:
    """``response`` is all that this account gets there: a page that fails, and no end of a session.

    Raises FetchError where it is a page of the login, which is nothing for a callback.
    """
    with session.lock:
        session.login_cures_403 = session.login_cures_403 and response.status != 403
        if session.probe.is_sure:  # else the login may be worth nothing all the same
            session.has_worked, session.fruitless_logins = True, 0
    if response.status not in (401, 403):
        url = urls.redacted(request.url)
        raise FetchError("logged out", f"{url}: logging in again does not help this page")


def _is_current(session: Session, request: Request) -> bool:
    """False when ``request``, or a hop on its way, was sent before the last login."""
    return session.logged_in_at is not None and session.logged_in_at <= request.asked


def _target(response: Response) -> str | None:
    """Where a redirect leads, empty if nowhere; None for what is no redirect."""
    if not is_redirect(response.status, response.headers):
        return None
    return leads_to(response.url, response.headers["location"]) or ""
