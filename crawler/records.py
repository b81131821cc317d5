"""What a job keeps, as data: requests, hosts, sessions, cookies and failures."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import msgspec


class Cookie(msgspec.Struct, frozen=True, array_like=True):
    """One cookie as data. ``value`` is ``None`` when a response deleted it."""

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
        """What makes two cookies the same one (RFC 6265, section 5.3, step 11)."""
        return (self.domain, self.path, self.name)


class LoginState(msgspec.Struct, frozen=True, array_like=True):
    """What a login has left behind, besides cookies."""

    at: float | None = None
    """When the session logged in, wall clock; None while it is not logged in."""
    headers: dict[str, str] = {}
    """Headers that the spider has set on the session."""
    state: dict[str, Any] = {}
    """What the spider keeps in ``session.state``."""
    pages: tuple[str, ...] = ()
    """Where the forms of the login stood, without query."""
    sites: tuple[str, ...] = ()
    """The sites that the login has visited: auth and its headers go to no other."""
    waiting: str = ""
    """What only a person can answer; the next login waits for that."""


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """How much a session has been used, and when."""

    pages: int = 0
    """Responses that came through it."""
    window_at: float = 0.0
    """When the time began that a quota is counted for, wall clock."""
    window_pages: int = 0
    logins: int = 0
    logged_out_at: float | None = None
    """When a page last came back as if nobody were logged in, wall clock."""


class RobotsFile(msgspec.Struct, array_like=True):
    """A host's robots.txt: its rules as bytes and the crawl-delay (seconds) meant for us."""

    body: bytes
    crawl_delay: float | None = None
    cause: str = ""
    """Why there are no rules to go by, in a word; nothing may be asked then."""
    message: str = ""
    """The same in a sentence."""


class NewRequest(msgspec.Struct, array_like=True):
    """A new request as it goes into the frontier."""

    fingerprint: bytes
    origin: str
    rank: int
    """Ascending: what has the least rank goes first."""
    callback: str
    request: msgspec.Raw
    once: bool = False
    """It must not be sent twice."""
    dont_filter: bool = False
    account: str = ""
    """The account that asks; empty where there is only one identity."""


class FailureReport(msgspec.Struct, array_like=True):
    """Why a request failed for good."""

    url: str
    cause: str
    message: str
    traceback: str = ""


class Key(NamedTuple):
    """A request's place in its host's queue: what has the least rank, then id, goes first."""

    rank: int
    id: int


class Delivery(enum.IntEnum):
    """How often a request may be sent, and whether it may have been."""

    REPEATABLE = 0
    AT_MOST_ONCE = 1
    """It must not be sent twice (``replay=False``), and has not been sent."""
    MAYBE_SENT = 2
    """It must not be sent twice, and a worker was given it, so that it may have been sent."""


class QueuedRequest(NamedTuple):
    """A pending request: its place in the queue, and a Request in msgpack.

    They are ordered as they go out. Flat, so that a row of the store is one as it comes.
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
"""A request as it stands in a queue: host, rank, id, ``once`` and the Request in msgpack. A plain
tuple, for there are hundreds of new ones in a page, and most are needed by the store alone."""


class HostRow(NamedTuple):
    """A host as the store keeps it. Times are wall-clock seconds since the epoch."""

    id: int
    origin: str
    next_at: float = 0.0
    """No request before this time."""
    granted: float = 0.0
    """The wait, in seconds, that led to ``next_at``."""
    robots: RobotsFile | None = None
    robots_at: float = 0.0
    account: str = ""
    """Whose requests these are; each account has queues and clocks of its own."""
    seeded: bool = False
    """A seed is at this host."""
    requests: int = 0
    """Requests that were made pending here, over all runs."""


class SessionRecord(NamedTuple):
    """A session as data."""

    key: str
    cookies: list[Cookie]
    login: LoginState = LoginState()
    usage: Usage = Usage()


class FailedRequest(NamedTuple):
    """A request that failed for good."""

    report: FailureReport
    at: float
