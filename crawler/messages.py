"""The messages between the processes of a crawl, in msgpack over sockets.

The scheduling process sends commands (``TaskBatch``, ``ReturnTasks``, ``Shutdown``) to the fetching
process, which sends lists of ``Outcome``. The fetching process sends ``Page`` and other
``PageCommand`` to workers, which send ``PageResult``, ``Examined`` and ``Call``. A request stays
encoded in the scheduling process.
"""

from __future__ import annotations

import math

import msgspec

from crawler.records import (
    Cookie,
    FailureReport,
    LoginState,
    NewRequest,
    RobotsFile,
    SessionRecord,
    SkippedLink,
)


class HostUpdate(msgspec.Struct, array_like=True):
    """A host that is new or has changed."""

    id: int
    origin: str
    session: str
    slots: int
    """The number of its requests that may be under way at the same time."""
    delay: float = 0.0
    """Seconds between two requests."""
    robots: RobotsFile | None = None
    """None if the job does not obey robots.txt."""
    account: str = ""
    """The account of the requests; empty if the job has no named accounts."""
    seeded: bool = False
    """True if a seed is at this host, which may then have a local address."""


class Task(msgspec.Struct, array_like=True):
    """One request. ``robots`` says that it is for the host's robots.txt."""

    id: int
    host: int
    request: msgspec.Raw
    robots: bool = False
    sent: bool = False
    """True if it must not be sent twice and may have been sent: it fails without being sent."""
    isolated: bool = False
    """True if a worker has died with it, so that its worker must have no other page."""
    probe: bool = False
    """Look at the probe page of the host's session, to settle what is unproven."""


class TaskBatch(msgspec.Struct, array_like=True, tag=1):
    """Tasks, and the updates that are needed before them."""

    tasks: list[Task]
    hosts: list[HostUpdate] = []
    sessions: list[SessionRecord] = []
    """The sessions that the fetching process lacks."""
    scope: list[str] = []
    """Netlocs that have come into scope."""
    forget: list[int] = []
    """The ids of hosts that are no longer at work."""


class ReturnTasks(msgspec.Struct, array_like=True, tag=2):
    """Return the tasks of this host (``None``: of all hosts) that have not been started.

    It answers an outcome with ``host_wait``: until it comes, no further task of the host is begun.
    """

    host: int | None = None


class Shutdown(msgspec.Struct, array_like=True, tag=3):
    """End the process."""


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


class WorkerDied(msgspec.Struct, array_like=True, tag=12):
    """The worker that had the page died, with ``exit_code``; None if that is unknown."""

    exit_code: int | None = None
    was_at_work: bool = True
    """False if the worker only held the page, whose session was being judged."""


class PoolFailed(msgspec.Struct, array_like=True, tag=13):
    """No worker can be started any more. Its outcome belongs to no task."""

    message: str
    is_lack_of_resource: bool


class NoNetwork(msgspec.Struct, array_like=True, tag=14):
    """No host's name resolves on this machine; the request was not sent, and stays pending."""

    message: str


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
    | WorkerDied
    | PoolFailed
    | NoNetwork
)


class Proof(msgspec.Struct, array_like=True):
    """The state of a session's login at the time of an outcome."""

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


# Between the fetching process and its workers, which parse pages


class Problem(msgspec.Struct, array_like=True):
    """The error in the place of a response."""

    report: FailureReport
    error_class: str = ""
    """The class of the exception: one of ours that policies and spiders look at, or empty."""
    retryable: bool = False


class MarksQuery(msgspec.Struct, array_like=True):
    """What to look for on a page of a session that logs in."""

    login_forms: tuple[str, ...] = ()
    name: str = ""
    marks: tuple[str, ...] = ()
    asks_spider: bool = False
    """True if the spider decides whether the session had ended."""


