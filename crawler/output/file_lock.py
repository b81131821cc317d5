"""The lock of an output: one process writes a file, and the error of another one names it."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from crawler.errors import JobLockedError


def lock(file: int, path: Path) -> None:
    """Lock an open file until it is closed. Raises JobLockedError if another process has it."""
    try:
        import fcntl  # there is none on Windows
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = holder(path)
        raise JobLockedError(
            f"{path} is being written by {f'process {pid}' if pid else 'another process'}, for "
            "another job; wait for it, or give another file with -o"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL):
            raise  # those are of file systems without locks, as some over a network


def holder(path: Path) -> int | None:
    """Return the process that has locked ``path``; None if the system does not say it (Linux)."""
    with contextlib.suppress(OSError, ValueError):
        file = path.stat()
        inode = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
        for line in Path("/proc/locks").read_text().splitlines():
            if inode in (words := line.split()):
                pid = int(words[words.index(inode) - 1])
                return pid if pid > 0 else None  # a process outside of this container
    return None
