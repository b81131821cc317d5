"""Results that count only if their session was logged in, until a later response proves it.

A page without a mark of its own may be a stranger's. It is not committed before another response,
or the probe page, has shown that the session was still logged in; if it was not, the page is asked
again. A kill in between leaves it pending.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from crawler.engine.committer import Committer, PageResult
from crawler.messages import Doubt, Proof, Redirected, Retry
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import HostQueue, PageAssignment

PROBE_EVERY = 5.0
"""Seconds for which results wait for a proof that comes by itself."""
MOST_WAITING = 200
"""Results of a host that wait; from then on the probe page is asked for."""
PROBE_TRIES = 5
"""Probes in a row that show nothing, after which the pages themselves are asked again."""
PROBE_AGAIN = 1.0
"""Seconds after which a probe is asked for once more: it may have been lost with its process."""


class _Waiting(NamedTuple):
    assignment: PageAssignment
    result: PageResult
    doubt: Doubt


@dataclass(slots=True)
class _WaitingResults:
    """The waiting results of one host, which are of one session."""

    waiting: list[_Waiting] = field(default_factory=list)
    probe_at: float = math.inf
    """The time at which the probe page is asked for, unless a proof comes before."""
    tries: int = 0
    """Probes in a row that have shown nothing."""


class UnprovenResults:
    """The results that wait for a proof, by host: a session may have a login at each of them."""

    def __init__(
        self, frontier: Frontier, committer: Committer, is_known: Callable[[Redirected], bool]
    ) -> None:
        """``is_known`` says whether a redirect leads to a page that the job has handled."""
        self._frontier = frontier
        self._committer = committer
        self._is_known = is_known
        self.hosts: dict[int, _WaitingResults] = {}
        """The hosts with results that wait, by id."""
        self._probes: list[tuple[float, int]] = []
        """The times of probes, with the ids of the hosts; a heap.

        Those that are not the ``probe_at`` of their host do not count.
        """
        self._untried: dict[int, None] = {}
        """The hosts that no probe was asked for since the last proof."""
        self._logins: dict[str, float | None] = {}
        """The login that all results of a session wait for, by the session's key."""

    def take(
        self, assignment: PageAssignment, result: PageResult, doubt: Doubt, now: float
    ) -> bool:
        """Let a result wait; return False if it need not, as the next hop will be judged."""
        if isinstance(result, Redirected) and not self._is_known(result):
            result.target.dont_filter = True  # or it might be dropped unproven
            return False
        entry = self.hosts.setdefault(assignment.host.id, _WaitingResults())
        entry.waiting.append(_Waiting(assignment, result, doubt))
        if len(entry.waiting) == 1:
            self._await_proof(assignment.host.id, entry, now)
        elif len(entry.waiting) == MOST_WAITING:
            self._probe_at(assignment.host.id, entry, now)
        if doubt.logged_in_at != self._logins.get(assignment.host.session):
            self._logins.pop(assignment.host.session, None)
        self._committer.request_commit(now)  # of what has changed in the session
        return True

    def settle(self, host: HostQueue, proof: Proof, now: float) -> None:
        """Commit what ``proof`` covers, and ask again what belongs to a login that has ended."""
        if host.id in self.hosts:
            self._settle(host.id, proof.logged_in_at, proof.proven_at, now)
        if self._logins.get(host.session, -1.0) == proof.logged_in_at:
            return  # at the other hosts nothing belongs to another login
        self._logins[host.session] = proof.logged_in_at
        for host_id, results in list(self.hosts.items()):
            if results.waiting[0].assignment.host.session == host.session:
                self._settle(host_id, proof.logged_in_at, -math.inf, now)

    def _settle(
        self, host_id: int, logged_in_at: float | None, proven_at: float, now: float
    ) -> None:
        results = self.hosts[host_id]
        waiting = []
        for entry in results.waiting:
            if entry.doubt.logged_in_at != logged_in_at:
                self._ask_again(entry, now)
            elif entry.doubt.judged_at <= proven_at:
                self._committer.add(entry.assignment, entry.result, now)
            else:
                waiting.append(entry)
        is_settled = len(waiting) < len(results.waiting)
        results.waiting = waiting
        if not waiting:
            self._forget(host_id)
        elif is_settled:
            self._await_proof(host_id, results, now)

    def _await_proof(self, host_id: int, results: _WaitingResults, now: float) -> None:
        results.tries = 0
        self._untried[host_id] = None
        self._probe_at(host_id, results, now + PROBE_EVERY)

    def _probe_at(self, host_id: int, results: _WaitingResults, at: float) -> None:
        results.probe_at = at
        heapq.heappush(self._probes, (at, host_id))

    def _forget(self, host_id: int) -> None:
        del self.hosts[host_id]
        self._untried.pop(host_id, None)

    def probed(self, host: HostQueue, now: float) -> None:
        """Go on after a probe: if it has shown nothing, wait longer and longer."""
        results = self.hosts.get(host.id)
        if results is None:
            return
        results.tries += 1
        self._untried.pop(host.id, None)
        if results.tries >= PROBE_TRIES:
            for entry in results.waiting:
                self._ask_again(entry, now)
            self._forget(host.id)
        elif len(results.waiting) >= MOST_WAITING:
            self._probe_at(host.id, results, now)
        else:
            self._probe_at(host.id, results, now + PROBE_EVERY * 2**results.tries)

    def request_probes(self, now: float, *, is_idle: bool) -> None:
        """Ask for the probe pages of hosts whose results have waited long enough.

        ``is_idle`` says that no request is in flight that might bring a proof.
        """
        if is_idle:
            untried, self._untried = self._untried, {}
            for host_id in untried:
                self._request_probe(host_id, now)
        while self.next_at() <= now:
            self._request_probe(heapq.heappop(self._probes)[1], now)

    def _request_probe(self, host_id: int, now: float) -> None:
        results = self.hosts[host_id]
        self._frontier.request_probe(results.waiting[0].assignment.host)
        self._probe_at(host_id, results, now + PROBE_AGAIN)

    def next_at(self) -> float:
        """Return when a probe page is due; infinity if no result waits."""
        while self._probes:
            at, host_id = self._probes[0]
            results = self.hosts.get(host_id)
            if results is not None and results.probe_at == at:
                return at
            heapq.heappop(self._probes)
        return math.inf

    def _ask_again(self, entry: _Waiting, now: float) -> None:
        if isinstance(entry.doubt.again, Retry):  # a redirect is counted by its commit
            self._frontier.uncount_finished()
        self._committer.add(entry.assignment, entry.doubt.again, now)
