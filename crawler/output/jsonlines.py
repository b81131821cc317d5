"""The sink in a file of JSON lines: synced before each commit, truncated to it on opening.

Bytes that are removed are saved in a file beside the output, since they may belong to another
program: see decision 18.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
import zlib
from pathlib import Path

from crawler.errors import CrawlerError, JobError
from crawler.output.file_lock import lock
from crawler.output.sink import Sink
from crawler.store import checksum as crc
from crawler.store.permissions import SAFE_FLAGS, refuse_foreign_links, safe_path
from crawler.store.syncing import make_folder, sync, sync_folder
from crawler.system_errors import to_crawler_error

log = logging.getLogger(__name__)

CUT = ".cut"
"""The ending of the file beside an output that holds the bytes removed from it."""
TAIL = 4096
"""Bytes at the end of a large file that its checksum is made of."""

_BLOCK = 1024 * 1024
# Files that a shell or the system has opened: by these paths they cannot be opened again.
_OPENED_BY_OTHERS = re.compile(r"/dev/(std(in|out|err)|fd/.*|tty)|/proc/[^/]+/fd/.*")


class JSONLines(Sink):
    """The file ``path``, of which ``committed`` bytes belong to commits.

    ``expected`` is the checksum at the last commit; None for a file that is older than checksums.
    Bytes behind ``committed`` were written by a killed run, which writes them again, or by another
    program: they are moved to the file ``saved``. If no run was killed (``may_cut`` is false), they
    belong to another program for certain, and the file is refused.

    Raises JobError if the file cannot be written or is not as it was committed, JobLockedError
    while another process writes it, and SystemResourceError if the disk is full.
    """

    def __init__(
        self, path: Path, committed: int, *, expected: int | None = None, may_cut: bool = True
    ) -> None:
        self.path = path
        self.saved = path.with_name(path.name + CUT)
        self.length = committed
        self.checksum = 0
        self._cut = 0
        self._sum = 0
        self._tail = b""
        is_new = not _exists(path)
        if is_new and committed:
            raise JobError(
                f"{path} is missing, of which {committed:,} bytes were committed: "
                "put it back, or start again with --fresh"
            )
        try:
            make_folder(path.parent)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | SAFE_FLAGS
            self._file = os.open(safe_path(path), flags, 0o644)
        except OSError as error:
            raise _not_writable(path, error) from None
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            lock(self._file, path)
            self._restore(expected, may_cut=may_cut)
            if not committed:  # new, or made by a run that was killed before it came to this
                sync_folder(path.parent)
            stack.pop_all()

    def append(self, lines: bytes) -> None:
        if not lines:
            return
        self.check()
        try:
            _write(self._file, lines)
            sync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.length)
            raise to_crawler_error(error, self.path) or error from error
        self.length += len(lines)
        self._sum = zlib.crc32(lines, self._sum)
        self._tail = (self._tail + lines[-TAIL:])[-TAIL:]
        self._set_checksum()

    def check(self) -> None:
        file = os.fstat(self._file)
        try:
            named = self.path.stat()
        except OSError:
            named = None
        way_out = "put it back as it was, then repeat the command"
        if named is None or (file.st_dev, file.st_ino) != (named.st_dev, named.st_ino):
            raise JobError(
                f"{self.path} was moved, deleted or replaced while the job was running and has "
                f"no new lines since then: {way_out}, or start again with --fresh"
            )
        if file.st_size != self.length:
            raise JobError(
                f"{self.path} was changed while the job was running: it has {file.st_size:,} "
                f"bytes instead of {self.length:,}; {way_out}, "
                "or start again with --fresh"
            )

    def log_cut(self) -> None:
        if self._cut:
            log.warning(
                "%s had %s bytes behind the last commit, as a kill leaves them: they are in %s "
                "now, and what this job wrote of them is written again",
                self.path,
                f"{self._cut:,}",
                self.saved,
            )

    def close(self) -> None:
        os.close(self._file)

    def _restore(self, expected: int | None, *, may_cut: bool) -> None:
        """Refuse the file if its committed bytes have changed, then remove all other bytes."""
        size = os.fstat(self._file).st_size
        if size < self.length:
            raise JobError(
                f"{self.path} has {size:,} bytes, but {self.length:,} were committed: "
                "put the file back, or start again with --fresh"
            )
        self._read_checksum()
        if expected is not None and expected != self.checksum:
            raise JobError(
                f"{self.path} was changed since the last run of the job: restore it, "
                "or start again with --fresh"
            )
        if size > self.length:
            if not may_cut:
                raise JobError(
                    f"{self.path} has {size - self.length:,} bytes more than the job has "
                    "written: remove the added bytes, or start again with --fresh"
                )
            self._save_rest()
            os.ftruncate(self._file, self.length)
            self._cut = size - self.length

    def _read_checksum(self) -> None:
        if self.length <= crc.READ_ALL:
            self._sum = crc.of_part(self._file, 0, self.length)
        start = max(0, self.length - TAIL)
        os.lseek(self._file, start, os.SEEK_SET)
        self._tail = os.read(self._file, self.length - start)
        self._set_checksum()

    def _set_checksum(self) -> None:
        self.checksum = zlib.crc32(self._tail) if self.length > crc.READ_ALL else self._sum

    def _save_rest(self) -> None:
        """Save the bytes to be removed, on the disk; a kill before the removal saves them twice."""
        mode = stat.S_IMODE(os.fstat(self._file).st_mode)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | SAFE_FLAGS
            saved = os.open(safe_path(self.saved), flags, mode)
        except OSError as error:
            raise _not_writable(self.saved, error) from None
        try:
            os.lseek(self._file, self.length, os.SEEK_SET)
            last = b""
            while block := os.read(self._file, _BLOCK):
                _write(saved, block)
                last = block[-1:]
            if last != b"\n":
                _write(saved, b"\n")  # so that the bytes of the next kill begin a line
            sync(saved)
        except OSError as error:
            raise to_crawler_error(error, self.saved) or error from error
        finally:
            os.close(saved)
        sync_folder(self.saved.parent)


def refuse_written(output: Path) -> None:
    """Raise JobLockedError for an output that another process is writing."""
    if not _exists(output):
        return
    with contextlib.suppress(PermissionError):  # opening it for writing raises the error
        file = os.open(safe_path(output), os.O_RDONLY | SAFE_FLAGS)
        try:
            lock(file, output)
        finally:
            os.close(file)


def refuse_foreign(output: Path) -> None:
    """Raise JobError for an output that a new job may not begin with, since it has content."""
    refuse_written(output)
    if _exists(output) and output.stat().st_size:
        raise JobError(
            f"{output} has content that this job did not write; give another file with -o, "
            "or overwrite it with --fresh --yes"
        )


def _write(file: int, data: bytes) -> None:
    """Write all of ``data``; the system may write less at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _exists(path: Path) -> bool:
    """Return True if there is such a file.

    Raises JobError if it is not a regular one, or reached by a link of another user.
    """
    refuse_foreign_links(path)
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _not_writable(path, error) from None
    if stat.S_ISDIR(kind):
        raise JobError(f"cannot write to {path}: it is a folder; give another file with -o")
    if not stat.S_ISREG(kind) or _OPENED_BY_OTHERS.fullmatch(str(path)):
        raise JobError(
            f"cannot write to {path}: a job resumes by truncating its output to the last "
            "committed line, which only regular files allow; give a file with -o, and read it "
            "with tail -f while it grows"
        )
    return True


def _not_writable(path: Path, error: OSError) -> CrawlerError:
    translated = to_crawler_error(error, path)
    if translated is None or isinstance(translated, JobError):
        return JobError(f"cannot write to {path}: {error.strerror}; give another file with -o")
    return translated
