"""The store in one SQLite file: the connection, the transaction and the groups.

It uses write-ahead logging with ``synchronous=NORMAL``. A killed process loses no commit. A machine
that loses power may lose the last commits, but only whole ones, and from the end: so the store is
never ahead of the output, which is synced before each commit.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from crawler.store.encryption import COVERED, StoreEncryption
from crawler.store.errors import UNREADABLE, corrupt_store
from crawler.store.permissions import open_safely
from crawler.store.protocols import Store
from crawler.store.sqlite.checkpoints import Checkpoints
from crawler.store.sqlite.errors import store_error
from crawler.store.sqlite.hosts import SQLiteAccounts, SQLiteHosts
from crawler.store.sqlite.queue import RowCounts, SQLiteQueue, SQLiteSeen, count_rows
from crawler.store.sqlite.schema import TUNING, check_version, migrate
from crawler.store.sqlite.sessions import (
    SQLiteFailures,
    SQLiteMeta,
    SQLiteSessions,
    SQLiteSkipped,
)

SHIFT_HOSTS = "UPDATE hosts SET next_at = next_at - ?1, robots_at = robots_at - ?1, due = due - ?1"
SHIFT_RETRIES = "UPDATE pending SET due = due - ? WHERE due IS NOT NULL"
ROW_COUNTS = "tally"
"""The name of the row counts in ``meta``."""


class SQLiteStore(Store):
    """The state of a job in one file of mode 0600. Raises JobError for a file that is no store."""

    def __init__(self, path: Path, *, read_only: bool = False, key: str | None = None) -> None:
        """With ``key`` secrets are encrypted, from now on if they were not before."""
        self._path = path
        self._checkpoints = Checkpoints(path)
        with contextlib.ExitStack() as stack:
            try:
                self._db = self._connect(read_only)
                stack.callback(self._db.close)
                self._db.execute("PRAGMA busy_timeout = 10000")
                if not read_only:
                    for pragma in TUNING:
                        self._db.execute(f"PRAGMA {pragma}")
                    migrate(self._db)
                check_version(self._db, path)
                self._open_groups(key, read_only=read_only)
            except (sqlite3.DatabaseError, OSError, *UNREADABLE) as error:
                raise store_error(error, path) or corrupt_store(path, str(error)) from None
            stack.pop_all()

    def _open_groups(self, key: str | None, *, read_only: bool) -> None:
        db, encryption = self._db, StoreEncryption(self._path)
        self.meta = SQLiteMeta(db, encryption)
        counts = (0, 0, 0) if read_only else self.meta.get(ROW_COUNTS)
        counts = count_rows(db) if counts is None else RowCounts(*counts)
        self.queue = SQLiteQueue(db, counts, encryption)
        self.seen = SQLiteSeen(db, self.queue)
        self.hosts = SQLiteHosts(db)
        self.accounts = SQLiteAccounts(db, self.hosts, self.queue)
        self.failures = SQLiteFailures(db, encryption)
        self.skipped = SQLiteSkipped(db)
        self.sessions = SQLiteSessions(db, encryption)
        must_wipe = encryption.unlock(self, key, read_only=read_only)
        if not read_only and (sessions := self.sessions.of_older_version()):
            with self.transaction():
                for session in sessions:
                    self.sessions.save(session)
        if key is not None and not (read_only or self.meta.get(COVERED)):
            must_wipe = True
            self._encrypt_rows()
        if must_wipe:
            self._wipe()

    def _encrypt_rows(self) -> None:
        """Encrypt the secrets, besides sessions, that were stored without a key."""
        with self.transaction():
            self.queue.encrypt_all()
            self.failures.encrypt_all()
            self.meta.encrypt_all()
            self.meta.update({COVERED: True, "is_wiped": False})

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        if read_only:
            return sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True)
        os.close(open_safely(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)

    def _wipe(self) -> None:
        """Rewrite the file: overwritten text stays in unused parts of it and of its log."""
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with self.transaction():
            self.meta.set("is_wiped", True)

    @contextlib.contextmanager
    def transaction(self, *, synced: bool = False) -> Iterator[None]:
        self._db.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        counts = self.queue.counts
        try:
            yield
            if self.queue.counts != counts:
                self.meta.set(ROW_COUNTS, self.queue.counts)
            self._db.execute("COMMIT")
        except BaseException:
            self.queue.counts = counts
            if self._db.in_transaction:  # a full disk has rolled it back already
                self._db.execute("ROLLBACK")
            raise
        self._checkpoints.after_commit(self._db.total_changes)

    def compact(self) -> None:
        self.queue.delete_done()

    def shift_times(self, seconds: float) -> None:
        self._db.execute(SHIFT_HOSTS, (seconds,))
        self._db.execute(SHIFT_RETRIES, (seconds,))

    def drain(self) -> None:
        self._checkpoints.close()

    def close(self) -> None:
        self.drain()
        self._db.close()
