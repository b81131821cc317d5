"""Evidence: what a site shows to the account and what it shows to anonymous visitors.

No path and no status says by itself that a session has ended: a wiki may answer every page with its
login form and status 200, an application may have one path for all its pages, and an account may
be refused a page that others may see. So one page, the *probe page*, is looked at both ways, with
the session and without it; the features that differ are how this site tells its visitors apart.
"""

from __future__ import annotations

import enum
import math
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from crawler.http.redirects import is_redirect, leads_to
from crawler.messages import MarksQuery, SeenMarks
from crawler.parsing import login_marks
from crawler.parsing.response import Response
from crawler.records import PageView, ProbeRecord, SiteEvidence
from crawler.url_words.shapes import page_shape_of

ENDED_STATUS = frozenset({401, 407, 419, 440, 498})
"""Status codes by which sites say that the session, or its token, has ended."""
DOUBTFUL_STATUS = ENDED_STATUS | {403}
MISSING_STATUS = frozenset({404, 410})

MAX_SHAPES = 1_000
"""Shapes of URLs that are remembered for each host."""
MAX_HOSTS = 1_000
"""Hosts of a session whose probe pages are remembered."""


def redirect_target(response: Response) -> str | None:
    """Return the URL that a response redirects to; None if it does not."""
    if not is_redirect(response.status, response.headers):
        return None
    return leads_to(response.url, response.headers["location"])


class Weight(enum.Enum):
    """The meaning of a response for the session that it came to."""

    MEMBER = enum.auto()
    """Only a session that is logged in gets this response."""
    OPEN = enum.auto()
    """Says nothing: anonymous visitors may get it too."""
    DOUBTFUL = enum.auto()
    """An anonymous visitor may have been given this in the place of the page."""


class Kind(enum.StrEnum):
    """The reasons for doubt, as messages name them; a status is one too, by its number."""

    TO_LOGIN = "a redirect to the login"
    PAST_LOGIN = "a login page that sends members away"
    AWAY = "a redirect to another host"
    LOGIN_FORM = "the login form"
    PASSWORD_FORM = "a form that asks for a password"
    LOGGED_OUT_TEXT = "logged_out_text"
    NO_MEMBER_MARK = "no member_mark"
    NO_LOGOUT_LINK = "no logout link"
    NO_NAME = "no account's name"
    ANONYMOUS_JSON = "the JSON that anonymous visitors get"
    OWN_CHECK = "is_logged_out"


class Finding(NamedTuple):
    """The weight of a response, and the reason for doubt: a ``Kind``, or a status."""

    weight: Weight
    kind: str = ""


