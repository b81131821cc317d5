"""The pending requests in SQLite, and the fingerprints of all requests that the job has known.

The queues of all hosts are one table ordered by its key. A request that is done leaves its row in
the table, and a *tombstone* in a small table, ``finished``: with many hosts at work, nearly each
row that a commit would delete stands on another page of the file, and each of these pages would be
written, to the log and then to the file. When there are many tombstones, their rows are deleted
together: by then those of one host stand side by side.

With each commit the store keeps how many rows it should have. A store that was copied while it was
written may have tables of different instants, each of them intact. Then its rows do not match
these numbers.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from crawler.records import Key, NewRequest, PendingRow, QueuedRequest
from crawler.store.encryption import StoreEncryption
from crawler.store.protocols import QueueStore, SeenStore

MOST_TOMBSTONES = 100_000
"""Tombstones before their rows are deleted."""
ROWS_PER_READ = 1000
"""Rows that are read and encrypted at a time, when an older store gets a key."""
ROWS_PER_STATEMENT = 100
"""With a statement for each row, inserting would take half as long again."""

AT_ONCE = 1_000
"""Requests that are numbered together. The number in ``seen`` is that of a request if all before it
are new, so that it is at most so much too high."""
FAILED = 0
"""The number in ``seen`` of a request that has failed for good."""

NOT_DONE = "id NOT IN (SELECT id FROM finished)"
"""The condition of a row of ``pending`` that has no tombstone."""
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
ALL_REQUESTS = "SELECT request, host, rank, id FROM pending"
ENCRYPT = f"UPDATE pending SET request = ? {BY_KEY}"
NEXT_DUE = f"SELECT min(due) FROM pending WHERE host = ? AND due IS NOT NULL AND {NOT_DONE}"
COUNT_REQUESTS = "UPDATE hosts SET requests = requests + ? WHERE id = ?"
# Apart, or each count would write the index of ``due`` anew. An infinite time stays.
MAKE_DUE = (
    "UPDATE hosts SET due = next_at WHERE id = ? AND (due IS NULL OR due > next_at AND due < 9e999)"
)

ADD_TOMBSTONE = "INSERT OR IGNORE INTO finished (host, rank, id) VALUES (?, ?, ?)"
COUNT_TOMBSTONES = "SELECT count(*) FROM finished"
DELETE_DONE = "DELETE FROM pending WHERE (host, rank, id) IN (SELECT host, rank, id FROM finished)"
CLEAR_TOMBSTONES = "DELETE FROM finished"

INTO_SEEN = "INTO seen VALUES (?, ?, ?)"
SEEN_BY = "SELECT callback, number FROM seen WHERE fingerprint = ?"
MARK_FAILED = f"UPDATE seen SET number = {FAILED} WHERE fingerprint = ? AND number BETWEEN ? AND ?"
ADD_FINAL = "INSERT OR IGNORE INTO arrived VALUES (?, ?, ?)"
FINAL_BY = "SELECT callback FROM arrived WHERE fingerprint = ?"
HAS_SUPERSEDED = "SELECT 1 FROM arrived WHERE superseded IS NOT NULL LIMIT 1"
IS_SUPERSEDED = "SELECT 1 FROM arrived WHERE superseded = ?"
# Of each host and rank, the requests with these numbers.
FIND = f"""
WITH RECURSIVE queues (host, rank) AS (
    SELECT id, (SELECT min(rank) FROM pending WHERE host = hosts.id) FROM hosts
    WHERE origin = :origin
    UNION ALL
    SELECT host, (
        SELECT min(rank) FROM pending
        WHERE pending.host = queues.host AND pending.rank > queues.rank
    )
    FROM queues WHERE queues.rank IS NOT NULL
)
SELECT id, request FROM queues CROSS JOIN pending
WHERE pending.host = queues.host AND pending.rank = queues.rank
    AND id BETWEEN :least AND :most AND {NOT_DONE}
ORDER BY id DESC
"""

COUNT_ROWS = "SELECT count(*), coalesce(sum(id), 0) FROM"
COUNT_SEEN = "SELECT count(*) FROM seen"
HAS_TOMBSTONES = "SELECT 1 FROM sqlite_master WHERE name = 'finished'"

SeenRow = tuple[bytes, str | None, int | None]
"""A row of ``seen``: fingerprint, callback and number."""

_host_id = itemgetter(0)
_fingerprint = itemgetter(0)
_row_id = itemgetter(2)
_FIRST = Key(-(2**63), -1)


class RowCounts(NamedTuple):
    """The numbers of fingerprints and of pending requests, and the sum of the latter's ids."""

    seen: int
    pending: int
    id_sum: int


