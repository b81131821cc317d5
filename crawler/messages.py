"""What the scheduling process and its workers say to each other, as data.

Messages are msgpack over a pipe. The scheduling process sends commands (``TaskBatch``,
``ReturnTasks``, ``Shutdown``); a worker sends lists of ``Outcome``. Requests travel encoded: only
the worker that found one and the worker that fetches it decode it.
"""

from __future__ import annotations

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


class FetchStats(msgspec.Struct, array_like=True):
    """When a request was sent, and what came back."""

    started: float = 0.0
    """When the request was sent, on the monotonic clock; 0 if it was not sent."""
    status: int = 0
    """The status code of the response; 0 if none came."""
    size: int = 0
    """The length of the body in bytes, decoded."""
    host_wait: float | None = None
    """Seconds that the host asked to be left alone (429, 503)."""


class Output(msgspec.Struct, array_like=True):
    """The items and requests of a callback, checked and encoded."""

    items: bytes = b""
    """JSON lines."""
    item_count: int = 0
    rejected: bytes = b""
    rejected_count: int = 0
    requests: list[NewRequest] = []
    skipped_unsafe: int = 0
    """Links that look as if they logged out or deleted something."""
    skipped_by_limit: dict[str, int] = {}
    """Requests that a limit rejected, by the name of its setting."""


class Done(msgspec.Struct, array_like=True, tag=1):
    """The page was handled."""

    output: Output = msgspec.field(default_factory=Output)
    final_page: NewRequest | None = None
    """The page that redirects ended at. If the job has handled it, the output is dropped."""


class Failed(msgspec.Struct, array_like=True, tag=2):
    """The request failed for good; ``output`` is what ``Spider.failed`` made of it."""

    report: FailureReport
    output: Output = msgspec.field(default_factory=Output)


class Retry(msgspec.Struct, array_like=True, tag=3):
    """The request is asked again, no sooner than ``wait`` seconds from now."""

    request: bytes | None = None
    """The request as it is asked again, encoded; None if it is unchanged."""
    wait: float = 0.0


class Starved(msgspec.Struct, array_like=True, tag=4):
    """This machine had no file handle for the request, which is asked again after ``wait``."""

    message: str
    wait: float


class Redirected(msgspec.Struct, array_like=True, tag=5):
    """``target`` takes the place of the request."""

    target: NewRequest


class Returned(msgspec.Struct, array_like=True, tag=6):
    """The request was not started and comes back as it was."""


class LoginFailed(msgspec.Struct, array_like=True, tag=7):
    """The session could not log in; the request stays pending."""

    report: FailureReport


class RobotsFetched(msgspec.Struct, array_like=True, tag=8):
    """The rules of a host, or why there will be none."""

    robots: RobotsFile


class RobotsUnavailable(msgspec.Struct, array_like=True, tag=9):
    """The rules of a host are not known yet; they are asked for again after ``wait`` seconds."""

    robots: RobotsFile
    wait: float


Result = (
    Done
    | Failed
    | Retry
    | Starved
    | Redirected
    | Returned
    | LoginFailed
    | RobotsFetched
    | RobotsUnavailable
)


class Outcome(msgspec.Struct, array_like=True):
    """The outcome of one task, with the changes to sessions that came before it."""

    task: int
    result: Result
    fetch: FetchStats = msgspec.field(default_factory=FetchStats)
    sessions: list[SessionChange] = []


decode_command = msgspec.msgpack.Decoder(Command).decode
decode_outcomes = msgspec.msgpack.Decoder(list[Outcome]).decode
encode = msgspec.msgpack.Encoder().encode
