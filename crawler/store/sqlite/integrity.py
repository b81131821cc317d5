"""Check that a store is as the job left it, before anything is written to it.

After a clean stop a stamp beside the store says how long it is and what its checksum is. After a
kill there is no such stamp, but the log (``job.db-wal``), which SQLite merges into the store. If
these files were copied, moved, truncated or changed between two runs, the store is refused.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from crawler.errors import JobError
from crawler.store import checksum
from crawler.store.errors import corrupt_store
from crawler.store.permissions import open_safely
from crawler.store.sqlite.errors import translating_sqlite_errors
from crawler.store.sqlite.queue import count_rows
from crawler.store.sqlite.schema import FULL_SYNC
from crawler.store.syncing import sync_folder

# As bytes: for invalid text the error message of SQLite's module would contain all of it.
_STORED = "SELECT CAST(name AS BLOB), CAST(value AS BLOB) FROM job"


class IntegrityStamp(msgspec.Struct):
    """The state of a store after a clean stop; of a running job only the inode."""

    size: int
    modified: int
    """Nanoseconds."""
    inode: int
    checksum: int | None
    """CRC-32 of the file; None for a large one."""

    @classmethod
    def of(cls, store: Path) -> IntegrityStamp:
        """Return the stamp for a file as it is now."""
        file = store.stat()
        crc = checksum.of_file(store) if file.st_size <= checksum.READ_ALL else None
        return cls(file.st_size, file.st_mtime_ns, file.st_ino, crc)


@dataclass(frozen=True, slots=True)
class StoreIntegrity:
    """The store ``path``, and its stamp."""

    path: Path

    def check(self, outputs: Sequence[Path] = ()) -> None:
        """Raise JobError for a store that is not as the job left it, before SQLite opens it.

        ``outputs`` are files that prove, if the store is missing, that it once existed.
        """
        with translating_sqlite_errors(self.path):
            if _size(self._journal):
                self._roll_back()
            if not _size(self.path):
                self._refuse_remains(outputs)
            elif _size(self._log):
                self._check_killed()
            elif (stamp := self._read_stamp()) is None:
                self._check_content()
            else:
                self._check_stamped(stamp)

    def location(self) -> list[Any]:
        """Return the boot of the machine and the inode of the store, to be stored in it."""
        return [_boot(), self.path.stat().st_ino]

    def is_copy(self, location: list[Any] | None) -> bool:
        """Return True if the store is another file than at ``location``: a copy, or a backup."""
        return location is not None and location[-1] != self.location()[-1]

    def begin(self) -> None:
        """Write the stamp of a running job: if the log is missing at the next start, it shows."""
        self._write(IntegrityStamp(0, 0, self.path.stat().st_ino, None))

    def stamp(self) -> None:
        """Merge the log into the store, and write the stamp of a clean stop.

        The stamp is durable before the log is removed: beside an older stamp, a store without a
        log looks like one that has lost it. If that fails, for instance since the disk is full,
        there is no stamp, and the next start reads the store completely.
        """
        try:
            with closing(sqlite3.connect(self.path, timeout=0)) as db:
                db.execute(f"PRAGMA {FULL_SYNC}")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if not _size(self._log):  # else a reader has the store open, and the log stays
                self._write(IntegrityStamp.of(self.path))
        except (OSError, sqlite3.Error):
            with suppress(OSError):
                self._stamp.unlink(missing_ok=True)
        sync_folder(self.path.parent)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that belong to the store, without the store itself."""
        return self._log, self._index, self._journal, self._stamp

    @property
    def _log(self) -> Path:
        return self._beside("-wal")

    @property
    def _index(self) -> Path:
        return self._beside("-shm")

    @property
    def _journal(self) -> Path:
        """The way back from the first transaction of a new store; all later ones use the log."""
        return self._beside("-journal")

    @property
    def _stamp(self) -> Path:
        return self.path.with_suffix(".stamp")

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(self.path.name + ending)

    def _write(self, stamp: IntegrityStamp) -> None:
        new = self._stamp.with_suffix(".new")
        new.unlink(missing_ok=True)  # of a killed process; written to, it might be another's
        with os.fdopen(open_safely(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(msgspec.json.encode(stamp))
        new.replace(self._stamp)

    def _read_stamp(self) -> IntegrityStamp | None:
        try:
            return msgspec.json.decode(self._stamp.read_bytes(), type=IntegrityStamp)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _refuse_remains(self, outputs: Sequence[Path]) -> None:
        for remains in (self._log, *outputs):
            if _size(remains):
                raise JobError(
                    f"{self.path} is missing, but {remains.name} exists: put it back, "
                    "or start again with --fresh --yes, which removes that too"
                )

    def _roll_back(self) -> None:
        """Let SQLite undo the first transaction of a store, in the middle of which it was left.

        SQLite does not do it for a reader.
        """
        with closing(sqlite3.connect(self.path)) as db:
            db.execute("PRAGMA schema_version").fetchone()

    def _check_stamped(self, stamp: IntegrityStamp) -> None:
        now = IntegrityStamp.of(self.path)
        if now.size != stamp.size or now.checksum != stamp.checksum:
            if self._log.exists():  # killed after the log was merged, before the stamp
                self._check_content()
            else:
                raise corrupt_store(
                    self.path,
                    f"it is not as the job has left it: it was changed, or {self._log.name}, "
                    "which belongs to it, is missing",
                )
        elif now.checksum is None and now != stamp:
            self._check_content()

    def _check_killed(self) -> None:
        """Read the store after a kill; a large one only if it was moved or the machine rebooted.

        SQLite needs only the log, which has checksums of its own.
        """
        with closing(_open(self.path)) as db:
            location = _job_table(db).get("place")
        if _size(self.path) <= checksum.READ_ALL or location != self.location():
            self._check_content()

    def _check_content(self) -> None:
        """Read the store completely: are its tables intact, and are the row counts right?"""
        with closing(_open(self.path)) as db:
            try:
                (problem,) = db.execute("PRAGMA quick_check(1)").fetchone()
                if problem != "ok":
                    raise corrupt_store(self.path, " ".join(problem.split()))
                counts = _job_table(db).get("tally")
                if counts is not None and tuple(counts) != count_rows(db):
                    raise corrupt_store(
                        self.path,
                        "its tables are not of one instant: it may have been copied while the "
                        "job was running; copy it again after a stop",
                    )
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                raise corrupt_store(self.path, str(error)) from None


def _open(path: Path) -> sqlite3.Connection:
    """Open a store for reading, which does not merge its log."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def _job_table(db: sqlite3.Connection) -> dict[str, Any]:
    """Return the table ``job``, completely, since a bit of any name or value may have flipped."""
    try:
        rows = db.execute(_STORED)
        return {name.decode(): msgspec.json.decode(value) for name, value in rows}
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        return {}  # no such table: the job was killed before it had any


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _boot() -> str:
    """Return the id of this boot of the machine, or nothing if the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
