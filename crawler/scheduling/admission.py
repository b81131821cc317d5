"""Admit new requests to the queues of the store, within ``max_pages_per_host``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter

from crawler.records import NewRequest, PendingRow
from crawler.store.protocols import Store

MOST_KNOWN = 10_000
"""Hosts whose id, or whose number of requests, is held in memory."""


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


class Admission:
    """Adds new requests to the store, each to the queue of its host; part of a transaction."""

    def __init__(self, store: Store, max_pages_per_host: int | None) -> None:
        self._store = store
        self._budget = PageBudget(
            max_pages_per_host, lambda host_id: store.hosts.get(host_id).requests
        )
        self._ids: dict[tuple[str, str], int] = {}

    def host_id(self, origin: str, account: str = "") -> int:
        """Return the id of a host, as an account requests it; add the host if it is new."""
        host_id = self._ids.get((origin, account))
        if host_id is None:
            if len(self._ids) >= MOST_KNOWN:
                self._ids.clear()
            host_id = self._ids[origin, account] = self._store.hosts.add(origin, account).id
        return host_id

    def add(
        self, requests: Iterable[NewRequest], first: int
    ) -> tuple[list[PendingRow], list[NewRequest]]:
        """Queue the requests that are new, numbered from ``first``.

        Returns their rows, and the new requests that are beyond the budget of their hosts.
        """
        admitted, skipped = self._within_budget(
            [(self.host_id(new.origin, new.account), new) for new in requests]
        )
        rows = self._store.queue.add(admitted, first)
        self._budget.count(map(itemgetter(0), rows))
        return rows, skipped

    def redirect(self, host_id: int, target: NewRequest) -> int | None:
        """Return the host of a redirect's target; None if it is another one without budget left."""
        new_host_id = self.host_id(target.origin, target.account)
        if new_host_id != host_id:
            if self._budget.remaining(new_host_id) <= 0:
                return None
            self._budget.count([new_host_id])
        return new_host_id

    def _within_budget(
        self, requests: Sequence[tuple[int, NewRequest]]
    ) -> tuple[Sequence[tuple[int, NewRequest]], list[NewRequest]]:
        wanted = Counter(map(itemgetter(0), requests))
        budget = {host_id: self._budget.remaining(host_id) for host_id in wanted}
        if all(budget[host_id] >= count for host_id, count in wanted.items()):
            return requests, []
        admitted, skipped = [], []
        seen_now: set[bytes] = set()
        for host_id, new in requests:
            if not new.dont_filter:
                if new.fingerprint in seen_now or self._store.seen.contains(new):
                    continue
                seen_now.add(new.fingerprint)
            if budget[host_id] > 0:
                admitted.append((host_id, new))
                budget[host_id] -= 1
            else:
                skipped.append(new)
        return admitted, skipped
