"""Pages that kill workers: which one did it, and when it is given up."""

from __future__ import annotations

import logging
import math
import signal
from collections import Counter
from collections.abc import Iterable

import msgspec

from crawler import urls
from crawler.engine.committer import Committer
from crawler.engine.worker_pool import WorkerPool
from crawler.messages import Outcome
from crawler.records import SENT, FailureReport, Key
from crawler.request import Request
from crawler.scheduling.host_queue import Assignment
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.worker_sync import WorkerSync
from crawler.worker.callback_lock import HUNG
from crawler.worker.failures import may_have_been_sent, report_of

CRASHES = 2
"""Deaths of a worker that had one request alone, until that request is given up."""
KILLS = 3
"""The same for SIGKILL, which may also have come from outside."""


class CrashTracker:
    """Counts the deaths that each request has surely caused."""

    def __init__(self, scheduler: Scheduler, committer: Committer) -> None:
        self._scheduler = scheduler
        self._committer = committer
        self._deaths: Counter[tuple[int, Key]] = Counter()

    def requeue_or_fail(self, lost: Iterable[Assignment], code: int | None, now: float) -> None:
        """What a worker had that died with exit ``code`` goes out again, one by one."""
        for assignment in lost:
            queued = assignment.queued
            if queued is None:
                continue
            if assignment.isolated and self._is_deadly(assignment, code):
                self._committer.add(assignment, given_up(assignment, code), now)
                self._scheduler.count_finished()
            else:
                if queued.once:  # a worker tells the spider that it may have been sent
                    queued = queued._replace(once=SENT)
                self._scheduler.quarantine(assignment.worker, assignment.host, queued)

    def _is_deadly(self, assignment: Assignment, exit_code: int | None) -> bool:
        """One more death with this request alone; True when there have been enough of them."""
        assert assignment.queued is not None, "robots.txt is never tried alone"
        key = (assignment.host.id, assignment.queued.key)
        self._deaths[key] += 1
        if exit_code == HUNG:  # it was seen to be this one
            return True
        return self._deaths[key] >= (KILLS if exit_code == -_SIGKILL else CRASHES)


_SIGKILL = int(getattr(signal, "SIGKILL", 9))


def given_up(assignment: Assignment, exit_code: int | None) -> Outcome:
    """The outcome of a request that kills workers."""
    assert assignment.queued is not None, "robots.txt is never tried alone"
    request = msgspec.msgpack.decode(assignment.queued.request, type=Request)
    url = urls.redacted(request.url)
    if not request.replay:
        report = report_of(request, may_have_been_sent(request, "it killed a worker"))
    elif exit_code == HUNG:
        message = (
            f"{url}: its callback took longer than callback_timeout; run.log says where it was"
        )
        report = FailureReport(url, "callback timeout", message)
    else:
        message = f"{url}: handling it killed worker processes (exit code {exit_code})"
        report = FailureReport(url, "worker died", message)
    return Outcome(assignment.id, "failed", failure=report)


log = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks at the workers' memory."""
LEAST_WORK = 20
"""A new worker handles at least this many requests before it may be replaced; otherwise a spider
that needs much memory from the start would only cause restarts."""


class WorkerRecycler:
    """Replaces workers that use more than ``most`` bytes, one at a time. Never where None."""

    def __init__(self, most: int | None, scheduler: Scheduler, news: WorkerSync) -> None:
        self._most = most
        self._scheduler = scheduler
        self._news = news
        self._looked = -math.inf
        self._leaving: int | None = None

    def check_memory(self, team: WorkerPool, now: float) -> None:
        """Ask a worker that is too large to end; replace it when it has."""
        if self._leaving is not None:
            if not self._scheduler.is_busy(self._leaving):
                self._replace(team, self._leaving, now)
        elif self._most is not None and now >= self._looked + LOOK_EVERY:
            self._looked = now
            for worker in range(team.size):
                if self._is_too_large(team, worker, self._most) and self._scheduler.pause(worker):
                    team.recall(None, only=worker)
                    self._leaving = worker
                    break

    def forget(self, worker: int, now: float) -> None:
        """The worker has died before it was replaced."""
        if worker == self._leaving:
            self._leaving = None
            self._scheduler.resume(worker, now)

    def _is_too_large(self, team: WorkerPool, worker: int, most: int) -> bool:
        used = team.memory(worker)
        if used <= most or team.handled[worker] < LEAST_WORK:
            return False
        log.warning(
            "worker %d uses %s MB of memory, more than worker_max_memory, %s MB: "
            "it ends what it runs, and is replaced",
            worker + 1,
            f"{used / 1e6:,.0f}",
            f"{most / 1e6:,.0f}",
        )
        return True

    def _replace(self, team: WorkerPool, worker: int, now: float) -> None:
        team.recycle(worker)
        self._news.forget_worker(worker)
        self._leaving = None
        self._scheduler.resume(worker, now)
