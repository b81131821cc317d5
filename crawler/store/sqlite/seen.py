"""Seen: every fingerprint that a job has ever known, with the callback that asked for it."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from crawler.records import NewRequest
from crawler.store.sqlite.rows import AT_ONCE, many

SEE = "INTO seen VALUES (?, ?)"
SEEN_BY = "SELECT callback FROM seen WHERE fingerprint = ?"
ARRIVE = "INSERT OR IGNORE INTO arrived VALUES (?, ?)"
ARRIVED = "SELECT callback FROM arrived WHERE fingerprint = ?"

Row = tuple[bytes, str | None]


def row_of(found: NewRequest) -> Row:
    """Nearly all requests go to ``parse``; leaving that out keeps ten million rows small."""
    return found.fingerprint, None if found.callback == "parse" else found.callback


def see(db: sqlite3.Connection, rows: Sequence[Row]) -> set[bytes] | None:
    """Remember these; part of a transaction. The fingerprints that were new, None if all were."""
    new: set[bytes] | None = None  # SQLite takes a third less where it need not say which they are
    for number, (query, values) in enumerate(many(SEE, rows)):
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


def is_seen(db: sqlite3.Connection, found: NewRequest) -> bool:
    """True when the fingerprint is known."""
    return db.execute(SEEN_BY, (found.fingerprint,)).fetchone() is not None


def is_of_another(db: sqlite3.Connection, found: NewRequest) -> bool:
    """True when a known fingerprint was asked for by another callback."""
    (callback,) = db.execute(SEEN_BY, (found.fingerprint,)).fetchone()
    return bool(callback != row_of(found)[1])


def arrive(db: sqlite3.Connection, found: NewRequest) -> None:
    """A redirect has led here."""
    db.execute(ARRIVE, row_of(found))


def has_arrived(db: sqlite3.Connection, found: NewRequest) -> bool:
    """True when a redirect has led here before, for the same callback."""
    row = db.execute(ARRIVED, (found.fingerprint,)).fetchone()
    return row is not None and bool(row[0] == row_of(found)[1])
