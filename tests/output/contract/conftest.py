"""The sinks that must keep the contract, each with its content as it is without the sink."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from crawler.output.jsonlines import JSONLines
from crawler.output.sink import Sink
from tests.memory_sink import MemoryFile, MemorySink


class Place(Protocol):
    """The place of a sink's bytes."""

    def open(self, committed: int, *, expected: int | None = None, may_cut: bool = True) -> Sink:
        """Open the sink, as a run of a job does."""

    def read(self) -> bytes:
        """Return the content."""

    def write(self, content: bytes) -> None:
        """Replace the content, as another program does."""


class FilePlace:
    """A file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, committed: int, *, expected: int | None = None, may_cut: bool = True) -> Sink:
        return JSONLines(self._path, committed, expected=expected, may_cut=may_cut)

    def read(self) -> bytes:
        return self._path.read_bytes() if self._path.exists() else b""

    def write(self, content: bytes) -> None:
        self._path.write_bytes(content)


class MemoryPlace:
    """A file in memory."""

    def __init__(self) -> None:
        self._file = MemoryFile()

    def open(self, committed: int, *, expected: int | None = None, may_cut: bool = True) -> Sink:
        return MemorySink(self._file, committed, expected=expected, may_cut=may_cut)

    def read(self) -> bytes:
        return bytes(self._file.content)

    def write(self, content: bytes) -> None:
        self._file.content[:] = content


@pytest.fixture(params=["jsonlines", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    is_memory = request.param == "memory"
    return MemoryPlace() if is_memory else FilePlace(tmp_path / "items.jsonl")
