"""parsel's Selector, with a quick way to make the hundreds that match one query.

``Selector.xpath`` compiles a query once, and sets the attributes of each match itself, without
parsel's constructor. It relies on the attributes ``root``, ``type``, ``namespaces``, ``_expr``,
``_huge_tree`` and ``_text`` of parsel's class. A check on import compares its matches with parsel's
own; if they differ, ``FAST`` is False and parsel does all the work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import parsel
from lxml import etree
from parsel import SelectorList


class Selector(parsel.Selector):
    """Like parsel's Selector, but quicker.

    The matches of a query share one mapping of namespaces, until one of them registers another.
    """

    __slots__ = ()

    def xpath(
        self, query: str, namespaces: Mapping[str, str] | None = None, **variables: Any
    ) -> SelectorList[Any]:
        """Return the matches of an XPath expression. Raises ValueError for an invalid one."""
        path = _compiled(query) if FAST and namespaces is None else None
        if path is None or self.type not in ("html", "xml") or not _is_element(self.root):
            return super().xpath(query, namespaces, **variables)
        try:
            result = path(self.root, **variables)
        except etree.XPathError as error:
            raise ValueError(f"XPath error: {error} in {query}") from error
        kind = type(self)
        selectors = []
        for root in result if isinstance(result, list) else (result,):
            selector = _new(kind)
            selector.root = root
            selector.type = self.type
            selector.namespaces = self.namespaces
            selector._expr = query
            selector._huge_tree = True
            selector._text = None
            selectors.append(selector)
        return SelectorList(selectors)

    def register_namespace(self, prefix: str, uri: str) -> None:
        """Add a namespace for the queries of this selector and of its matches."""
        self.namespaces = {**self.namespaces, prefix: uri}


_new: Any = object.__new__
# A prefix, as in ``re:test()``; ``child::a`` has none.
_has_prefix = re.compile(r"(?<!:):(?!:)").search


def _is_element(root: object) -> bool:
    return isinstance(root, etree._Element)


@lru_cache(maxsize=1024)
def _compiled(query: str) -> etree.XPath | None:
    """Compile ``query``; None if it has namespaces or mistakes, which are left to parsel."""
    try:
        return None if _has_prefix(query) else etree.XPath(query, smart_strings=False)
    except (etree.XPathError, TypeError):
        return None


FAST = True
"""False if the installed parsel is not as expected: then parsel makes all selectors."""


def _parsel_is_as_expected() -> bool:
    """Compare matches with those of parsel, attribute by attribute."""
    root = etree.fromstring("<p a='1'>x<b>y</b></p>")
    ours, theirs = Selector(root=root, type="html"), parsel.Selector(root=root, type="html")
    try:
        return all(
            list(map(_state, ours.xpath(query))) == list(map(_state, theirs.xpath(query)))
            for query in ("//b", "//@a", "//text()", "count(//b)", "true()")
        )
    except Exception:  # whatever has changed, parsel's own constructor still works
        return False


def _state(selector: parsel.Selector) -> Any:
    names = {name for kind in type(selector).__mro__ for name in _slots(kind)} - {"__weakref__"}
    values = {name: getattr(selector, name) for name in names if hasattr(selector, name)}
    return values, getattr(selector, "__dict__", None), selector.get()


def _slots(kind: type) -> Iterator[str]:
    slots = kind.__dict__.get("__slots__", ())
    yield from (slots,) if isinstance(slots, str) else slots


FAST = _parsel_is_as_expected()