class ProbePage:
    """A page of one host that shows whether a session is logged in there.

    A session may have several hosts, each with a login of its own, so each has its own probe page.
    ``member`` and ``stranger`` are its two views. A spider with its own check needs the URL alone.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.url = ""
        self.member: PageView | None = None
        self.stranger: PageView | None = None
        self.is_settled = False
        """Pages have been tried, even if none was good."""
        self.tried = 0
        """Pages that were tried in this process."""
        self.proven_at = -math.inf
        """The time of the last request whose response only members get, monotonic clock."""
        self._marked: set[str] = set()
        self._unmarked: set[str] = set()

    def restore(self, record: ProbeRecord) -> None:
        """Take over what the store says."""
        self.url, self.member, self.stranger = record.url, record.member, record.stranger
        self.is_settled = True

    def record(self) -> ProbeRecord:
        """Return what the store keeps."""
        return ProbeRecord(self.host, self.url, self.member, self.stranger)

    def choose(self, url: str, member: PageView, stranger: PageView) -> bool:
        """Take the page at ``url`` if its two views differ; return whether they do."""
        self.url, self.member, self.stranger = url, member, stranger
        if not self.can_tell:
            self.forget()
        return self.can_tell

    def forget(self) -> None:
        """Have no probe page."""
        self.url, self.member, self.stranger = "", None, None

    @property
    def can_tell(self) -> bool:
        """True if the probe page tells the account from anonymous visitors."""
        return bool(self._differences())

    def _differences(self) -> list[str]:
        if self.member is None or self.stranger is None:
            return []
        return [
            name
            for name in _FEATURES
            if self._feature(name, self.member) != self._feature(name, self.stranger)
        ]

    def _feature(self, name: str, view: PageView) -> Any:
        if name == "logout_marks":  # those of the member's view; others may be on any page
            assert self.member is not None
            return bool(self._own_marks(view))
        return getattr(view, name)

    def _own_marks(self, view: PageView) -> set[str]:
        member, stranger = self.member, self.stranger
        if member is None or stranger is None:
            return set()
        return set(view.logout_marks) & (set(member.logout_marks) - set(stranger.logout_marks))

    def describe(self) -> str:
        """Say by which features the site tells its visitors apart."""
        return ", ".join(_FEATURES[name] for name in self._differences())

    def is_member_view(self, view: PageView) -> bool | None:
        """Return whether ``view``, of the probe page, is the account's; None if it is neither's."""
        if view.status == 429 or view.status >= 500:
            return None
        if view.status in MISSING_STATUS and not self._is_known_status(view.status):
            return None
        differences = self._differences()
        if not differences or self.member is None or self.stranger is None:
            return None
        as_member = sum(
            self._feature(n, view) == self._feature(n, self.member) for n in differences
        )
        as_stranger = sum(
            self._feature(n, view) == self._feature(n, self.stranger) for n in differences
        )
        if as_member == as_stranger:
            strongest = differences[0]
            return bool(self._feature(strongest, view) == self._feature(strongest, self.member))
        return bool(as_member > as_stranger)

    def _is_known_status(self, status: int) -> bool:
        return any(
            view is not None and view.status == status for view in (self.member, self.stranger)
        )

    def add_marked(self, url: str) -> None:
        """Remember that a member got this page with what strangers do not see."""
        if len(self._marked) < MAX_SHAPES:
            self._marked.add(page_shape_of(url))

    @property
    def is_open_to_strangers(self) -> bool:
        """True if anonymous visitors get the probe page too, only a different one.

        Then they may get another version of any page, which need not show that it is one.
        """
        if self.member is None or self.stranger is None:
            return False
        return self.stranger.status < 300 and self.stranger.address == self.member.address

    @property
    def is_told_by_name(self) -> bool:
        """True if the account's name, and no logout link, tells the two views apart."""
        if self.member is None or self.stranger is None or self.marks:
            return False
        return self.member.shows_name and not self.stranger.shows_name

    @property
    def marks(self) -> set[str]:
        """The logout links that only members get."""
        return set() if self.member is None else self._own_marks(self.member)

    def should_be_marked(self, url: str) -> bool:
        """Return True unless members get such pages without a logout link."""
        shape = page_shape_of(url)
        if shape in self._unmarked:
            return shape in self._marked
        return bool(self._marked - {page_shape_of(self.url)}) or not self._unmarked

    def add_unmarked(self, url: str) -> None:
        """Remember that a member got this page without a logout link."""
        if len(self._unmarked) < MAX_SHAPES:
            self._unmarked.add(page_shape_of(url))


