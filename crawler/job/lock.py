"""The lock of a job: one process may run it, or change its store, at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from crawler.errors import JobError, JobLockedError, SystemResourceError
from crawler.job.folder import LOCK, refuse_unsafe
from crawler.job.record import reader
from crawler.output import file_lock
from crawler.store.syncing import make_folder
from crawler.system_errors import to_crawler_error

LOCK_WAIT = 0.3
"""Seconds to wait for a lock, which ``is_held`` of another process may hold for a moment."""
MODE = 0o644
"""The mode of the lock, which no other user may write."""


@contextlib.contextmanager
def acquire(folder: Path) -> Iterator[None]:
    """Hold the lock of the job in ``folder``, which is created if need be.

    Raises JobLockedError if another process has it, and JobError or SystemResourceError if it
    cannot be made, or if other users could change the files of the job.
    """
    try:
        refuse_unsafe(folder)
        make_folder(folder, mode=0o755)
        refuse_unsafe(folder)  # once more: another process may have made it
        lock = FileLock(folder / LOCK, mode=MODE)
        lock.acquire(timeout=LOCK_WAIT)
    except Timeout:
        raise JobLockedError(
            f"the job in {folder} is being run by {holder(folder)}; "
            "wait for it, stop it with Ctrl-C, or use another folder with --job"
        ) from None
    except OSError as error:
        cause = to_crawler_error(error, folder)
        if isinstance(cause, SystemResourceError):
            raise cause from None
        raise JobError(f"cannot use {folder} as a job's folder: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Return True while a process runs the job in ``folder``."""
    try:
        with FileLock(folder / LOCK, timeout=0, mode=MODE):
            return False
    except Timeout:
        return True


def holder(folder: Path) -> str:
    """Name the process that runs the job in ``folder``, as far as the system or its store tells."""
    pid = file_lock.holder(folder / LOCK)
    if pid is None:
        with contextlib.suppress(JobError), reader(folder) as store:
            pid = store.meta.get("pid")
    return f"process {pid}" if pid else "another process"
