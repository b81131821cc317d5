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

from crawler.parsing.soup import builder as soup
from crawler.parsing.soup import css_to_xpath as selectors
from crawler.parsing.soup.nodes import AROUND, TreeBuilderTarget

LARGEST = 9_000_000
"""Bytes of markup up to which lxml keeps all that BeautifulSoup keeps, however it is nested."""


class Selection:
    """What ``select`` needs of one page of HTML.

    ``root`` is its lxml tree, of ``crawler.parsing.html_tree.parse``, and ``markup`` what that
    was made of.
    """

    def __init__(self, root: Any, markup: bytes) -> None:
        self._root = root
        self._markup = markup
        self._has_plain_names: bool | None = None
        self._has_plain_spaces: bool | None = None
        self._builder = soup.builder() if _has_all_elements(root, markup) else None

    def select(self, css: str, *, first: bool = False) -> ResultSet[Tag] | None:
        """The tags that ``css`` matches, or the first one; None if BeautifulSoup must match it.

        Each tag is as if it had been taken out of the page with ``extract()``. One that stands in
        another one that matches is a part of it. What is in a tag is made when somebody looks.
        """
        if self._builder is None:
            return None
        path = selectors.compiled(css)
        if path is None or not self._is_certain(path):
            return None
        elements = (path.first if first else path.all)(self._root)
        made = _tags if _are_nested(elements) else _unread
        return ResultSet(None, list(made(elements, self._builder)))

    def _is_certain(self, path: selectors.CompiledSelector) -> bool:
        if path.reads_attributes and self._has_plain_names is None:
            self._has_plain_names = not (_BRACES.search(self._markup) and _has_braces(self._root))
        if path.splits and self._has_plain_spaces is None:
            self._has_plain_spaces = not _ODD_SPACES.search(self._markup)
        names, spaces = self._has_plain_names, self._has_plain_spaces
        return bool((names or not path.reads_attributes) and (spaces or not path.splits))


# BeautifulSoup takes such a name of an attribute for one in a namespace.
_BRACES = re.compile(rb"\{[^ \t\n\f\r=>/{}]*+\}[^ \t\n\f\r=>/]")
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
# HTML's white space has no vertical tab, which \s has: that begins another body.
_GAP = rb"(?:[ \t\n\f\r]++|<!--(?!-?>)(?>(?:(?!--!>).)*?-->)%s)*+"
_END = re.compile(rb"</html[ \t\n\f\r]*+>" + _GAP % b"", re.DOTALL)
_PROLOG = re.compile(_GAP % rb"|<\?[^>]*+>", re.DOTALL)


def _begins_at(doctype: int, markup: bytes) -> bool:
    prolog = _PROLOG.match(markup)
    return prolog is not None and prolog.end() == doctype


def _tags(elements: list[Any], builder: Any) -> Iterator[Tag]:
    """The tags of ``elements``, which are in the order of the page."""
    target = TreeBuilderTarget(None, builder)
    start, data = target.start, target.data
    waiting = iter(elements)
    element = next(waiting, None)
    while element is not None:
        top = element
        target.begin([one.tag for one in top.iterancestors(*AROUND)][::-1])
        for event, node in etree.iterwalk(top, events=("start", "end", "comment")):
            if event == "start":
                tag = start(node.tag, dict(node.items()))
                if node is element:
                    yield tag
                    element = next(waiting, None)
                if text := node.text:
                    data(text)
                continue
            if node is top:
                break
            if event == "end":
                target.end(node.tag)
            else:
                target.comment(node.text)
            if text := node.tail:
                data(text)
        target.finish()


def _are_nested(elements: list[Any]) -> bool:
    if len(elements) < 2:
        return False
    matching = set(elements)
    names = {element.tag for element in elements}
    # Asking for the names is quick: mostly there is no such ancestor.
    around = (one for element in elements for one in element.iterancestors(*names))
    return any(one in matching for one in around)


def _unread(elements: list[Any], builder: Any) -> Iterator[Tag]:
    """The tags of ``elements``, with all but their contents."""
    target = TreeBuilderTarget(None, builder)
    for element in elements:
        target.begin(())
        tag: Any = target.start(element.tag, dict(element.items()))
        target.finish()
        del tag.contents, tag.next_element
        tag._origin = element, builder
        tag.__class__ = LazyTag
        yield tag


class LazyTag(Tag):
    """A tag whose contents are still lxml's: many a tag is only asked for an attribute.

    The first look at its contents makes them, and makes it a plain ``Tag``.
    """

    _origin: tuple[Any, Any]

    def __getattr__(self, name: str) -> Any:
        # Python comes here for what a tag does not have: children by their names, for example.
        if name in ("contents", "next_element"):
            return getattr(self._read(), name)
        return super().__getattr__(name)

    def copy_self(self) -> Any:
        return self._read().copy_self()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._read().__reduce_ex__(protocol)

    def _read(self) -> Tag:
        tag: Any = self
        element, builder = self._origin
        (made,) = _tags([element], builder)
        tag.contents, tag.next_element = made.contents, made.next_element
        for child in made.contents:
            child.parent = tag
        if made.contents:
            made.contents[0].previous_element = tag
        del tag._origin
        tag.__class__ = Tag
        plain: Tag = tag
        return plain
