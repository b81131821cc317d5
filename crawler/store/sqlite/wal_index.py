"""The index of SQLite's log: how much of the log a killed writer had committed.

SQLite takes a flipped bit in its log for the log's end, and goes on from the commit before. The
index (``job.db-shm``), which processes share as memory, outlives a kill as a file, and says how
many frames were committed at that instant: https://www.sqlite.org/walformat.html. A writer counts
frames there after it has written them to the log, and sets the count to nothing before it begins
the log anew, so that the log never has fewer of them, wherever a process is killed.

It is another matter after a loss of power: each of the two files may then be of any instant.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from contextlib import closing, suppress
from pathlib import Path

PROBE = "job.probe"
"""The folder, beside the store, in which the log is read; the index is written at each opening."""

_VERSION = 3_007_000
# Version, nothing, changes, is in use, byte order, page size, frames, pages, two checksums of the
# last frame, two salts, two checksums of what stands before them.
_HEADER = "=IIIBBHII2I2I2I"
_SIZE = struct.calcsize(_HEADER)


def lost_frames(store: Path) -> int:
    """How many frames that were committed the log of ``store`` does not have any more.

    Nobody may write the store meanwhile, and the machine must not have been started since it was
    written. 0 where there is no index that could tell, or no second name for a file.
    """
    with suppress(OSError, sqlite3.OperationalError):
        if committed := _frames(_beside(store, "-shm")):
            return max(0, committed - _readable(store))
    return 0


def _readable(store: Path) -> int:
    """How many frames SQLite finds, which reads them under other names."""
    folder = store.with_name(PROBE)
    shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
    folder.mkdir()
    try:
        probe = folder / store.name
        os.link(store, probe)
        os.link(_beside(store, "-wal"), _beside(probe, "-wal"))
        with closing(sqlite3.connect(f"{probe.resolve().as_uri()}?mode=ro", uri=True)) as db:
            db.execute("PRAGMA schema_version").fetchone()
            return _frames(_beside(probe, "-shm"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _frames(index: Path) -> int:
    """How many frames are committed, says an index; 0 for one that is not whole."""
    try:
        with index.open("rb") as file:
            one, other = file.read(_SIZE), file.read(_SIZE)
    except FileNotFoundError:
        return 0
    if one != other or len(one) != _SIZE:  # killed while it was written
        return 0
    version, _, _, is_in_use, _, _, frames, *_ = struct.unpack(_HEADER, one)
    is_whole = version == _VERSION and is_in_use and _checksum(one[:-8]) == one[-8:]
    return int(frames) if is_whole else 0


def _checksum(data: bytes) -> bytes:
    first = second = 0
    for one, other in struct.iter_unpack("=II", data):
        first = first + one + second & 0xFFFFFFFF
        second = second + other + first & 0xFFFFFFFF
    return struct.pack("=II", first, second)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
