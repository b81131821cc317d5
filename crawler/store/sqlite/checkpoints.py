"""Checkpoints in a thread: SQLite's log is copied into the store while the crawl continues.

SQLite itself does this inside a commit, while the crawl waits: for the pages to be read and written
again, and twice for the disk. But copying holds no lock that a commit needs. Only if commits come
faster than they can be copied, SQLite copies the log itself, when it has as many pages as
``wal_autocheckpoint``.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

from crawler.store.sqlite.schema import FULL_SYNC

ROWS = 20_000
"""Rows written after which the log is copied again, which costs two syncs of the disk. If each row
is on a page of its own, these are 80 MB of log."""


class Checkpoints:
    """The checkpoints of one store, while it is open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._copied = 0
        self._thread: threading.Thread | None = None
        self._db: sqlite3.Connection | None = None

    def after_commit(self, rows: int) -> None:
        """Start a copy if it is due. ``rows`` is the number that the store has written in all."""
        is_busy = self._thread is not None and self._thread.is_alive()
        if rows - self._copied >= ROWS and not is_busy:
            self._copied = rows
            thread = threading.Thread(target=self._copy, name="checkpoint", daemon=True)
            with suppress(RuntimeError):  # no more threads are allowed: SQLite copies by itself
                thread.start()
                self._thread = thread

    def close(self) -> None:
        """Wait for the copy in progress, and close the connection until the next one."""
        if self._thread is not None:
            self._thread.join()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _copy(self) -> None:
        with suppress(
            sqlite3.Error
        ):  # the next commit raises the error, of a full disk for instance
            if (
                self._db is None
            ):  # closing it would not close its file, while the store has that open
                self._db = sqlite3.connect(self._path, check_same_thread=False)
                self._db.execute(f"PRAGMA {FULL_SYNC}")
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
