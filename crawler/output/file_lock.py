"""The lock of an output: one process writes a file, and the others are told which one it is."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from crawler.errors import JobLockedError


def lock(file: int, path: Path) -> None:
    """Lock an open file, which leaves nothing behind. Raises JobLockedError where another has."""
    try:
        import fcntl  # there is none on Windows
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JobLockedError(
            f"{path} is being written by {_holder(file)}, for another job; "
            "wait for it, or give another file with -o"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL):
            raise  # those are of file systems without locks, as some over a network


def _holder(file: int) -> str:
    """Who has locked a file, as far as the system tells."""
    found = os.fstat(file)
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            if place in (words := line.split()):
                return f"process {words[words.index(place) - 1]}"
    return "another process"
