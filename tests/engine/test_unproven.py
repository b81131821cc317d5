"""Results that wait for a proof of their session's login, at one host or at many."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from crawler.engine.unproven import UnprovenResults
from crawler.messages import Done, Doubt, Proof, Retry
from crawler.records import QueuedRequest
from crawler.scheduling.host_queue import HostQueue, PageAssignment
from crawler.scheduling.politeness import HostClock

NOW = 1000.0
LOGIN, NEXT_LOGIN = 10.0, 20.0


def a_host(id: int, session: str = "s") -> HostQueue:
    return HostQueue(id, f"https://{id}.example", session, HostClock())


class Bench:
    """Unproven results, with what becomes of them: the number of a page, and its result."""

    def __init__(self) -> None:
        self.ended: list[tuple[int, str]] = []

        def add(assignment: PageAssignment, result: Any, now: float) -> None:
            self.ended.append((assignment.queued.id, type(result).__name__))

        committer: Any = SimpleNamespace(add=add, request_commit=lambda now: None)
        frontier: Any = SimpleNamespace(uncount_finished=lambda: None)
        self.unproven = UnprovenResults(frontier, committer, lambda result: False)

    def take(self, number: int, host: HostQueue, login: float, judged_at: float = NOW) -> None:
        queued = QueuedRequest(0, number, b"")
        assignment = PageAssignment(number, host, (0.0, 0.0), 0.0, queued)
        assert self.unproven.take(assignment, Done(), Doubt(login, judged_at, Retry()), NOW)

    def settle(self, host: HostQueue, login: float | None, proven_at: float) -> list[Any]:
        """Return what has ended by a proof."""
        self.ended = []
        self.unproven.settle(host, Proof(login, proven_at), NOW)
        return sorted(self.ended)


def test_a_proof_covers_the_earlier_results_of_its_host() -> None:
    bench, one, two = Bench(), a_host(1), a_host(2)
    bench.take(1, one, LOGIN, 5.0)
    bench.take(2, one, LOGIN, 7.0)
    bench.take(3, two, LOGIN, 5.0)
    for _ in range(2):
        assert bench.settle(one, LOGIN, 4.0) == []
    assert bench.settle(one, LOGIN, 5.0) == [(1, "Done")]
    assert bench.settle(two, LOGIN, 9.0) == [(3, "Done")]
    assert bench.settle(one, LOGIN, 9.0) == [(2, "Done")]
    assert bench.unproven.hosts == {}


def test_the_end_of_a_login_ends_its_results_at_all_hosts_of_the_session() -> None:
    bench, one, two, stranger = Bench(), a_host(1), a_host(2), a_host(3, "another")
    bench.take(9, stranger, LOGIN)
    for login, after in ((LOGIN, NEXT_LOGIN), (NEXT_LOGIN, None)):
        bench.take(1, one, login)
        bench.take(2, two, login)
        assert bench.settle(one, login, 0.0) == []
        assert bench.settle(one, after, 0.0) == [(1, "Retry"), (2, "Retry")]
    assert bench.settle(stranger, LOGIN, NOW) == [(9, "Done")]


def test_a_late_result_of_an_earlier_login_is_ended_by_any_host_of_the_session() -> None:
    bench, one, two = Bench(), a_host(1), a_host(2)
    assert bench.settle(one, NEXT_LOGIN, 0.0) == []
    bench.take(1, two, NEXT_LOGIN)
    bench.take(2, two, LOGIN)
    assert bench.settle(one, NEXT_LOGIN, 0.0) == [(2, "Retry")]
    assert bench.settle(one, NEXT_LOGIN, NOW) == []
    assert bench.settle(two, NEXT_LOGIN, NOW) == [(1, "Done")]
