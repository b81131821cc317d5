"""Results that wait for a proof of their session's login, at one host or at many."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import msgspec

from crawler.engine.committer import PageResult
from crawler.engine.unproven import (
    MOST_WAITING,
    PROBE_AGAIN,
    PROBE_EVERY,
    PROBE_TRIES,
    UnprovenResults,
)
from crawler.messages import Done, Doubt, Proof, Redirected, Retry
from crawler.records import NewRequest, QueuedRequest
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

        self.commits: list[float] = []
        committer: Any = SimpleNamespace(add=add, request_commit=self.commits.append)
        self.probed: list[int] = []
        self.uncounted: list[None] = []
        frontier: Any = SimpleNamespace(
            uncount_finished=lambda: self.uncounted.append(None),
            request_probe=lambda host: self.probed.append(host.id),
        )
        self.known: list[bytes] = []
        """The fingerprints of pages that the job has handled."""
        self.unproven = UnprovenResults(
            frontier, committer, lambda result: result.target.fingerprint in self.known
        )

    def take(
        self,
        number: int,
        host: HostQueue,
        login: float,
        judged_at: float = NOW,
        *,
        result: PageResult | None = None,
        again: Retry | Redirected | None = None,
    ) -> None:
        assert self.waits(number, host, login, judged_at, result=result, again=again)

    def waits(
        self,
        number: int,
        host: HostQueue,
        login: float,
        judged_at: float = NOW,
        *,
        result: PageResult | None = None,
        again: Retry | Redirected | None = None,
    ) -> bool:
        """Take a result; return True if it waits."""
        queued = QueuedRequest(0, number, b"")
        assignment = PageAssignment(number, host, (0.0, 0.0), 0.0, queued)
        doubt = Doubt(login, judged_at, again or Retry())
        return self.unproven.take(assignment, result or Done(), doubt, NOW)

    def probes(self, now: float, *, is_idle: bool = False) -> list[int]:
        """Return the hosts whose probe pages are asked for."""
        self.probed = []
        self.unproven.request_probes(now, is_idle=is_idle)
        return self.probed

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


# Probes


def test_a_probe_is_asked_for_when_no_proof_has_come() -> None:
    bench, one, two = Bench(), a_host(1), a_host(2)
    assert bench.unproven.next_at() == math.inf
    bench.take(1, one, LOGIN)
    bench.take(2, two, LOGIN)
    assert bench.unproven.next_at() == NOW + PROBE_EVERY
    assert bench.probes(NOW) == []
    assert bench.settle(one, LOGIN, NOW) == [(1, "Done")]
    assert bench.probes(NOW + PROBE_EVERY) == [2]
    assert bench.unproven.next_at() == NOW + PROBE_EVERY + PROBE_AGAIN
    bench.unproven.probed(two, NOW + 6.0)
    assert bench.unproven.next_at() == NOW + 6.0 + 2 * PROBE_EVERY
    assert bench.settle(two, LOGIN, NOW) == [(2, "Done")]
    assert bench.unproven.next_at() == math.inf


def test_a_run_with_nothing_else_to_do_waits_for_no_proof() -> None:
    bench, one = Bench(), a_host(1)
    bench.take(1, one, LOGIN)
    assert bench.probes(NOW, is_idle=True) == [1]
    assert bench.probes(NOW, is_idle=True) == [], "it is on its way"
    assert bench.probes(NOW + PROBE_AGAIN) == [1], "its process may have died"
    for _ in range(PROBE_TRIES):
        assert bench.unproven.hosts
        bench.unproven.probed(one, NOW)
    assert [result for _, result in bench.ended] == ["Retry"]
    assert not bench.unproven.hosts


def test_many_results_do_not_wait() -> None:
    bench, one = Bench(), a_host(1)
    for number in range(MOST_WAITING):
        assert bench.probes(NOW) == []
        bench.take(number, one, LOGIN, NOW + number)
    assert bench.probes(NOW) == [1]
    assert len(bench.settle(one, LOGIN, NOW)) == 1
    assert bench.unproven.next_at() == NOW + PROBE_EVERY


def test_many_results_wait_no_longer_after_a_probe_that_has_shown_nothing() -> None:
    bench, one = Bench(), a_host(1)
    for number in range(MOST_WAITING):
        bench.take(number, one, LOGIN, NOW + number)
    assert bench.probes(NOW) == [1]
    bench.unproven.probed(one, NOW + 0.5)
    assert bench.probes(NOW + 0.5) == [1]


def test_a_turn_looks_at_no_host_whose_probe_is_not_due() -> None:
    bench = Bench()
    for number in range(50):
        bench.take(number, a_host(number), LOGIN)
    looks: list[int] = []
    hosts = bench.unproven.hosts

    class Counting(dict[int, Any]):
        def get(self, host_id: int, default: Any = None) -> Any:
            looks.append(host_id)
            return super().get(host_id, default)

        def values(self) -> Any:
            raise AssertionError("a look at all hosts")

    bench.unproven.hosts = Counting(hosts)
    assert bench.probes(NOW + 1.0) == []
    assert bench.unproven.next_at() == NOW + PROBE_EVERY
    assert len(looks) <= 2


def test_probes_that_show_nothing_come_less_and_less_often_and_then_pages_are_asked_again() -> None:
    bench, host = Bench(), a_host(1)
    bench.unproven.probed(host, NOW)  # nothing waits: no matter
    bench.take(1, host, LOGIN)
    bench.take(2, host, LOGIN)
    waits = []
    for _ in range(PROBE_TRIES - 1):
        bench.unproven.probed(host, NOW)
        waits.append((bench.unproven.next_at() - NOW) / PROBE_EVERY)
    assert waits == [2, 4, 8, 16]
    assert bench.ended == []
    bench.unproven.probed(host, NOW)
    assert bench.ended == [(1, "Retry"), (2, "Retry")]
    assert len(bench.uncounted) == 2, "they count once more for max_pages"
    assert bench.unproven.hosts == {}


def test_a_proof_of_some_results_lets_the_others_wait_anew() -> None:
    bench, host = Bench(), a_host(1)
    bench.take(1, host, LOGIN, 5.0)
    bench.take(2, host, LOGIN, 7.0)
    bench.unproven.probed(host, NOW)
    assert bench.settle(host, LOGIN, 4.0) == []
    assert bench.unproven.next_at() == NOW + 2 * PROBE_EVERY, "it has proven nothing"
    assert bench.settle(host, LOGIN, 5.0) == [(1, "Done")]
    assert bench.unproven.next_at() == NOW + PROBE_EVERY
    bench.unproven.probed(host, NOW)
    assert bench.unproven.next_at() == NOW + 2 * PROBE_EVERY


# Redirects


def a_redirect(fingerprint: bytes = b"x" * 16) -> Redirected:
    return Redirected(NewRequest(fingerprint, "https://1.example", 0, "parse", msgspec.Raw(b"")))


def test_a_redirect_need_not_wait_as_its_target_will_be_judged() -> None:
    bench, redirect = Bench(), a_redirect()
    assert not bench.waits(1, a_host(1), LOGIN, result=redirect)
    assert redirect.target.dont_filter, "or it might be dropped unproven"
    assert bench.unproven.hosts == {}


def test_a_redirect_to_a_page_that_was_handled_waits() -> None:
    bench, redirect, host = Bench(), a_redirect(), a_host(1)
    bench.known.append(redirect.target.fingerprint)
    bench.take(1, host, LOGIN, result=redirect)
    assert bench.commits == [NOW], "the session may have changed"
    assert not redirect.target.dont_filter
    assert bench.settle(host, LOGIN, NOW) == [(1, "Redirected")]


def test_a_page_that_goes_back_to_another_host_is_counted_by_its_commit() -> None:
    bench, host = Bench(), a_host(1)
    bench.take(1, host, LOGIN, again=a_redirect())
    assert bench.settle(host, None, 0.0) == [(1, "Redirected")]
    assert bench.uncounted == []
