"""Room: how many more requests may be made at a host."""

from __future__ import annotations

import math
from typing import cast

import pytest

from crawler.scheduling import page_budget as room
from crawler.scheduling.page_budget import Room
from crawler.store import Host, Store


class Rows:
    """A store that knows how many requests each host has had, and counts the questions."""

    def __init__(self) -> None:
        self.asked = 0

    def host_by_id(self, id: int) -> Host:
        self.asked += 1
        return Host(id, f"https://{id}.example", requests=id)


def test_a_host_may_have_what_is_left() -> None:
    rows = Rows()
    left = Room(cast(Store, rows), 10)
    assert [left.at(3), left.at(10), left.at(3)] == [7, 0, 7]
    left.count([3, 3, 4])
    assert (left.at(3), rows.asked) == (5, 2)


def test_without_a_limit_nobody_is_asked() -> None:
    rows = Rows()
    assert Room(cast(Store, rows), None).at(3) == math.inf
    assert rows.asked == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_KNOWN", 5)
    rows = Rows()
    left = Room(cast(Store, rows), 1000)
    assert [left.at(id) for id in range(50)] == [1000 - id for id in range(50)]
    assert left.at(0) == 1000, "it is looked up again"
    assert rows.asked == 51
