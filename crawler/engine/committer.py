"""Commit outcomes: lines of output and rows of the store, together.

The lines are written and synced, then one transaction keeps all the rest together with the
output's new length. A kill before its end leaves the store as it was, and the output is cut back
to the length that the store knows when the job is opened again.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Mapping

from crawler import urls
from crawler.engine.final_pages import FinalPages
from crawler.engine.traps import ALL, ONE_OF, TrapFinder
from crawler.job.job import Job
from crawler.messages import Denied, Done, Failed, Output, Redirected, Retry, Starved
from crawler.records import Delivery, Key, NewRequest, PendingRow
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import PageAssignment
from crawler.scheduling.session_registry import SessionRegistry

SAMPLES_AT_ONCE = 50
"""Pages whose URLs are compared together."""

log = logging.getLogger(__name__)

PageResult = Done | Failed | Retry | Starved | Redirected | Denied
"""The results that change the store."""


class Committer:
    """Gathers the results of pages and commits them together."""

    def __init__(self, job: Job, frontier: Frontier, sessions: SessionRegistry) -> None:
        self._job = job
        self._store = job.store
        self._frontier = frontier
        self._sessions = sessions
        self._pages: list[tuple[PageAssignment, PageResult]] = []
        self._requests: list[NewRequest] = []
        self._done: list[tuple[int, int, int]] = []
        self._new_rows: list[PendingRow] = []
        self._retries: list[tuple[PageAssignment, bytes, float]] = []
        self._traps = TrapFinder(job.store.meta.get("shapes"))
        self._samples: list[tuple[bytes, int, int]] = []
        self._final_pages = FinalPages(job.store)
        self._pages_seen = 0
        self._random = random.Random(0).random
        self.waiting_since: float | None = None
        """The time of the first change since the last commit; None if there is none."""
        self.has_new_requests = False
        """True if the next commit may bring work."""

    def add(self, assignment: PageAssignment, result: PageResult, now: float) -> None:
        """Make the result of a page part of the next commit."""
        self._pages.append((assignment, result))
        self.request_commit(now)
        if isinstance(result, (Done, Failed)):
            self.has_new_requests = self.has_new_requests or bool(result.output.requests)
        else:
            self.has_new_requests = True

    def is_known(self, target: NewRequest) -> bool:
        """Return True if a redirect to ``target`` would be dropped: the job has handled it."""
        return not target.dont_filter and self._store.seen.contains_final(target)

    def request_commit(self, now: float) -> None:
        """Commit soon, also if no page is handled: a host or a session has changed."""
        if self.waiting_since is None:
            self.waiting_since = now

    def mark_sent(self, assignments: Iterable[PageAssignment]) -> None:
        """Commit that these are about to be sent; whatever happens then, they are not sent again.

        It is synced, for not even a loss of power may make the job forget it.
        """
        with self._store.transaction(synced=True):
            for assignment in assignments:
                self._store.queue.set_delivery(
                    assignment.host.id, assignment.queued.key, Delivery.MAYBE_SENT
                )

    def mark_unsent(self, assignment: PageAssignment) -> None:
        """Commit that a request was not sent, if it is one that must not be sent twice."""
        if assignment.queued.delivery == Delivery.AT_MOST_ONCE:
            with self._store.transaction():
                self._store.queue.set_delivery(
                    assignment.host.id, assignment.queued.key, Delivery.AT_MOST_ONCE
                )

    def commit(self, now: float) -> bytes:
        """Commit all that was added, let new requests in, and return the lines written."""
        pages, self._pages = self._pages, []
        self.waiting_since, self.has_new_requests = None, False
        outputs: list[Output] = []
        with self._store.transaction():
            for assignment, result in pages:
                self._record(assignment, result, outputs, now)
            self._save_queues()
            if len(self._samples) >= SAMPLES_AT_ONCE:
                self._find_traps()
            self._frontier.save_hosts(now)
            lines = b"".join([output.items for output in outputs])
            self._job.counters.in_flight = self._frontier.in_flight
            self._job.counters.logins += self._sessions.save(self._store.sessions)
            self._job.save(lines, b"".join([output.rejected for output in outputs]))
        handled = [assignment for assignment, _ in pages]
        self._frontier.after_commit(handled, self._retries, self._new_rows, now)
        self._retries, self._new_rows = [], []
        return lines

    def end(self) -> None:
        """Commit the counts of the last pages, as the run has ended."""
        with self._store.transaction():
            self._find_traps()

    def _find_traps(self) -> None:
        """Compare the shapes of the URLs that were sampled, as part of the transaction."""
        for request, items, weight in self._samples:
            self._traps.add(request, items, weight)
        self._samples.clear()
        if self._traps.is_due:
            self._job.counters.traps = self._traps.traps()
        self._store.meta.set("shapes", self._traps.state())

    def _sample(self, request: bytes, output: Output) -> None:
        """Let the shape of a page's URL count: of all pages at first, later of a sample."""
        self._pages_seen += 1
        if self._pages_seen <= ALL:
            self._samples.append((request, output.item_count, 1))
        elif self._random() * ONE_OF < 1:
            self._samples.append((request, output.item_count, ONE_OF))

    def _record(
        self, assignment: PageAssignment, result: PageResult, outputs: list[Output], now: float
    ) -> None:
        """Record one result, as part of the transaction."""
        host_id, queued = assignment.host.id, assignment.queued
        if isinstance(result, Retry):
            self._postpone(assignment, result.request, result.wait, now)
        elif isinstance(result, Starved):
            self._postpone(assignment, None, result.wait, now)
        elif isinstance(result, Redirected) and self._move(host_id, queued.key, result.target):
            self._job.counters.redirected += 1
            self._frontier.uncount_finished()
        else:
            self._done.append((host_id, queued.rank, queued.id))
            if isinstance(result, Failed):
                self._sample(queued.request, result.output)
                self._job.counters.failed += 1
                at = self._job.clock.wall()
                result.report.url = result.report.url or f"{assignment.host.origin}/"
                self._store.failures.add(result.report, queued.request, at)
                self._final_pages.mark_failed(queued)
                self._record_output(result.output, None, outputs)
            elif isinstance(result, Denied):
                self._count_skipped({"deny": 1})
            else:
                self._job.counters.done += 1
                if isinstance(result, Done):
                    self._sample(queued.request, result.output)
                    if not self._final_pages.has_come(queued):
                        self._record_output(result.output, result.final_page, outputs)

    def _record_output(
        self, output: Output, final_page: NewRequest | None, outputs: list[Output]
    ) -> None:
        counters = self._job.counters
        counters.skipped_unsafe += self._store.skipped.add(output.skipped_unsafe)
        self._count_skipped(output.skipped_by_limit)
        if final_page is not None and not self._final_pages.counts(final_page, self._done):
            return  # another request has been redirected to that page before
        outputs.append(output)
        counters.items += output.item_count
        counters.rejected += output.rejected_count
        counters.repaired += output.repaired
        self._requests += output.requests

    def _count_skipped(self, by_limit: Mapping[str, int]) -> None:
        counts = self._job.counters.skipped_by_limit
        for name, count in by_limit.items():
            counts[name] = counts.get(name, 0) + count

    def _save_queues(self) -> None:
        """Take requests that are done out of the queues, and put new ones in."""
        counters = self._job.counters
        self._store.queue.mark_done(self._done)
        rows, skipped = self._frontier.admission.add(self._requests, counters.sequence + 1)
        for new in skipped:
            self._skip(new)
        counters.pending += len(rows) - len(self._done)
        counters.sequence += len(rows)
        self._new_rows += rows
        self._done, self._requests = [], []

    def _skip(self, new: NewRequest) -> None:
        skipped = self._job.counters.skipped_by_limit
        if "max_pages_per_host" not in skipped:
            log.warning(
                "not followed: links to %s, as it has reached max_pages_per_host; "
                "further ones, there and elsewhere, are only counted",
                new.origin,
            )
        skipped["max_pages_per_host"] = skipped.get("max_pages_per_host", 0) + 1

    def _postpone(
        self, assignment: PageAssignment, request: bytes | None, wait: float, now: float
    ) -> None:
        request = assignment.queued.request if request is None else request
        due = self._job.clock.wall() + wait if wait > 0 else None
        self._store.queue.replace(assignment.host.id, assignment.queued.key, request, due)
        self._retries.append((assignment, request, now + wait))
        self._job.counters.retried += 1

    def _move(self, host_id: int, key: Key, target: NewRequest) -> bool:
        """Put a redirect's target in the place of the request; False if it was handled before.

        A target that is only known, or is passed on the way, is no reason to drop the request:
        many requests may pass one page that sets a cookie, or asks for a login.
        """
        if not target.dont_filter and self._store.seen.contains_final(target):
            return False
        new_host_id = self._frontier.admission.redirect(host_id, target)
        if new_host_id is None:
            self._skip(target)
            return False
        if new_host_id != host_id:
            # The target of a seed's redirect is in scope from now on.
            self._frontier.sync.extend_scope(urls.netloc_of(target.origin))
        request = bytes(target.request)
        self._store.queue.move(host_id, key, new_host_id, request, once=target.once)
        self._new_rows.append((new_host_id, *key, target.once, request))
        return True
