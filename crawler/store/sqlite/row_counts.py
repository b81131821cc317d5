"""The tally: how many rows the store should have, kept with each commit.

A store that was copied while it was written may hold tables of different instants, each of them
in good order. Then what it holds does not add up to its tally.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

_ROWS = "SELECT count(*), coalesce(sum(id), 0) FROM"
_HAS_FINISHED = "SELECT 1 FROM sqlite_master WHERE name = 'finished'"
SEEN = "SELECT count(*) FROM seen"


class RowCounts:
    """Rows of ``seen``, and of ``pending`` those not finished, with the sum of their numbers."""

    __slots__ = ("ids", "is_new", "pending", "seen")

    def __init__(self, seen: int, pending: int, ids: int) -> None:
        self.seen = seen
        self.pending = pending
        self.ids = ids
        self.is_new = False
        """It is another one than the store has."""

    def restore(self, kept: tuple[int, int, int]) -> None:
        """Go back to ``kept``, after a rollback."""
        self.seen, self.pending, self.ids = kept
        self.is_new = False

    @classmethod
    def of(cls, db: sqlite3.Connection, kept: Sequence[int] | None) -> RowCounts:
        """As ``kept``; counted where nothing was kept yet."""
        return counted(db) if kept is None else cls(*kept)

    def add(self, entries: Sequence[tuple[Any, ...]], seen: int) -> None:
        """Rows have come into ``pending`` and so many into ``seen``."""
        self.seen += seen
        self.pending += len(entries)
        self.ids += sum(map(itemgetter(2), entries))
        self.is_new = True

    def finish(
        self, db: sqlite3.Connection, done: Sequence[tuple[int, int, int]], *, gone: int
    ) -> None:
        """These are finished: as many as ``gone`` were not before, which should be all of them."""
        if gone != len(done):
            self.recount(db)
            return
        self.pending -= gone
        self.ids -= sum(map(itemgetter(2), done))
        self.is_new = True

    def recount(self, db: sqlite3.Connection) -> None:
        """Look how many are pending."""
        self.pending, self.ids = _pending(db)
        self.is_new = True

    @property
    def kept(self) -> tuple[int, int, int]:
        """As it is kept."""
        return self.seen, self.pending, self.ids


def counted(db: sqlite3.Connection) -> RowCounts:
    """The tally of what the store holds, which takes a look at all of it."""
    pending, ids = _pending(db)
    (seen,) = db.execute(SEEN).fetchone()
    return RowCounts(seen, pending, ids)


def _pending(db: sqlite3.Connection) -> tuple[int, int]:
    rows, ids = db.execute(f"{_ROWS} pending").fetchone()
    if not db.execute(_HAS_FINISHED).fetchone():  # an older version's, not brought to this one yet
        return rows, ids
    finished, finished_ids = db.execute(f"{_ROWS} finished").fetchone()
    return rows - finished, ids - finished_ids
