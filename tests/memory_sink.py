"""A sink in memory, which keeps the contract of ``output.sink`` (``tests/output/contract``)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from crawler.errors import JobError, JobLockedError, SystemResourceError
from crawler.output.sink import Sink


@dataclass
class MemoryFile:
    """The content of a sink, which outlives it, and the bytes that were removed from it."""

    content: bytearray = field(default_factory=bytearray)
    saved: bytearray = field(default_factory=bytearray)
    is_open: bool = False
    is_full: bool = False


class MemorySink(Sink):
    """The sink in ``file``; opened like ``JSONLines``."""

    def __init__(
        self,
        file: MemoryFile | None = None,
        committed: int = 0,
        *,
        expected: int | None = None,
        may_cut: bool = True,
    ) -> None:
        self.file = file or MemoryFile()
        self.length = committed
        if self.file.is_open:
            raise JobLockedError("another job writes the file")
        if len(self.file.content) < committed:
            raise JobError("the file has lost bytes")
        self.checksum = zlib.crc32(self.file.content[:committed])
        if expected is not None and expected != self.checksum:
            raise JobError("the file was changed since the last run of the job")
        rest = self.file.content[committed:]
        if rest and not may_cut:
            raise JobError("the file has bytes more than the job has written")
        self.file.saved += rest
        del self.file.content[committed:]
        self.file.is_open = True

    def append(self, lines: bytes) -> None:
        self.check()
        if lines and self.file.is_full:
            raise SystemResourceError("the file cannot grow")
        self.file.content += lines
        self.length += len(lines)
        self.checksum = zlib.crc32(self.file.content)

    def check(self) -> None:
        if len(self.file.content) != self.length:
            raise JobError("the file was changed while the job was running")

    def log_cut(self) -> None:
        pass

    def close(self) -> None:
        self.file.is_open = False
