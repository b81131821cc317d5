"""BeautifulSoup's tags of what a selector matches, without a tree of the rest of the page.

The selector is matched in the page's lxml tree, and tags are made of the elements that match: the
same tags, in the same order, as ``soup.select`` gives. Pages and selectors for which that is not
certain are left to BeautifulSoup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bs4 import Tag
from bs4.element import ResultSet
from lxml import etree

from crawler import selectors, soup
from crawler.nodes import SPECIAL, Target

LARGEST = 9_000_000
"""Bytes of markup up to which lxml keeps all that BeautifulSoup keeps, however it is nested."""


class Selection:
    """What ``select`` needs of one page of HTML.

    ``root`` is its lxml tree, of ``crawler.tree.parse``, and ``markup`` what that was made of.
    """

    def __init__(self, root: Any, markup: bytes) -> None:
        self._root = root
        self._markup = markup
        self._has_plain_spaces: bool | None = None
        self._builder = soup.builder() if _has_all_elements(root, markup) else None

    def select(self, css: str, *, first: bool = False) -> ResultSet[Tag] | None:
        """The tags that ``css`` matches, or the first one; None if BeautifulSoup must match it.

        Each tag is as if it had been taken out of the page with ``extract()``. One that stands in
        another one that matches is a part of it.
        """
        if self._builder is None:
            return None
        path = selectors.compiled(css)
        if path is None or not self._is_certain(path):
            return None
        elements = (path.first if first else path.all)(self._root)
        return ResultSet(None, list(_tags(elements, self._builder)))

    def _is_certain(self, path: selectors.Path) -> bool:
        if path.reads_attributes and b"{" in self._markup and _has_braces(self._root):
            return False
        if path.splits and self._has_plain_spaces is None:
            self._has_plain_spaces = not _ODD_SPACES.search(self._markup)
        return not path.splits or bool(self._has_plain_spaces)


# BeautifulSoup takes the name for one in a namespace.
_has_braces = etree.XPath("boolean(//@*[starts-with(name(), '{')])")

# Python splits classes at control characters that XPath cannot name.
_ODD_SPACES = re.compile(
    rb"[\x0b\x0c\x1c-\x1f]|&#(?:0*(?:1[12]|2[89]|3[01])(?!\d)|[xX]0*(?:[bBcC]|1[c-fC-F])(?!\w))"
)


def _has_all_elements(root: Any, markup: bytes) -> bool:
    """True if lxml's tree has the elements that BeautifulSoup's has, in the same places.

    What follows the end of the page is elsewhere, text around a late doctype is in pieces, and
    soupsieve does not look into templates. Since libxml2 2.14 there are no processing instructions.
    """
    if not soup.FAST or etree.LIBXML_VERSION < _AS_FED or root is None or len(markup) > LARGEST:
        return False
    markup = markup.lower()
    end = markup.find(b"</html")
    doctype = markup.rfind(b"<!doctype")
    return (
        (end < 0 or _END.fullmatch(markup, end) is not None)
        and (doctype < 0 or _begins_at(doctype, markup))
        and b"<template" not in markup
    )


_AS_FED = (2, 14)
"""The libxml2 since which a page that is fed, as BeautifulSoup does it, is read like any other."""

# Comments that browsers, and libxml2, end in no other place.
_GAP = rb"(?:\s++|<!--(?!-?>)(?>(?:(?!--!>).)*?-->)%s)*+"
_END = re.compile(rb"</html\s*+>" + _GAP % b"", re.DOTALL)
_PROLOG = re.compile(_GAP % rb"|<\?[^>]*+>", re.DOTALL)


def _begins_at(doctype: int, markup: bytes) -> bool:
    prolog = _PROLOG.match(markup)
    return prolog is not None and prolog.end() == doctype


def _tags(elements: list[Any], builder: Any) -> Iterator[Tag]:
    """The tags of ``elements``, which are in the order of the page."""
    waiting = iter(elements)
    element = next(waiting, None)
    while element is not None:
        outside = _Outside()
        target = Target(outside, builder, within=_names_around(element))
        top = element
        for event, node in etree.iterwalk(top, events=("start", "end", "comment")):
            if event == "start":
                tag = target.start(node.tag, dict(node.items()))
                if node is element:
                    yield tag
                    element = next(waiting, None)
                if node.text:
                    target.data(node.text)
                continue
            if event == "end":
                target.end(node.tag)
            else:
                target.comment(node.text)
            if node.tail and node is not top:
                target.data(node.tail)
        outside.contents[0].parent = None


class _Outside:
    """Stands in for the page around a tag while it is made."""

    def __init__(self) -> None:
        self.contents: list[Any] = []
        self.parent = None


def _names_around(element: Any) -> list[str]:
    return [one.tag for one in element.iterancestors(*SPECIAL)][::-1]
