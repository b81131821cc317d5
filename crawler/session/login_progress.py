"""The progress of a session's login: its states, and the events that change them."""

from __future__ import annotations

from collections.abc import Iterable

from crawler.errors import InputRequiredError, LoginError
from crawler.parsing.login_marks import DeclaredMarks
from crawler.parsing.response import Response
from crawler.records import LoginState
from crawler.request import Request
from crawler.session.evidence import Evidence

MAX_ENDS = 10_000
"""Pages at which a session has ended that are remembered."""
DOUBTS_IN_ROW = 5
"""Doubtful responses in a row after which the next one is cleared up at once."""
FRESH = 60.0
"""Seconds after a login in which no session ends by its age."""
MAX_UNCONFIRMED = 1
"""Logins in a row that the probe page may not confirm; the session may end at that very page."""
ROTATIONS = 2
"""Times in a row that the probe page has changed a cookie twice, which is its habit then."""
ENDS_AT_A_PAGE = 5
"""Times that a session has ended at a page, after which the page is given up."""
ENDS_AT_ONCE = 2
"""The same for a page at which it ends once more, before any other page has come since a login."""
ENDS_BY_ITSELF = 2
"""Ends at pages that came later, after which a session is known to end by itself."""
ENDS_BY_CHANCE = 3 * ENDS_AT_A_PAGE
"""Times that a session which ends by itself has ended at a page, after which that is no chance."""


