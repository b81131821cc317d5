"""How many more requests may be made at a host, given ``max_pages_per_host``. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable

MOST_KNOWN = 10_000
"""Hosts whose number of requests is held in memory."""


class PageBudget:
    """The budget of each host in a run: ``most`` requests, or no limit for ``None``."""

    def __init__(self, most: int | None, requests_of: Callable[[int], int]) -> None:
        """``requests_of`` looks up how many requests a host has had, given its id."""
        self._most = most
        self._requests_of = requests_of
        self._requests: dict[int, int] = {}

    def remaining(self, host_id: int) -> float:
        """Return how many more requests may be made at a host."""
        if self._most is None:
            return math.inf
        requests = self._requests.get(host_id)
        if requests is None:
            if len(self._requests) >= MOST_KNOWN:
                self._requests.clear()
            requests = self._requests[host_id] = self._requests_of(host_id)
        return self._most - requests

    def count(self, host_ids: Iterable[int]) -> None:
        """Count one more request at each of these hosts, as the store has counted it."""
        for host_id, requests in Counter(host_ids).items():
            if host_id in self._requests:
                self._requests[host_id] += requests
