"""Record all that a command writes to some folders, and the order of its syncs, with ``strace``.

What the kernel was asked for is what counts: the writes of SQLite and of Python, of all processes
and threads. Whether the record is complete shows in the end: applied one after another, its events
must give the files that are there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Self

from tests.faults.disk import FOLDER, Change, Cut, Disk, Event, Naming, Write

_CALLS = (
    "open",
    "openat",
    "creat",
    "write",
    "writev",
    "pwrite64",
    "pwritev.*",
    "ftruncate",
    "truncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename.*",
    "unlink.*",
    "mkdir.*",
    "rmdir",
    "link.*",
    "symlink.*",
    "sync.*",
    "copy_file_range",
    "sendfile",
)
_LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(?:<([^>]*)>(\(deleted\))?)?(?: .*)?")
_KILLED = re.compile(r"(.*)\) += \?(?: <unavailable>)?")
_RESUMED = re.compile(r"<\.\.\. [\w?]+ resumed>(.*)")
_UNFINISHED = re.compile(r"(.*) <(?:unfinished|detached) \.\.\.>")
_NOT_BEGUN = ("+++", "---", "???")
"""Ends of processes, signals, and calls before which a process was killed."""
_FILE = re.compile(r"\d+<([^>]*)>(\(deleted\))?")
_QUOTED = re.compile(r'"([^"]*)"')
_INDEX = "-shm"
"""SQLite maps this file, which it writes anew whenever a store is opened first."""


@cache
def is_available() -> bool:
    """Return True if the system lets ``strace`` trace a command."""
    if shutil.which("strace") is None:
        return False
    words = ["strace", "-DD", "-f", "--seccomp-bpf", "-o", os.devnull, "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


class Recorder:
    """Records one command; a context manager around it, whose end waits for the command's end."""

    def __init__(self, fifo: Path) -> None:
        self._fifo = fifo
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        os.mkfifo(self._fifo)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # perhaps no command was started, whose trace could end
            os.close(os.open(self._fifo, os.O_RDWR))
        self._thread.join()
        self._fifo.unlink()

    @property
    def words(self) -> list[str]:
        """What stands before the command. It is a child of its own, as without them."""
        trace = f"trace=/^({'|'.join(_CALLS)})$"
        return [
            *("strace", "-DD", "-f", "-qq", "-ttt", "-y", "-xx", "-s", "100000000"),
            *("--seccomp-bpf", "-e", trace, "-o", str(self._fifo)),
        ]

    def _read(self) -> None:
        with self._fifo.open(encoding="ascii") as trace:
            self.lines += trace


