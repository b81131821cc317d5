"""Seen: every fingerprint that a job has ever known, with the callback that asked for it."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from crawler.records import NewRequest
from crawler.store.protocols import SeenStore
from crawler.store.sqlite.row_counts import RowCounts
from crawler.store.sqlite.rows import AT_ONCE, many

INTO_SEEN = "INTO seen VALUES (?, ?)"
SEEN_BY = "SELECT callback FROM seen WHERE fingerprint = ?"
ADD_FINAL = "INSERT OR IGNORE INTO arrived VALUES (?, ?)"
FINAL_BY = "SELECT callback FROM arrived WHERE fingerprint = ?"

Row = tuple[bytes, str | None]


def row_of(found: NewRequest) -> Row:
    """Nearly all requests go to ``parse``; leaving that out keeps ten million rows small."""
    return found.fingerprint, None if found.callback == "parse" else found.callback


def insert(db: sqlite3.Connection, rows: Sequence[Row]) -> set[bytes] | None:
    """Remember these; part of a transaction. The fingerprints that were new, None if all were."""
    new: set[bytes] | None = None  # SQLite takes a third less where it need not say which they are
    for number, (query, values) in enumerate(many(INTO_SEEN, rows)):
        if new is None:
            try:
                db.execute(f"INSERT {query}", values)
                continue
            except sqlite3.IntegrityError:  # none of these rows is in
                new = {fingerprint for fingerprint, _ in rows[: number * AT_ONCE]}
        fresh = db.execute(f"INSERT OR IGNORE {query} RETURNING fingerprint", values)
        new.update(itertools.chain.from_iterable(fresh))
    return new


def only(
    new: set[bytes], requests: Iterable[tuple[int, NewRequest]]
) -> Iterator[tuple[int, NewRequest]]:
    """Those that are new, each once, or need not be; what is found leaves ``new``."""
    for host, found in requests:
        if not found.dont_filter:
            if found.fingerprint not in new:
                continue
            new.remove(found.fingerprint)  # it may have been found twice at once
        yield host, found


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
