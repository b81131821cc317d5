"""How many more requests may be made at a host."""

from __future__ import annotations

import math

import pytest

from crawler.scheduling import admission
from crawler.scheduling.admission import PageBudget


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