class Evidence:
    """The evidence of one session at its site, and the meaning of a response by it.

    ==================================  ==========================================================
    evidence                            meaning
    ==================================  ==========================================================
    the spider's ``member_mark``, or a  ``MEMBER``: the session was logged in when this came
    logout link that the probe page
    shows to the account only
    401, 403, 407, 419, 440, 498        ``DOUBTFUL``
    a redirect to a page of the login,  ``DOUBTFUL``
    or to another site
    a form of the login, or another     ``DOUBTFUL``, unless the account's probe page has it too
    form that asks for one password
    ``logged_out_text``                 ``DOUBTFUL``
    HTML without the member's mark,     ``DOUBTFUL``
    where the probe page has it
    JSON with the keys that strangers   ``DOUBTFUL``
    get on the probe page
    404 and 410                         ``DOUBTFUL``
    anything else                       ``OPEN``
    ==================================  ==========================================================

    Doubt is no verdict. The probe page decides: it is compared, feature by feature, with its two
    known views.
    """

    def __init__(self, marks: login_marks.DeclaredMarks | None = None) -> None:
        self.marks = marks or login_marks.DeclaredMarks()
        self.login_forms: set[str] = set()
        """The forms that ``login`` has submitted, by their field names."""
        self.login_pages: set[str] = set()
        """The URLs of the pages with these forms, and of pages that led there."""
        self.name = ""
        """The name that the account has typed."""
        self._members_too: set[str] = set()
        self.probes: dict[str, ProbePage] = {}
        """The probe page of each host, by host and port."""

    # Records

    def restore(self, record: SiteEvidence) -> None:
        """Take over what the store says."""
        self.login_forms = set(record.login_forms)
        self.name = record.name
        for probe in record.probes:
            self._probe_of(probe.host).restore(probe)

    def record(self) -> SiteEvidence:
        """Return what the store keeps."""
        probes = sorted(self.probes.values(), key=lambda probe: probe.host)
        return SiteEvidence(
            tuple(sorted(self.login_forms)),
            self.name,
            tuple(probe.record() for probe in probes if probe.is_settled or probe.url),
        )

    def probe(self, url: str) -> ProbePage:
        """Return the probe page of the host of ``url``; it may have no URL yet."""
        return self._probe_of(urlsplit(url).netloc)

    def _probe_of(self, host: str) -> ProbePage:
        if host not in self.probes:
            if len(self.probes) >= MAX_HOSTS:
                return ProbePage(host)
            self.probes[host] = ProbePage(host)
        return self.probes[host]

    def add_login_form(self, form: Any, page_url: str) -> None:
        """Remember a form that ``login`` submits, and the page it is on.

        A form without a field to fill in, as a provider sends users back by, is like many others.
        """
        if signature := login_marks.signature(form):
            self.login_forms.add(signature)
        self.add_login_page(page_url)

    def add_login_page(self, url: str) -> None:
        """Remember the URL of a page of the login."""
        self.login_pages.add(login_marks.without_next(url))

    # Pages

    def view(self, response: Response) -> PageView:
        """Return the features of a page that tell visitors apart."""
        is_html = response.is_html and response.status not in {204, 304}
        forms = login_marks.login_like_forms(response, self.login_forms) if is_html else []
        target = redirect_target(response) or (
            login_marks.refresh_target(response) if is_html else ""
        )
        return PageView(
            status=response.status,
            address=login_marks.without_next(target or response.url),
            login_form=any(login_marks.signature(form) in self.login_forms for form in forms),
            password_form=any(login_marks.asks_for_one_password(form) for form in forms),
            logout_marks=login_marks.logout_marks(response) if is_html else (),
            shows_name=bool(self.name) and self.name in response.text,
            keys=login_marks.json_keys(response),
            member_mark=self._has_member_mark(response) if is_html else False,
            logged_out=self.marks.says_logged_out(response),
            login_link=is_html and any(map(self.is_login_page, login_marks.links(response))),
        )

    # One response

    def query(self, url: str) -> MarksQuery:
        """Return what to look for on the page at ``url``."""
        forms = tuple(sorted(self.login_forms))
        return MarksQuery(forms, self.name, tuple(sorted(self.probe(url).marks)))

    def weigh(self, response: Response, seen: SeenMarks | None = None) -> Finding:
        """Return what ``response`` says of the session that it came to.

        ``seen`` are its marks, if another process has looked for them.
        """
        status = response.status
        if is_redirect(status, response.headers):
            return self._weigh_redirect(response)
        if status in DOUBTFUL_STATUS:
            return Finding(Weight.DOUBTFUL, f"status {status}")
        if seen is None:
            seen = login_marks.examine(response, self.query(response.url), self.marks)
        if seen.logged_out_text:
            return Finding(Weight.DOUBTFUL, Kind.LOGGED_OUT_TEXT)
        if seen.is_html and status not in {204, 304}:
            return self._weigh_html(response, seen)
        if status in MISSING_STATUS:
            return Finding(Weight.DOUBTFUL, f"status {status}")
        probe = self.probe(response.url)
        stranger, member = probe.stranger, probe.member
        can_tell = stranger is not None and member is not None and stranger.keys != member.keys
        if can_tell and stranger is not None and seen.keys and seen.keys == stranger.keys:
            return Finding(Weight.DOUBTFUL, Kind.ANONYMOUS_JSON)
        return Finding(Weight.OPEN)

    def _weigh_redirect(self, response: Response) -> Finding:
        target = redirect_target(response)
        if target is None:
            return Finding(Weight.OPEN)
        if self._leads_to_login(response, target):
            return Finding(Weight.DOUBTFUL, Kind.TO_LOGIN)
        if urlsplit(target).netloc != urlsplit(response.url).netloc:
            return Finding(Weight.DOUBTFUL, Kind.AWAY)
        return Finding(Weight.OPEN)

    def _leads_to_login(self, response: Response, target: str) -> bool:
        """Return True for a redirect to a page of the login, but not from this page itself.

        Members may have another page there, unless the redirect says where to go on to.
        """
        is_itself = login_marks.without_next(target) == login_marks.without_next(response.url)
        if is_itself or not self.is_login_page(target):
            return False
        return not self._is_members_too(target) or login_marks.names_way_back(
            response, [response.url]
        )

    def _weigh_html(self, response: Response, seen: SeenMarks) -> Finding:
        if self.marks.member_mark:
            if seen.member_mark:
                return Finding(Weight.MEMBER)
            return Finding(Weight.DOUBTFUL, Kind.NO_MEMBER_MARK)
        is_login = response.history and self.is_login_page(response.url)
        if is_login and not self._is_members_too(response.url):
            return Finding(Weight.DOUBTFUL, Kind.TO_LOGIN)
        probe = self.probe(response.url)
        member = probe.member
        if seen.logout_mark:
            probe.add_marked(response.url)
            return Finding(Weight.MEMBER)
        if seen.login_form and not (member and member.login_form):
            return Finding(Weight.DOUBTFUL, Kind.LOGIN_FORM)
        if seen.password_form and not (member and member.password_form):
            return Finding(Weight.DOUBTFUL, Kind.PASSWORD_FORM)
        if seen.refresh_target and self._is_strangers(seen.refresh_target, probe):
            return Finding(Weight.DOUBTFUL, Kind.TO_LOGIN)
        if response.status in MISSING_STATUS:
            return Finding(Weight.DOUBTFUL, f"status {response.status}")
        if probe.marks and probe.should_be_marked(response.url):
            return Finding(Weight.DOUBTFUL, Kind.NO_LOGOUT_LINK)
        if probe.is_told_by_name and not _shows_name(response.url, seen, probe):
            return Finding(Weight.DOUBTFUL, Kind.NO_NAME)
        return Finding(Weight.OPEN)

    def _is_strangers(self, target: str, probe: ProbePage) -> bool:
        """Return True if anonymous visitors are redirected to ``target``."""
        if self.is_login_page(target):
            return not self._is_members_too(target)
        stranger, member = probe.stranger, probe.member
        if stranger is None or member is None or stranger.address == member.address:
            return False
        return login_marks.without_next(target) == stranger.address

    def has_login_form(self, response: Response) -> bool:
        """Return True if a form that ``login`` has submitted is on the page."""
        return response.is_html and any(
            login_marks.signature(form) in self.login_forms
            for form in login_marks.login_like_forms(response, self.login_forms)
        )

    def _is_members_too(self, url: str) -> bool:
        """Return True if the account has got a page without a login form at this address."""
        return login_marks.without_next(url) in self._members_too

    def add_members_page(self, response: Response) -> None:
        """Remember a page that the account got, if anonymous visitors get a login form there.

        A login page that members get as well is none: closed pages may lead there.
        """
        if not self.login_pages or not self.is_login_page(response.url):
            return
        member = self.probe(response.url).member
        if (member and member.login_form) or not self.has_login_form(response):
            self._members_too.add(login_marks.without_next(response.url))

    def is_login_page(self, url: str) -> bool:
        """Return True if ``url`` is that of a page of the login, but for what to do after it."""
        return any(login_marks.leads_to_same_page(page, url) for page in self.login_pages)

    def _has_member_mark(self, response: Response) -> bool:
        return bool(self.marks.member_mark) and bool(response.css(self.marks.member_mark))


def _shows_name(url: str, seen: SeenMarks, probe: ProbePage) -> bool:
    """Return True unless the account's name is missing where members have it.

    That it is there proves nothing: an article may have been written by the account.
    """
    if seen.name:
        probe.add_marked(url)
        return True
    return not probe.should_be_marked(url)


_FEATURES = {
    "member_mark": "member_mark",
    "logged_out": "logged_out_text",
    "logout_marks": "a logout link",
    "login_form": "the login form",
    "status": "the status",
    "address": "where it leads",
    "password_form": "a form that asks for a password",
    "keys": "the keys of the JSON",
    "shows_name": "the account's name",
    "login_link": "a link to the login",
}
"""The features by which two views of one page are compared, the strongest first."""
