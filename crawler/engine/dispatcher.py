"""Send assignments to the fetching process, and take outcomes from it.

Assignments go out together, with the updates of hosts, sessions and scope that they need. A
fetching process that dies is replaced.
"""

from __future__ import annotations

import logging
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from crawler import urls
from crawler.engine.committer import Committer
from crawler.engine.fetcher_pool import FetcherPool
from crawler.errors import SpiderError
from crawler.fetching.fetch import unreadable
from crawler.messages import (
    Failed,
    Outcome,
    ReturnTasks,
    Task,
    TaskBatch,
    WorkerDied,
    encode,
)
from crawler.parsing.robots import url_for
from crawler.records import Delivery, FailureReport, Key
from crawler.request import Request
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import Assignment, PageAssignment, ProbeAssignment
from crawler.values.request_check import stored_request
from crawler.worker.callback_timer import HUNG
from crawler.worker.failures import may_have_been_sent, report_of

log = logging.getLogger(__name__)


class Dispatcher:
    """Gives assignments of the frontier to the fetching process, and replaces it."""

    def __init__(
        self,
        pool: FetcherPool,
        frontier: Frontier,
        committer: Committer,
    ) -> None:
        self._pool = pool
        self._frontier = frontier
        self._committer = committer
        self._crashes = CrashTracker(frontier, committer)

    def dispatch(self, assignments: Iterable[Assignment]) -> None:
        """Send all assignments."""
        batch = TaskBatch([])
        at_most_once: list[PageAssignment] = []
        for assignment in assignments:
            self._frontier.sync.add_updates(batch, assignment.host)
            if isinstance(assignment, PageAssignment):
                queued = assignment.queued
                if queued.delivery == Delivery.AT_MOST_ONCE:
                    at_most_once.append(assignment)
                task = Task(
                    assignment.id,
                    assignment.host.id,
                    msgspec.Raw(queued.request),
                    sent=queued.delivery == Delivery.MAYBE_SENT,
                    isolated=assignment.isolated,
                )
            else:
                task = self._hostwide_task(assignment)
            batch.tasks.append(task)
        if at_most_once:
            self._committer.mark_sent(at_most_once)
        if batch.tasks:
            self._pool.send(batch)

    def _hostwide_task(self, assignment: Assignment) -> Task:
        host = assignment.host
        if isinstance(assignment, ProbeAssignment):
            request = Request(f"{host.origin}/")
            return Task(assignment.id, host.id, msgspec.Raw(encode(request)), probe=True)
        tries = self._frontier.unreachable.tries(host.id)
        request = Request(url_for(f"{host.origin}/"), tries=tries)
        return Task(assignment.id, host.id, msgspec.Raw(encode(request)), robots=True)

    def receive(self, timeout: float, waker: Any = None) -> Iterator[Outcome]:
        """Yield the outcomes that come within ``timeout`` seconds.

        A fetching process that turns out to be dead is replaced then. ``waker`` is a connection or
        socket that ends the waiting too.
        """
        outcomes, has_died = self._pool.receive(timeout, waker)
        yield from outcomes
        if has_died:
            self._replace_dead(time.monotonic())

    def recall(self, host_id: int | None = None) -> None:
        """Ask for the return of all tasks that have not been started, of one host or of all."""
        self._pool.send(ReturnTasks(host_id))

    def _replace_dead(self, now: float) -> None:
        """Start a fetching process in the place of a dead one; its requests go out again."""
        lost = self._frontier.fetcher_died(now)
        isolated = any(
            isinstance(assignment, PageAssignment) and assignment.alone for assignment in lost
        )
        self._pool.replace(isolated=isolated)
        code = self._pool.exit_code
        log.error("the fetching process died (exit code %s) with %d requests", code, len(lost))
        self._crashes.fetcher_died(lost, code, now)

    def worker_died(self, assignment: PageAssignment, died: WorkerDied, now: float) -> None:
        """Let a page whose worker died go out again, or give it up."""
        self._crashes.worker_died(assignment, died, now)


# Workers that die

CRASHES = 2
"""Deaths of a worker that had one request alone, until that request is given up."""
KILLS = 3
"""The same for SIGKILL, which may also have come from outside."""
_SIGKILL = int(getattr(signal, "SIGKILL", 9))


class CrashTracker:
    """Counts the deaths that each request has surely caused."""

    def __init__(self, frontier: Frontier, committer: Committer) -> None:
        self._frontier = frontier
        self._committer = committer
        self._deaths: Counter[tuple[int, Key]] = Counter()
        self._was_there: set[tuple[int, Key]] = set()
        """Requests that a fetching process had when it died, with others."""

    def worker_died(self, assignment: PageAssignment, died: WorkerDied, now: float) -> None:
        """Isolate a page whose worker died; give up a deadly one."""
        is_to_blame = assignment.isolated and died.was_at_work
        if not (is_to_blame and self._gave_up(assignment, died.exit_code, now)):
            self._frontier.isolate(assignment, now, alone=False)

    def fetcher_died(self, lost: Iterable[Assignment], code: int | None, now: float) -> None:
        """Put back what a fetching process had when it died with exit ``code``.

        It has thousands of requests, and few of its deaths are due to one of them. So only those
        that it had twice go out alone.
        """
        for assignment in lost:
            if not isinstance(assignment, PageAssignment):
                continue
            key = (assignment.host.id, assignment.queued.key)
            if assignment.alone:
                if not self._gave_up(assignment, code, now):
                    self._frontier.isolate(assignment, now, alone=True)
            elif key in self._was_there:
                self._frontier.isolate(assignment, now, alone=True)
            else:
                self._was_there.add(key)
                self._frontier.requeue_maybe_sent(assignment, now)

    def _gave_up(self, assignment: PageAssignment, code: int | None, now: float) -> bool:
        """Count a death with this request alone; give it up if there were too many."""
        if not self._count_death(assignment, code):
            return False
        self._committer.add(assignment, given_up(assignment, code), now)
        self._frontier.count_finished()
        return True

    def _count_death(self, assignment: PageAssignment, code: int | None) -> bool:
        """Count a death with this request alone; return True if it is given up now."""
        key = (assignment.host.id, assignment.queued.key)
        self._deaths[key] += 1
        if code == HUNG:  # the worker ended because of this request
            return True
        return self._deaths[key] >= (KILLS if code == -_SIGKILL else CRASHES)


def given_up(assignment: PageAssignment, code: int | None) -> Failed:
    """Return the result of a request that kills workers."""
    try:
        request = stored_request(assignment.queued.request)
    except SpiderError as error:
        return unreadable(assignment.host.origin, error)
    url = urls.redacted(request.url)
    if not request.replay:
        return Failed(report_of(request, may_have_been_sent(request, "it killed a worker")))
    if code == HUNG:
        message = (
            f"{url}: its callback took longer than callback_timeout; run.log says where it was"
        )
        return Failed(FailureReport(url, "callback timeout", message))
    message = f"{url}: handling it killed worker processes (exit code {code})"
    return Failed(FailureReport(url, "worker died", message))
