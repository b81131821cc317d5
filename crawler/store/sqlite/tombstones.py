"""Tombstones: requests that are done and still have a row in ``pending``.

With many hosts at work, nearly each request that a commit finishes stands on another page of the
file. Deleting its row at once would write that page, to the log and then to the file. So a commit
adds a row to a small table, ``finished``, and when that has grown, all its requests are deleted
together: by then those of one host stand side by side.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from crawler.store.sqlite.row_counts import RowCounts
from crawler.store.sqlite.rows import statements

MOST = 100_000
"""Tombstones in the table before their requests are deleted."""

NOT_DONE = "id NOT IN (SELECT id FROM finished)"
"""The condition of a row of ``pending`` that has no tombstone."""
COUNT = "SELECT count(*) FROM finished"
ADD = "INSERT OR IGNORE INTO finished (host, rank, id) VALUES (?, ?, ?)"
DELETE_DONE = "DELETE FROM pending WHERE (host, rank, id) IN (SELECT host, rank, id FROM finished)"
CLEAR = "DELETE FROM finished"


def bury(db: sqlite3.Connection, done: Sequence[tuple[int, int, int]], counts: RowCounts) -> None:
    """Add tombstones for requests, given by host, rank and id; part of a transaction."""
    new = sum(db.execute(query, values).rowcount for query, values in statements(ADD, done))
    counts.remove(db, done, new_tombstones=new)
    if _count(db) >= MOST:
        delete_done(db, counts)


def delete_done(db: sqlite3.Connection, counts: RowCounts) -> None:
    """Delete all requests that have a tombstone; part of a transaction."""
    tombstones, deleted = _count(db), db.execute(DELETE_DONE).rowcount
    db.execute(CLEAR)
    if deleted != tombstones:
        counts.recount_pending(db)


def _count(db: sqlite3.Connection) -> int:
    return int(db.execute(COUNT).fetchone()[0])
