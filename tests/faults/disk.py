"""A disk that loses power: which states it may be left in, by the order of writes and syncs.

What a process writes is at once in memory, where all processes see it, and on the disk at any later
time. A disk that loses power has of each file what was written before its last sync and, of each
later write, all, some sectors, or nothing, in any order; of a folder what was there at its last
sync and, of each later change, the new name or the old one. A file may have its new length before
its bytes, which are zeros then.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path

SECTOR = 512
"""Bytes that a disk writes as a whole."""


class Names(StrEnum):
    """When the change of a name is on the disk for certain."""

    OF_THE_FOLDER = "when its folder is synced"
    """The least that POSIX demands."""
    IN_ORDER = "when anything is synced"
    """As ext4 does: its journal has all changes of names in one order."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes written to a file at a place; behind its end, what is between are zeros."""

    place: int
    data: bytes

    def apply(self, content: bytearray) -> None:
        """Write all of it."""
        if not self.data:
            return
        _extend(content, self.place)
        content[self.place : self.place + len(self.data)] = self.data

    def lengthen(self, content: bytearray) -> None:
        """Give the file its new length alone."""
        _extend(content, self.place + len(self.data))

    def part(self, chance: random.Random) -> Write:
        """The sectors up to some instant."""
        return self.first(chance.randrange(len(self.data) // SECTOR + 1) * SECTOR)

    def first(self, size: int) -> Write:
        """The first bytes of it, up to the end of a sector of the file."""
        end = (self.place + size) // SECTOR * SECTOR
        return Write(self.place, self.data[: max(0, end - self.place)])


@dataclass(frozen=True, slots=True)
class Cut:
    """The length that a file was given."""

    size: int

    def apply(self, content: bytearray) -> None:
        """Shorten the file, or lengthen it by zeros."""
        _extend(content, self.size)
        del content[self.size :]

    lengthen = apply

    def part(self, chance: random.Random) -> Cut:
        """A length is a whole."""
        return self

    def first(self, size: int) -> Cut:
        """A length is a whole."""
        return self


Rewrite = Write | Cut


@dataclass(frozen=True, slots=True)
class Naming:
    """Names of a folder that were given to files, or to none, as one change."""

    names: tuple[tuple[Path, int | None], ...]


Change = Rewrite | Naming | None
"""Of a file, of a folder; none is a sync."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a process did, from ``begin`` to ``end``: places in the order of all that was done.

    ``target`` is the number of a file, or the path of a folder; a sync has no change.
    """

    begin: int
    end: int
    target: int | Path
    change: Change


Content = bytes
Files = dict[Path, tuple[int, Content]]
"""Each file by its path: its number, which a new name does not change, and its bytes."""


@dataclass(frozen=True, slots=True)
class DiskState:
    """All files and folders that a disk has."""

    files: Files
    folders: frozenset[Path]

    def key(self) -> int:
        """Equal for equal states."""
        return hash((frozenset(self.files.items()), self.folders))


Choice = Callable[[int, bytes, Sequence[Rewrite]], bytes]
"""Returns the bytes of a file by its number, from those that were synced and what came later."""


@dataclass(slots=True)
class Disk:
    """The files below ``root`` as they were before the first event, and all events.

    Each folder in ``root`` is a file system of its own.
    """

    root: Path
    start: DiskState
    events: list[Event] = field(default_factory=list)
    first_paths: dict[int, Path] = field(default_factory=dict)
    """Where each file had its first name."""

    def whole(self) -> DiskState:
        """What the processes saw in the end."""
        return self._state(self.events, _always, _everything)

    def states(self, at: int, chance: random.Random, draws: int) -> Iterator[DiskState]:
        """The states that a loss of power after the event ``at`` may leave: the outermost ones,
        and ``draws`` that are drawn."""
        events = self._until(at)
        for names in Names:
            for is_named in (_never, _always):
                for choice in (_nothing, _everything, _lengths, _last_torn):
                    yield self._left(events, names, is_named, choice)
            for device in sorted({self._device(path) for path in self.first_paths.values()}):
                yield self._left(events, names, self._named_elsewhere(device), _everything)
            for number in sorted(_unsynced(events)):
                yield self._left(events, names, _always, _only(number))
                yield self._left(events, names, _always, _all_but(number))
            for _ in range(draws):
                yield self._drawn(events, names, chance)

    def _until(self, at: int) -> list[Event]:
        """The events that have begun; a sync counts only if it has ended."""
        return [
            event
            for event in self.events
            if (event.end if event.change is None else event.begin) <= at
        ]

    def drawn(self, chance: random.Random) -> DiskState:
        """One state that a loss of power after the last event may leave."""
        return self._drawn(self.events, chance.choice(list(Names)), chance)

    def _drawn(self, events: list[Event], names: Names, chance: random.Random) -> DiskState:
        share = chance.choice((0.0, 0.2, 0.5, 0.8, 1.0))

        def is_named(_: Event) -> bool:
            return chance.random() < share

        return self._left(events, names, is_named, _by_chance(chance))

    def _left(
        self,
        events: list[Event],
        names: Names,
        is_named: Callable[[Event], bool],
        choice: Choice,
    ) -> DiskState:
        """The state by a choice of the names and the bytes that were not synced."""
        chosen = self._named(events, names, is_named)
        return self._state(events, lambda event: event.begin in chosen, choice)

    def _state(
        self, events: list[Event], is_named: Callable[[Event], bool], choice: Choice
    ) -> DiskState:
        paths: dict[Path, int | None] = {p: number for p, (number, _) in self.start.files.items()}
        folders = set(self.start.folders)
        for event in events:
            if isinstance(event.change, Naming) and is_named(event):
                for path, number in event.change.names:
                    paths[path] = number
                    if number == FOLDER:
                        folders.add(path)
        contents = self._contents(events, choice)
        files = {
            path: (number, contents[number])
            for path, number in paths.items()
            if number is not None and number != FOLDER and self._is_reached(path, folders)
        }
        reached = (folder for folder in folders if self._is_reached(folder / "file", folders))
        return DiskState(files, frozenset(reached))

    def _is_reached(self, path: Path, folders: set[Path]) -> bool:
        """Return True if no folder above ``path`` is lost."""
        return folders.issuperset(_above(path, self.root))

    def _contents(self, events: list[Event], choice: Choice) -> dict[int, bytes]:
        contents = dict.fromkeys(self.first_paths, b"") | dict(self.start.files.values())
        synced = _syncs(events)
        for number, content in contents.items():
            last = synced.get(number, -1)
            done, later = bytearray(content), list[Rewrite]()
            for event in events:
                if event.target == number and isinstance(event.change, (Write, Cut)):
                    if event.end <= last:
                        event.change.apply(done)
                    else:
                        later.append(event.change)
            contents[number] = choice(number, bytes(done), later) if later else bytes(done)
        return contents

    def _named(
        self, events: list[Event], names: Names, is_named: Callable[[Event], bool]
    ) -> set[int]:
        """Choose changes of names: the synced ones, and of the later ones as ``is_named`` says.

        Each name, or each file system, has an order: no change in it overtakes another.
        """
        synced = _syncs(events)
        chosen: set[int] = set()
        stopped: set[Path] = set()
        if names is Names.IN_ORDER:
            devices: dict[Path, int] = {}
            for target, begin in synced.items():
                path = self.first_paths[target] if isinstance(target, int) else target
                devices[self._device(path)] = max(begin, devices.get(self._device(path), -1))
        for event in events:
            if not isinstance(event.change, Naming):
                continue
            paths = [path for path, _ in event.change.names]
            if names is Names.IN_ORDER:
                order = [self._device(path) for path in paths]
                is_synced = all(event.end <= devices.get(device, -1) for device in order)
            else:
                order = paths
                is_synced = all(event.end <= synced.get(path.parent, -1) for path in paths)
            if is_synced or (stopped.isdisjoint(order) and is_named(event)):
                chosen.add(event.begin)
            else:
                stopped.update(order)
        return chosen

    def _named_elsewhere(self, device: Path) -> Callable[[Event], bool]:
        """Choose the changes of names on all file systems but one."""

        def is_elsewhere(event: Event) -> bool:
            assert isinstance(event.change, Naming)
            return all(self._device(path) != device for path, _ in event.change.names)

        return is_elsewhere

    def _device(self, path: Path) -> Path:
        """The file system of a path; a folder in ``root`` has its own name in itself."""
        return (path, *_above(path, self.root))[-2:][0]


FOLDER = -1
"""Stands for the number of a file where a name is that of a folder."""


@cache
def _above(path: Path, root: Path) -> tuple[Path, ...]:
    """The folders above ``path`` from the nearest to ``root``."""
    return tuple(folder for folder in path.parents if folder.is_relative_to(root))


def _extend(content: bytearray, size: int) -> None:
    content.extend(bytes(max(0, size - len(content))))


def _syncs(events: list[Event]) -> dict[int | Path, int]:
    """The beginning of the last sync of each file and folder; it covers what ended before."""
    return {event.target: event.begin for event in events if event.change is None}


def _unsynced(events: list[Event]) -> set[int]:
    """The files that were changed since their last sync."""
    synced = _syncs(events)
    return {
        event.target
        for event in events
        if isinstance(event.change, (Write, Cut))
        and isinstance(event.target, int)
        and event.end > synced.get(event.target, -1)
    }


def _always(_: Event) -> bool:
    return True


def _never(_: Event) -> bool:
    return False


# Which bytes are on the disk


def _nothing(_: int, synced: bytes, later: Sequence[Rewrite]) -> bytes:
    return synced


def _everything(_: int, synced: bytes, later: Iterable[Rewrite]) -> bytes:
    content = bytearray(synced)
    for change in later:
        change.apply(content)
    return bytes(content)


def _lengths(_: int, synced: bytes, later: Iterable[Rewrite]) -> bytes:
    """The file has its length, and zeros where it had no bytes before."""
    content = bytearray(synced)
    for change in later:
        change.lengthen(content)
    return bytes(content)


def _last_torn(number: int, synced: bytes, later: Sequence[Rewrite]) -> bytes:
    *before, last = later
    half = last.first(len(last.data) // 2) if isinstance(last, Write) else last
    return _everything(number, synced, [*before, half])


def _only(wanted: int) -> Choice:
    return lambda number, *rest: (_everything if number == wanted else _nothing)(number, *rest)


def _all_but(unwanted: int) -> Choice:
    return lambda number, *rest: (_nothing if number == unwanted else _everything)(number, *rest)


def _by_chance(chance: random.Random) -> Choice:
    """All, a part from the front, or any of the changes; the last may be torn, or all zeros."""

    def chosen(number: int, synced: bytes, later: Sequence[Rewrite]) -> bytes:
        match chance.randrange(6):
            case 0:
                return synced
            case 1:
                return _everything(number, synced, later)
            case 2:
                some = list(later[: chance.randint(0, len(later))])
                return _everything(number, synced, some)
            case 3:
                share = chance.random()
                some = [change for change in later if chance.random() < share]
                return _everything(number, synced, some)
            case 4:
                some = list(later[: chance.randint(0, len(later))])
                return _everything(number, synced, [change.part(chance) for change in some])
            case _:
                return _mixed_with_zeros(synced, later, chance)

    return chosen


def _mixed_with_zeros(synced: bytes, later: Iterable[Rewrite], chance: random.Random) -> bytes:
    content = bytearray(synced)
    for change in later:
        (change.apply if chance.random() < 0.5 else change.lengthen)(content)
    return bytes(content)
