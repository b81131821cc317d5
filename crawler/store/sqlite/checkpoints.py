"""Checkpoints: what commits have put into SQLite's log is copied into its file beside the crawl.

SQLite itself does this within a commit, and the crawl waits: for the pages that are read and
written again, and for the disk, twice. It may as well go on, as whoever copies holds no lock that
a commit needs. Only where commits come faster than they can be copied SQLite does it itself, when
the log has the pages that ``wal_autocheckpoint`` says.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

ROWS = 20_000
"""Rows written since the last copy that make another worth its two syncs of the disk. Were each on
a page of its own, they would be 80 MB of log."""


class Checkpoints:
    """Those of one store, while it is open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._copied = 0
        self._thread: threading.Thread | None = None
        self._db: sqlite3.Connection | None = None

    def committed(self, rows: int) -> None:
        """A commit is over; ``rows`` is how many the store's connection has written in all."""
        is_busy = self._thread is not None and self._thread.is_alive()
        if rows - self._copied >= ROWS and not is_busy:
            self._copied = rows
            thread = threading.Thread(target=self._copy, name="checkpoint", daemon=True)
            with suppress(RuntimeError):  # the machine allows no more: SQLite will copy by itself
                thread.start()
                self._thread = thread

    def close(self) -> None:
        """Wait for the copy that is being made, and let go of the store until the next one."""
        if self._thread is not None:
            self._thread.join()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _copy(self) -> None:
        with suppress(sqlite3.Error):  # a full disk, for one, of which the next commit will tell
            if self._db is None:  # and kept: its file would stay open as long as the store's
                self._db = sqlite3.connect(self._path, check_same_thread=False)
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
