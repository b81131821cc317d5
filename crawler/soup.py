"""The trees of a page: lxml's, and BeautifulSoup's built fast."""

from __future__ import annotations

import threading
from io import BytesIO
from typing import Any

from bs4 import BeautifulSoup
from lxml import etree
from lxml import html as lxml_html


class _Parsers(threading.local):
    """One parser of each kind a thread: lxml lets only one thread at a time use a parser."""

    def __init__(self) -> None:
        self.html = etree.HTMLParser(encoding="utf-8", recover=True)
        # Decided in C; lxml's own HTML lookup calls back into Python for every element.
        self.html.set_element_class_lookup(
            etree.ElementDefaultClassLookup(
                element=lxml_html.HtmlElement,
                comment=lxml_html.HtmlComment,
                pi=lxml_html.HtmlProcessingInstruction,
                entity=lxml_html.HtmlEntity,
            )
        )
        # Entities stay unread: they could name local files or grow without bound.
        self.xml = etree.XMLParser(
            encoding="utf-8", recover=True, resolve_entities=False, no_network=True
        )


_parsers = _Parsers()


def parse(markup: bytes, *, xml: bool = False) -> Any:
    """The outermost lxml element of ``markup``, which is UTF-8; None if there is none.

    HTML elements are ``lxml.html.HtmlElement``.
    """
    try:
        return etree.fromstring(markup, _parsers.xml if xml else _parsers.html)
    except etree.XMLSyntaxError:
        return None


def build(markup: bytes, encoding: str, *, xml: bool = False) -> BeautifulSoup:
    """The tree of ``markup``, which is UTF-8; ``encoding`` is what it was in."""
    return BeautifulSoup(BytesIO(markup), "lxml-xml" if xml else "lxml", from_encoding="utf-8")
