"""Make BeautifulSoup's tags of the elements that match a selector, without the rest of the tree.

The selector is matched in the page's lxml tree, and tags are made of the matching elements: the
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

from crawler.parsing.soup import builder
from crawler.parsing.soup.css_to_xpath import CompiledSelector, compiled
from crawler.parsing.soup.nodes import AROUND, TreeBuilderTarget

LARGEST = 9_000_000
"""Bytes of markup: of larger pages, lxml and BeautifulSoup may keep different parts."""


class Selection:
    """The elements of one HTML page, for ``select``.

    ``root`` is the lxml tree that ``crawler.parsing.html_tree.parse`` makes of ``markup``.
    """

    def __init__(self, root: Any, markup: bytes) -> None:
        self._root = root
        self._markup = markup
        self._has_plain_names: bool | None = None
        self._has_plain_spaces: bool | None = None
        self._page = _Page(root, markup) if _has_all_elements(root, markup) else None

    def select(self, css: str, *, first: bool = False) -> ResultSet[Tag] | None:
        """Return the tags that ``css`` matches, or the first; None: BeautifulSoup must match it.

        Each tag is as if ``extract()`` had taken it out of the page. A match inside another match
        is a part of it. The contents of a tag are made on first access.
        """
        if self._page is None:
            return None
        selector = compiled(css)
        if selector is None or not self._is_certain(selector):
            return None
        elements = (selector.first if first else selector.all)(self._root)
        make_tags = _tags if _are_nested(elements) else _lazy_tags
        return ResultSet(None, list(make_tags(elements, self._page)))

    def _is_certain(self, selector: CompiledSelector) -> bool:
        """Return True if lxml and BeautifulSoup read all names and spaces of the page alike."""
        if selector.reads_attributes and self._has_plain_names is None:
            self._has_plain_names = not (_BRACES.search(self._markup) and _has_braces(self._root))
        if selector.splits and self._has_plain_spaces is None:
            self._has_plain_spaces = not _ODD_SPACES.search(self._markup)
        names, spaces = self._has_plain_names, self._has_plain_spaces
        return bool((names or not selector.reads_attributes) and (spaces or not selector.splits))


# BeautifulSoup reads an attribute name such as ``{a}b`` as a name in a namespace.
_BRACES = re.compile(rb"\{[^ \t\n\f\r=>/{}]*+\}[^ \t\n\f\r=>/]")
_has_braces = etree.XPath("boolean(//@*[starts-with(name(), '{')])")

# Python splits classes at control characters that XPath cannot name.
_ODD_SPACES = re.compile(
    rb"[\x0b\x0c\x1c-\x1f]|&#(?:0*(?:1[12]|2[89]|3[01])(?!\d)|[xX]0*(?:[bBcC]|1[c-fC-F])(?!\w))"
)


def _has_all_elements(root: Any, markup: bytes) -> bool:
    """Return True if lxml's tree has the same elements as BeautifulSoup's, in the same places.

    The differences: elements after the end of the page are in other places, text around a late
    doctype is in pieces, and soupsieve does not search templates. Since libxml2 2.14 HTML has no
    processing instructions.
    """
    if not builder.FAST or etree.LIBXML_VERSION < _AS_FED or root is None or len(markup) > LARGEST:
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
"""Since this libxml2 a page gives the same tree if it is fed in pieces, as BeautifulSoup does."""

# White space and comments. Comments that browsers and BeautifulSoup may end at different places do
# not match. HTML's white space has no vertical tab, which \s has: that begins another body.
_GAP = rb"(?:[ \t\n\f\r]++|<!--(?!-?>)(?>(?:(?!--!>).)*?-->)%s)*+"
_END = re.compile(rb"</html[ \t\n\f\r]*+>" + _GAP % b"", re.DOTALL)
# ``<html/>`` ends the page too. A tag that only looks similar is left to BeautifulSoup as well.
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
    """The context in which the tags of a page are made.

    lxml's tree and BeautifulSoup differ in ``<input disabled>``: the tree has the value
    ``disabled``, as if the page had it, and BeautifulSoup has an empty value.
    """

    def __init__(self, root: Any, markup: bytes) -> None:
        self.builder = builder.quiet_builder()
        self._root = root
        self._markup = markup
        self._values: dict[Any, dict[str, str]] | None = None
        self._has_values: bool | None = None

    def correct(self, element: Any, attributes: dict[str, str]) -> None:
        """Empty those values of an element's boolean attributes that are not in the markup."""
        for name in BOOLEAN.intersection(attributes):
            if attributes[name] == name:
                attributes[name] = self._value(element, name)

    def _value(self, element: Any, name: str) -> str:
        """Return the value that the markup has; parse it again if it has any such value."""
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
    """Make the tags of ``elements``, which are in the order of the page."""
    target = TreeBuilderTarget(None, page.builder)
    start, data = target.start, target.data
    waiting = iter(elements)
    element = next(waiting, None)
    while element is not None:
        top = element
        target.begin([around.tag for around in top.iterancestors(*AROUND)][::-1])
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
    """Return True if an element may be inside of another."""
    if len(elements) < 2:
        return False
    matching = set(elements)
    names = {element.tag for element in elements}
    # A search by names is quick: mostly there is no such ancestor.
    ancestors = (ancestor for element in elements for ancestor in element.iterancestors(*names))
    try:
        return any(ancestor in matching for ancestor in ancestors)
    except ValueError:  # lxml reads names with control characters, but refuses to look for them
        return True


def _lazy_tags(elements: list[Any], page: _Page) -> Iterator[Tag]:
    """Make the tags of ``elements`` without their contents."""
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
    """A tag whose contents are not made yet: spiders often need nothing but an attribute.

    The first access to its contents makes them, and turns it into a plain ``Tag``.
    """

    _origin: tuple[Any, Any]

    def __getattr__(self, name: str) -> Any:
        # Python calls this for missing attributes only, among them the names of children.
        if name in ("contents", "next_element"):
            return getattr(self._read(), name)
        return super().__getattr__(name)

    def copy_self(self) -> Any:
        return self._read().copy_self()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._read().__reduce_ex__(protocol)

    def _read(self) -> Tag:
        """Make the contents."""
        tag: Any = self
        element, page = self._origin
        (complete,) = _tags([element], page)
        tag.contents, tag.next_element = complete.contents, complete.next_element
        for child in complete.contents:
            child.parent = tag
        if complete.contents:
            complete.contents[0].previous_element = tag
        del tag._origin
        tag.__class__ = Tag
        plain: Tag = tag
        return plain
