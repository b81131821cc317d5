"""One fetch by a session that logs in, and the judgement of its response."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn
from urllib.parse import urlsplit

from msgspec.structs import replace

from crawler import urls
from crawler.errors import FetchError
from crawler.http.redirects import is_redirect
from crawler.messages import MarksQuery, SeenMarks
from crawler.parsing import login_marks
from crawler.parsing.response import Response
from crawler.request import Request, unpacked
from crawler.scope import Scope
from crawler.session.concurrency import FetchTurn
from crawler.session.evidence import Finding, Kind, Weight, redirect_target
from crawler.session.login import UNCONFIRMED, Login
from crawler.session.login_progress import ENDS_AT_A_PAGE, first_url, is_harmless
from crawler.session.session import Session

log = logging.getLogger(__name__)

WAIT_FOR_OTHERS = 0.5
"""Seconds in which other pages may show who is logged in, before a login that may be needless."""
MAX_FAILED_LOGINS = 1
"""Logins in a row after which the very next page may come back as if logged out."""

_WEAK_KINDS = frozenset(
    {"status 404", "status 410", Kind.AWAY, Kind.PASSWORD_FORM, Kind.ANONYMOUS_JSON}
    | {Kind.NO_LOGOUT_LINK, Kind.NO_NAME}
)
"""Kinds of doubt that are ignored where no probe page can clear them up."""


Examine = Callable[[Response, MarksQuery], SeenMarks]
"""Looks for the marks of a page."""


class AskAgain(Exception):  # noqa: N818 (it is no error)
    """The response is not the page: ``request`` is to be sent in its place, ``wait`` s later."""

    def __init__(self, request: Request, wait: float = 0.0) -> None:
        super().__init__(request.url)
        self.request = request
        self.wait = wait


class LoginTurn:
    """One fetch by a session that is logged in, and what its response says of the session.

    After ``logged_in``, ``is_unproven`` says that the response may be a stranger's after all, which
    only a later response can show; ``again`` is the request to send in its place then.
    """

    def __init__(
        self,
        login: Login,
        scope: Scope,
        session: Session,
        request: Request,
        *,
        examine: Examine | None = None,
        alone: bool = False,
    ) -> None:
        """``examine`` looks for the marks of a page, by default in this process.

        ``alone`` lets the session fetch no other page meanwhile.
        """
        self._examine = examine or self._examine_here
        self._alone = alone
        self._login = login
        self._prober = login.prober
        self._scope = scope
        self._session = session
        self._progress = session.progress
        self._request = request
        self._turn: FetchTurn
        self._sent_at = 0.0
        self.logged_in_at = 0.0
        """The login that the response belongs to."""
        self.judged_at = 0.0
        """The time at which the response had come, monotonic clock."""
        self.is_unproven = False

    @contextmanager
    def logged_in(self) -> Iterator[None]:
        """Fetch and judge in the block.

        Raises LoginError when the login fails, and AskAgain when the request must not be sent as it
        is. No login begins before the block ends: a response that comes during a login, or after it
        to a request from before it, would bring cookies of an anonymous session.
        """
        with self._login.logged_in(self._session, self._request, alone=self._alone) as self._turn:
            # Redirects that began before the last login say nothing. Where they lead, to the login
            # as a rule, a session that has logged in since might be lost again.
            if self._request.history and not self._progress.is_current(self._request):
                raise AskAgain(self.again())
            self.logged_in_at = self._progress.logged_in_at or 0.0
            self._sent_at = time.monotonic()
            yield

    def judge(self, response: Response) -> None:
        """Return if ``response`` is to be handled, even if ``is_unproven``.

        Raises AskAgain when the session has ended, and will log in before the request is sent
        again; FetchError when the page is closed to the account, or ends the session.
        """
        self.judged_at = time.monotonic()
        finding = self._weigh(response)
        if finding.weight is Weight.MEMBER:
            if not self._prober.has_own_check:  # which may pass a page that strangers get too
                self._prove(response)
            self._accept(response)
        elif finding.weight is Weight.OPEN:
            self._leave_open(response, finding)
        elif self._may_wait(finding):
            self._progress.mark_doubtful()
            self._leave_unproven()
            self._check_open(response, finding)
        else:
            self._clear_up(response, finding)

    def _weigh(self, response: Response) -> Finding:
        own = self._prober.has_own_check
        weigh = self._weigh_by_spider if own else self._progress.evidence.weigh
        if is_redirect(response.status, response.headers):
            return weigh(response, SeenMarks())
        query = self._progress.evidence.query(response.url)
        query.asks_spider = own
        seen = self._examine(response, query)
        finding = weigh(response, seen)
        if self._may_calibrate(response, seen):
            self._prober.calibrate(self._session, self._request, response)
            query = self._progress.evidence.query(response.url)
            finding = weigh(response, seen if own else self._examine_here(response, query))
        return finding

    def _examine_here(self, response: Response, query: MarksQuery) -> SeenMarks:
        seen = login_marks.examine(response, query, self._progress.evidence.marks)
        if query.asks_spider:
            seen.is_logged_out = self._prober.is_logged_out(response)
        return seen

    def _may_calibrate(self, response: Response, seen: SeenMarks) -> bool:
        """Return True if the page may become the probe page; then nothing is fetched beside it."""
        probe = self._progress.evidence.probe(response.url)
        is_page = response.status < 300 and (seen.is_html or seen.is_json)
        if probe.is_settled or not is_page or not self._may_probe(after_redirects=True):
            return False
        is_late = self._session.turns.finish_others(self._turn)
        return not is_late and not probe.is_settled  # by a page that was fetched beside it

    def _weigh_by_spider(self, response: Response, seen: SeenMarks) -> Finding:
        if is_redirect(response.status, response.headers):
            target = redirect_target(response) or ""
            evidence = self._progress.evidence
            was_sent_there = self._request.history and evidence.is_login_page(self._request.url)
            if was_sent_there and target != first_url(self._request):
                return Finding(Weight.DOUBTFUL, Kind.PAST_LOGIN)
            if evidence.is_login_page(target):
                return Finding(Weight.DOUBTFUL, Kind.TO_LOGIN)
            # The spider judges the page that the redirect leads to, if it is to be fetched.
            if not target or self._scope.allows(target):
                return Finding(Weight.OPEN)
            return Finding(Weight.DOUBTFUL, Kind.AWAY)
        if seen.is_logged_out:
            return Finding(Weight.DOUBTFUL, Kind.OWN_CHECK)
        evidence, request = self._progress.evidence, self._request
        was_sent_there = request.history and evidence.is_login_page(request.url)
        if was_sent_there and seen.login_form:  # in the place of a closed page
            return Finding(Weight.DOUBTFUL, Kind.PAST_LOGIN)
        return Finding(Weight.MEMBER if response.status < 400 else Weight.OPEN)

    def _may_probe(self, *, after_redirects: bool = False) -> bool:
        """Return True if the request may become the probe page: it goes to the login's origins."""
        origins, request = self._session.credentials, self._request
        hops = [hop.url for hop in request.history] if after_redirects else []
        if any(not urls.same_origin(url, request.url) for url in hops):
            return False
        is_page = is_harmless(replace(request, history=[]) if hops else request)
        return is_page and (not origins.visited or origins.allow(request.url))

    def _accept(self, response: Response) -> None:
        self._turn.accepted = not is_redirect(response.status, response.headers)
        if self._turn.accepted:
            # A page that a login has brought back shows best whether a session is logged in.
            ended_here = self._progress.ends_at(self._request) > 0
            if ended_here and self._prober.has_own_check and self._may_probe():
                probe = self._progress.evidence.probe(self._request.url)
                probe.url = probe.url or self._request.url
            self._progress.mark_accepted(self._request)
            if not self._prober.has_own_check:
                self._progress.evidence.add_members_page(response)

    def _prove(self, response: Response) -> None:
        """Record that only members get ``response``.

        If it has changed the cookie, at a site whose pages do not, it has renewed the session.
        """
        unproven = self._progress.unproven
        if unproven and self._turn.changed and self._session.turns.is_stable:
            self._login.mark_renewed(self._session, unproven)
        self._progress.mark_proven(response.url, self._sent_at)

    def _leave_open(self, response: Response, finding: Finding) -> None:
        """Accept a response of which nothing is doubtful, though it may need a proof."""
        is_known = self._prober.is_known(self._session, self._request.url)
        if not (self._request.replay and is_known and self._needs_proof(response)):
            self._accept(response)
        elif self._progress.ends_at(self._request):
            self._clear_up(response, finding)
        else:
            self._accept(response)
            self._leave_unproven()

    def _needs_proof(self, response: Response) -> bool:
        """Return True if strangers may get such a response too.

        A redirect may lead to a page that is known, and is not looked at then. Where it leads to
        says nothing of the session either: strangers may be sent to a page for all.
        """
        if is_redirect(response.status, response.headers) or self._request.history:
            return True
        return response.is_html and self._progress.evidence.probe(response.url).is_open_to_strangers

    def _leave_unproven(self) -> None:
        self.is_unproven = True
        self._progress.mark_unproven(self._request, self.judged_at)

    def _may_wait(self, finding: Finding) -> bool:
        return (
            self._request.replay
            and self._prober.is_known(self._session, self._request.url)
            and self._progress.may_wait(finding.kind)
            and not self._turn.changed
            and not self._progress.ends_at(self._request)
        )

    def _clear_up(self, response: Response, finding: Finding) -> None:
        """Find out at once whether the session is still logged in."""
        status, is_doubtful = response.status, finding.weight is Weight.DOUBTFUL
        is_strong = finding.kind not in _WEAK_KINDS and status != 403
        self._turn.logged_out = is_doubtful and is_strong
        # A request sent beside this one may have changed the cookie, or led to a login.
        is_late = self._session.turns.finish_others(self._turn)
        if is_late or not self._progress.is_current(self._request):
            raise AskAgain(self.again())
        if self._is_judged_later(response, finding):
            self._accept(response)
            return
        probe = self._progress.evidence.probe(self._request.url)
        if probe.proven_at >= self.judged_at:  # by another thread's probe
            is_member: bool | None = True
        elif self._prober.is_known(self._session, self._request.url):
            is_member = self._probe(response, is_doubtful=is_doubtful)
        else:
            self._decide_without_probe(response, finding)
            return
        self.is_unproven = False
        if is_member is None:
            raise FetchError(
                UNCONFIRMED,
                f"{urls.redacted(self._request.url)}: the session may have ended, and the page "
                "that would show it did not come",
                retryable=True,
            )
        if not is_member:
            self._log_out(response, finding)
        if is_doubtful:
            self._progress.mark_cleared(finding.kind)
        elif is_redirect(status, response.headers):
            self._request.asked = math.inf  # a later login does not ask it again
            self._progress.mark_alive()
        if finding.kind in {Kind.NO_LOGOUT_LINK, Kind.NO_NAME}:
            probe.add_unmarked(response.url)
        self._turn.logged_out = False
        self._check_open(response, finding)

    def _is_judged_later(self, response: Response, finding: Finding) -> bool:
        """Return True if the spider judges the login page that the response redirects to."""
        if finding.kind != Kind.TO_LOGIN or not self._prober.has_own_check:
            return False
        return self._scope.allows(redirect_target(response) or "")

    def _probe(self, response: Response, *, is_doubtful: bool) -> bool | None:
        """Look at the probe page.

        Raises AskAgain if a cookie has changed since the request was sent: the page may have been
        refused for the old one, or the site has renewed the session on the way to the probe page.
        FetchError if that happens over and over.
        """
        is_member, is_renewed = self._login.look(self._session, self._request.url)
        url, has_changed = first_url(self._request), self._turn.changed
        if is_renewed:
            ends_it, again = self._is_end(response), self.again()
            self._progress.count_end(url)
            raise self._ends_session() if ends_it else AskAgain(again)
        if is_member and has_changed and is_doubtful and url not in self._progress.asked_again:
            self._progress.asked_again.add(url)
            raise AskAgain(self.again())
        return is_member

    def _decide_without_probe(self, response: Response, finding: Finding) -> None:
        """Decide by the response alone, where nothing shows who is logged in.

        A page that a new login does not bring back is closed to the account, and so are further
        pages of the same kind.
        """
        kind = finding.kind
        # A form for a password on the first page of all may mean that a restored session has ended.
        is_first = not self._progress.evidence.probe(self._request.url).is_settled
        asked_before = self._progress.ends_at(self._request) > 0
        is_strong = kind not in _WEAK_KINDS or (
            kind == Kind.PASSWORD_FORM and is_first and not asked_before
        )
        if not is_strong:
            self._accept(response)
            return
        # A login page sends members away, and the spider has taken this one for a member.
        is_cleared = self._progress.was_cleared(kind) or kind == Kind.PAST_LOGIN
        if is_cleared or self._is_closed(response):
            self._check_open(response, finding)
            return
        if asked_before:
            if not self._progress.verified and self._progress.failed_logins >= MAX_FAILED_LOGINS:
                reason = "the pages after it came back as if logged out"
                self._login.give_up(self._session, response, reason)
            self._progress.mark_cleared(kind)
            self._check_open(response, finding)
            return
        url = first_url(self._request)
        may_wait = self._progress.is_fresh(self._request) and self._may_probe()
        if may_wait and url not in self._progress.asked_again:
            self._progress.asked_again.add(url)
            raise AskAgain(self.again(), WAIT_FOR_OTHERS)
        self._log_out(response, finding)

    def _is_closed(self, response: Response) -> bool:
        """Return True if the account gets a refusal soon after its login, but strangers do not.

        Later on, the session may have ended: some sites refuse a token that has expired otherwise
        than a visitor that has none.
        """
        if self._prober.has_own_check or not self._progress.is_fresh(self._request):
            return False
        return self._may_probe() and self._prober.differs_from_stranger(self._session, response)

    def _check_open(self, response: Response, finding: Finding) -> None:
        """Hand on a doubtful response of a member. Raises FetchError for a page of the login."""
        if finding.kind in {
            Kind.TO_LOGIN,
            Kind.PAST_LOGIN,
            Kind.LOGIN_FORM,
            Kind.LOGGED_OUT_TEXT,
        } or (finding.kind == Kind.OWN_CHECK and response.status < 400):
            raise FetchError(
                "closed to the account",
                f"{urls.redacted(self._request.url)}: the site answers with {_described(finding)}, "
                "though the account is logged in",
            )
        if response.status < 400:
            self._accept(response)

    def _log_out(self, response: Response, finding: Finding) -> NoReturn:
        progress, session, url = self._progress, self._session, urls.redacted(response.url)
        is_known = self._prober.is_known(self._session, self._request.url)
        ends_it = is_known and self._is_end(response)
        log.info("%s: logged out (%s: %s)", session.key, url, finding.kind)
        again = None if ends_it else self.again()
        progress.mark_logged_out(self._request)
        if progress.failed_logins > MAX_FAILED_LOGINS:
            reason = f"the pages after it came back as if logged out, the last with {finding.kind}"
            self._login.give_up(session, response, reason)
        if again is None:
            raise self._ends_session()
        raise AskAgain(again)

    def _is_end(self, response: Response) -> bool:
        """Return True if the request seems to be what ends the session."""
        if self._session.follows_logout:
            return self._progress.ends_at(self._request) >= ENDS_AT_A_PAGE
        urls_on_way = {first_url(self._request), self._request.url}
        came_late = response.status >= 400 or login_marks.names_way_back(response, urls_on_way)
        return self._progress.is_ended_by(self._request, came_late=came_late)

    def _ends_session(self) -> FetchError:
        first = urls.redacted(first_url(self._request))
        log.warning(
            "%s: the session ends at %s, so it is not asked again; to leave out such links: "
            "logout_urls = [%r]; if it is a page that you want: follow_logout = True",
            self._session.key,
            first,
            urlsplit(first).path,
        )
        return FetchError("ends the session", f"{first}: the session ends when it is asked")

    def again(self) -> Request:
        """Return the request to send later, from the first hop. Raises FetchError if none."""
        request = self._request
        if not request.replay:
            raise FetchError(
                "logged out",
                f"{urls.redacted(request.url)}: the session had ended when it was sent, and it is "
                "not sent again (replay=False)",
            )
        return from_first_hop(request)


def from_first_hop(request: Request) -> Request:
    """Return the request that a chain of redirects began with; a form's token is expired by now."""
    if request.first is not None:
        return with_stale_form(replace(unpacked(request.first), tries=request.tries))
    return with_stale_form(replace(request, url=first_url(request), history=[]))


def with_stale_form(request: Request) -> Request:
    """Return the request, to be filled in again before it is sent if it is that of a form."""
    if request.form is None or not urls.same_origin(request.form.page, request.url):
        return request
    return replace(request, form=replace(request.form, is_stale=True))


def _described(finding: Finding) -> str:
    return "a page for anonymous visitors" if finding.kind == Kind.OWN_CHECK else finding.kind
