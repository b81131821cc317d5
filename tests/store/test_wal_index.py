"""The index of SQLite's log, after its writer was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crawler.store.sqlite.wal_index import PROBE, lost_frames

KILLED = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("CREATE TABLE numbers (n, text)")
for number in range(40):
    db.execute("INSERT INTO numbers VALUES (?, ?)", (number, "x" * 1_000))
exec(sys.argv[2])
os.kill(os.getpid(), 9)
"""


def killed(folder: Path, after: str = "") -> Path:
    """A store whose writer was killed with some 50 frames in its log."""
    store = folder / "job.db"
    done = subprocess.run([sys.executable, "-c", KILLED, str(store), after], check=False)
    assert done.returncode == -9
    return store


def beside(store: Path, ending: str) -> Path:
    return store.with_name(store.name + ending)


def flip(path: Path, share: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 4
    path.write_bytes(data)


# In the middle of a transaction that is too large for memory, of a checkpoint, of a new log.
SPILT = """
db.execute("PRAGMA cache_size = 5")
db.execute("BEGIN")
for number in range(400):
    db.execute("INSERT INTO numbers VALUES (?, ?)", (number, "x" * 1_000))
"""
RESTARTED = """
db.execute("PRAGMA wal_checkpoint(RESTART)")
db.execute("INSERT INTO numbers VALUES (1, 2)")
"""


@pytest.mark.parametrize("after", ["", SPILT, RESTARTED, SPILT + "db.rollback()" + RESTARTED])
@pytest.mark.parametrize("mode", ["PASSIVE", "FULL", "RESTART"])
def test_a_killed_writer_s_log_has_all_frames(tmp_path: Path, after: str, mode: str) -> None:
    store = killed(tmp_path, f"db.execute('PRAGMA wal_checkpoint({mode})')\n{after}")
    before = beside(store, "-shm").read_bytes()
    assert lost_frames(store) == 0
    assert beside(store, "-shm").read_bytes() == before
    assert not store.with_name(PROBE).exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.99])
def test_a_flipped_bit_loses_frames_as_often_as_one_looks(tmp_path: Path, share: float) -> None:
    store = killed(tmp_path)
    log = beside(store, "-wal")
    flip(log, share)
    frames = log.stat().st_size // (4096 + 24)
    for _ in range(2):
        assert lost_frames(store) == pytest.approx(frames * (1 - share), abs=2)


def test_a_log_that_was_cut_short_has_lost_frames(tmp_path: Path) -> None:
    store = killed(tmp_path)
    os.truncate(beside(store, "-wal"), beside(store, "-wal").stat().st_size - 1)
    assert lost_frames(store) == 1


@pytest.mark.parametrize("place", [0, 12, 16, 40, 48, 64, 95])
def test_an_index_that_is_not_whole_says_nothing(tmp_path: Path, place: int) -> None:
    store = killed(tmp_path)
    flip(beside(store, "-wal"), 0.5)
    index = bytearray(beside(store, "-shm").read_bytes())
    index[place] ^= 1
    beside(store, "-shm").write_bytes(index)
    assert lost_frames(store) == 0


def test_no_index_says_nothing(tmp_path: Path) -> None:
    store = killed(tmp_path)
    flip(beside(store, "-wal"), 0.5)
    beside(store, "-shm").unlink()
    assert lost_frames(store) == 0


def test_what_a_killed_look_has_left_does_not_disturb(tmp_path: Path) -> None:
    store = killed(tmp_path)
    store.with_name(PROBE).mkdir()
    os.link(beside(store, "-wal"), store.with_name(PROBE) / "job.db-wal")
    assert lost_frames(store) == 0


def test_where_files_can_have_no_second_name_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = killed(tmp_path)
    flip(beside(store, "-wal"), 0.5)

    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert lost_frames(store) == 0
    assert not store.with_name(PROBE).exists()
