"""Versions of the store, and the migrations between them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from crawler.errors import JobError
from crawler.store.sqlite.schema import MIGRATIONS
from crawler.store.sqlite.store import SQLiteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.db"


def with_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_store_is_refused_with_both_versions(path: Path, read_only: bool) -> None:
    SQLiteStore(path).close()
    newer = len(MIGRATIONS) + 7
    with_version(path, newer)
    before = path.read_bytes()
    with pytest.raises(
        JobError, match=rf"version {newer}, but this crawler knows version {len(MIGRATIONS)};"
    ):
        SQLiteStore(path, read_only=read_only)
    assert path.read_bytes() == before


def test_migrations_are_applied_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SQLiteStore(path).close()
    more = (*MIGRATIONS, "CREATE TABLE extra (id INTEGER)", "INSERT INTO extra VALUES (1)")
    monkeypatch.setattr("crawler.store.sqlite.schema.MIGRATIONS", more)
    for _ in range(2):
        SQLiteStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT id FROM extra").fetchall() == [(1,)]


def test_a_migration_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SQLiteStore(path).close()
    broken = (*MIGRATIONS, "CREATE TABLE extra (id INTEGER); INSERT INTO nowhere VALUES (1)")
    with monkeypatch.context() as patch:
        patch.setattr("crawler.store.sqlite.schema.MIGRATIONS", broken)
        with pytest.raises(JobError, match="no such table: nowhere"):
            SQLiteStore(path)
    with closing(SQLiteStore(path)) as store:
        assert store.meta.get("a") is None
