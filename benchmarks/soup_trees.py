"""Compare ``response.soup`` and ``response.select()`` with BeautifulSoup itself.

``python -m benchmarks.soup_trees`` first compares the trees of every page of two manuals, node by
node, and then the CPU time of both ways. ``--every 10`` takes a tenth of the pages.
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
"""The number of times that each page is parsed in each way; the median counts."""


@dataclass(frozen=True, slots=True)
class Row:
    """Two ways to the same result, on the pages of one site.

    ``ours`` and ``other`` are milliseconds of CPU time per page: the median of ``rounds`` for each
    page, averaged over ``pages``.
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
        """The time of the other way, as a multiple of ours."""
        return self.other / self.ours


class DifferentError(Exception):
    """The two ways have different results; the message names the page."""


Read = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class _Pair:
    name: str
    other_name: str
    ours: Read
    other: Read
    as_worker: bool = True
    """True: collect garbage between pages, as workers do, outside of the measured time. False:
    Python collects by itself, within the measured time."""


def response(body: bytes) -> Response:
    """Return the response of a server that names no charset."""
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
    """Return the rows of one site of ``SOURCES``, from every ``every``-th page.

    Raises DifferentError if the two ways have different results.
    """
    paths = sorted(SOURCES[site].folder.rglob("*.html"))[::every]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        for path in paths:
            check(path)
        bodies = [path.read_bytes() for path in paths]
        return [_row(site, pair, bodies, rounds) for pair in _PAIRS]


def check(path: Path) -> None:
    """Raise DifferentError if a page's trees, or the tags selected from it, differ."""
    body = path.read_bytes()
    tree, other = _soup(body), _beautifulsoup(body)
    if list(_nodes(tree)) != list(_nodes(other)):
        raise DifferentError(f"{path}: the trees are not the same")
    for css in SELECTORS:
        tags = [str(tag) for tag in response(body).select(css)]
        if tags != [str(tag) for tag in other.select(css)]:
            raise DifferentError(f"{path}: select({css!r}) gives other tags")


_LINKS = ("parent", "next_element", "previous_element", "next_sibling", "previous_sibling")


def _nodes(tree: BeautifulSoup) -> Iterator[Any]:
    """Yield of each node its class, its content, and the positions of its neighbours."""
    nodes = [tree, *tree.descendants]
    position: dict[int, int | None] = {id(node): number for number, node in enumerate(nodes)}
    position[id(None)] = None
    for node in nodes:
        content = (node.name, node.attrs) if isinstance(node, Tag) else str(node)
        yield type(node), content, [position[id(getattr(node, link))] for link in _LINKS]


def _row(site: str, pair: _Pair, bodies: Sequence[bytes], rounds: int) -> Row:
    measure_pair = _page_by_page if pair.as_worker else _all_pages
    with _garbage_collection(as_worker=pair.as_worker):
        ours, other = measure_pair(pair, bodies, rounds)
    return Row(
        site=site,
        name=pair.name,
        other_name=pair.other_name,
        ours=ours * 1000 / len(bodies),
        other=other * 1000 / len(bodies),
        pages=len(bodies),
        rounds=rounds,
    )


def _page_by_page(pair: _Pair, bodies: Sequence[bytes], rounds: int) -> tuple[float, float]:
    """Return the seconds of both ways: the sum of each page's median; the ways take turns."""
    medians: tuple[list[float], list[float]] = ([], [])
    for body in bodies:
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for read, seconds in zip((pair.ours, pair.other), times, strict=True):
                seconds.append(_seconds(read, [body]))
                collect_garbage()
        for own, seconds in zip(medians, times, strict=True):
            own.append(median(seconds))
    return sum(medians[0]), sum(medians[1])


def _all_pages(pair: _Pair, bodies: Sequence[bytes], rounds: int) -> tuple[float, float]:
    """Return the seconds of both ways: the median of the rounds, each over all pages."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for read, seconds in zip((pair.ours, pair.other), times, strict=True):
            gc.collect()
            seconds.append(_seconds(read, bodies))
    return median(times[0]), median(times[1])


def _seconds(read: Read, bodies: Sequence[bytes]) -> float:
    began = time.process_time()
    for body in bodies:
        read(body)
    return time.process_time() - began


@contextmanager
def _garbage_collection(*, as_worker: bool) -> Iterator[None]:
    """Set up garbage collection as workers have it, or as Python has it."""
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
    """Return the rows as a Markdown table."""
    lines = ["| | ms a page | other, ms a page | |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        name = f"{row.site}: `{row.name}` against `{row.other_name}`"
        lines.append(f"| {name} | {row.ours:.2f} | {row.other:.2f} | {row.ratio:.1f} x |")
    return "\n".join(lines)


def main() -> None:
    """Measure both sites, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--every", type=int, default=1, help="take every n-th page")
    options = parser.parse_args()
    rows: list[Row] = []
    for site in SOURCES:
        rows += measure(site, rounds=options.rounds, every=options.every)
    print(table(rows))


if __name__ == "__main__":
    main()