@dataclass(slots=True)
class Reader:
    """Makes events of what was recorded of the folders ``watched`` in ``disk.root``."""

    disk: Disk
    watched: tuple[Path, ...]
    folder: Path
    """The working folder of the command."""
    times: list[float] = field(default_factory=list)
    """When each line was written, in seconds since 1970."""
    _paths: dict[Path, int | None] = field(default_factory=dict)
    _sizes: dict[int, int] = field(default_factory=dict)
    _places: dict[int, int | None] = field(default_factory=dict)
    """Where the next write to a file goes; None: to its end."""
    _deleted: dict[Path, int] = field(default_factory=dict)
    _begun: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path, (number, content) in self.disk.start.files.items():
            self._paths[path] = number
            self._sizes[number] = len(content)
        self._paths |= dict.fromkeys(self.disk.start.folders, FOLDER)

    def read(self, lines: Iterable[str]) -> None:
        """Add the events of all lines to the disk."""
        for line in lines:
            matched = _LINE.fullmatch(line.rstrip("\n"))
            assert matched is not None, line[:200]
            thread, time, text = matched.groups()
            place = len(self.times)
            self.times.append(float(time))
            if text.startswith(_NOT_BEGUN):
                continue
            if unfinished := _UNFINISHED.fullmatch(text):
                self._begun[thread] = place, unfinished[1]
            elif resumed := _RESUMED.match(text):
                if begun := self._begun.pop(thread, None):  # else it was killed before the call
                    self._call(begun[0], place, begun[1] + resumed[1])
            else:
                self._call(place, place, text)
        self.disk.events.sort(key=lambda event: event.begin)

    def settle(self, missed: Callable[[], list[Path]]) -> None:
        """Decide of each call in which a process was killed whether it has come to pass.

        ``missed`` returns the files that are not as the events say.
        """
        begun, self._begun = self._begun, {}
        for begin, text in begun.values():
            call, _, arguments = text.partition("(")
            is_named = call.startswith(("open", "rename", "unlink", "rmdir"))
            if call.startswith("mkdir"):
                has_passed = self._named(arguments)[0].is_dir()
            elif not is_named and _FILE.match(arguments) is None:
                continue  # the process had no files any more, and did not come to the call
            else:
                paths = self._named(arguments) if is_named else [self._path(arguments)]
                has_passed = not set(paths).isdisjoint(missed())
            if has_passed:
                self._call(begin, begin, f"{text}) = {_full_result(text)}")
                self.disk.events.sort(key=lambda event: event.begin)

    # Calls

    def _call(self, begin: int, end: int, text: str) -> None:
        if killed := _KILLED.fullmatch(text):
            self._begun[f"killed in {begin}"] = begin, killed[1]
            return
        matched = _CALL.fullmatch(text)
        assert matched is not None, text[:200]
        name, arguments, result, opened = matched[1], matched[2], int(matched[3]), matched[4]
        if result < 0:
            return
        match name:
            case "open" | "openat" | "creat":
                assert opened is not None, text[:200]
                self._open(begin, end, Path(_text(opened).decode()), arguments)
            case "write" | "pwrite64":
                self._write(begin, end, arguments, result, is_placed=name == "pwrite64")
            case "ftruncate":
                number = self._file(arguments)
                if number is not None:
                    self._cut(begin, end, number, int(arguments.rpartition(", ")[2]))
            case "fsync" | "fdatasync":
                self._sync(begin, end, arguments)
            case "rename" | "unlink" | "unlinkat" | "mkdir" | "mkdirat" | "rmdir":
                self._name(begin, end, name, self._named(arguments))
            case _:
                assert not self._is_about_watched(arguments), f"not understood: {text[:200]}"

    def _open(self, begin: int, end: int, path: Path, arguments: str) -> None:
        if not self._is_watched(path) or "O_CREAT" not in arguments:
            assert not (self._is_watched(path) and "O_TRUNC" in arguments), arguments
            return
        number = self._paths.get(path)
        if number is None:
            number = max(self.disk.first_paths, default=0) + 1
            self.disk.first_paths[number] = path
            self._sizes[number] = 0
            self._add(begin, end, path.parent, Naming(((path, number),)))
            self._paths[path] = number
        if "O_TRUNC" in arguments:
            self._cut(begin, end, number, 0)
        self._places[number] = None if "O_APPEND" in arguments else 0

    def _write(self, begin: int, end: int, arguments: str, size: int, *, is_placed: bool) -> None:
        number = self._file(arguments)
        if number is None:
            return
        _, data, *rest = arguments.split('"')
        place = int(rest[0].rpartition(", ")[2]) if is_placed else self._places.get(number)
        at = self._sizes[number] if place is None else place
        self._add(begin, end, number, Write(at, _text(data)[:size]))
        self._sizes[number] = max(self._sizes[number], at + size)
        if not is_placed and place is not None:
            self._places[number] = place + size

    def _cut(self, begin: int, end: int, number: int, size: int) -> None:
        if size != self._sizes[number]:
            self._add(begin, end, number, Cut(size))
        self._sizes[number] = size

    def _sync(self, begin: int, end: int, arguments: str) -> None:
        path = self._path(arguments)
        if path in self.disk.start.folders or self._paths.get(path) == FOLDER:
            self._add(begin, end, path, None)
        elif (number := self._file(arguments)) is not None:
            self._add(begin, end, number, None)

    def _name(self, begin: int, end: int, call: str, paths: list[Path]) -> None:
        if not all(map(self._is_watched, paths)):
            assert not any(map(self._is_watched, paths)), paths
            return
        if call.startswith("mkdir"):
            new: dict[Path, int | None] = {paths[0]: FOLDER}
        elif call == "rename":
            new = {paths[0]: None, paths[1]: self._paths[paths[0]]}
        else:
            new = {paths[0]: None}
        for path in new:
            if (old := self._paths.get(path)) is not None:
                self._deleted[path] = old
        self._add(begin, end, paths[0].parent, Naming(tuple(new.items())))
        self._paths |= new

    def _add(self, begin: int, end: int, target: int | Path, change: Change) -> None:
        self.disk.events.append(Event(begin, end, target, change))

    # Paths

    def _named(self, arguments: str) -> list[Path]:
        return [self.folder / _text(path).decode() for path in _QUOTED.findall(arguments)]

    def _path(self, arguments: str) -> Path:
        matched = _FILE.match(arguments)
        assert matched is not None, arguments[:200]
        return Path(_text(matched[1]).decode())

    def _file(self, arguments: str) -> int | None:
        """The number of the file that a call is about; None for one that is not watched."""
        path = self._path(arguments)
        if not self._is_watched(path):
            return None
        matched = _FILE.match(arguments)
        assert matched is not None
        number = self._deleted[path] if matched[2] else self._paths.get(path)
        assert number is not None, path
        return number

    def _is_watched(self, path: Path) -> bool:
        return any(map(path.is_relative_to, self.watched)) and not path.name.endswith(_INDEX)

    def _is_about_watched(self, arguments: str) -> bool:
        paths = [
            *self._named(arguments),
            *(Path(_text(p).decode()) for p, _ in _FILE.findall(arguments)),
        ]
        return any(map(self._is_watched, paths))


def _full_result(text: str) -> str:
    """What a call gives that is done as a whole."""
    name, _, arguments = text.partition("(")
    words = arguments.split(", ")
    match name:
        case "write" | "pwrite64":
            return words[2]
        case "open" | "openat":
            return f"3<{_QUOTED.findall(arguments)[0]}>"
        case _:
            return "0"


def _text(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))
