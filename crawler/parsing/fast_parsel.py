"""Queries: parsel's selectors, made in one step where they are made by the hundred."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import parsel
from lxml import etree
from parsel import SelectorList


class Selector(parsel.Selector):
    """As in parsel, and the same to whoever uses it.

    Matches of one query share the namespaces that they would each have a copy of, until one of
    them registers another.
    """

    __slots__ = ()

    def xpath(
        self, query: str, namespaces: Mapping[str, str] | None = None, **variables: Any
    ) -> SelectorList[Any]:
        """What an XPath expression matches. Raises ValueError for what is none."""
        path = _compiled(query) if namespaces is None else None
        if path is None or self.type not in ("html", "xml") or not _is_element(self.root):
            return super().xpath(query, namespaces, **variables)
        try:
            result = path(self.root, **variables)
        except etree.XPathError as error:
            raise ValueError(f"XPath error: {error} in {query}") from error
        kind = type(self)
        found = []
        for root in result if isinstance(result, list) else (result,):
            selector = _new(kind)
            selector.root = root
            selector.type = self.type
            selector.namespaces = self.namespaces
            selector._expr = query
            selector._huge_tree = True
            selector._text = None
            found.append(selector)
        return SelectorList(found)

    def register_namespace(self, prefix: str, uri: str) -> None:
        """As in parsel: for the queries of this selector, and of what they match."""
        self.namespaces = {**self.namespaces, prefix: uri}


_new: Any = object.__new__
# A prefix, as in ``re:test()``; ``child::a`` has none.
_has_prefix = re.compile(r"(?<!:):(?!:)").search


def _is_element(root: object) -> bool:
    return isinstance(root, etree._Element)


@lru_cache(maxsize=1024)
def _compiled(query: str) -> etree.XPath | None:
    """``query`` ready to be asked, or None if parsel must look at it: namespaces, mistakes."""
    try:
        return None if _has_prefix(query) else etree.XPath(query, smart_strings=False)
    except (etree.XPathError, TypeError):
        return None
