"""Parse a page into the lxml tree that css, xpath, links and forms share."""

from __future__ import annotations

import codecs
import logging
import re
import threading
from typing import Any

from lxml import etree
from lxml import html as lxml_html

log = logging.getLogger(__name__)

DEEPEST = 2048
"""The deepest nesting of elements that is read; browsers stop at 512."""
TOO_DEEP = f"%s is nested deeper than {DEEPEST:,} elements: the rest of the page is left out"


class _Parsers(threading.local):
    """An HTML and an XML parser for each thread: in lxml, a parser serves one thread at a time."""

    def __init__(self) -> None:
        # Without huge_tree lxml silently drops elements that are nested deeper than 256.
        self.html = etree.HTMLParser(encoding="utf-8", recover=True, huge_tree=True)
        # This lookup is in C; lxml's own HTML lookup calls back into Python for every element.
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
            encoding="utf-8",
            recover=True,
            huge_tree=True,
            resolve_entities=False,
            no_network=True,
        )


_parsers = _Parsers()


def _is_cut(parser: Any) -> bool:
    """Return True if the parser has stopped at ``DEEPEST``, which is its own limit."""
    return any(error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for error in parser.error_log)


def parse(markup: bytes, *, xml: bool = False, url: str = "") -> Any:
    """Return the outermost lxml element of ``markup``, which is UTF-8; None if it has no element.

    HTML elements are ``lxml.html.HtmlElement``. Elements after ``</html>`` are moved into the body.
    Elements that are nested deeper than ``DEEPEST`` are omitted, with a warning that names ``url``.
    """
    if markup == codecs.BOM_UTF8:  # text for libxml2, unless it is fed in pieces as for a soup
        return None
    parser = _parsers.xml if xml else _parsers.html
    try:
        root = etree.fromstring(markup, parser)
    except etree.XMLSyntaxError:
        return None
    if markup.count(b"<") >= DEEPEST and _is_cut(parser):
        log.warning(TOO_DEEP, url)
    if root is not None and root.getnext() is not None and not xml:
        _merge_pages(root)
    return root


def _merge_pages(root: Any) -> None:
    """Move the elements after ``</html>`` into the body, as browsers do.

    lxml puts them into further ``html`` elements beside the root, which no query searches.
    """
    body = root.find("body")
    if body is None:
        body = root
    for extra in list(root.itersiblings("html")):
        _move(extra, body)
        body.append(extra)
        body.remove(extra)


def _move(source: Any, target: Any) -> None:
    _add_text(target, source.text)
    for child in list(source):
        if child.tag in ("head", "body"):
            _move(child, target)
            _add_text(target, child.tail)
        else:
            target.append(child)


def _add_text(element: Any, text: str | None) -> None:
    if text and len(element):
        element[-1].tail = _SETTABLE("", (element[-1].tail or "") + text)
    elif text:
        element.text = _SETTABLE("", (element.text or "") + text)


# lxml reads control characters, but does not let them be set.
_SETTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]").sub
