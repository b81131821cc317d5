"""Find the pages that kill workers, and give them up."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable

import msgspec

from crawler import urls
from crawler.engine.committer import Committer
from crawler.messages import Failed
from crawler.records import FailureReport, Key
from crawler.request import Request
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import Assignment, PageAssignment
from crawler.worker.callback_lock import HUNG
from crawler.worker.failures import may_have_been_sent, report_of

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
