"""Trouble with the machine: what the system and SQLite say of it, as a sentence with a way out."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from crawler.errors import CrawlerError, JobError, SystemResourceError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
_NO_HANDLES = frozenset({errno.EMFILE, errno.ENFILE})
_NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
UNREADABLE = (UnicodeDecodeError, json.JSONDecodeError, msgspec.DecodeError)
"""What it is to read text from a store in which a bit has flipped, its tables' names included."""
GO_ON = "then repeat the command: it goes on where it was, and nothing is lost"


def to_crawler_error(error: BaseException, path: Path | None = None) -> CrawlerError | None:
    """What ``error`` means to the user; None when it is none of the machine's.

    ``path`` is what was read or written, where the error itself does not know.
    """
    if isinstance(error, OSError):
        return _of_system(error, path)
    if isinstance(error, sqlite3.Error):
        return _of_store(error, path)
    return None


@contextlib.contextmanager
def translating_errors(path: Path) -> Iterator[None]:
    """What goes wrong within, with the machine or the store ``path``, is raised as what it means
    to the user."""
    try:
        yield
    except UNREADABLE as error:
        raise corrupt_store(path, str(error)) from error
    except (OSError, sqlite3.Error) as error:
        found = to_crawler_error(error, path)
        if found is None:
            raise
        raise found from error


def out_of_handles(error: BaseException | None) -> bool:
    """True when this process could open no file or socket, wherever in ``error`` that stands."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_HANDLES:
            return True
        if isinstance(error, socket.gaierror):  # it may have lacked a socket, and does not say so
            return _has_no_handles()
        error = error.__cause__ or error.__context__
    return False


def too_many_open_files() -> SystemResourceError:
    """This process may not open one more file or socket."""
    return SystemResourceError(
        f"this process may have no more than {_most_handles()} open files and sockets: "
        f"raise the limit with ulimit -n, or lower concurrency and workers; {GO_ON}"
    )


def _of_system(error: OSError, path: Path | None) -> CrawlerError | None:
    where = path or error.filename
    if error.errno in _NO_HANDLES:
        return too_many_open_files()
    if where is None:
        return None
    if error.errno in _NO_ROOM:
        return no_room(where, error.strerror)
    if error.errno in _NOT_OURS:
        return JobError(f"{where}: {error.strerror}; let this user read and write there")
    if error.errno == errno.EIO:
        return SystemResourceError(f"{where}: {error.strerror}; see to the disk, {GO_ON}")
    return None


def no_room(where: object, why: str | None) -> SystemResourceError:
    """A file cannot grow."""
    return SystemResourceError(f"cannot write to {where}: {why}; make room, {GO_ON}")


def _of_store(error: sqlite3.Error, path: Path | None) -> CrawlerError:
    """By SQLite's result codes, https://www.sqlite.org/rescode.html."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return no_room(path, str(error))
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR) and _has_no_handles():
        return too_many_open_files()
    if code == sqlite3.SQLITE_IOERR and path is not None and path.is_file():
        return SystemResourceError(
            f"cannot read or write {path}: {error}; see to the disk, {GO_ON}"
        )
    if code == sqlite3.SQLITE_READONLY:
        return JobError(f"cannot write to {path}: {error}; let this user write there")
    if code == sqlite3.SQLITE_BUSY:
        return JobError(f"another program has locked {path}; end it, {GO_ON}")
    return corrupt_store(path, str(error))


def corrupt_store(path: Path | None, why: str) -> JobError:
    """A store that is not what was written."""
    return JobError(
        f"{path} cannot be used as a job's store ({why}); restore it from a backup, "
        "or start again with --fresh"
    )


def _has_no_handles() -> bool:
    try:
        os.close(os.dup(2))
    except OSError as error:
        return error.errno in _NO_HANDLES
    return False


def _most_handles() -> str:
    try:
        import resource  # there is none on Windows
    except ImportError:
        return "so many"
    return str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
