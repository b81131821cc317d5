"""The commit: what became of requests turns into lines of output and rows of the store, at once.

The lines are written and synced, then one transaction keeps all the rest together with the
output's new length. A kill before its end leaves the store as it was, and the output is cut back
to the length that the store knows when the job is opened again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable
from operator import itemgetter

from crawler.job.job import Job
from crawler.messages import Outcome
from crawler.records import ONCE, SENT, Key, NewRequest, PendingRow
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import Assignment
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.worker_sync import WorkerSync

log = logging.getLogger(__name__)


class Committer:
    """Gathers outcomes and commits them together."""

    def __init__(
        self, job: Job, frontier: Frontier, scheduler: Scheduler, news: WorkerSync
    ) -> None:
        self._job = job
        self._store = job.store
        self._frontier = frontier
        self._scheduler = scheduler
        self._news = news
        self._gathered: list[tuple[Assignment, Outcome]] = []
        self._since: float | None = None
        self._found: list[tuple[int, NewRequest]] = []
        self._done: list[tuple[int, int, int]] = []
        self._new: list[PendingRow] = []
        self._again: list[tuple[Assignment, bytes, float]] = []
        self.has_new_requests = False
        """Among what is gathered are new requests, so that a commit may bring work."""

    def add(self, assignment: Assignment, outcome: Outcome, now: float) -> None:
        """``outcome`` is part of the next commit."""
        self._gathered.append((assignment, outcome))
        self._since = now if self._since is None else self._since
        self.has_new_requests = (
            self.has_new_requests or bool(outcome.found) or outcome.kind in {"moved", "again"}
        )

    def mark_sent(self, assignments: Iterable[Assignment]) -> None:
        """Commit that these are about to be sent; whatever happens then, they are not sent again.

        It is synced, for not even a loss of power may make the job forget it.
        """
        with self._store.transaction(synced=True):
            for assignment in assignments:
                assert assignment.queued is not None
                self._store.queue.set_delivery(assignment.host.id, assignment.queued.key, SENT)

    def mark_unsent(self, assignment: Assignment) -> None:
        """A worker gave back a request that was surely not sent."""
        if assignment.queued is not None and assignment.queued.once == ONCE:
            with self._store.transaction():
                self._store.queue.set_delivery(assignment.host.id, assignment.queued.key, ONCE)

    def keep_sessions(self, now: float) -> None:
        """What has changed in sessions is part of the next commit, even if nothing else is."""
        self._since = now if self._since is None else self._since

    @property
    def waiting_since(self) -> float | None:
        """When the first of the gathered outcomes came; None when there are none."""
        return self._since

    def commit(self, now: float) -> bytes:
        """Make what was gathered durable, let new requests in; returns the lines written."""
        gathered, self._gathered = self._gathered, []
        self._since, self.has_new_requests = None, False
        lines: list[bytes] = []
        rejected: list[bytes] = []
        with self._store.transaction():
            for assignment, outcome in gathered:
                self._record(assignment, outcome, lines, rejected, now)
            self._save_queues()
            self._frontier.save_hosts(now)
            for session in self._news.changed_sessions():
                self._store.sessions.save(session)
            written = b"".join(lines)
            self._job.items.append(written)
            self._job.rejected.append(b"".join(rejected))
            self._job.counters.in_flight = self._scheduler.in_flight
            self._job.counters.logins += self._news.new_logins()
            self._job.save_counters()
        self._release(gathered, now)
        return written

    def _record(
        self,
        assignment: Assignment,
        outcome: Outcome,
        lines: list[bytes],
        rejected: list[bytes],
        now: float,
    ) -> None:
        """One outcome's part of the transaction."""
        host, queued = assignment.host, assignment.queued
        if queued is None:  # robots.txt; the host row keeps it
            return
        counters = self._job.counters
        if outcome.kind == "again":
            self._postpone(assignment, outcome, now)
        elif (
            outcome.kind == "moved"
            and outcome.moved is not None
            and self._move(host.id, queued.key, outcome.moved)
        ):
            counters.redirected += 1
        else:
            self._done.append((host.id, queued.rank, queued.id))
            counters.skipped_unsafe += outcome.skipped
            for name, count in outcome.left_out.items():
                counters.skipped_by_limit[name] = counters.skipped_by_limit.get(name, 0) + count
            if outcome.kind == "failed" and outcome.failure is not None:
                counters.failed += 1
                self._store.failures.add(outcome.failure, queued.request, time.time())
            else:
                counters.done += 1
            if outcome.arrived is None or self._store.seen.add_final(outcome.arrived):
                lines.append(outcome.items)
                rejected.append(outcome.rejected)
                counters.items += outcome.item_count
                counters.rejected += outcome.rejected_count
                host_id = self._frontier.host_id
                self._found += [(host_id(one.origin, one.account), one) for one in outcome.found]

    def _save_queues(self) -> None:
        """What all outcomes take out of the queues and put into them, in few statements."""
        counters = self._job.counters
        self._store.queue.mark_done(self._done)
        new = self._store.queue.add(self._within_limit(), counters.sequence + 1)
        self._frontier.page_budget.count(map(itemgetter(0), new))
        counters.pending += len(new) - len(self._done)
        counters.sequence += len(new)
        self._new += new
        self._done, self._found = [], []

    def _within_limit(self) -> list[tuple[int, NewRequest]]:
        """What was found, but at each host no more than it may still have."""
        wanted = Counter(map(itemgetter(0), self._found))
        room = {id: self._frontier.page_budget.remaining(id) for id in wanted}
        if all(room[id] >= count for id, count in wanted.items()):
            return self._found
        kept = []
        now: set[bytes] = set()
        for id, found in self._found:
            if not found.dont_filter:
                if found.fingerprint in now or self._store.seen.contains(found):
                    continue
                now.add(found.fingerprint)
            if room[id] > 0:
                kept.append((id, found))
                room[id] -= 1
            else:
                self._skip(found)
        return kept

    def _skip(self, found: NewRequest) -> None:
        left_out = self._job.counters.skipped_by_limit
        if "max_pages_per_host" not in left_out:
            log.warning(
                "not followed: links to %s, as it has had max_pages_per_host requests; "
                "further ones, there and elsewhere, are only counted",
                found.origin,
            )
        left_out["max_pages_per_host"] = left_out.get("max_pages_per_host", 0) + 1

    def _postpone(self, assignment: Assignment, outcome: Outcome, now: float) -> None:
        assert assignment.queued is not None
        request = assignment.queued.request if outcome.request is None else outcome.request
        due = self._job.clock.wall() + outcome.wait if outcome.wait > 0 else None
        self._store.queue.replace(assignment.host.id, assignment.queued.key, request, due)
        self._again.append((assignment, request, now + outcome.wait))
        self._job.counters.retried += 1

    def _move(self, host: int, key: Key, target: NewRequest) -> bool:
        """A redirect's target takes the request's place; False when others have arrived there.

        A target that is only known, or is passed on the way, is no reason to drop the request:
        many may pass one page that sets a cookie, or asks for a login.
        """
        if not target.dont_filter and self._store.seen.contains_final(target):
            return False
        new_host = self._frontier.host_id(target.origin, target.account)
        if new_host != host:
            if self._frontier.page_budget.remaining(new_host) <= 0:
                self._skip(target)
                return False
            # Where a seed redirects to is in scope from now on.
            self._news.add_netloc(target.origin.partition("://")[2])
            self._frontier.page_budget.count([new_host])
        request = bytes(target.request)
        self._store.queue.move(host, key, new_host, request, once=target.once)
        self._new.append((new_host, *key, target.once, request))
        return True

    def _release(self, gathered: list[tuple[Assignment, Outcome]], now: float) -> None:
        """After the commit: the scheduler sees what it may send next."""
        for assignment, _ in gathered:
            if assignment.queued is not None:
                self._scheduler.forget_sent(assignment.host, assignment.queued.id)
        for assignment, request, due in self._again:
            assert assignment.queued is not None
            if due > now:
                self._frontier.wait(assignment.host, due)
            else:
                queued = assignment.queued._replace(request=request)
                self._scheduler.requeue(assignment.host, queued, now)
        self._frontier.push_new(self._new, now)
        self._again, self._new = [], []
