"""Versions of the store, and the migrations between them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from crawler.errors import JobError
from crawler.records import Cookie, LoginState, SessionRecord, Usage
from crawler.store.sqlite.schema import MIGRATIONS
from crawler.store.sqlite.sessions import SQLiteSessions
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


COOKIES = [Cookie("sid", "1", "a.example", "/"), Cookie("a", "2", "a.example", "/")]


@pytest.mark.parametrize("key", [None, "a key that nobody knows"])
def test_cookies_of_an_older_job_are_there_and_change_one_by_one(
    path: Path, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its version 4, a session had all its cookies in its row."""
    encode = msgspec.msgpack.encode
    with monkeypatch.context() as patch:
        patch.setattr("crawler.store.sqlite.schema.MIGRATIONS", MIGRATIONS[:4])
        patch.setattr(SQLiteSessions, "of_older_version", lambda self: [])
        patch.setattr(SQLiteSessions, "all", lambda self: [])
        with closing(SQLiteStore(path, key=key)) as store:
            encrypt = store.sessions._encryption.encrypt
            row = ("s", encrypt(encode(COOKIES)), encrypt(encode(LoginState(5.0))), encode(Usage()))
            store._db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", row)
    for _ in range(2):
        with closing(SQLiteStore(path, key=key)) as store:
            assert store.sessions.all() == [SessionRecord("s", COOKIES, LoginState(5.0))]
    with closing(SQLiteStore(path, key=key)) as store:
        with store.transaction():
            deleted = msgspec.structs.replace(COOKIES[0], value=None)
            store.sessions.update(SessionRecord("s", [deleted]))
        assert store.sessions.all() == [SessionRecord("s", COOKIES[1:])]
