"""Stores that are too large to be read as a whole at each start."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from crawler.errors import JobError
from crawler.store import checksum
from crawler.store.sqlite import integrity as soundness
from crawler.store.sqlite.integrity import StoreIntegrity
from crawler.store.sqlite.store import SQLiteStore


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store that counts as large, left in good order, and stamped."""
    monkeypatch.setattr(checksum, "READ_ALL", 0)
    path = tmp_path / "job.db"
    sound = StoreIntegrity(path)
    with closing(SQLiteStore(path)) as store:
        with store.transaction():
            store.meta.set("place", sound.place())
            for number in range(200):
                store.meta.set(f"value {number}", "x" * 500)
        sound.stamp()
    return path


def break_pages(path: Path) -> None:
    """What no reading of one row would notice."""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(4096 * 6)
        file.write(b"\xff" * 40)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_what_nobody_has_touched_is_not_read(path: Path) -> None:
    break_pages(path)
    StoreIntegrity(path).check()


def test_what_was_touched_is_read(path: Path) -> None:
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


def test_a_killed_job_is_read_where_it_was_moved_or_the_machine_started_anew(
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


def test_a_stamp_that_cannot_be_read_is_none(path: Path) -> None:
    path.with_suffix(".stamp").write_bytes(b"{")
    StoreIntegrity(path).check()


@pytest.mark.parametrize("other", ["start", "file"])
def test_the_index_of_another_start_or_of_a_copy_says_nothing_of_the_log(
    path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """After a loss of power each file may be of another instant, and so may copies of them."""
    sound = StoreIntegrity(path)
    sound.begin()
    leave_a_log(path)
    monkeypatch.setattr(soundness, "lost_frames", lambda path: 3)
    with pytest.raises(JobError, match=r"3 pages .* cannot be read from its log"):
        sound.check_log()
    if other == "start":
        monkeypatch.setattr(soundness, "_boot", lambda: "another start")
    else:
        shutil.copy2(path, path.with_name("copy.db"))
        path.with_name("copy.db").replace(path)
    sound.check_log()
    sound.check()


def test_while_somebody_reads_a_store_it_is_not_stamped_for_what_its_log_holds(path: Path) -> None:
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
