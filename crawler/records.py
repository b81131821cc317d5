"""The records of a job that a store keeps: requests, hosts, sessions, cookies and failures.

Plain data, which any package may import; ``crawler.store.protocols`` has the verbs.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import msgspec


class Cookie(msgspec.Struct, frozen=True, array_like=True):
    """A cookie. ``value`` is None if a response deleted it."""

    name: str
    value: str | None
    domain: str
    path: str
    expires: float | None = None
    secure: bool = False
    http_only: bool = False
    host_only: bool = True

    @property
    def key(self) -> tuple[str, str, str]:
        """The identity of a cookie (RFC 6265, section 5.3, step 11)."""
        return (self.domain, self.path, self.name)


class PageView(msgspec.Struct, frozen=True, array_like=True):
    """The features of a page by which a site may show who is visiting it."""

    status: int = 0
    address: str = ""
    """Its URL after redirects, also by ``<meta>``, without what names the page to go on to."""
    login_form: bool = False
    password_form: bool = False
    """It has a form with a single password field."""
    logout_marks: tuple[str, ...] = ()
    """The addresses or texts of its elements that log out."""
    shows_name: bool = False
    """It has the account's name."""
    keys: tuple[str, ...] = ()
    """The keys of a JSON object."""
    member_mark: bool = False
    logged_out: bool = False
    """It has the spider's ``logged_out_text``."""
    login_link: bool = False
    """It links to a page of the login."""


class ProbeRecord(msgspec.Struct, frozen=True, array_like=True):
    """The probe page of a host, which shows whether a session is logged in there."""

    host: str
    url: str = ""
    """Empty if pages have been tried, and none was good."""
    member: PageView | None = None
    """The page as the account gets it."""
    stranger: PageView | None = None
    """The page as anonymous visitors get it."""


class SiteEvidence(msgspec.Struct, frozen=True, array_like=True):
    """The features by which a site shows whether a session is logged in."""

    login_forms: tuple[str, ...] = ()
    """The forms of the login, by the names of their fields."""
    name: str = ""
    """The account's name as it was typed into the form."""
    probes: tuple[ProbeRecord, ...] = ()
    """The probe page of each host."""


class LoginState(msgspec.Struct, frozen=True, array_like=True):
    """The state of a login, besides cookies."""

    at: float | None = None
    """The time of the session's login, wall clock; None while it is not logged in."""
    headers: dict[str, str] = {}
    """Headers that the spider has set on the session."""
    state: dict[str, Any] = {}
    """The content of ``session.state``, which is the spider's."""
    pages: tuple[str, ...] = ()
    """The URLs of the login's pages."""
    origins: tuple[str, ...] = ()
    """The origins that the login has visited: its auth and headers go to these."""
    waiting: str = ""
    """The question that the next login must have answered, such as a code; or empty."""
    evidence: SiteEvidence = SiteEvidence()


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """The use of a session: its pages and logins, and the period of its quota."""

    pages: int = 0
    """The number of responses of the session."""
    window_at: float = 0.0
    """The beginning of the quota's period, wall clock."""
    window_pages: int = 0
    logins: int = 0
    logged_out_at: float | None = None
    """The time of the last response that showed that the session was logged out, wall clock."""


class RobotsFile(msgspec.Struct, array_like=True):
    """The robots.txt of a host: its rules as bytes, and its crawl-delay (seconds)."""

    body: bytes
    crawl_delay: float | None = None
    cause: str = ""
    """Why there are no rules, in a word or two; then no page may be requested."""
    message: str = ""
    """The cause in a sentence."""


class NewRequest(msgspec.Struct, array_like=True):
    """A request on its way into the frontier."""

    fingerprint: bytes
    origin: str
    rank: int
    """The place in the queue: the lowest rank is sent first."""
    callback: str
    request: msgspec.Raw
    """The Request in msgpack."""
    once: bool = False
    """True if it must not be sent twice."""
    dont_filter: bool = False
    account: str = ""
    """The account that the request belongs to; empty if the job has no accounts."""


class FailureReport(msgspec.Struct, array_like=True):
    """Why a request failed for good."""

    url: str
    cause: str
    message: str
    traceback: str = ""


class Key(NamedTuple):
    """The place of a request in the queue of its host, by rank, then by id."""

    rank: int
    id: int


class Delivery(enum.IntEnum):
    """The number of times that a request may be sent, and whether it may have been sent."""

    REPEATABLE = 0
    AT_MOST_ONCE = 1
    """It must not be sent twice (``replay=False``), and has not been sent."""
    MAYBE_SENT = 2
    """It must not be sent twice, and may have been sent, since the fetching process had it."""


class QueuedRequest(NamedTuple):
    """A pending request: its place in the queue, and a Request in msgpack.

    They sort in the order of sending. Flat, so that a row of the store needs no conversion.
    """

    rank: int
    id: int
    request: bytes
    delivery: int = Delivery.REPEATABLE.value

    @property
    def key(self) -> Key:
        """The place in the queue of its host."""
        return Key(self.rank, self.id)


PendingRow = tuple[int, int, int, int, bytes]
"""A row of a queue: host, rank, id, ``once`` and the Request in msgpack.

A plain tuple, since a page has hundreds of them and only the store reads most of them."""


class HostRow(NamedTuple):
    """A host as it is stored. Times are wall-clock seconds since the epoch."""

    id: int
    origin: str
    next_at: float = 0.0
    """No request before this time."""
    granted: float = 0.0
    """The wait, in seconds, that ``next_at`` comes from."""
    robots: RobotsFile | None = None
    robots_at: float = 0.0
    account: str = ""
    """The account of the requests; each account has queues and clocks of its own."""
    seeded: bool = False
    """True if a seed is at this host."""
    requests: int = 0
    """The number of requests that were queued for it, over all runs."""
    back_off: float = 0.0
    """The extra delay, in seconds, of a host that has answered that it is overloaded."""


class SessionRecord(NamedTuple):
    """A session as it is stored."""

    key: str
    cookies: list[Cookie]
    login: LoginState = LoginState()
    usage: Usage = Usage()


class SkippedLink(msgspec.Struct, array_like=True):
    """A link that is not followed, as a GET of it may act."""

    fingerprint: bytes
    shape: str
    """The part of the URL that it shares with its like, ``/posts/{n}/delete``."""
    effect: str
    """The effect that the link seems to have, as the cause of a failure is named."""
    sign: str
    """The part of the URL or of the page that shows the effect."""
    example: str
    """The URL, without its secrets."""


class SkippedShape(NamedTuple):
    """The links of one shape that were not followed."""

    shape: str
    links: int
    """The number of these links; each counts once."""
    effect: str
    sign: str
    example: str
    """The URL of the first of them, without its secrets."""


class FailedRequest(NamedTuple):
    """A request that failed for good."""

    report: FailureReport
    at: float
