"""The workers as the engine sees them: assignments go out, outcomes come back.

Assignments go out in few and large messages, with the updates of hosts, sessions and scope that a
worker needs first. Workers that die or grow too large are replaced.
"""

from __future__ import annotations

import logging
import math
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from crawler import urls
from crawler.engine.committer import Committer
from crawler.engine.worker_pool import WorkerPool
from crawler.messages import Failed, Outcome, ReturnTasks, Task, TaskBatch, encode
from crawler.parsing.robots import url_for
from crawler.records import Delivery, FailureReport, Key
from crawler.request import Request
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import Assignment, PageAssignment, ProbeAssignment
from crawler.worker.callback_lock import HUNG
from crawler.worker.failures import may_have_been_sent, report_of

log = logging.getLogger(__name__)

CHECK_EVERY = 1.0
"""Seconds between two looks at the workers' memory."""
LEAST_WORK = 20
"""A new worker handles at least this many requests before it may be replaced; otherwise a spider
that needs much memory from the start would only cause restarts."""


class Dispatcher:
    """Gives assignments of the frontier to a pool of workers, and replaces workers."""

    def __init__(
        self,
        pool: WorkerPool,
        frontier: Frontier,
        committer: Committer,
        max_memory: int | None = None,
    ) -> None:
        """``max_memory`` is in bytes: a worker that uses more is replaced; None for no limit."""
        self._pool = pool
        self._frontier = frontier
        self._committer = committer
        self._crashes = CrashTracker(frontier, committer)
        self._max_memory = max_memory
        self._checked_at = -math.inf
        self._leaving: int | None = None
        """The worker that finishes its requests and is replaced then."""

    def dispatch(self, assignments: Iterable[Assignment]) -> None:
        """Send each assignment to its worker."""
        batches: dict[int, TaskBatch] = {}
        at_most_once: list[PageAssignment] = []
        for assignment in assignments:
            batch = batches.get(assignment.worker)
            if batch is None:
                batch = batches[assignment.worker] = TaskBatch([])
            self._frontier.sync.add_updates(batch, assignment.worker, assignment.host)
            if isinstance(assignment, PageAssignment):
                queued = assignment.queued
                if queued.delivery == Delivery.AT_MOST_ONCE:
                    at_most_once.append(assignment)
                task = Task(
                    assignment.id,
                    assignment.host.id,
                    msgspec.Raw(queued.request),
                    sent=queued.delivery == Delivery.MAYBE_SENT,
                )
            else:
                task = self._hostwide_task(assignment)
            batch.tasks.append(task)
        if at_most_once:
            self._committer.mark_sent(at_most_once)
        for worker, batch in batches.items():
            self._pool.send(worker, batch)

    def _hostwide_task(self, assignment: Assignment) -> Task:
        host = assignment.host
        if isinstance(assignment, ProbeAssignment):
            request = Request(f"{host.origin}/")
            return Task(assignment.id, host.id, msgspec.Raw(encode(request)), probe=True)
        tries = self._frontier.unreachable.tries(host.id)
        request = Request(url_for(f"{host.origin}/"), tries=tries)
        return Task(assignment.id, host.id, msgspec.Raw(encode(request)), robots=True)

    def receive(self, timeout: float, waker: Any = None) -> Iterator[tuple[int, Outcome]]:
        """Yield the outcomes that come within ``timeout`` seconds, each with its worker.

        Workers that turn out to be dead, or too large, are replaced then. ``waker`` is a
        connection or socket that ends the waiting too.
        """
        received, dead = self._pool.receive(timeout, waker)
        for worker, outcomes in received:
            for outcome in outcomes:
                yield worker, outcome
        for worker in dead:
            self._replace_dead(worker, time.monotonic())
        self._check_memory(time.monotonic())

    def recall(self, host_id: int | None = None, *, without: int | None = None) -> None:
        """Ask workers to return what they have not started, of one host or of all."""
        for worker in range(self._pool.size):
            if worker != without:
                self._pool.send(worker, ReturnTasks(host_id))

    def _check_memory(self, now: float) -> None:
        """Replace a worker that uses too much memory, once it has finished its requests."""
        if self._leaving is not None:
            if not self._frontier.is_busy(self._leaving):
                self._recycle(self._leaving, now)
        elif self._max_memory is not None and now >= self._checked_at + CHECK_EVERY:
            self._checked_at = now
            for worker in range(self._pool.size):
                if self._is_too_large(worker) and self._frontier.pause_worker(worker):
                    self._pool.send(worker, ReturnTasks(None))
                    self._leaving = worker
                    break

    def _is_too_large(self, worker: int) -> bool:
        assert self._max_memory is not None
        used = self._pool.memory(worker)
        if used <= self._max_memory or self._pool.handled[worker] < LEAST_WORK:
            return False
        log.warning(
            "worker %d uses %s MB of memory, more than worker_max_memory, %s MB: "
            "it finishes its requests and is replaced",
            worker + 1,
            f"{used / 1e6:,.0f}",
            f"{self._max_memory / 1e6:,.0f}",
        )
        return True

    def _recycle(self, worker: int, now: float) -> None:
        self._pool.recycle(worker)
        self._frontier.sync.reset(worker)
        self._leaving = None
        self._frontier.resume_worker(worker, now)

    def _replace_dead(self, worker: int, now: float) -> None:
        """Start a worker in the place of a dead one; its requests go out again, one by one."""
        lost = self._frontier.worker_died(worker, now)
        isolated = any(
            isinstance(assignment, PageAssignment) and assignment.isolated for assignment in lost
        )
        self._pool.replace(worker, isolated=isolated)
        if worker == self._leaving:
            self._leaving = None
            self._frontier.resume_worker(worker, now)
        code = self._pool.exit_codes[worker]
        log.error("worker %d died (exit code %s) with %d requests", worker + 1, code, len(lost))
        self._crashes.requeue_or_fail(lost, code, now)


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

    def requeue_or_fail(self, lost: Iterable[Assignment], code: int | None, now: float) -> None:
        """Quarantine the pages of a worker that died with exit ``code``; give up deadly ones."""
        for assignment in lost:
            if not isinstance(assignment, PageAssignment):
                continue
            if assignment.isolated and self._count_death(assignment, code):
                self._committer.add(assignment, given_up(assignment, code), now)
                self._frontier.count_finished()
            else:
                self._frontier.quarantine(assignment)

    def _count_death(self, assignment: PageAssignment, code: int | None) -> bool:
        """Count a death with this request alone; return True if it is given up now."""
        key = (assignment.host.id, assignment.queued.key)
        self._deaths[key] += 1
        if code == HUNG:  # the worker ended because of this request
            return True
        return self._deaths[key] >= (KILLS if code == -_SIGKILL else CRASHES)


def given_up(assignment: PageAssignment, code: int | None) -> Failed:
    """Return the result of a request that kills workers."""
    request = msgspec.msgpack.decode(assignment.queued.request, type=Request)
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
