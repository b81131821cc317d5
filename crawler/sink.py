"""JSON lines: appended and synced before each commit, cut back to the committed byte on start."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from crawler.errors import JobError


class JSONLines:
    """One output file. What stands behind ``committed`` bytes on opening is cut off.

    The store knows how many bytes belong to commits; whatever a killed process wrote after its
    last commit will be written again, so it goes. Raises JobError when the file cannot be
    written, or holds less than was committed: somebody changed it, and nothing here can put
    that right.
    """

    def __init__(self, path: Path, committed: int, *, mode: int = 0o644) -> None:
        self.path = path
        self.length = committed
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not path.exists()
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, mode)
            found = os.fstat(self._file).st_size
        except OSError as error:
            raise JobError(
                f"cannot write to {path}: {error.strerror}; give another file with -o"
            ) from None
        if found < committed:
            os.close(self._file)
            raise JobError(
                f"{path} has {found:,} bytes, but {committed:,} had been written and committed: "
                "put the file back, or start again with --fresh"
            )
        if found > committed:
            os.ftruncate(self._file, committed)
        if is_new:
            _sync_folder(path.parent)

    def append(self, lines: bytes) -> None:
        """Write whole lines and sync them to the disk; ``length`` grows by their bytes."""
        if not lines:
            return
        view = memoryview(lines)
        while view:
            view = view[os.write(self._file, view) :]
        os.fsync(self._file)
        self.length += len(lines)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_BINARY = getattr(os, "O_BINARY", 0)


def _sync_folder(folder: Path) -> None:
    """A new file survives a power cut only when its folder is synced too."""
    with contextlib.suppress(OSError):  # not possible on Windows
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
