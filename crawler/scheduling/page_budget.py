"""Room: how many more requests may be made at a host, as ``max_pages_per_host`` has it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from crawler.store import Store

MOST_KNOWN = 10_000
"""Hosts whose number of requests is held in memory."""


class PageBudget:
    """One for a run; ``most`` requests a host, ``None`` is no limit."""

    def __init__(self, store: Store, most: int | None) -> None:
        self._store = store
        self._most = most
        self._made: dict[int, int] = {}

    def remaining(self, id: int) -> float:
        """How many more requests may be made at a host."""
        if self._most is None:
            return math.inf
        made = self._made.get(id)
        if made is None:
            if len(self._made) >= MOST_KNOWN:
                self._made.clear()
            made = self._made[id] = self._store.host_by_id(id).requests
        return self._most - made

    def count(self, ids: Iterable[int]) -> None:
        """One more request at each of these hosts, as the store has counted it."""
        for id, requests in Counter(ids).items():
            if id in self._made:
                self._made[id] += requests
