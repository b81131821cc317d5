"""What the scheduling process and its workers say to each other, as data.

Messages are msgpack over a pipe. The scheduling process sends commands (``TaskBatch``,
``ReturnTasks``, ``Shutdown``); a worker sends lists of ``Outcome``. Requests travel encoded: only
the worker that found one and the worker that fetches it decode it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from crawler.records import Cookie, FailureReport, LoginState, NewRequest, RobotsFile


class SessionUpdate(msgspec.Struct, array_like=True):
    """A session's cookies and login state, for a worker whose copy is older.

    ``heard`` is the number of changes from this very worker that are already in ``cookies``.
    """

    key: str
    cookies: list[Cookie]
    heard: int = 0
    login: LoginState = LoginState()


class HostUpdate(msgspec.Struct, array_like=True):
    """A host as a worker needs to know it: how many requests at once, its session, its rules."""

    id: int
    origin: str
    session: str
    slots: int
    robots: RobotsFile | None = None
    """None if nobody asks for rules."""
    account: str = ""
    """Whose requests these are; empty where there is only one identity."""
    seeded: bool = False
    """A seed is there, so that it may be at a local address."""


class Task(msgspec.Struct, array_like=True):
    """One request to be handled by one worker. ``robots`` asks for the host's robots.txt."""

    id: int
    host: int
    request: msgspec.Raw
    robots: bool = False
    sent: bool = False
    """It must not be sent twice and may have been sent: it fails without being sent."""


class TaskBatch(msgspec.Struct, array_like=True, tag=1):
    """Work for a worker, and what it must know first."""

    tasks: list[Task]
    hosts: list[HostUpdate] = []
    sessions: list[SessionUpdate] = []
    scope: list[str] = []
    """Netlocs that have come into scope."""
    forget: list[int] = []
    """Hosts that are no longer at work."""


class ReturnTasks(msgspec.Struct, array_like=True, tag=2):
    """Give back what waits for this host (all hosts: ``None``) and has not been started."""

    host: int | None = None


class Shutdown(msgspec.Struct, array_like=True, tag=3):
    """Nothing more will come: end."""


Command = TaskBatch | ReturnTasks | Shutdown


class SessionChange(msgspec.Struct, array_like=True):
    """What responses changed in a session, in the order in which they did."""

    key: str
    cookies: list[Cookie]
    login: LoginState | None = None
    """The new login state, if it is another."""


class Outcome(msgspec.Struct, array_like=True):
    """What became of one task.

    ``done`` and ``failed`` end a request. ``again`` leaves it pending, asked again no sooner than
    ``wait`` seconds from now, as ``request``. ``moved`` replaces it by ``moved`` (a redirect).
    ``returned`` leaves it as it was. ``robots`` brings a host's rules, or why there are none:
    then they are asked for again no sooner than ``wait`` seconds from now, unless that is 0.
    ``login`` leaves it pending because its session could not log in.
    """

    task: int
    kind: Literal["done", "failed", "again", "moved", "returned", "robots", "login"]
    started: float = 0.0
    """When the request was sent, on the monotonic clock; 0 when it was not sent."""
    status: int = 0
    """The response's status code; 0 when none came."""
    size: int = 0
    """Bytes of the response's body, decoded."""
    items: bytes = b""
    item_count: int = 0
    rejected: bytes = b""
    rejected_count: int = 0
    skipped: int = 0
    """Links that were not followed, as they look as if they logged out or deleted something."""
    left_out: dict[str, int] = {}
    """Requests that were not made, by the name of the limit that was against them."""
    found: list[NewRequest] = []
    sessions: list[SessionChange] = []
    failure: FailureReport | None = None
    request: bytes | None = None
    """The request as it is asked again, encoded; None where it is as it was."""
    wait: float = 0.0
    host_wait: float | None = None
    """Seconds that the whole host asked to be left alone (429, 503)."""
    moved: NewRequest | None = None
    arrived: NewRequest | None = None
    """Where redirects led to: when the job has seen that page, this outcome's output is dropped."""
    robots: RobotsFile | None = None


decode_command = msgspec.msgpack.Decoder(Command).decode
decode_outcomes = msgspec.msgpack.Decoder(list[Outcome]).decode
encode = msgspec.msgpack.Encoder().encode
