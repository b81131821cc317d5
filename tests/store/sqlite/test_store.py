"""The promises of SQLite's store alone: its files, its readers, damaged files."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import JobError
from crawler.store.opening import open_for_run
from crawler.store.sqlite import checkpoints, hosts
from crawler.store.sqlite.store import SQLiteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.db"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_may_read_the_files(path: Path, umask: int) -> None:
    """They hold cookies."""
    before = os.umask(umask)
    try:
        with closing(SQLiteStore(path)) as store, store.transaction():
            store.meta.set("a", 1)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"job.db": 0o600, "job.db-wal": 0o600, "job.db-shm": 0o600}


def test_a_kill_loses_nothing_that_was_committed(path: Path) -> None:
    """Another process sees it while the first has not closed the file."""
    with closing(SQLiteStore(path)) as store:
        with store.transaction():
            store.meta.set("a", 1)
        with closing(SQLiteStore(path)) as other:
            assert other.meta.get("a") == 1


def test_a_reader_changes_nothing(path: Path) -> None:
    with closing(SQLiteStore(path)) as store, store.transaction():
        store.meta.set("a", 1)
    with closing(SQLiteStore(path, read_only=True)) as reader:
        assert reader.meta.get("a") == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"), reader.transaction():
            reader.meta.set("a", 2)


def test_a_reader_does_not_create_a_store(path: Path) -> None:
    with pytest.raises(JobError):
        SQLiteStore(path, read_only=True)
    assert not path.exists()


def test_a_reader_reads_while_another_process_writes(path: Path) -> None:
    with closing(SQLiteStore(path)) as store, store.transaction():
        store.meta.set("a", 1)
        with closing(SQLiteStore(path, read_only=True)) as reader:
            assert reader.meta.get("a") is None


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    path: Path, read_only: bool
) -> None:
    path.write_bytes(b"This is a text, and a long one. " * 200)
    before = path.read_bytes()
    with pytest.raises(JobError, match=rf"{path} cannot be used.*not a database.*--fresh"):
        SQLiteStore(path, read_only=read_only)
    assert path.read_bytes() == before


@pytest.mark.parametrize("read_only", [True, False])
def test_a_folder_is_no_store(path: Path, read_only: bool) -> None:
    path.mkdir()
    with pytest.raises(JobError, match=rf"{path} cannot be used"):
        SQLiteStore(path, read_only=read_only)


def test_a_damaged_database_is_refused(path: Path) -> None:
    with closing(SQLiteStore(path)) as store, store.transaction():
        store.meta.set("a", 1)
    data = bytearray(path.read_bytes())
    data[100:200] = os.urandom(100)
    path.write_bytes(data)
    with pytest.raises(JobError, match="cannot be used"):
        SQLiteStore(path)


def test_only_a_synced_transaction_waits_for_the_disk(path: Path) -> None:
    statements: list[str] = []
    with closing(SQLiteStore(path)) as store:
        store._db.set_trace_callback(statements.append)
        with store.transaction(synced=True):
            store.meta.set("x", 1)
        with store.transaction():
            store.meta.set("x", 2)
    assert statements[:2] == ["PRAGMA synchronous = FULL", "BEGIN IMMEDIATE"]
    assert statements[3:6] == ["COMMIT", "PRAGMA synchronous = NORMAL", "BEGIN IMMEDIATE"]


def test_every_connection_that_writes_syncs_through_the_cache_of_the_drive(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS; elsewhere SQLite takes note of the setting, and needs none."""
    connections: list[list[tuple[str, int]]] = []

    class Recorder(sqlite3.Connection):
        """A connection that records its statements, each with the setting at that time."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.statements: list[tuple[str, int]] = []
            connections.append(self.statements)

        def execute(self, statement: str, *args: Any) -> sqlite3.Cursor:
            (setting,) = super().execute("PRAGMA fullfsync").fetchone()
            self.statements.append((statement, setting))
            return super().execute(statement, *args)

    monkeypatch.setattr(checkpoints, "ROWS", 1)
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Recorder))
    with open_for_run(path) as run, run.store.transaction():
        run.store.meta.set("a", 1)
    writes = [
        (statement, setting)
        for statements in connections
        for statement, setting in statements
        if statement.startswith(("BEGIN", "PRAGMA wal_checkpoint"))
    ]
    names = {statement for statement, _ in writes}
    assert names >= {
        "BEGIN IMMEDIATE",
        *(f"PRAGMA wal_checkpoint({kind})" for kind in ("PASSIVE", "TRUNCATE")),
    }
    assert {setting for _, setting in writes} == {1}


@pytest.mark.parametrize("query", [hosts.DUE, hosts.NEXT_DUE, hosts.RESET_DUES])
def test_hosts_that_are_due_are_found_by_an_index(path: Path, query: str) -> None:
    with closing(SQLiteStore(path)) as store:
        plan = store._db.execute(f"EXPLAIN QUERY PLAN {query}", (0.0,) * query.count("?"))
        details = " ".join(row[3] for row in plan)
    assert "INDEX due_hosts" in details
    assert "SCAN" not in details
    assert "TEMP B-TREE" not in details
