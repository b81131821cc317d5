"""The messages between the scheduling process and its workers, in msgpack over a pipe.

The scheduling process sends commands (``TaskBatch``, ``ReturnTasks``, ``Shutdown``); a worker
sends lists of ``Outcome``. A request stays encoded on its way: only a worker that fetches it
decodes it.
"""

from __future__ import annotations

import math

import msgspec

from crawler.records import Cookie, FailureReport, LoginState, NewRequest, RobotsFile, SkippedLink


class SessionUpdate(msgspec.Struct, array_like=True):
    """A session's cookies and login state, for a worker whose copy is older.

    ``acked`` is the number of this worker's own changes that ``cookies`` already contains.
    """

    key: str
    cookies: list[Cookie]
    acked: int = 0
    login: LoginState = LoginState()


class HostUpdate(msgspec.Struct, array_like=True):
    """A host, for a worker: its limit of concurrent requests, its session, its robots.txt."""

    id: int
    origin: str
    session: str
    slots: int
    robots: RobotsFile | None = None
    """None if the job does not obey robots.txt."""
    account: str = ""
    """The account of the requests; empty if the job has no named accounts."""
    seeded: bool = False
    """True if a seed is at this host, which may then have a local address."""


class Task(msgspec.Struct, array_like=True):
    """One request for one worker. ``robots`` means that it fetches the host's robots.txt."""

    id: int
    host: int
    request: msgspec.Raw
    robots: bool = False
    sent: bool = False
    """True if it must not be sent twice and may have been sent: it fails without being sent."""
    probe: bool = False
    """Look at the probe page of the host's session, to settle what is unproven."""


class TaskBatch(msgspec.Struct, array_like=True, tag=1):
    """Tasks for a worker, and the updates that they need."""

    tasks: list[Task]
    hosts: list[HostUpdate] = []
    sessions: list[SessionUpdate] = []
    scope: list[str] = []
    """Netlocs that have come into scope."""
    forget: list[int] = []
    """The ids of hosts that are no longer at work."""


class ReturnTasks(msgspec.Struct, array_like=True, tag=2):
    """Return the tasks of this host (``None``: of all hosts) that have not been started."""

    host: int | None = None


class Shutdown(msgspec.Struct, array_like=True, tag=3):
    """End the worker."""


Command = TaskBatch | ReturnTasks | Shutdown


class SessionChange(msgspec.Struct, array_like=True):
    """The changes to a session by responses, in their order."""

    key: str
    cookies: list[Cookie]
    login: LoginState | None = None
    """The new login state; None if it has not changed."""


class FetchStats(msgspec.Struct, array_like=True):
    """The figures of a fetch: when the request was sent, and the response that came."""

    started: float = 0.0
    """The time at which the request was sent, monotonic clock; 0 if it was not sent."""
    status: int = 0
    """The status code of the response; 0 if there is none."""
    size: int = 0
    """The length of the body in bytes, decoded."""
    host_wait: float | None = None
    """Seconds for which the host refuses requests (429, 503), the least wait of its ``HostClock``;
    None if it does not refuse."""


class Output(msgspec.Struct, array_like=True):
    """The items and requests of a callback, checked and encoded."""

    items: bytes = b""
    """JSON lines."""
    item_count: int = 0
    rejected: bytes = b""
    rejected_count: int = 0
    requests: list[NewRequest] = []
    skipped_unsafe: list[SkippedLink] = []
    """Links that seem to log out or change something."""
    skipped_by_limit: dict[str, int] = {}
    """Requests that a limit rejected, by the name of its setting."""
    repaired: int = 0
    """Items with text that UTF-8 cannot express, which U+FFFD replaces."""


class Done(msgspec.Struct, array_like=True, tag=1):
    """The page was handled."""

    output: Output = msgspec.field(default_factory=Output)
    final_page: NewRequest | None = None
    """The page at the end of redirects. If the job has handled it before, drop the output."""


class Failed(msgspec.Struct, array_like=True, tag=2):
    """The request failed for good; ``output`` is from ``Spider.failed``."""

    report: FailureReport
    output: Output = msgspec.field(default_factory=Output)


class Retry(msgspec.Struct, array_like=True, tag=3):
    """The request is to be sent again, at the earliest in ``wait`` seconds."""

    request: bytes | None = None
    """The request to send, encoded; None if it is unchanged."""
    wait: float = 0.0


class Starved(msgspec.Struct, array_like=True, tag=4):
    """This machine had no file handle for the request; it is to be sent again after ``wait``."""

    message: str
    wait: float


class Redirected(msgspec.Struct, array_like=True, tag=5):
    """``target`` takes the place of the request."""

    target: NewRequest


class Returned(msgspec.Struct, array_like=True, tag=6):
    """The task was not started."""


class LoginFailed(msgspec.Struct, array_like=True, tag=7):
    """The session could not be logged in; the request stays pending."""

    report: FailureReport


class RobotsFetched(msgspec.Struct, array_like=True, tag=8):
    """The rules of a host, or the final reason why there are none."""

    robots: RobotsFile


class RobotsUnavailable(msgspec.Struct, array_like=True, tag=9):
    """The rules of a host are unavailable; they are to be fetched again after ``wait`` seconds."""

    robots: RobotsFile
    wait: float


class Denied(msgspec.Struct, array_like=True, tag=10):
    """The request was not made, as the setting ``deny`` leaves it out."""


class Probed(msgspec.Struct, array_like=True, tag=11):
    """The probe page was looked at; the outcome's ``proof`` says what it showed."""


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
    | Denied
    | Probed
)


class Proof(msgspec.Struct, array_like=True):
    """The state of a session's login in a worker, at the time of an outcome."""

    logged_in_at: float | None = None
    """The login, by its time on the wall clock; None while logged out."""
    proven_at: float = -math.inf
    """Every response that had come by then was for a logged-in session; monotonic clock."""


class Doubt(msgspec.Struct, array_like=True):
    """A result that counts only if the session was logged in, which is not proven yet."""

    logged_in_at: float
    """The login that the response belongs to."""
    judged_at: float
    """The time at which the response had come, monotonic clock; a later ``Proof`` settles it."""
    again: Retry | Redirected
    """The result of the request if the session had ended."""


class Outcome(msgspec.Struct, array_like=True):
    """The outcome of one task, with the changes to sessions that came before it."""

    task: int
    result: Result
    fetch: FetchStats = msgspec.field(default_factory=FetchStats)
    sessions: list[SessionChange] = []
    doubt: Doubt | None = None
    proof: Proof | None = None
    """None in jobs that do not log in."""


decode_command = msgspec.msgpack.Decoder(Command).decode
decode_outcomes = msgspec.msgpack.Decoder(list[Outcome]).decode
encode = msgspec.msgpack.Encoder().encode
