"""Results that count only if their session was logged in, until a later response proves it.

A page without a mark of its own may be a stranger's. It is not committed before another response,
or the probe page, has shown that the session was still logged in; if it was not, the page is asked
again. A kill in between leaves it pending.
"""

from __future__ import annotations

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


class _Waiting(NamedTuple):
    assignment: PageAssignment
    result: PageResult
    doubt: Doubt


@dataclass(slots=True)
class _WaitingResults:
    """The waiting results of one host, which are of one session."""

    waiting: list[_Waiting] = field(default_factory=list)
    probe_at: float = 0.0
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
        if not entry.waiting:
            entry.probe_at = now + PROBE_EVERY
        entry.waiting.append(_Waiting(assignment, result, doubt))
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
        if len(waiting) < len(results.waiting):
            results.tries, results.probe_at = 0, now + PROBE_EVERY
        results.waiting = waiting
        if not waiting:
            del self.hosts[host_id]

    def probed(self, host: HostQueue, now: float) -> None:
        """Go on after a probe: if it has shown nothing, wait longer and longer."""
        results = self.hosts.get(host.id)
        if results is None:
            return
        results.tries += 1
        results.probe_at = now + PROBE_EVERY * 2**results.tries
        if results.tries >= PROBE_TRIES:
            for entry in results.waiting:
                self._ask_again(entry, now)
            del self.hosts[host.id]

    def request_probes(self, now: float, *, is_idle: bool) -> None:
        """Ask for the probe pages of hosts whose results have waited long enough.

        ``is_idle`` says that no request is in flight that might bring a proof.
        """
        for results in self.hosts.values():
            is_due = now >= results.probe_at or (is_idle and not results.tries)
            if is_due or len(results.waiting) >= MOST_WAITING:
                self._frontier.request_probe(results.waiting[0].assignment.host)

    def next_at(self) -> float:
        """Return when a probe page is due; there must be a host."""
        return min(results.probe_at for results in self.hosts.values())

    def _ask_again(self, entry: _Waiting, now: float) -> None:
        if isinstance(entry.doubt.again, Retry):  # a redirect is counted by its commit
            self._frontier.uncount_finished()
        self._committer.add(entry.assignment, entry.doubt.again, now)
