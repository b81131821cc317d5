"""The fingerprints of all requests of a job in SQLite, with the callbacks that came first."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from crawler.records import NewRequest
from crawler.store.protocols import SeenStore
from crawler.store.sqlite.row_counts import RowCounts
from crawler.store.sqlite.rows import ROWS_PER_STATEMENT, statements

INTO_SEEN = "INTO seen VALUES (?, ?)"
SEEN_BY = "SELECT callback FROM seen WHERE fingerprint = ?"
ADD_FINAL = "INSERT OR IGNORE INTO arrived VALUES (?, ?)"
FINAL_BY = "SELECT callback FROM arrived WHERE fingerprint = ?"

Row = tuple[bytes, str | None]


def row_of(request: NewRequest) -> Row:
    """Return the row of a request.

    Nearly all callbacks are ``parse``, which is stored as NULL: that keeps ten million rows small.
    """
    return request.fingerprint, None if request.callback == "parse" else request.callback


def insert(db: sqlite3.Connection, rows: Sequence[Row]) -> set[bytes] | None:
    """Add rows; part of a transaction. Return the fingerprints that were new, None if all were.

    None saves time: SQLite takes a third less if it need not return the new ones.
    """
    new: set[bytes] | None = None
    for number, (query, values) in enumerate(statements(INTO_SEEN, rows)):
        if new is None:
            try:
                db.execute(f"INSERT {query}", values)
                continue
            except sqlite3.IntegrityError:  # then none of this statement was inserted
                new = {fingerprint for fingerprint, _ in rows[: number * ROWS_PER_STATEMENT]}
        inserted = db.execute(f"INSERT OR IGNORE {query} RETURNING fingerprint", values)
        new.update(itertools.chain.from_iterable(inserted))
    return new


def only_new(
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


class SQLiteSeen(SeenStore):
    """The tables ``seen`` and ``arrived``: fingerprints, and the callbacks that asked for them."""

    def __init__(self, db: sqlite3.Connection, counts: RowCounts) -> None:
        self._db = db
        self._counts = counts

    def contains(self, request: NewRequest) -> bool:
        return self._db.execute(SEEN_BY, (request.fingerprint,)).fetchone() is not None

    def add(self, request: NewRequest) -> bool:
        row = row_of(request)
        if insert(self._db, [row]) is None:
            self._counts.add((), 1)
            return True
        (callback,) = self._db.execute(SEEN_BY, (request.fingerprint,)).fetchone()
        return bool(callback != row[1])

    def add_final(self, request: NewRequest) -> bool:
        self._db.execute(ADD_FINAL, row_of(request))
        return self.add(request)

    def contains_final(self, request: NewRequest) -> bool:
        callback = self._db.execute(FINAL_BY, (request.fingerprint,)).fetchone()
        return callback is not None and bool(callback[0] == row_of(request)[1])
