"""A fetch: a task on its way, and what becomes of it."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Protocol

from crawler.fetching.hosts import HostInfo
from crawler.fetching.sender import Answer
from crawler.messages import FetchStats, Page, Result, SeenMarks, Task, Verdict, WorkerDied
from crawler.request import Request, unpacked
from crawler.session.login_turn import LoginTurn
from crawler.session.session import Session


class Fetch:
    """A task on its way."""

    __slots__ = (
        *("answer", "host", "is_held", "is_judged", "lost", "marks", "request", "session", "stats"),
        *("task", "turn"),
    )

    def __init__(self, task: Task, host: HostInfo, session: Session) -> None:
        self.task = task
        self.host = host
        self.session = session
        self.request: Request = unpacked(task.request)
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
