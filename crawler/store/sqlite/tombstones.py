"""Finished: requests that are done and still stand in ``pending``.

Where many hosts are at work, nearly each request that a commit finishes stands on another page of
the file. To take it out at once would write that page, to the log and then to the file. So a
commit notes what is finished in a table of its own, and when that has grown, all of it is taken
out together: by then those of one host are neighbours.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from crawler.store.sqlite.row_counts import RowCounts
from crawler.store.sqlite.rows import many

MOST = 100_000
"""Requests that are noted before they are taken out."""

NOT_DONE = "id NOT IN (SELECT id FROM finished)"
"""What is true of a row of ``pending`` that is not finished."""
COUNT = "SELECT count(*) FROM finished"
NOTE = "INSERT OR IGNORE INTO finished (host, rank, id) VALUES (?, ?, ?)"
TAKE_OUT = "DELETE FROM pending WHERE (host, rank, id) IN (SELECT host, rank, id FROM finished)"
FORGET = "DELETE FROM finished"


def bury(db: sqlite3.Connection, done: Sequence[tuple[int, int, int]], tally: RowCounts) -> None:
    """These are finished, by host, rank and id; part of a transaction."""
    new = sum(db.execute(query, values).rowcount for query, values in many(NOTE, done))
    tally.finish(db, done, gone=new)
    if _count(db) >= MOST:
        delete_done(db, tally)


def delete_done(db: sqlite3.Connection, tally: RowCounts) -> None:
    """What is noted leaves ``pending``; part of a transaction."""
    noted, gone = _count(db), db.execute(TAKE_OUT).rowcount
    db.execute(FORGET)
    if gone != noted:
        tally.recount(db)


def _count(db: sqlite3.Connection) -> int:
    return int(db.execute(COUNT).fetchone()[0])
