"""The lock of a job: one process may run it at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from crawler.errors import JobError, JobLockedError, SystemResourceError
from crawler.system_errors import to_crawler_error

LOCK_WAIT = 0.3
"""Seconds to wait for a lock, which somebody may hold just to see whether the job is running."""


def acquire(path: Path, runner: Callable[[], str]) -> FileLock:
    """The lock ``path``, held. ``runner`` says who has it, if somebody else does.

    Raises JobLockedError then, and JobError or SystemResourceError where it cannot be made.
    """
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire(timeout=LOCK_WAIT)
    except Timeout:
        raise JobLockedError(
            f"the job in {folder} is being run by {runner()}; "
            "wait for it, stop it with Ctrl-C, or use another folder with --job"
        ) from None
    except OSError as error:
        found = to_crawler_error(error, folder)
        if isinstance(found, SystemResourceError):
            raise found from None
        raise JobError(f"cannot use {folder} as a job's folder: {error.strerror}") from None
    return lock
