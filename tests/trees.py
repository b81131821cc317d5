"""Trees of BeautifulSoup compared node by node, and pages to compare them on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from bs4.element import Tag
from hypothesis import strategies as st

POSTGRES = Path("/usr/share/doc/postgresql-doc-15/html")
PYTHON = Path("/usr/share/doc/python3.11/html")

NEIGHBOURS = ("parent", "next_element", "previous_element", "next_sibling", "previous_sibling")


def theirs(markup: bytes) -> BeautifulSoup:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return BeautifulSoup(markup, "lxml", from_encoding="utf-8")


def looks(tree: Tag) -> list[Any]:
    """Everything there is to know about each node; neighbours by their place in the document."""
    nodes = list(walk(tree))
    place: dict[int, int | None] = {id(node): number for number, node in enumerate(nodes)}
    place[id(None)] = None
    return [look(node, tree, place) for node in nodes]


def walk(tree: Tag) -> Iterator[Any]:
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(getattr(node, "contents", ())))


def look(node: Any, tree: Tag, place: dict[int, int | None]) -> Any:
    known = dict(vars(node))
    neighbours = [place[id(known.pop(name))] for name in NEIGHBOURS]
    contents = [place[id(child)] for child in known.pop("contents", ())]
    attributes = known.pop("attrs", {})
    return (
        type(node),
        None if isinstance(node, Tag) else str(node),
        neighbours,
        contents,
        type(attributes),
        [(type(name), name, vars_of(name), type(value), value, vars_of(value))
         for name, value in attributes.items()],
        # The soup's own state has parsers in it.
        (node.original_encoding, node.is_xml, node.known_xml, node.hidden, node._namespaces)
        if isinstance(node, BeautifulSoup)
        else known,
    )  # fmt: skip


def vars_of(value: object) -> object:
    return getattr(value, "__dict__", None)


PIECES = st.sampled_from(
    """
    <p> </p> <b> </b> <i </i> <a href=x> </a> <table> <tr> <td> </table> <div class='a b'> </div>
    <pre> </pre> <script> </script> <style> </style> <textarea> </textarea> <template> <rt> <br>
    <!-- --> <!--x--> <!doctype html> <html> <head> <body> </body> </html> <title> <li> <ul> <svg>
    &amp; &nbsp &#x41; &lt < > / = ' " <? ?> <![CDATA[ ]]> <meta charset=x> <select> <option> x:y
    {z} \0 \v \f é <form> </form> <input> text class=' href= <frameset> <noscript>
    """.strip().split(" ")
)
BROKEN = st.lists(st.one_of(PIECES, st.sampled_from([" ", "\n", "  \n"]), st.text(max_size=5)))
