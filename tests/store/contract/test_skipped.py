"""The contract of ``SkippedStore``."""

from __future__ import annotations

from crawler.records import SkippedLink, SkippedShape
from crawler.store.protocols import MOST_SHAPES, OTHER_SHAPES, Store
from tests.store.contract.conftest import Opener


def link(number: int, shape: str) -> SkippedLink:
    return SkippedLink(
        number.to_bytes(16, "big"), shape, "destructive", "delete", f"https://a.example/{number}"
    )


def test_each_link_counts_once(store: Store) -> None:
    with store.transaction():
        assert store.skipped.add([link(1, "/a"), link(2, "/b"), link(1, "/a"), link(3, "/b")]) == 3
    with store.transaction():
        assert store.skipped.add([link(2, "/b")]) == 0
        assert store.skipped.add([]) == 0
    assert store.skipped.shapes() == [
        SkippedShape("/b", 2, "destructive", "delete", "https://a.example/2"),
        SkippedShape("/a", 1, "destructive", "delete", "https://a.example/1"),
    ]


def test_they_are_counted_with_the_transaction(open_store: Opener) -> None:
    store = open_store()
    try:
        with store.transaction():
            store.skipped.add([link(1, "/a")])
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert open_store().skipped.shapes() == []
    with store.transaction():
        assert store.skipped.add([link(1, "/a")]) == 1
    again = open_store()
    with again.transaction():
        assert again.skipped.add([link(1, "/a"), link(2, "/a")]) == 1
    assert [shape.links for shape in again.skipped.shapes()] == [2]


def test_shapes_are_bounded(store: Store) -> None:
    links = [link(number, f"/{number}") for number in range(MOST_SHAPES + 5)]
    with store.transaction():
        assert store.skipped.add([*links, link(MOST_SHAPES + 5, "/0")]) == len(links) + 1
    shapes = {shape.shape: shape.links for shape in store.skipped.shapes()}
    assert len(shapes) == MOST_SHAPES + 1
    assert shapes[OTHER_SHAPES] == 5
    assert shapes["/0"] == 2
