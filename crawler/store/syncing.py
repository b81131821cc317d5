"""Sync files and folders, so that their bytes and names survive a loss of power.

A file's own sync is for its bytes. Its name, and that of a new folder above it, are on the disk for
certain only after a sync of the folder that has the name.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    import fcntl

    _fcntl: Any = fcntl
except ImportError:  # there is none on Windows
    _fcntl = None


def full_sync(file: int) -> None:
    """Write the bytes of a file to the disk, on macOS, where ``fsync`` leaves them in the drive.

    A loss of power empties the cache of the drive.
    """
    with contextlib.suppress(OSError):  # not all file systems can, such as one over a network
        _fcntl.fcntl(file, _fcntl.F_FULLFSYNC)
        return
    os.fsync(file)


sync: Callable[[int], None] = full_sync if hasattr(_fcntl, "F_FULLFSYNC") else os.fsync
"""Write the bytes of a file to the disk."""


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk."""
    with contextlib.suppress(OSError):  # not possible on Windows
        handle = os.open(folder, os.O_RDONLY)
        try:
            sync(handle)
        finally:
            os.close(handle)


def make_folder(folder: Path, *, mode: int = 0o777) -> None:
    """Create a folder, and those above it, durably and each with ``mode``. Raises OSError."""
    missing = [level for level in (folder, *folder.parents) if not level.exists()]
    for level in reversed(missing):
        level.mkdir(mode, exist_ok=True)
    for level in missing:
        sync_folder(level.parent)
