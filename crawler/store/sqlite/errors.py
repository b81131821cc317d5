"""Errors of SQLite, as sentences for the user with a way out."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from crawler.errors import CrawlerError, JobError, SystemResourceError
from crawler.store.errors import UNREADABLE, corrupt_store
from crawler.system_errors import (
    CONTINUE,
    has_no_handles,
    no_room,
    to_crawler_error,
    too_many_open_files,
)


def store_error(error: BaseException, path: Path) -> CrawlerError | None:
    """Return the error for the user that ``error`` means while the store ``path`` is used.

    Returns None for an exception that neither SQLite nor the system has raised.
    """
    if isinstance(error, OSError):
        return to_crawler_error(error, path)
    if isinstance(error, sqlite3.Error):
        return _sqlite_error(error, path)
    if isinstance(error, UNREADABLE):
        return corrupt_store(path, str(error))
    return None


def _sqlite_error(error: sqlite3.Error, path: Path) -> CrawlerError:
    """Tell errors apart by their result codes, https://www.sqlite.org/rescode.html."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return no_room(path, str(error))
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR) and has_no_handles():
        return too_many_open_files()
    if code == sqlite3.SQLITE_IOERR and path.is_file():
        return SystemResourceError(
            f"cannot read or write {path}: {error}; check the disk, {CONTINUE}"
        )
    if code == sqlite3.SQLITE_READONLY:
        return JobError(f"cannot write to {path}: {error}; let this user write there")
    if code == sqlite3.SQLITE_BUSY:
        return JobError(f"another program has locked {path}; end it, {CONTINUE}")
    return corrupt_store(path, str(error))


@contextlib.contextmanager
def translating_sqlite_errors(path: Path, *, content: bool = True) -> Iterator[None]:
    """Raise errors of SQLite and the system as the errors that they mean to the user.

    With ``content``, text and records that cannot be decoded are errors of the store ``path`` too.
    """
    kinds = (OSError, sqlite3.Error, *(UNREADABLE if content else ()))
    try:
        yield
    except kinds as error:
        translated = store_error(error, path)
        if translated is None:
            raise
        raise translated from error
