"""Stores that are too large to be read as a whole at each start."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from crawler.errors import JobError
from crawler.records import NewRequest
from crawler.store import checksum
from crawler.store.sqlite import integrity as soundness
from crawler.store.sqlite.integrity import StoreIntegrity
from crawler.store.sqlite.store import SQLiteStore


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store that counts as large, with the stamp of a clean stop."""
    monkeypatch.setattr(checksum, "READ_ALL", 0)
    path = tmp_path / "job.db"
    sound = StoreIntegrity(path)
    with closing(SQLiteStore(path)) as store:
        with store.transaction():
            store.meta.set("place", sound.location())
            for number in range(200):
                store.meta.set(f"value {number}", "x" * 500)
        sound.stamp()
    return path


def break_pages(path: Path) -> None:
    """Damage pages so that reading a row does not show it."""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(4096 * 6)
        file.write(b"\xff" * 40)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_an_untouched_store_is_not_read(path: Path) -> None:
    break_pages(path)
    StoreIntegrity(path).check()


def test_a_touched_store_is_read(path: Path) -> None:
    StoreIntegrity(path).check()
    break_pages(path)
    os.utime(path)
    with pytest.raises(JobError, match=r"job\.db cannot be used as a job's store"):
        StoreIntegrity(path).check()


def test_a_copy_is_read(path: Path) -> None:
    copy = path.with_name("copy.db")
    shutil.copy2(path, copy)
    copy.replace(path)
    StoreIntegrity(path).check()
    break_pages(path)
    with pytest.raises(JobError, match=r"job\.db cannot be used as a job's store"):
        StoreIntegrity(path).check()


def leave_a_log(path: Path) -> None:
    """As a killed process does."""
    aside = path.with_name("aside")
    with closing(SQLiteStore(path)) as store:
        with store.transaction():
            store.meta.set("last", 1)
        shutil.copy2(f"{path}-wal", aside)
        before = path.read_bytes()
    path.write_bytes(before)
    aside.rename(f"{path}-wal")


def test_the_store_of_a_killed_job_is_read_after_a_move_or_a_reboot(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_a_log(path)
    break_pages(path)
    StoreIntegrity(path).check()
    with monkeypatch.context() as patch:
        patch.setattr(soundness, "_boot", lambda: "another start")
        with pytest.raises(JobError, match=r"job\.db cannot be used as a job's store"):
            StoreIntegrity(path).check()
    shutil.copy2(path, path.with_name("copy.db"))
    path.with_name("copy.db").replace(path)
    with pytest.raises(JobError, match=r"job\.db cannot be used as a job's store"):
        StoreIntegrity(path).check()


def test_without_a_stamp_a_store_is_read(path: Path) -> None:
    path.with_suffix(".stamp").unlink()
    StoreIntegrity(path).check()
    break_pages(path)
    with pytest.raises(JobError, match=r"job\.db cannot be used as a job's store"):
        StoreIntegrity(path).check()


def test_an_unreadable_stamp_is_ignored(path: Path) -> None:
    path.with_suffix(".stamp").write_bytes(b"{")
    StoreIntegrity(path).check()


def test_a_store_with_a_reader_gets_no_stamp_for_its_log(path: Path) -> None:
    sound = StoreIntegrity(path)
    with closing(SQLiteStore(path)) as store, closing(sqlite3.connect(path)) as reader:
        with store.transaction():
            store.meta.set("more", "x")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM job").fetchone()
        with store.transaction():
            store.meta.set("still more", "x")
        before = path.with_suffix(".stamp").read_bytes()
        sound.stamp()
        assert path.with_suffix(".stamp").read_bytes() == before
    sound.stamp()
    sound.check()


@pytest.mark.parametrize("copied", [False, True])
def test_a_log_that_ends_early_gives_an_earlier_commit_or_is_refused(
    tmp_path: Path, copied: bool
) -> None:
    """SQLite ignores the log from a flipped bit on; a later copy of it stands in the store."""
    path = tmp_path / "job.db"
    with closing(SQLiteStore(path)) as store, store.transaction():
        host_id = store.hosts.add("https://a.example").id
        store.queue.add([(host_id, request(0))], 1)
    with closing(SQLiteStore(path)) as store:  # whose log holds none of the pages of above
        with store.transaction():
            store.hosts.mark_seeded([host_id])
        log = Path(f"{path}-wal")
        before = log.stat().st_size
        with store.transaction():
            store.queue.add([(host_id, request(number)) for number in range(1, 1000)], 2)
        if copied:
            with closing(sqlite3.connect(path)) as db:
                db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        files = path.read_bytes(), bytearray(log.read_bytes())
    files[1][before + 50] ^= 1
    path.write_bytes(files[0])
    log.write_bytes(files[1])
    if copied:
        with pytest.raises(JobError, match="cannot be used as a job's store"):
            StoreIntegrity(path).check()
        return
    StoreIntegrity(path).check()
    with closing(SQLiteStore(path)) as store:
        assert store.hosts.get(host_id).seeded
        assert len(list(store.queue.requests())) == 1


def request(number: int) -> NewRequest:
    return NewRequest(f"{number:016}".encode(), "", 0, "parse", msgspec.Raw(b"\x01"))


def test_the_creation_of_a_store_that_was_left_in_its_middle_is_undone(tmp_path: Path) -> None:
    """SQLite's way back from a first transaction is a journal, which a reader may not use."""
    path, original = tmp_path / "job.db", tmp_path / "original.db"
    with closing(sqlite3.connect(original, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN")
        db.execute("CREATE TABLE job (name TEXT, value TEXT)")
        db.executemany("INSERT INTO job VALUES (?, ?)", [("a", "x" * 5000)] * 100)
        for ending in ("", "-journal"):
            shutil.copy(f"{original}{ending}", f"{path}{ending}")
    assert path.stat().st_size > 0
    StoreIntegrity(path).check()
    assert path.stat().st_size == 0
    with closing(SQLiteStore(path)) as store:
        assert store.meta.get("place") is None
