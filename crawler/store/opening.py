"""Open the store of a job: for the run of the job, for a single change, or for reading.

Only this module knows which kind of store a job has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crawler.store.protocols import Store
from crawler.store.sqlite.errors import translating_sqlite_errors
from crawler.store.sqlite.integrity import StoreIntegrity
from crawler.store.sqlite.store import SQLiteStore

LOCATION = "place"
"""The name in ``store.meta`` of the file that the job was run in last."""


@dataclass(frozen=True, slots=True)
class RunStore:
    """The open store of a run, and its stamp on disk."""

    store: Store
    _integrity: StoreIntegrity

    def is_copy(self) -> bool:
        """Return True if the job was run last in another file, of which this is a copy."""
        return self._integrity.is_copy(self.store.meta.get(LOCATION))

    def save_location(self) -> None:
        """Record in which file the job is run; part of a transaction."""
        self.store.meta.set(LOCATION, self._integrity.location())

    def begin(self) -> None:
        """Mark the store as one that is being written, after the transaction that begins the run.

        If its log is missing at the next start, the mark shows it.
        """
        self._integrity.begin()


@contextlib.contextmanager
def open_for_run(
    path: Path,
    key: str | None = None,
    *,
    outputs: Sequence[Path] = (),
    before_creation: Callable[[], None] | None = None,
) -> Iterator[RunStore]:
    """Open the store ``path`` for writing, and create it if it does not exist.

    The caller holds the lock of the job. With ``key`` sessions are encrypted. ``outputs`` are files
    that prove, if the store is missing, that it once existed. ``before_creation`` may raise to
    prevent that a new store is created. Raises JobError for a store that is corrupt, incomplete or
    of another version. Errors of SQLite and the system that leave the block are raised as the
    errors that they mean to the user.
    """
    integrity = StoreIntegrity(path.resolve())
    with contextlib.ExitStack() as stack:
        with translating_sqlite_errors(path):
            # Checked before SQLite opens the file: opening merges the log and migrates the tables,
            # and a store that is refused must stay as it is.
            integrity.check(outputs)
            # Checked after the integrity, whose message about a lost store says more, and before
            # the store exists, so that a job that is refused leaves nothing behind.
            if before_creation is not None and not path.exists():
                before_creation()
            store = SQLiteStore(path, key=key)
        # Closing goes from the last line of these to the first. The checkpoint thread ends first:
        # a stamp describes a file that nothing writes. The stamp comes before the connection
        # closes, which deletes the log: a kill in between would leave a store with neither log
        # nor stamp, and the next start would refuse it as an incomplete copy.
        stack.callback(store.close)
        stack.callback(integrity.stamp)
        stack.callback(store.drain)
        with translating_sqlite_errors(path, content=False):
            yield RunStore(store, integrity)


@contextlib.contextmanager
def open_writer(path: Path, key: str | None = None) -> Iterator[Store]:
    """Open the store ``path`` for a change while the job does not run; see ``open_for_run``."""
    with open_for_run(path, key) as run_store:
        yield run_store.store


@contextlib.contextmanager
def open_reader(path: Path, key: str | None = None) -> Iterator[Store]:
    """Open the store ``path`` for reading, also while a job writes it.

    Reading needs neither the check nor the stamp, which are for the next writer. Raises JobError if
    the store cannot be opened, or if the block cannot read it.
    """
    with (
        translating_sqlite_errors(path),
        contextlib.closing(SQLiteStore(path, read_only=True, key=key)) as store,
    ):
        yield store


def remove_store(path: Path) -> None:
    """Remove the store ``path`` with all files that belong to it."""
    for file in (path, *StoreIntegrity(path).files):
        file.unlink(missing_ok=True)