class SQLiteQueue(QueueStore):
    """The tables ``pending`` and ``finished``. Adding also changes ``seen`` and the hosts.

    ``counts`` has the numbers of rows after the changes so far; the store saves them.
    """

    def __init__(
        self, db: sqlite3.Connection, counts: RowCounts, encryption: StoreEncryption
    ) -> None:
        self._db = db
        self.counts = counts
        self._encryption = encryption

    def add(self, requests: Sequence[tuple[int, NewRequest]], first: int) -> list[PendingRow]:
        rows: list[PendingRow] = []
        for start in range(0, len(requests), AT_ONCE):
            rows += self._new_rows(requests[start : start + AT_ONCE], first + len(rows))
        stored = self._encrypted(rows) if self._encryption.is_used else rows
        for query, values in _statements(PUSH, sorted(stored, key=_host_id)):
            self._db.execute(query, values)
        self._count_pending(len(rows), sum(map(_row_id, rows)))
        by_id = Counter(map(_host_id, rows))
        self._db.executemany(COUNT_REQUESTS, ((n, host_id) for host_id, n in by_id.items()))
        self._db.executemany(MAKE_DUE, ((host_id,) for host_id in by_id))
        return rows

    def _new_rows(self, requests: Sequence[tuple[int, NewRequest]], first: int) -> list[PendingRow]:
        fingerprints = [
            _seen_row(request, number)
            for number, (_, request) in enumerate(requests, first)
            if not request.dont_filter
        ]
        # In the order of the table, whose pages are then written once. The sort is stable: of two
        # equal fingerprints the first stays the first.
        new = self.add_seen(sorted(fingerprints, key=_fingerprint))
        if new is not None:
            requests = list(_only_new(new, requests))
        return [
            (host_id, request.rank, number, request.once, bytes(request.request))
            for number, (host_id, request) in enumerate(requests, first)
        ]

    def find(self, origin: str, number: int, is_wanted: Callable[[bytes], bool]) -> int | None:
        bounds = {"origin": origin, "least": number - AT_ONCE, "most": number}
        for request_id, request in self._db.execute(FIND, bounds):
            if self._encryption.is_used:
                request = self._encryption.decrypt_request(request)
            if is_wanted(request):
                return int(request_id)
        return None

    def add_seen(self, rows: Sequence[SeenRow]) -> set[bytes] | None:
        """Add rows to ``seen``. Return the fingerprints that were new, None if all were.

        None saves time: SQLite takes a third less if it need not return the new ones.
        """
        new: set[bytes] | None = None
        for number, (query, values) in enumerate(_statements(INTO_SEEN, rows)):
            if new is None:
                try:
                    self._db.execute(f"INSERT {query}", values)
                    continue
                except sqlite3.IntegrityError:  # then none of this statement was inserted
                    new = {row[0] for row in rows[: number * ROWS_PER_STATEMENT]}
            inserted = self._db.execute(f"INSERT OR IGNORE {query} RETURNING fingerprint", values)
            new.update(itertools.chain.from_iterable(inserted))
        new_count = len(rows) if new is None else len(new)
        self.counts = self.counts._replace(seen=self.counts.seen + new_count)
        return new

    def next_requests(self, host_id: int, after: Key | None, limit: int) -> list[QueuedRequest]:
        return self._queued(self._db.execute(HEAD, (host_id, *(after or _FIRST), limit)))

    def mark_done(self, rows: Sequence[tuple[int, int, int]]) -> None:
        statements = _statements(ADD_TOMBSTONE, rows)
        new = sum(self._db.execute(query, values).rowcount for query, values in statements)
        if new == len(rows):
            self._count_pending(-new, -sum(map(_row_id, rows)))
        else:  # some were done before, or are unknown
            self._recount_pending()
        if self._tombstones() >= MOST_TOMBSTONES:
            self.delete_done()

    def delete_done(self) -> None:
        """Delete all requests that have a tombstone."""
        tombstones, deleted = self._tombstones(), self._db.execute(DELETE_DONE).rowcount
        self._db.execute(CLEAR_TOMBSTONES)
        if deleted != tombstones:
            self._recount_pending()

    def replace(self, host_id: int, key: Key, request: bytes, due: float | None = None) -> None:
        request = self._encryption.encrypt_request(request)
        self._db.execute(REPLACE, (request, due, host_id, *key))

    def move(
        self, host_id: int, key: Key, new_host_id: int, request: bytes, *, once: bool = False
    ) -> None:
        request = self._encryption.encrypt_request(request)
        self._db.execute(MOVE, (new_host_id, request, once, host_id, *key))
        if new_host_id != host_id:
            self._db.execute(COUNT_REQUESTS, (1, new_host_id))
            self._db.execute(MAKE_DUE, (new_host_id,))

    def set_delivery(self, host_id: int, key: Key, once: int) -> None:
        self._db.execute(SET_DELIVERY, (once, host_id, *key))

    def release_due(self, host_id: int, now: float) -> list[QueuedRequest]:
        return self._queued(self._db.execute(DUE, (host_id, now)))

    def next_due(self, host_id: int) -> float | None:
        (due,) = self._db.execute(NEXT_DUE, (host_id,)).fetchone()
        return None if due is None else float(due)

    def requests(self) -> Iterable[bytes]:
        decrypt = self._encryption.decrypt_request
        return (decrypt(request) for (request,) in self._db.execute(REQUESTS))

    def encrypt_all(self) -> None:
        """Encrypt the secrets of all rows that were stored without a key."""
        encrypt, decrypt = self._encryption.encrypt_request, self._encryption.decrypt_request
        rows = self._db.execute(ALL_REQUESTS)
        while batch := rows.fetchmany(ROWS_PER_READ):
            stored = ((encrypt(decrypt(request)), *key) for request, *key in batch)
            self._db.executemany(ENCRYPT, stored)

    def _encrypted(self, rows: Iterable[PendingRow]) -> list[PendingRow]:
        encrypt = self._encryption.encrypt_request
        return [(*row, encrypt(request)) for *row, request in rows]  # type: ignore[misc]

    def _queued(self, rows: Iterable[Any]) -> list[QueuedRequest]:
        if self._encryption.is_used:
            decrypt = self._encryption.decrypt_request
            rows = ((rank, number, decrypt(request), once) for rank, number, request, once in rows)
        return list(map(QueuedRequest._make, rows))

    def _tombstones(self) -> int:
        return int(self._db.execute(COUNT_TOMBSTONES).fetchone()[0])

    def _count_pending(self, rows: int, id_sum: int) -> None:
        seen, pending, id_sum_before = self.counts
        self.counts = RowCounts(seen, pending + rows, id_sum_before + id_sum)

    def _recount_pending(self) -> None:
        self.counts = RowCounts(self.counts.seen, *_pending(self._db))


