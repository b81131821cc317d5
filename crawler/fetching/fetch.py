"""A fetch: a task on its way, and what becomes of it."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Protocol, Self, TypeVar

import msgspec

from crawler import urls
from crawler.errors import SpiderError
from crawler.fetching.hosts import HostInfo
from crawler.fetching.sender import Answer
from crawler.messages import (
    Failed,
    FetchStats,
    Page,
    Redirected,
    Result,
    Retry,
    SeenMarks,
    Task,
    Verdict,
    WorkerDied,
    encode,
)
from crawler.records import FailureReport
from crawler.request import Request, packed, unpacked
from crawler.session.login_turn import LoginTurn
from crawler.session.session import Session
from crawler.values.request_check import stored_request
from crawler.worker.request_filter import encoded

NOT_CURED = 1.0
"""Seconds to wait with a page that a new login has not brought back."""

_R = TypeVar("_R", bound=Result)


class Fetch:
    """A task on its way."""

    __slots__ = (
        *("answer", "host", "is_held", "is_judged", "lost", "marks", "request", "session", "stats"),
        *("task", "turn"),
    )

    def __init__(self, task: Task, host: HostInfo, session: Session, request: Request) -> None:
        self.task = task
        self.host = host
        self.session = session
        self.request = request
        self.stats = FetchStats()
        self.turn: LoginTurn | None = None
        self.answer: Answer | None = None
        self.marks: SimpleQueue[SeenMarks | None] = SimpleQueue()
        """Where the thread that judges the page waits for its marks."""
        self.is_held = False
        """A worker has looked at the page, and keeps it."""
        self.is_judged = True
        """No thread judges the page."""
        self.lost: WorkerDied | None = None

    @classmethod
    def of(cls, task: Task, host: HostInfo, session: Session) -> Self:
        """Return the fetch of ``task``. Raises SpiderError if its request is unreadable.

        If an earlier version has stored wrong values in it, the task gets those that they mean.
        """
        return cls(task, host, session, _request_of(task))


class FetchClient(Protocol):
    """Takes what the fetcher has fetched. Called in the loop's thread."""

    def parse(self, fetch: Fetch, page: Page) -> None:
        """Let a worker handle a page; its result is that of the fetch."""

    def examine(self, fetch: Fetch, page: Page) -> None:
        """Let a worker look at a page, put what it sees in ``fetch.marks``, and keep the page."""

    def judge(self, fetch: Fetch, verdict: Verdict) -> None:
        """Let the worker that keeps a page handle it, or drop it."""

    def finish(self, fetch: Fetch, result: Result) -> None:
        """Take the result of a fetch that no worker needs to see."""


def _request_of(task: Task) -> Request:
    try:
        return unpacked(task.request)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        request = stored_request(bytes(task.request))
    task.request = msgspec.Raw(packed(request))  # for the worker
    return request


def unreadable(origin: str, error: SpiderError) -> Failed:
    """Return the result of a request at ``origin`` that is unreadable."""
    return Failed(FailureReport(f"{origin}/", "unreadable request", f"{origin}: {error}"))


def ask_again(request: Request, again: Request, wait: float = 0.0) -> Retry | Redirected:
    """Put ``again`` in the place of ``request``, in the queue of its own host."""
    if urls.same_origin(request.url, again.url):
        return Retry(encode(again), max(wait, NOT_CURED * (again.tries > 1)))
    target = encoded(again)
    target.dont_filter = True
    return Redirected(target)


def with_account(result: _R, fetch: Fetch) -> _R:
    """Give a request that takes the place of another one its account."""
    if isinstance(result, Redirected):
        result.target.account = result.target.account or fetch.host.account
    return result
