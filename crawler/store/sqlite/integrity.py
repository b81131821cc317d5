"""Check that the store of a job is as the job left it.

A store that was left in good order has a stamp beside it, which says how long it is and what its
bytes add up to. One that was not has its log (``job.db-wal``), and SQLite puts the two together.
Whoever copies, moves, cuts or changes these files while nobody looks is told so, before anything
is written to them.
"""

from __future__ import annotations

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
from crawler.store.sqlite.errors import translating_sqlite_errors
from crawler.store.sqlite.row_counts import counted

# As bytes: SQLite's module would put text that is none into its message, all of it.
_STORED = "SELECT CAST(name AS BLOB), CAST(value AS BLOB) FROM job"


class IntegrityStamp(msgspec.Struct):
    """What a store was like when it was left in good order."""

    size: int
    modified: int
    """Nanoseconds."""
    inode: int
    checksum: int | None
    """CRC-32 of the file; None for a large one."""

    @classmethod
    def of(cls, store: Path) -> IntegrityStamp:
        """The stamp for a file as it is."""
        found = store.stat()
        total = checksum.of_file(store) if found.st_size <= checksum.READ_ALL else None
        return cls(found.st_size, found.st_mtime_ns, found.st_ino, total)


@dataclass(frozen=True, slots=True)
class StoreIntegrity:
    """The store ``path``, and its stamp."""

    path: Path

    def check(self, outputs: Sequence[Path] = ()) -> None:
        """Look at the store before it is opened. Raises JobError for one that is not to be trusted.

        ``outputs`` are files that tell, if the store is gone, that there was one.
        """
        with translating_sqlite_errors(self.path):
            if not _size(self.path):
                self._refuse_remains(outputs)
            elif _size(self._log):
                self._check_killed()
            elif (stamp := self._read_stamp()) is None:
                self._check_content()
            else:
                self._check_stamped(stamp)

    def place(self) -> list[Any]:
        """Where the store is, to be kept in it: on which start of which machine, in which file."""
        return [_boot(), self.path.stat().st_ino]

    def is_another(self, place: list[Any] | None) -> bool:
        """True for a store that is another file than at ``place``: a copy, or from a backup."""
        return place is not None and place[-1] != self.place()[-1]

    def begin(self) -> None:
        """The store has a log from now on; should that be gone, it is noticed."""
        self._write(IntegrityStamp(0, 0, self.path.stat().st_ino, None))

    def stamp(self) -> None:
        """Say what the store is like now, as its last writer; what its log holds is put into it.

        Without a stamp, as where the disk is full, the store is looked at more closely next time.
        """
        try:
            with closing(sqlite3.connect(self.path, timeout=0)) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if not _size(self._log):  # else somebody is reading it, and its log stays
                self._write(IntegrityStamp.of(self.path))
        except (OSError, sqlite3.Error):
            with suppress(OSError):
                self._stamp.unlink(missing_ok=True)

    @property
    def files(self) -> tuple[Path, ...]:
        """All that belongs to the store but the store itself."""
        return self._log, self._index, self._stamp

    @property
    def _log(self) -> Path:
        return self._beside("-wal")

    @property
    def _index(self) -> Path:
        return self._beside("-shm")

    @property
    def _stamp(self) -> Path:
        return self.path.with_suffix(".stamp")

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(self.path.name + ending)

    def _write(self, stamp: IntegrityStamp) -> None:
        new = self._stamp.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(stamp))
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
                    f"{self.path} is gone, though {remains.name} is there: put it back, "
                    "or start again with --fresh --yes, which removes that too"
                )

    def _check_stamped(self, stamp: IntegrityStamp) -> None:
        now = IntegrityStamp.of(self.path)
        if now.size != stamp.size or now.checksum != stamp.checksum:
            if self._log.exists():  # killed when it had just put its log into the store
                self._check_content()
            else:
                raise corrupt_store(
                    self.path,
                    f"it is not as the job has left it: it was changed, or {self._log.name}, "
                    "which belongs to it, is gone",
                )
        elif now.checksum is None and now != stamp:
            self._check_content()

    def _check_killed(self) -> None:
        """After a kill SQLite has all that it needs, if everything still is where it was."""
        with closing(_opened(self.path)) as db:
            place = _kept(db).get("place")
        if _size(self.path) <= checksum.READ_ALL or place != self.place():
            self._check_content()

    def _check_content(self) -> None:
        """Read all of it: is each table in order, and do all together add up?"""
        with closing(_opened(self.path)) as db:
            try:
                (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
                if found != "ok":
                    raise corrupt_store(self.path, " ".join(found.split()))
                wanted = _kept(db).get("tally")
                if wanted is not None and tuple(wanted) != counted(db).kept:
                    raise corrupt_store(
                        self.path,
                        "its tables are not of one instant: it may have been copied while the "
                        "job was running; copy it again after a stop",
                    )
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                raise corrupt_store(self.path, str(error)) from None


def _opened(path: Path) -> sqlite3.Connection:
    """For looking only, so that the log stays apart from the store."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def _kept(db: sqlite3.Connection) -> dict[str, Any]:
    """What the job itself has stored, all of it, since a bit of any text may have flipped."""
    try:
        rows = db.execute(_STORED)
        return {name.decode(): msgspec.json.decode(value) for name, value in rows}
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        return {}  # no such table: it was killed before it had any


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _boot() -> str:
    """Something that is another one after each start of the machine, where the system tells."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
