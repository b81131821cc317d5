"""JSON lines: appended and synced before each commit, cut back to the committed byte on start.

What is cut off is kept in a file beside the output, for it may not be ours: see decision 18.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

from crawler.errors import CrawlerError, JobError
from crawler.output.file_lock import lock
from crawler.store import checksum
from crawler.system_errors import to_crawler_error

log = logging.getLogger(__name__)

CUT = ".cut"
"""The ending of the file beside an output that keeps what was cut off it."""
TAIL = 4096
"""Bytes at the end of a large file by which it is known again."""


class JSONLines:
    """One output file. What stands behind ``committed`` bytes on opening is moved to ``kept``.

    The store knows how many bytes belong to commits; whatever a killed process wrote after its
    last commit will be written again, so it goes. It may as well be somebody else's, so it is not
    lost. Where nobody was killed (``may_cut`` false), it surely is, and is left alone. ``mark`` is
    what ``mark`` was at that commit, or None for a file that was written before there were such
    marks.

    Raises JobError when the file cannot be written, or is not as it was committed: somebody
    changed it, and nothing here can put that right. Raises JobLockedError while another process
    writes it, and SystemResourceError when the disk is full.
    """

    def __init__(
        self,
        path: Path,
        committed: int,
        *,
        mode: int = 0o644,
        mark: int | None = None,
        may_cut: bool = True,
    ) -> None:
        self.path = path
        self.kept = path.with_name(path.name + CUT)
        self.length = committed
        self._cut = 0
        self._sum = 0
        self._tail = b""
        is_new = not _exists(path)
        if is_new and committed:
            raise JobError(
                f"{path} is gone, of which {committed:,} bytes had been written and committed: "
                "put it back, or start again with --fresh"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, mode)
        except OSError as error:
            raise _not_writable(path, error) from None
        with contextlib.ExitStack() as opened:
            opened.callback(self.close)
            lock(self._file, path)
            self._check(committed, mark, may_cut=may_cut)
            if is_new:
                _sync_folder(path.parent)
            opened.pop_all()

    @property
    def mark(self) -> int:
        """What the file is known by: the CRC-32 of all lines, or of the last if they are many."""
        return zlib.crc32(self._tail) if self.length > checksum.READ_ALL else self._sum

    def append(self, lines: bytes) -> None:
        """Write whole lines and sync them to the disk; ``length`` grows by their bytes.

        Raises SystemResourceError if the disk is full, and JobError if the file was moved, deleted
        or changed meanwhile. Then it has none of the lines.
        """
        if not lines:
            return
        self.check()
        try:
            _write(self._file, lines)
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.length)
            raise to_crawler_error(error, self.path) or error from error
        self.length += len(lines)
        self._sum = zlib.crc32(lines, self._sum)
        self._tail = (self._tail + lines[-TAIL:])[-TAIL:]

    def check(self) -> None:
        """Raises JobError when the file is not where it was, or not as long as it was."""
        ours = os.fstat(self._file)
        try:
            there = self.path.stat()
        except OSError:
            there = None
        way_out = "put it back as it was, then repeat the command"
        if there is None or (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
            raise JobError(
                f"{self.path} was moved, deleted or replaced while the job was running, and has "
                f"no line more than it had then: {way_out}, or start again with --fresh"
            )
        if ours.st_size != self.length:
            raise JobError(
                f"{self.path} was changed while the job was running: it has {ours.st_size:,} "
                f"bytes, where {self.length:,} had been written; {way_out}, "
                "or start again with --fresh"
            )

    def log_cut(self) -> None:
        """Tell the log what was cut off, which is open only when the job is."""
        if self._cut:
            log.warning(
                "%s had %s bytes behind the last commit, as a kill leaves them: they are in %s "
                "now, and what this job wrote of them is written again",
                self.path,
                f"{self._cut:,}",
                self.kept,
            )

    def close(self) -> None:
        """Close the file and let others write it."""
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

    def _check(self, committed: int, mark: int | None, *, may_cut: bool) -> None:
        """Is the file what it should be? Then cut off what a kill has left behind its end."""
        found = os.fstat(self._file).st_size
        if found < committed:
            raise JobError(
                f"{self.path} has {found:,} bytes, but {committed:,} had been written and "
                "committed: put the file back, or start again with --fresh"
            )
        self._read(committed)
        if mark is not None and mark != self.mark:
            raise JobError(
                f"{self.path} is not as the job left it, its lines are others: put it back "
                "as it was, or start again with --fresh"
            )
        if found > committed:
            if not may_cut:
                raise JobError(
                    f"{self.path} has {found - committed:,} bytes more than the job has written: "
                    "take out what was added to it, or start again with --fresh"
                )
            self._keep_tail(committed)
            os.ftruncate(self._file, committed)
            self._cut = found - committed

    def _keep_tail(self, committed: int) -> None:
        """It is on the disk before it is cut off; a kill in between keeps it twice."""
        mode = stat.S_IMODE(os.fstat(self._file).st_mode)
        try:
            kept = os.open(self.kept, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _BINARY, mode)
        except OSError as error:
            raise _not_writable(self.kept, error) from None
        try:
            os.lseek(self._file, committed, os.SEEK_SET)
            last = b""
            while block := os.read(self._file, _BLOCK):
                _write(kept, block)
                last = block[-1:]
            if last != b"\n":
                _write(kept, b"\n")  # what comes next is on a line of its own
            os.fsync(kept)
        except OSError as error:
            raise to_crawler_error(error, self.kept) or error from error
        finally:
            os.close(kept)
        _sync_folder(self.kept.parent)

    def _read(self, committed: int) -> None:
        """Read what the file is known by."""
        if committed <= checksum.READ_ALL:
            self._sum = checksum.of_part(self._file, 0, committed)
        start = max(0, committed - TAIL)
        os.lseek(self._file, start, os.SEEK_SET)
        self._tail = os.read(self._file, committed - start)


_BLOCK = 1024 * 1024
_BINARY = getattr(os, "O_BINARY", 0)
# What a shell or the system has opened for us: it has no place of its own to be found at again.
_OPENED_FOR_US = re.compile(r"/dev/(std(in|out|err)|fd/.*|tty)|/proc/[^/]+/fd/.*")


def refuse_written(output: Path) -> None:
    """Raises JobLockedError for an output that another process writes just now."""
    if not _exists(output):
        return
    with contextlib.suppress(PermissionError):  # whoever opens it to write will be told
        file = os.open(output, os.O_RDONLY | _BINARY)
        try:
            lock(file, output)
        finally:
            os.close(file)


def refuse_foreign(output: Path) -> None:
    """Raises JobError for an output that a job may not begin with."""
    refuse_written(output)
    if _exists(output) and output.stat().st_size:
        raise JobError(
            f"{output} holds something that is not of this job; give another file with -o, "
            "or overwrite it with --fresh --yes"
        )


def _write(file: int, data: bytes) -> None:
    """All of it, however little the system takes at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _exists(path: Path) -> bool:
    """Raises JobError for what is no file."""
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _not_writable(path, error) from None
    if stat.S_ISDIR(kind):
        raise JobError(f"cannot write to {path}: it is a folder; give another file with -o")
    if not stat.S_ISREG(kind) or _OPENED_FOR_US.fullmatch(str(path)):
        raise JobError(
            f"cannot write to {path}: a job goes on by cutting its output back to the last "
            "committed line, which only files let it do; give a file with -o, and read it with "
            "tail -f while it grows"
        )
    return True


def _not_writable(path: Path, error: OSError) -> CrawlerError:
    found = to_crawler_error(error, path)
    if found is None or isinstance(found, JobError):
        return JobError(f"cannot write to {path}: {error.strerror}; give another file with -o")
    return found


def _sync_folder(folder: Path) -> None:
    """A new file survives a power cut only when its folder is synced too."""
    with contextlib.suppress(OSError):  # not possible on Windows
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
