"""Checkpoints copy the log into the file during writes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from crawler.store.sqlite import checkpoints
from crawler.store.sqlite.checkpoints import ROWS, Checkpoints
from crawler.store.sqlite.schema import TUNING


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.db"


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    """The store's connection, by which each statement is a commit."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for pragma in TUNING:
            db.execute(f"PRAGMA {pragma}")
        db.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY, text)")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        yield db


def write(db: sqlite3.Connection, rows: int) -> None:
    db.execute(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT ?)"
        " INSERT INTO numbers (text) SELECT printf('%100d', n) FROM n",
        (rows,),
    )


def in_file(path: Path) -> int:
    """Return the number of rows that the file has without its log."""
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM numbers").fetchone()[0])


def test_the_log_is_copied_when_many_rows_have_come(path: Path, db: sqlite3.Connection) -> None:
    copies = Checkpoints(path)
    write(db, ROWS - 1)
    copies.after_commit(db.total_changes)
    copies.close()
    assert in_file(path) == 0
    write(db, 1)
    copies.after_commit(db.total_changes)
    copies.close()
    assert in_file(path) == ROWS


def test_rows_are_counted_from_the_last_copy(path: Path, db: sqlite3.Connection) -> None:
    copies = Checkpoints(path)
    write(db, ROWS)
    copies.after_commit(db.total_changes)
    copies.close()
    write(db, ROWS - 1)
    copies.after_commit(db.total_changes)
    copies.close()
    assert in_file(path) == ROWS


def test_a_transaction_neither_waits_for_a_copy_nor_is_in_it(
    path: Path, db: sqlite3.Connection
) -> None:
    copies = Checkpoints(path)
    write(db, ROWS)
    db.execute("BEGIN IMMEDIATE")
    write(db, 5)
    copies.after_commit(db.total_changes)
    copies.close()  # the copy has come to its end while the transaction is open
    assert in_file(path) == ROWS
    db.execute("COMMIT")
    assert db.execute("SELECT count(*) FROM numbers").fetchone() == (ROWS + 5,)


def test_the_log_begins_anew_after_a_copy(
    path: Path, db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "ROWS", 100)
    log = path.with_name("job.db-wal")
    copies = Checkpoints(path)
    sizes = []
    for _ in range(20):
        write(db, 100)
        copies.after_commit(db.total_changes)
        copies.close()
        sizes.append(log.stat().st_size)
    assert max(sizes) <= 2 * sizes[0]  # 20 times as much has been written


def test_a_log_that_cannot_be_copied_waits_for_the_next_time(
    path: Path, db: sqlite3.Connection
) -> None:
    copies = Checkpoints(path / "is no folder")
    write(db, ROWS)
    copies.after_commit(db.total_changes)
    copies.close()
    assert in_file(path) == 0


def test_without_a_free_thread_the_log_waits(
    path: Path, db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    copies = Checkpoints(path)
    write(db, ROWS)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        copies.after_commit(db.total_changes)
        copies.close()
    assert in_file(path) == 0
    write(db, ROWS)
    copies.after_commit(db.total_changes)
    copies.close()
    assert in_file(path) == 2 * ROWS
