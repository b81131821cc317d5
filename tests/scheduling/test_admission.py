"""New requests enter the queues of their hosts, within the page budget."""

from __future__ import annotations

import math

import msgspec
import pytest

from crawler.records import NewRequest
from crawler.scheduling import admission
from crawler.scheduling.admission import Admission, PageBudget
from tests.memory_store import MemoryStore


class Lookups:
    """The number of requests of each host, its id; counts how often it is looked up."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, host_id: int) -> int:
        self.count += 1
        return host_id


def test_a_host_may_have_the_rest_of_its_budget() -> None:
    lookups = Lookups()
    budget = PageBudget(10, lookups)
    assert [budget.remaining(3), budget.remaining(10), budget.remaining(3)] == [7, 0, 7]
    budget.count([3, 3, 4])
    assert (budget.remaining(3), lookups.count) == (5, 2)


def test_without_a_limit_nothing_is_looked_up() -> None:
    lookups = Lookups()
    assert PageBudget(None, lookups).remaining(3) == math.inf
    assert lookups.count == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MOST_KNOWN", 5)
    lookups = Lookups()
    budget = PageBudget(1000, lookups)
    assert [budget.remaining(host_id) for host_id in range(50)] == [1000 - n for n in range(50)]
    assert budget.remaining(0) == 1000, "it is looked up again"
    assert lookups.count == 51


A, B = "https://a.example", "https://b.example"


def new_request(name: str, origin: str = A, *, dont_filter: bool = False) -> NewRequest:
    fingerprint = name.encode().ljust(16)
    request = msgspec.Raw(msgspec.msgpack.encode(name))
    return NewRequest(fingerprint, origin, 0, "parse", request, dont_filter=dont_filter)


def test_requests_beyond_the_budget_are_skipped_and_known_ones_do_not_count() -> None:
    store = MemoryStore()
    admission = Admission(store, 2)
    with store.transaction():
        rows, skipped = admission.add([new_request("1"), new_request("b", B)], 1)
        assert (len(rows), skipped) == (2, [])
        more = [new_request(name) for name in ("1", "2", "2", "3")]
        rows, skipped = admission.add(more, 3)
    assert [row[:3] for row in rows] == [(1, 0, 3)]
    assert skipped == [more[3]]


def test_requests_that_are_not_filtered_count_each_time() -> None:
    store = MemoryStore()
    with store.transaction():
        requests = [new_request("1", dont_filter=True)] * 3
        rows, skipped = Admission(store, 2).add(requests, 1)
    assert (len(rows), len(skipped)) == (2, 1)


def test_a_redirect_to_another_host_counts_there() -> None:
    store = MemoryStore()
    admission = Admission(store, 2)
    with store.transaction():
        ((host_id, *_), *_), _ = admission.add([new_request("1"), new_request("b", B)], 1)
        assert admission.redirect(host_id, new_request("2")) == host_id
        other = admission.redirect(host_id, new_request("3", B))
        assert other == admission.host_id(B) != host_id
        assert admission.redirect(host_id, new_request("4", B)) is None
        assert admission.redirect(host_id, new_request("5")) == host_id