class LoginProgress:
    """The state of one session's login.

    ==========  ============================================================
    state       as the attributes say it
    ==========  ============================================================
    logged out  ``logged_in_at`` is None
    logged in   ``logged_in_at`` is set
    failed      ``failure`` is set, for the rest of the process: no login is
                tried any more
    ==========  ============================================================

    ==========  =================================================  ===========
    state       event                                              next state
    ==========  =================================================  ===========
    logged out  ``mark_logged_in``: ``login`` has returned, and    logged in
                the probe page, if known, is a member's
    logged out  ``mark_waiting``: ``login`` needs an answer        failed
    logged in   ``mark_proven``: a response that only members get  logged in
    logged in   ``mark_cleared``: a doubtful response came, and    logged in
                then the probe page as members get it
    logged in   ``mark_logged_out``: a doubtful response came,     logged out
                and then the probe page as strangers get it
    any         ``mark_failed``: ``login`` has failed              failed
    ==========  =================================================  ===========
    """

    def __init__(self, marks: DeclaredMarks | None = None) -> None:
        self.evidence = Evidence(marks)
        self.logged_in_at: float | None = None
        """Time of the last login, wall clock; None while logged out."""
        self.verified = True
        """True if a page has come since the last login, and before the first one."""
        self.failed_logins = 0
        """Logins in a row after which no page has come."""
        self.failure: str | None = None
        """Message about the login that has failed."""
        self.waiting = ""
        """The question that a login has asked and that is not answered yet."""
        self.page: Response | None = None
        """The page that ``login`` has opened last."""
        self.name_typed = ""
        """The text that ``login`` has typed on a page without a password."""
        self.began_with_cookies = False
        """The session had cookies when ``login`` was called."""
        self.unconfirmed = 0
        """Times in a row that the probe page did not show the effect of ``login``."""
        self.retried_as_stranger = False
        """``login`` was called once more without cookies."""
        self.asked_again: set[str] = set()
        """Pages asked once more because the probe renewed the session on its way."""
        self.is_restored = False
        """The last login was that of an earlier process."""
        self._rotations = 0
        self._pages_since_login = 0
        self._cleared: set[str] = set()
        self._doubts = 0
        self._ends: dict[str, int] = {}
        self._ends_elsewhere = 0
        """Times that the session has ended at pages that came later, so that were not the cause."""
        self._unproven: dict[str, float] = {}

    # Events

    def restore(self, login: LoginState, now: float) -> None:
        """Take over what the store says.

        A login later than ``now`` counts as one of now, as the clock has been set back since:
        until that time every request would seem to be sent before the login.
        """
        self.logged_in_at = None if login.at is None else min(login.at, now)
        self.is_restored = True
        self.evidence.restore(login.evidence)
        self.evidence.login_pages = set(login.pages)
        self.waiting = login.waiting

    def mark_started(self, *, has_cookies: bool) -> None:
        """``login`` is about to be called: no page has been opened."""
        self.page, self.name_typed = None, ""
        self.began_with_cookies = has_cookies

    def mark_logged_in(self, at: float, *, verified: bool = False) -> None:
        """``login`` has returned, at wall-clock time ``at``; ``verified`` by the probe page."""
        self.verified = verified
        self.is_restored = False
        self.unconfirmed = 0
        self.logged_in_at = at
        self.retried_as_stranger = False
        self._pages_since_login = 0
        self._doubts = 0

    def mark_waiting(self, question: str, message: str) -> None:
        """``login`` needs an answer to ``question``."""
        self.waiting = question
        self.failure = message

    def mark_failed(self, message: str) -> None:
        """No login will be tried any more."""
        self.failure = message

    def mark_proven(self, url: str, sent_at: float) -> None:
        """A request to ``url``, sent at ``sent_at``, has brought a page that only members get."""
        probe = self.evidence.probe(url)
        probe.proven_at = max(probe.proven_at, sent_at)
        self._doubts = 0
        self._unproven = {url: at for url, at in self._unproven.items() if at > sent_at}

    def mark_accepted(self, request: Request) -> None:
        """A page has come, of which nothing says that it is a stranger's."""
        self.failed_logins = 0
        self.verified = True
        self._pages_since_login += 1
        self._ends_elsewhere += self._ends.pop(first_url(request), 0)

    def mark_alive(self) -> None:
        """A response has come, and then a proof: it has not ended the session."""
        self._pages_since_login += 1

    def mark_doubtful(self) -> None:
        """A doubtful response has come, which a later proof will settle."""
        self._doubts += 1

    def mark_unproven(self, request: Request, judged_at: float) -> None:
        """A response has come, at ``judged_at``, that counts only if a later proof covers it."""
        if len(self._unproven) < MAX_ENDS:
            self._unproven[first_url(request)] = judged_at

    def mark_cleared(self, kind: str) -> None:
        """A response of a doubtful ``kind`` came to a session that is logged in."""
        self._cleared.add(kind)
        self._doubts = 0

    def mark_logged_out(self, request: Request) -> None:
        """The session has ended before the response to ``request`` came."""
        self.failed_logins += not self.verified
        url = first_url(request)
        self._unproven.pop(url, None)
        self.mark_ended()
        self.count_end(url)

    def mark_renewal(self, *, changes_again: bool) -> bool:
        """The probe page has changed a cookie; return True if it does so each time.

        A second change may mean that the session has ended once more.
        """
        self._rotations = self._rotations + 1 if changes_again else 0
        return self.rotates

    def mark_renewed(self, at: float, unproven: Iterable[str]) -> None:
        """The session had ended and is logged in again, at ``at``, without a login.

        ``unproven`` are the pages that came in between.
        """
        self.logged_in_at = at
        self._suspect(unproven)

    def mark_ended(self) -> None:
        """The probe page has come as to a stranger, whatever page it was that ended the session.

        It may be any page that is not proven. So that the same does not happen over and over, each
        of them is asked alone next time, and proven at once.
        """
        self.logged_in_at = None
        self._suspect(self._unproven)

    def _suspect(self, unproven: Iterable[str]) -> None:
        for url in list(unproven):
            if url not in self._ends:
                self.count_end(url)
        self._unproven.clear()

    def count_end(self, url: str) -> None:
        """The session has ended at the page at ``url``."""
        if len(self._ends) < MAX_ENDS or url in self._ends:
            self._ends[url] = self._ends.get(url, 0) + 1

    def forget(self) -> None:
        """Return to logged out, whatever an earlier run has come to."""
        self.logged_in_at, self.waiting = None, ""

    # Questions

    @property
    def rotates(self) -> bool:
        """True if each page changes a cookie, so that this does not mean that it is renewed."""
        return self._rotations >= ROTATIONS

    @property
    def unproven(self) -> list[str]:
        """The pages that count only if a later proof covers them."""
        return list(self._unproven)

    def error(self) -> LoginError:
        """The exception for requests of a session whose login has failed."""
        message = self.failure or ""
        return InputRequiredError(self.waiting, message) if self.waiting else LoginError(message)

    def is_current(self, request: Request) -> bool:
        """Return False if ``request``, or a hop on its way, was sent before the last login."""
        return self.logged_in_at is not None and self.logged_in_at <= request.asked

    def is_fresh(self, request: Request) -> bool:
        """Return True if ``request`` was sent so soon after a login that this cannot have ended."""
        is_current = self.is_current(request) and not self.is_restored
        return is_current and request.asked - (self.logged_in_at or 0.0) < FRESH

    def may_wait(self, kind: str) -> bool:
        """Return True if doubt of this ``kind`` need not be cleared up at once.

        It turned out to be unfounded before, and there has not been much of it in a row.
        """
        return kind in self._cleared and self._doubts < DOUBTS_IN_ROW

    def was_cleared(self, kind: str) -> bool:
        """Return True if a response of this doubtful ``kind`` has come to a logged-in session."""
        return kind in self._cleared

    def ends_at(self, request: Request) -> int:
        """Return how often the session has ended at a page that has not come since."""
        return self._ends.get(first_url(request), 0)

    def is_ended_by(self, request: Request, *, came_late: bool = False) -> bool:
        """Return True if ``request`` seems to be what ends the session.

        The session has ended at it twice before, and now at once after a login, or again and again.
        ``came_late`` says that the response shows that it had ended before.
        """
        ends = self.ends_at(request)
        if self._ends_elsewhere >= ENDS_BY_ITSELF:
            at_once, again_and_again = ENDS_AT_A_PAGE, ENDS_BY_CHANCE
        else:
            at_once, again_and_again = ENDS_AT_ONCE, ENDS_AT_A_PAGE
        is_at_once = not self._pages_since_login and not came_late
        return ends >= (at_once if is_at_once else again_and_again)


def first_url(request: Request) -> str:
    """Return the URL that a chain of redirects began with."""
    return request.history[0].url if request.history else request.url


def is_harmless(request: Request) -> bool:
    """Return True for a plain GET that may be asked again, as the probe page is."""
    return request.is_plain and request.replay and not request.history
