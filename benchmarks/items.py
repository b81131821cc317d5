"""Read and compare the items of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The item that every crawler extracts from a page, with white space collapsed."""

    url: str
    title: str
    h1: tuple[str, ...]
    h2: tuple[str, ...]
    links: int


@dataclass(frozen=True, slots=True)
class Output:
    """The contents of a JSON-lines file; ``torn`` counts lines that are not a whole item."""

    items: Counter[Item]
    torn: int

    @property
    def twice(self) -> int:
        """Number of duplicate lines."""
        return self.items.total() - len(self.items)


def read(path: Path) -> Output:
    """Read the items of a JSON-lines file; a missing file has none."""
    items: Counter[Item] = Counter()
    torn = 0
    *lines, rest = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for line in lines:
        try:
            items[msgspec.json.decode(line, type=Item)] += 1
        except msgspec.DecodeError:
            torn += 1
    return Output(items, torn + bool(rest))


@dataclass(frozen=True, slots=True)
class Difference:
    """The differences between an output and the expected one, in items."""

    lost: int
    twice: int
    foreign: int
    torn: int

    def __bool__(self) -> bool:
        return bool(self.lost or self.twice or self.foreign or self.torn)

    def __str__(self) -> str:
        return (
            f"{self.lost} lost, {self.twice} twice, {self.foreign} unexpected, "
            f"{self.torn} torn lines"
        )


def difference(found: Output, wanted: Output) -> Difference:
    """Count the items that ``found`` lacks, repeats, adds or breaks, compared with ``wanted``."""
    return Difference(
        lost=len(wanted.items.keys() - found.items.keys()),
        twice=found.twice,
        foreign=len(found.items.keys() - wanted.items.keys()),
        torn=found.torn,
    )
