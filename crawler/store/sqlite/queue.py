"""The pending requests in SQLite: a queue for each host, in one table ordered by its key."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter

from crawler.records import Key, NewRequest, PendingRow, QueuedRequest
from crawler.store.protocols import QueueStore
from crawler.store.sqlite import seen
from crawler.store.sqlite.hosts import COUNT_REQUESTS
from crawler.store.sqlite.row_counts import RowCounts
from crawler.store.sqlite.rows import statements
from crawler.store.sqlite.tombstones import NOT_DONE, bury

PUSH = "INSERT INTO pending (host, rank, id, once, request) VALUES (?, ?, ?, ?, ?)"
HEAD = (
    "SELECT rank, id, request, once FROM pending WHERE host = ? AND (rank, id) > (?, ?)"
    f" AND due IS NULL AND {NOT_DONE} ORDER BY rank, id LIMIT ?"
)
BY_KEY = "WHERE host = ? AND rank = ? AND id = ?"
REPLACE = f"UPDATE pending SET request = ?, due = ?, once = min(once, 1) {BY_KEY}"
MOVE = f"UPDATE pending SET host = ?, request = ?, due = NULL, once = ? {BY_KEY}"
SET_DELIVERY = f"UPDATE pending SET once = ? {BY_KEY}"
DUE = (
    "UPDATE pending SET due = NULL"
    f" WHERE host = ? AND due IS NOT NULL AND due <= ? AND {NOT_DONE}"
    " RETURNING rank, id, request, once"
)
REQUESTS = f"SELECT request FROM pending WHERE {NOT_DONE}"
NEXT_DUE = f"SELECT min(due) FROM pending WHERE host = ? AND due IS NOT NULL AND {NOT_DONE}"

_host_id = itemgetter(0)
_fingerprint = itemgetter(0)
_FIRST = Key(-(2**63), -1)


class SQLiteQueue(QueueStore):
    """The table ``pending``. Adding to it also changes ``seen``, the hosts and the row counts."""

    def __init__(self, db: sqlite3.Connection, counts: RowCounts) -> None:
        self._db = db
        self._counts = counts

    def add(self, requests: Sequence[tuple[int, NewRequest]], first: int) -> list[PendingRow]:
        fingerprints = [seen.row_of(request) for _, request in requests if not request.dont_filter]
        # In the order of the table, whose pages are then written once. The sort is stable: of two
        # equal fingerprints the first stays the first.
        new = seen.insert(self._db, sorted(fingerprints, key=_fingerprint))
        new_count = len(fingerprints) if new is None else len(new)
        if new is not None:
            requests = list(seen.only_new(new, requests))
        rows: list[PendingRow] = [
            (host_id, request.rank, number, request.once, bytes(request.request))
            for number, (host_id, request) in enumerate(requests, first)
        ]
        for query, values in statements(PUSH, sorted(rows, key=_host_id)):
            self._db.execute(query, values)
        self._counts.add(rows, new_count)
        by_id = Counter(map(_host_id, rows))
        self._db.executemany(COUNT_REQUESTS, ((n, host_id) for host_id, n in by_id.items()))
        return rows

    def next_requests(self, host_id: int, after: Key | None, limit: int) -> list[QueuedRequest]:
        rows = self._db.execute(HEAD, (host_id, *(after or _FIRST), limit))
        return list(map(QueuedRequest._make, rows))

    def mark_done(self, rows: Sequence[tuple[int, int, int]]) -> None:
        bury(self._db, rows, self._counts)

    def replace(self, host_id: int, key: Key, request: bytes, due: float | None = None) -> None:
        self._db.execute(REPLACE, (request, due, host_id, *key))

    def move(
        self, host_id: int, key: Key, new_host_id: int, request: bytes, *, once: bool = False
    ) -> None:
        self._db.execute(MOVE, (new_host_id, request, once, host_id, *key))
        if new_host_id != host_id:
            self._db.execute(COUNT_REQUESTS, (1, new_host_id))

    def set_delivery(self, host_id: int, key: Key, once: int) -> None:
        self._db.execute(SET_DELIVERY, (once, host_id, *key))

    def release_due(self, host_id: int, now: float) -> list[QueuedRequest]:
        return list(map(QueuedRequest._make, self._db.execute(DUE, (host_id, now))))

    def next_due(self, host_id: int) -> float | None:
        (due,) = self._db.execute(NEXT_DUE, (host_id,)).fetchone()
        return None if due is None else float(due)

    def requests(self) -> Iterable[bytes]:
        return (request for (request,) in self._db.execute(REQUESTS))
