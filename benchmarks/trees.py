"""BeautifulSoup's trees, made here and by BeautifulSoup itself, and ``select()`` without one.

``python -m benchmarks.trees`` compares the trees of every page of two manuals, node by node, and
then the processor time that they take. ``--every 10`` takes a tenth of the pages.
"""

from __future__ import annotations

import argparse
import gc
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning
from bs4.element import Tag

from benchmarks.site import SOURCES
from crawler import Response
from crawler.gc_tuning import collect_garbage, configure_worker

ROUNDS = 3
"""How often each page is read each way; its median counts."""


@dataclass(frozen=True, slots=True)
class Row:
    """Two ways to the same, on the pages of one site.

    ``ours`` and ``other`` are milliseconds of processor time a page, each page's median of
    ``rounds``, averaged over ``pages``.
    """

    site: str
    name: str
    other_name: str
    ours: float
    other: float
    pages: int
    rounds: int

    @property
    def ratio(self) -> float:
        """How many times as long the other takes."""
        return self.other / self.ours


class DifferentError(Exception):
    """The two ways did not give the same; the message says for which page."""


Read = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class _Pair:
    name: str
    other_name: str
    ours: Read
    other: Read
    as_worker: bool = True
    """Garbage is collected between pages, as workers do, and that is not counted. Otherwise
    Python collects when it likes, and that is."""


def response(body: bytes) -> Response:
    """A page as it comes from a server that names no charset."""
    return Response("http://site.test/", body, headers={"Content-Type": "text/html"})


def _soup(body: bytes) -> BeautifulSoup:
    return response(body).soup


def _beautifulsoup(body: bytes) -> BeautifulSoup:
    return BeautifulSoup(body, "lxml")


def _selecting(css: str) -> Read:
    return lambda body: response(body).select(css)


def _selecting_from_soup(css: str) -> Read:
    return lambda body: response(body).soup.select(css)


SELECTORS = ("h1, h2", "a[href]")
_TREE = ("tree: response.soup", "BeautifulSoup(body, 'lxml')", _soup, _beautifulsoup)
_PAIRS = [
    _Pair(*_TREE),
    _Pair(f"{_TREE[0]}, collected by Python", *_TREE[1:], as_worker=False),
    *(
        _Pair(
            f"select({css!r})",
            f"response.soup.select({css!r})",
            _selecting(css),
            _selecting_from_soup(css),
        )
        for css in SELECTORS
    ),
]


def measure(site: str, *, rounds: int = ROUNDS, every: int = 1) -> list[Row]:
    """The rows of one site of ``SOURCES``, of every ``every``-th page.

    Raises DifferentError if what is compared is not the same.
    """
    paths = sorted(SOURCES[site].folder.rglob("*.html"))[::every]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        for path in paths:
            check(path)
        bodies = [path.read_bytes() for path in paths]
        return [_row(site, pair, bodies, rounds) for pair in _PAIRS]


def check(path: Path) -> None:
    """Raises DifferentError if a page's trees, or the tags selected from it, are not the same."""
    body = path.read_bytes()
    tree, other = _soup(body), _beautifulsoup(body)
    if list(_nodes(tree)) != list(_nodes(other)):
        raise DifferentError(f"{path}: the trees are not the same")
    for css in SELECTORS:
        found = [str(tag) for tag in response(body).select(css)]
        if found != [str(tag) for tag in other.select(css)]:
            raise DifferentError(f"{path}: select({css!r}) gives other tags")


_LINKS = ("parent", "next_element", "previous_element", "next_sibling", "previous_sibling")


def _nodes(tree: BeautifulSoup) -> Iterator[Any]:
    """Each node: its class, what it says, and where its neighbours are in the document."""
    nodes = [tree, *tree.descendants]
    place: dict[int, int | None] = {id(node): number for number, node in enumerate(nodes)}
    place[id(None)] = None
    for node in nodes:
        says = (node.name, node.attrs) if isinstance(node, Tag) else str(node)
        yield type(node), says, [place[id(getattr(node, link))] for link in _LINKS]


def _row(site: str, pair: _Pair, bodies: Sequence[bytes], rounds: int) -> Row:
    measured = _one_by_one if pair.as_worker else _in_one_go
    with _collecting(as_worker=pair.as_worker):
        ours, other = measured(pair, bodies, rounds)
    return Row(
        site=site,
        name=pair.name,
        other_name=pair.other_name,
        ours=ours * 1000 / len(bodies),
        other=other * 1000 / len(bodies),
        pages=len(bodies),
        rounds=rounds,
    )


def _one_by_one(pair: _Pair, bodies: Sequence[bytes], rounds: int) -> tuple[float, float]:
    """Seconds for all pages, of each its median, each page the one way and the other in turn."""
    taken: tuple[list[float], list[float]] = ([], [])
    for body in bodies:
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for read, seconds in zip((pair.ours, pair.other), times, strict=True):
                seconds.append(_seconds(read, [body]))
                collect_garbage()
        for total, seconds in zip(taken, times, strict=True):
            total.append(median(seconds))
    return sum(taken[0]), sum(taken[1])


def _in_one_go(pair: _Pair, bodies: Sequence[bytes], rounds: int) -> tuple[float, float]:
    """Seconds for all pages one after the other, the median of the rounds."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for read, seconds in zip((pair.ours, pair.other), taken, strict=True):
            gc.collect()
            seconds.append(_seconds(read, bodies))
    return median(taken[0]), median(taken[1])


def _seconds(read: Read, bodies: Sequence[bytes]) -> float:
    begun = time.process_time()
    for body in bodies:
        read(body)
    return time.process_time() - begun


@contextmanager
def _collecting(*, as_worker: bool) -> Iterator[None]:
    """Collect garbage as workers do, or as Python does by itself."""
    before = gc.get_threshold()
    gc.collect()
    if as_worker:
        configure_worker()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| | ms a page | other, ms a page | |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        name = f"{row.site}: `{row.name}` against `{row.other_name}`"
        lines.append(f"| {name} | {row.ours:.2f} | {row.other:.2f} | {row.ratio:.1f} x |")
    return "\n".join(lines)


def main() -> None:
    """Measure both sites and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--every", type=int, default=1, help="take every n-th page")
    given = options.parse_args()
    rows: list[Row] = []
    for site in SOURCES:
        rows += measure(site, rounds=given.rounds, every=given.every)
    print(table(rows))


if __name__ == "__main__":
    main()