class SQLiteSeen(SeenStore):
    """The tables ``seen`` and ``arrived``: fingerprints, and the callbacks that asked for them."""

    def __init__(self, db: sqlite3.Connection, queue: SQLiteQueue) -> None:
        self._db = db
        self._queue = queue

    def contains(self, request: NewRequest) -> bool:
        return self._db.execute(SEEN_BY, (request.fingerprint,)).fetchone() is not None

    def add(self, request: NewRequest) -> bool:
        row = _seen_row(request)
        if self._queue.add_seen([row]) is None:
            return True
        callback, _ = self._db.execute(SEEN_BY, (request.fingerprint,)).fetchone()
        return bool(callback != row[1])

    def add_final(self, request: NewRequest, open_id: Callable[[int], int | None]) -> bool:
        fingerprint, callback, _ = row = _seen_row(request)
        is_final = self._db.execute(FINAL_BY, (fingerprint,)).fetchone() is not None
        known = self._db.execute(SEEN_BY, (fingerprint,)).fetchone()
        superseded = None
        is_new = known is None or known[0] != callback
        if known is None:
            self._queue.add_seen([row])
        elif not (is_final or is_new or known[1] is None):
            superseded = None if known[1] == FAILED else open_id(known[1])
            is_new = known[1] == FAILED or superseded is not None
        self._db.execute(ADD_FINAL, (fingerprint, callback, superseded))
        return is_new

    def mark_failed(self, fingerprint: bytes, number: int) -> None:
        self._db.execute(MARK_FAILED, (fingerprint, number, number + AT_ONCE))

    def has_superseded(self) -> bool:
        return self._db.execute(HAS_SUPERSEDED).fetchone() is not None

    def is_superseded(self, number: int) -> bool:
        return self._db.execute(IS_SUPERSEDED, (number,)).fetchone() is not None

    def contains_final(self, request: NewRequest) -> bool:
        callback = self._db.execute(FINAL_BY, (request.fingerprint,)).fetchone()
        return callback is not None and bool(callback[0] == _seen_row(request)[1])


def count_rows(db: sqlite3.Connection) -> RowCounts:
    """Count the rows of the store, which reads its tables completely."""
    (seen,) = db.execute(COUNT_SEEN).fetchone()
    return RowCounts(seen, *_pending(db))


def _pending(db: sqlite3.Connection) -> tuple[int, int]:
    rows, id_sum = db.execute(f"{COUNT_ROWS} pending").fetchone()
    if not db.execute(HAS_TOMBSTONES).fetchone():  # a store of an older version, not yet migrated
        return rows, id_sum
    done, done_id_sum = db.execute(f"{COUNT_ROWS} finished").fetchone()
    return rows - done, id_sum - done_id_sum


def _statements(insert: str, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield statements for many rows each, with their values.

    ``insert`` is the statement for one row, which ends with its placeholders.
    """
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        batch = rows[start : start + ROWS_PER_STATEMENT]
        placeholders = f", ({', '.join('?' * len(batch[0]))})"
        yield insert + placeholders * (len(batch) - 1), list(itertools.chain.from_iterable(batch))


def _seen_row(request: NewRequest, number: int | None = None) -> SeenRow:
    """Return the row of a request in ``seen``.

    Nearly all callbacks are ``parse``, which is stored as NULL: that keeps ten million rows small.
    """
    return request.fingerprint, None if request.callback == "parse" else request.callback, number


def _only_new(
    new: set[bytes], requests: Iterable[tuple[int, NewRequest]]
) -> Iterator[tuple[int, NewRequest]]:
    """Yield requests whose fingerprint is in ``new``, and all with ``dont_filter``.

    Removes from ``new`` what it yields, since a batch may have equal requests.
    """
    for host_id, request in requests:
        if not request.dont_filter:
            if request.fingerprint not in new:
                continue
            new.remove(request.fingerprint)
        yield host_id, request
