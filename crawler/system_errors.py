"""Errors of the operating system, as sentences for the user with a way out."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from crawler.errors import CrawlerError, JobError, SystemResourceError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
_NO_HANDLES = frozenset({errno.EMFILE, errno.ENFILE})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
CONTINUE = "then repeat the command: it continues where it stopped, and nothing is lost"


def to_crawler_error(error: BaseException, path: Path | None = None) -> CrawlerError | None:
    """Return the error for the user that ``error`` means; None unless the system raised it.

    ``path`` is the file that was read or written, since the error itself may not name it.
    """
    if not isinstance(error, OSError):
        return None
    file = path or error.filename
    if error.errno in _NO_HANDLES:
        return too_many_open_files()
    if file is None:
        return None
    if error.errno in _NO_ROOM:
        return no_room(file, error.strerror)
    if error.errno in _NOT_ALLOWED:
        return JobError(f"{file}: {error.strerror}; let this user read and write there")
    if error.errno == errno.EIO:
        return SystemResourceError(f"{file}: {error.strerror}; check the disk, {CONTINUE}")
    return None


def out_of_handles(error: BaseException | None) -> bool:
    """Return True if ``error``, or a cause of it, is that no file or socket could be opened."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_HANDLES:
            return True
        if isinstance(error, socket.gaierror):  # it hides that it could not open a socket
            return has_no_handles()
        error = error.__cause__ or error.__context__
    return False


def has_no_handles() -> bool:
    """Return True if this process cannot open one more file just now."""
    try:
        os.close(os.dup(2))
    except OSError as error:
        return error.errno in _NO_HANDLES
    return False


def too_many_open_files() -> SystemResourceError:
    """Return the error for a process that may not open one more file or socket."""
    return SystemResourceError(
        f"this process may have no more than {_most_handles()} open files and sockets: "
        f"raise the limit with ulimit -n, or lower concurrency and workers; {CONTINUE}"
    )


def no_room(file: object, reason: str | None) -> SystemResourceError:
    """Return the error for a file that cannot grow."""
    return SystemResourceError(f"cannot write to {file}: {reason}; free some space, {CONTINUE}")


def _most_handles() -> str:
    try:
        import resource  # Windows has no such module
    except ImportError:
        return "so many"
    return str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
