"""Pages that kill workers: which one did it, and when it is given up."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable

import msgspec

from crawler import urls
from crawler.engine.committer import Committer
from crawler.messages import FailureReport, Outcome
from crawler.request import Request
from crawler.scheduling.assignment import Assignment
from crawler.scheduling.scheduler import Scheduler
from crawler.store import SENT, Key
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
