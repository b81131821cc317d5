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
        self._page = _Page(root, markup) if _has_all_elements(root, markup) else None

    def select(self, css: str, *, first: bool = False) -> ResultSet[Tag] | None:
        """The tags that ``css`` matches, or the first one; None if BeautifulSoup must match it.

        Each tag is as if it had been taken out of the page with ``extract()``. One that stands in
        another one that matches is a part of it. What is in a tag is made when somebody looks.
        """
        if self._page is None:
            return None
        path = selectors.compiled(css)
        if path is None or not self._is_certain(path):
            return None
        elements = (path.first if first else path.all)(self._root)
        made = _tags if _are_nested(elements) else _unread
        return ResultSet(None, list(made(elements, self._page)))

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
        and all(_HTML_TAG.match(markup, tag.start()) for tag in _HTML.finditer(markup))
    )


_AS_FED = (2, 14)
"""The libxml2 since which a page that is fed, as BeautifulSoup does it, is read like any other."""

# Comments that browsers, and libxml2, end in no other place.
# HTML's white space has no vertical tab, which \s has: that begins another body.
_GAP = rb"(?:[ \t\n\f\r]++|<!--(?!-?>)(?>(?:(?!--!>).)*?-->)%s)*+"
_END = re.compile(rb"</html[ \t\n\f\r]*+>" + _GAP % b"", re.DOTALL)
# ``<html/>`` ends the page too. A tag that only looks so is left to BeautifulSoup as well.
_HTML = re.compile(rb"<html(?=[ \t\n\f\r/])")
_HTML_TAG = re.compile(
    rb"<html(?:[ \t\n\f\r]++[^ \t\n\f\r\"'<>/=]++"
    rb"(?:=(?:\"[^\"]*+\"|'[^']*+'|[^ \t\n\f\r\"'<>/=`]++))?+)*+[ \t\n\f\r]*+>"
)
_PROLOG = re.compile(_GAP % rb"|<\?[^>]*+>", re.DOTALL)


def _begins_at(doctype: int, markup: bytes) -> bool:
    prolog = _PROLOG.match(markup)
    return prolog is not None and prolog.end() == doctype


class _Page:
    """What the tags of a page are made with.

    lxml's tree and BeautifulSoup differ in ``<input disabled>``: the tree has ``disabled`` as its
    value, as if it had been written there, and BeautifulSoup has an empty one.
    """

    def __init__(self, root: Any, markup: bytes) -> None:
        self.builder = soup.builder()
        self._root = root
        self._markup = markup
        self._values: dict[Any, dict[str, str]] | None = None
        self._has_values: bool | None = None

    def correct(self, element: Any, attributes: dict[str, str]) -> None:
        """Empty the values of boolean attributes of ``element`` that the page does not write."""
        for name in BOOLEAN.intersection(attributes):
            if attributes[name] == name:
                attributes[name] = self._written(element, name)

    def _written(self, element: Any, name: str) -> str:
        if self._has_values is None:
            self._has_values = _BOOLEAN_WITH_VALUE.search(self._markup) is not None
        if not self._has_values:
            return ""
        if self._values is None:
            target = _BooleanAttributes()
            parser: Any = etree.HTMLParser(target=target, encoding="utf-8", recover=True)
            parser.feed(self._markup)
            parser.close()
            elements = [e for e in self._root.iter("*") if not BOOLEAN.isdisjoint(e.attrib)]
            self._values = dict(zip(elements, target.values, strict=True))
        return self._values[element][name]


class _BooleanAttributes:
    """A target for lxml's parser: the attributes of elements with boolean ones, in page order."""

    def __init__(self) -> None:
        self.values: list[dict[str, str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Keep the attributes of an element."""
        if not BOOLEAN.isdisjoint(attributes):
            self.values.append(attributes)

    def close(self) -> None:
        """End the page."""


BOOLEAN = frozenset(
    (
        *("checked", "compact", "declare", "defer", "disabled", "ismap", "multiple", "nohref"),
        *("noresize", "noshade", "nowrap", "readonly", "selected"),
    )
)
"""Attributes that libxml2 gives their own name as value where they have none (HTMLparser.c)."""
_BOOLEAN_WITH_VALUE = re.compile(
    rb"(?:%s)[ \t\n\f\r]*=" % "|".join(sorted(BOOLEAN)).encode(), re.IGNORECASE
)


def _tags(elements: list[Any], page: _Page) -> Iterator[Tag]:
    """The tags of ``elements``, which are in the order of the page."""
    target = TreeBuilderTarget(None, page.builder)
    start, data = target.start, target.data
    waiting = iter(elements)
    element = next(waiting, None)
    while element is not None:
        top = element
        target.begin([one.tag for one in top.iterancestors(*AROUND)][::-1])
        for event, node in etree.iterwalk(top, events=("start", "end", "comment")):
            if event == "start":
                attributes = dict(node.items())
                if not BOOLEAN.isdisjoint(attributes):
                    page.correct(node, attributes)
                tag = start(node.tag, attributes)
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
    ancestors = (ancestor for element in elements for ancestor in element.iterancestors(*names))
    try:
        return any(ancestor in matching for ancestor in ancestors)
    except ValueError:  # lxml reads names with control characters, but refuses to look for them
        return True


def _unread(elements: list[Any], page: _Page) -> Iterator[Tag]:
    """The tags of ``elements``, with all but their contents."""
    target = TreeBuilderTarget(None, page.builder)
    for element in elements:
        target.begin(())
        attributes = dict(element.items())
        if not BOOLEAN.isdisjoint(attributes):
            page.correct(element, attributes)
        tag: Any = target.start(element.tag, attributes)
        target.finish()
        del tag.contents, tag.next_element
        tag._origin = element, page
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
        element, page = self._origin
        (made,) = _tags([element], page)
        tag.contents, tag.next_element = made.contents, made.next_element
        for child in made.contents:
            child.parent = tag
        if made.contents:
            made.contents[0].previous_element = tag
        del tag._origin
        tag.__class__ = Tag
        plain: Tag = tag
        return plain
