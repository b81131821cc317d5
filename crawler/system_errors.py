"""Errors of the operating system, as sentences for the user with a way out."""

from __future__ import annotations

import contextlib
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
        f"this process may have no more than {most_handles() or 'so many'} open files and sockets: "
        f"raise the limit with ulimit -n, or lower concurrency and workers; {CONTINUE}"
    )


def no_room(file: object, reason: str | None) -> SystemResourceError:
    """Return the error for a file that cannot grow."""
    return SystemResourceError(f"cannot write to {file}: {reason}; free some space, {CONTINUE}")


def most_handles(*, hard: bool = False) -> int | None:
    """Return how many files and sockets this process may have open; None without a limit.

    ``hard`` asks for the limit up to which ``raise_handle_limit`` may go.
    """
    try:
        import resource  # Windows has no such module
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[hard]
    return None if limit == resource.RLIM_INFINITY else limit


def raise_handle_limit(most: int) -> None:
    """Let this process have ``most`` files and sockets open, or as many as the system allows."""
    try:
        import resource  # Windows has no such module
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS has a limit below its hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