class SeenMarks(msgspec.Struct, array_like=True):
    """What a page shows of who is visiting it; the evidence of the session says what it means."""

    is_html: bool = False
    is_json: bool = False
    logged_out_text: bool = False
    member_mark: bool = False
    logout_mark: bool = False
    """One of the query's marks is there."""
    login_form: bool = False
    password_form: bool = False
    name: bool = False
    keys: tuple[str, ...] = ()
    refresh_target: str = ""
    """The URL that a meta refresh leads to."""
    is_logged_out: bool = False
    """The answer of the spider's own check."""


class Page(msgspec.Struct, array_like=True, tag=1):
    """A response for a worker, which decodes, parses and handles it; or the ``problem``."""

    id: int
    request: msgspec.Raw
    session: str
    account: str
    asked: float = 0.0
    """When its first hop was sent, wall clock."""
    url: str = ""
    status: int = 0
    headers: list[tuple[str, str]] = []
    coding: str = ""
    """The value of Content-Encoding that the body still has; empty if it is decoded."""
    body: bytes = b""
    hops: list[tuple[str, int]] = []
    problem: Problem | None = None
    is_unproven: bool = False
    """Its output may be dropped, so its links must be sent again when they come again."""
    query: MarksQuery | None = None
    """Look at the page first, and handle it when a ``Verdict`` says so."""


class ScopeUpdate(msgspec.Struct, array_like=True, tag=2):
    """Netlocs that have come into scope."""

    netlocs: list[str]


class NewSecrets(msgspec.Struct, array_like=True, tag=5):
    """Texts to be masked from now on."""

    texts: list[str]


class Verdict(msgspec.Struct, array_like=True, tag=6):
    """What becomes of a page that was looked at."""

    id: int
    is_page: bool
    """False if it is to be dropped."""
    is_unproven: bool = False


class CallResult(msgspec.Struct, array_like=True, tag=3):
    """What a call of ``response.session`` has returned, pickled."""

    value: bytes


class EndWorker(msgspec.Struct, array_like=True, tag=4):
    """End the worker."""


class PageResult(msgspec.Struct, array_like=True, tag=1):
    """The outcome of a page in a worker. ``result`` is an encoded Result."""

    id: int
    result: msgspec.Raw = msgspec.Raw()
    size: int = 0
    """The length of the body in bytes, decoded."""
    host_wait: float | None = None
    may_be_doubted: bool = True
    """False if the request is sent again anyway."""


class Call(msgspec.Struct, array_like=True, tag=2):
    """A callback's call of ``response.session``: the page, the session, and the call, pickled."""

    id: int
    session: str
    call: bytes
    """Pickled."""


class Ready(msgspec.Struct, array_like=True, tag=3):
    """The worker has started, and handles pages from now on."""


class Examined(msgspec.Struct, array_like=True, tag=4):
    """The marks that a worker has seen on a page; None if the spider's own check raised."""

    id: int
    seen: SeenMarks | None


PageCommand = Page | Verdict | ScopeUpdate | NewSecrets | CallResult | EndWorker
decode_page_command = msgspec.msgpack.Decoder(PageCommand).decode
decode_page_reply = msgspec.msgpack.Decoder(PageResult | Call | Ready | Examined).decode
decode_command = msgspec.msgpack.Decoder(Command).decode
decode_outcomes = msgspec.msgpack.Decoder(list[Outcome]).decode
_decode_outcome = msgspec.msgpack.Decoder(Outcome).decode
_decode_parts = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
encode = msgspec.msgpack.Encoder().encode


def readable_outcomes(message: bytes) -> list[Outcome]:
    """Return the outcomes in a message of the fetching process, some of which are unreadable.

    One whose values have wrong types is a failure of its task alone. Raises DecodeError for bytes
    that are no list of outcomes.
    """
    return [_outcome_of(part) for part in _decode_parts(message)]


def _outcome_of(part: msgspec.Raw) -> Outcome:
    try:
        return _decode_outcome(part)
    except msgspec.ValidationError as error:
        task = msgspec.msgpack.decode(_decode_parts(part)[0], type=int)
        message = f"the outcome of the request is unreadable: {error}"
        return Outcome(task, Failed(FailureReport("", "crawler", message)))
