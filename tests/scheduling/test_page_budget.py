"""Room: how many more requests may be made at a host."""

from __future__ import annotations

import math
from typing import cast

import pytest

from crawler.records import HostRow
from crawler.scheduling import page_budget as room
from crawler.scheduling.page_budget import PageBudget
from crawler.store import Store


class Rows:
    """A store that knows how many requests each host has had, and counts the questions."""

    def __init__(self) -> None:
        self.asked = 0

    def host_by_id(self, id: int) -> HostRow:
        self.asked += 1
        return HostRow(id, f"https://{id}.example", requests=id)


def test_a_host_may_have_what_is_left() -> None:
    rows = Rows()
    left = PageBudget(cast(Store, rows), 10)
    assert [left.remaining(3), left.remaining(10), left.remaining(3)] == [7, 0, 7]
    left.count([3, 3, 4])
    assert (left.remaining(3), rows.asked) == (5, 2)


def test_without_a_limit_nobody_is_asked() -> None:
    rows = Rows()
    assert PageBudget(cast(Store, rows), None).remaining(3) == math.inf
    assert rows.asked == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_KNOWN", 5)
    rows = Rows()
    left = PageBudget(cast(Store, rows), 1000)
    assert [left.remaining(id) for id in range(50)] == [1000 - id for id in range(50)]
    assert left.remaining(0) == 1000, "it is looked up again"
    assert rows.asked == 51
