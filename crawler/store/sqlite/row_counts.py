"""The numbers of rows that the store should have, stored with each commit.

A store that was copied while it was written may have tables of different instants, each of them
intact. Then its rows do not match these numbers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

_COUNT = "SELECT count(*), coalesce(sum(id), 0) FROM"
_HAS_TOMBSTONES = "SELECT 1 FROM sqlite_master WHERE name = 'finished'"
_COUNT_SEEN = "SELECT count(*) FROM seen"


class RowCounts:
    """The numbers of fingerprints and of pending requests, and the sum of the latter's ids."""

    __slots__ = ("has_changed", "id_sum", "pending", "seen")

    def __init__(self, seen: int, pending: int, id_sum: int) -> None:
        self.seen = seen
        self.pending = pending
        self.id_sum = id_sum
        self.has_changed = False
        """True if the numbers are not those that the store has."""

    @classmethod
    def load(cls, db: sqlite3.Connection, stored: Sequence[int] | None) -> RowCounts:
        """Return the ``stored`` numbers; count the rows if there are none yet."""
        return count_rows(db) if stored is None else cls(*stored)

    @property
    def stored(self) -> tuple[int, int, int]:
        """The numbers as they are stored."""
        return self.seen, self.pending, self.id_sum

    def restore(self, stored: tuple[int, int, int]) -> None:
        """Go back to these numbers, after a rollback."""
        self.seen, self.pending, self.id_sum = stored
        self.has_changed = False

    def add(self, rows: Sequence[tuple[Any, ...]], seen: int) -> None:
        """Count new rows of ``pending``, and a number of new fingerprints."""
        self.seen += seen
        self.pending += len(rows)
        self.id_sum += sum(map(itemgetter(2), rows))
        self.has_changed = True

    def remove(
        self, db: sqlite3.Connection, done: Sequence[tuple[int, int, int]], *, new_tombstones: int
    ) -> None:
        """Count requests that are done. Each should have a new tombstone; if not, recount."""
        if new_tombstones != len(done):
            self.recount_pending(db)
            return
        self.pending -= new_tombstones
        self.id_sum -= sum(map(itemgetter(2), done))
        self.has_changed = True

    def recount_pending(self, db: sqlite3.Connection) -> None:
        """Count the pending requests in their table."""
        self.pending, self.id_sum = _pending(db)
        self.has_changed = True


def count_rows(db: sqlite3.Connection) -> RowCounts:
    """Count all rows of the store, which reads its tables completely."""
    pending, id_sum = _pending(db)
    (seen,) = db.execute(_COUNT_SEEN).fetchone()
    return RowCounts(seen, pending, id_sum)


def _pending(db: sqlite3.Connection) -> tuple[int, int]:
    rows, id_sum = db.execute(f"{_COUNT} pending").fetchone()
    if not db.execute(_HAS_TOMBSTONES).fetchone():  # a store of an older version, not yet migrated
        return rows, id_sum
    done, done_id_sum = db.execute(f"{_COUNT} finished").fetchone()
    return rows - done, id_sum - done_id_sum
