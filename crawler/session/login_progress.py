"""How far the login of a session has come: its states, and the events that change them."""

from __future__ import annotations

import threading

from crawler.errors import InputRequiredError, LoginError
from crawler.parsing.response import Response
from crawler.records import LoginState
from crawler.request import Request

MAX_ENDS = 10_000
"""Pages at which a session has ended that are remembered."""


class LoginProgress:
    """The state of one session's login.

    ==========  ============================================================
    state       as the attributes say it
    ==========  ============================================================
    logged out  ``logged_in_at`` is None
    unverified  ``logged_in_at`` is set, ``verified`` is False: no page since
    verified    ``logged_in_at`` is set, ``verified`` is True
    failed      ``failure`` is set, for the rest of the process: no login is
                tried any more
    ==========  ============================================================

    ==========  =================================================  ===========
    state       event                                              next state
    ==========  =================================================  ===========
    logged out  ``mark_logged_in``: ``login`` has returned         unverified
    logged out  ``mark_waiting``: ``login`` needs an answer        failed
    unverified  ``mark_verified``: a page has come                 verified
    unverified  ``mark_logged_out`` by a page's first try: a       logged out
                login has failed in effect
    unverified  ``mark_logged_out`` by a page's later try: other   unverified
                pages will show whether the login works
    verified    ``mark_logged_out``                                logged out
    logged in   ``mark_forbidden``: a new login does not bring     verified or
                a page back, but the probe page still comes        unchanged
    any         ``mark_failed``: ``login`` raised, or too many     failed
                logins have had no effect
    ==========  =================================================  ===========

    A 403 counts as logged out until a page answered so has been accepted after a new login, or was
    found to be forbidden. From then on (``treats_403_as_logout`` is False) only the third 403 in a
    row counts.
    """

    def __init__(self) -> None:
        self.logged_in_at: float | None = None
        """Time of the last login, wall clock; None while logged out."""
        self.verified = True
        """Whether a page has come since the last login; True before the first one."""
        self.failed_logins = 0
        """Logins in a row after which no page has come."""
        self.failure: str | None = None
        """Message about the login that has failed."""
        self.waiting = ""
        """The question that a login has asked and that is not answered yet."""
        self.page: Response | None = None
        """The page that ``login`` has opened last."""
        self.login_pages: set[str] = set()
        """URLs, without query, of the pages whose forms ``login`` has submitted."""
        self.probe = ProbePage()
        self.treats_403_as_logout = True
        self._403_in_row = 0
        self._lock = threading.Lock()

    # Events

    def restore(self, login: LoginState, now: float) -> None:
        """Take over what the store says.

        A login later than ``now`` counts as one of now, as the clock has been set back since:
        until that time every request would seem to be sent before the login.
        """
        self.logged_in_at = None if login.at is None else min(login.at, now)
        self.login_pages = set(login.pages)
        self.waiting = login.waiting

    def mark_started(self) -> None:
        """``login`` is about to be called: no page has been opened."""
        self.page = None

    def mark_logged_in(self, at: float) -> None:
        """``login`` has returned, at wall-clock time ``at``."""
        self.verified = False
        self.logged_in_at = at

    def mark_waiting(self, question: str, message: str) -> None:
        """``login`` needs an answer to ``question``."""
        self.waiting = question
        self.failure = message

    def mark_failed(self, message: str) -> None:
        """No login will be tried any more."""
        self.failure = message

    def mark_verified(self, request: Request, response: Response, *, may_probe: bool) -> None:
        """A page has come. ``may_probe`` says whether it may become the probe page."""
        with self._lock:
            self.failed_logins = 0
            self.verified = True
            if may_probe:
                self.probe.saw_page(request, response)
            if response.status != 403:
                self._403_in_row = 0
                return
            self._403_in_row += 1
            if request.tries:
                self.treats_403_as_logout = False

    def mark_logged_out(self, request: Request) -> bool:
        """The response to ``request`` shows that the session has ended. Return False if not.

        Where ``request`` is a retry and no other page has come since the login either, the login
        may have failed in effect, or only this page may be closed: nothing changes.
        """
        if request.tries and not self.verified:
            return False
        self.logged_in_at = None
        self.failed_logins += not self.verified
        self.probe.saw_end(request)
        return True

    def mark_forbidden(self, status: int) -> None:
        """The account gets no more than a response of ``status`` for a page, and others come."""
        with self._lock:
            if status == 403:
                self.treats_403_as_logout = False
            if self.probe.is_sure:  # else the login may have failed in effect all the same
                self.verified = True
                self.failed_logins = 0

    def forget(self) -> None:
        """Return to logged out, whatever an earlier run has come to."""
        self.logged_in_at, self.waiting = None, ""

    # Questions

    def error(self) -> LoginError:
        """The exception for requests of a session whose login has failed."""
        message = self.failure or ""
        return InputRequiredError(self.waiting, message) if self.waiting else LoginError(message)

    def is_current(self, request: Request) -> bool:
        """Return False if ``request``, or a hop on its way, was sent before the last login."""
        return self.logged_in_at is not None and self.logged_in_at <= request.asked

    def add_login_page(self, url: str) -> None:
        """Remember that a form of the login is at ``url``."""
        self.login_pages.add(_without_query(url))

    def is_login_page(self, url: str) -> bool:
        """Return True if a form of the login is at ``url``, whatever its query."""
        return _without_query(url) in self.login_pages

    def looks_logged_out(self, response: Response) -> bool:
        """Return True for a redirect to a login page, for 401, and for a 403 that counts so."""
        if response.status == 401:
            return True
        if response.status == 403:
            return self._403_in_row == (0 if self.treats_403_as_logout else 2)
        return bool(response.history) and self.is_login_page(response.url)


class ProbePage:
    """A page that has come before, to tell a login that has no effect from a forbidden page.

    A site may refuse a page to an account that may see all others, with the same response as to an
    anonymous visitor. When a new login does not bring the page back, the login fetches ``url`` to
    see whether other pages still come. ``url`` is empty while none is known; ``is_sure`` says that
    anonymous visitors do not get it, as a login has brought it back.
    """

    def __init__(self) -> None:
        self.url = ""
        self.is_sure = False
        self._ends: set[str] = set()

    def saw_end(self, request: Request) -> None:
        """The response to ``request`` has shown that the session ended."""
        if len(self._ends) < MAX_ENDS:
            self._ends.add(_first_url(request))

    def saw_end_at(self, request: Request) -> bool:
        """Return True if the session ended at ``request``, whose page has not come since."""
        return _first_url(request) in self._ends

    def saw_page(self, request: Request, response: Response) -> None:
        """A page has come: take it as the probe page if it is a better one."""
        is_sure = _first_url(request) in self._ends
        self._ends.discard(_first_url(request))
        if (is_sure or not self.is_sure) and _is_harmless(request) and response.status < 300:
            self.url, self.is_sure = request.url, is_sure


def _first_url(request: Request) -> str:
    return request.history[0].url if request.history else request.url


def _is_harmless(request: Request) -> bool:
    return request.is_plain and request.replay and not request.history


def _without_query(url: str) -> str:
    return url.partition("#")[0].partition("?")[0]
