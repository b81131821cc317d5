"""A page's BeautifulSoup tree, built fast.

The events of lxml's parser are those that BeautifulSoup's own builder gets, so the trees are the
same, for broken pages too; see ``crawler.parsing.soup.nodes``.
"""

from __future__ import annotations

import codecs
import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from bs4 import BeautifulSoup
from bs4.builder import ParserRejectedMarkup
from bs4.builder._lxml import LXMLTreeBuilder
from bs4.element import ProcessingInstruction
from lxml import etree

from crawler.parsing.html_tree import DEEPEST, TOO_DEEP
from crawler.parsing.links import Reference
from crawler.parsing.soup.nodes import REFERRING, TreeBuilderTarget

log = logging.getLogger(__name__)

MANY = 20_000
"""Tags from which on a page may be nested too deep to be read at once in good time."""
_PIECE = 64 * 1024
LARGE = 32 * 1024
"""Bytes of markup from which on a tree is worth a look at what can be collected before."""


def build(
    markup: bytes,
    encoding: str = "utf-8",
    *,
    xml: bool = False,
    references: list[Reference] | None = None,
) -> BeautifulSoup:
    """The tree that ``BeautifulSoup(markup, "lxml")`` makes (``"lxml-xml"`` for XML).

    ``markup`` is UTF-8; ``encoding`` is what it was in before, for ``original_encoding``. There
    are no warnings about what the markup looks like. What the links and bases of a page of HTML
    refer to is added to ``references``, in the order of the page.
    """
    # A file, because BeautifulSoup would warn of short markup that looks like a file's name.
    file: Any = BytesIO(markup)
    with _uncollected(len(markup)):
        if xml:
            soup = BeautifulSoup(file, "lxml-xml", from_encoding="utf-8")
        elif FAST:
            soup = BeautifulSoup(file, builder=_FastBuilder(references))
        else:
            soup = BeautifulSoup(file, builder=_QuietBuilder)
            if references is not None:
                tags = soup.find_all(REFERRING, href=True)
                references += [(tag.name, str(tag["href"])) for tag in tags]
    soup.original_encoding = encoding
    return soup


@contextmanager
def _uncollected(size: int) -> Iterator[None]:
    """No search for cyclic garbage while a large tree is made, but one before.

    All that a tree is made of stays, and at Python's own thresholds the collector would look at
    it again and again, for longer than the tree takes. What it finds before is the tree of the
    page before. Should another thread come here meanwhile, it finds collection off and leaves it
    so. Where collections are rare (see ``crawler.gc_tuning``) there is nothing to do.
    """
    if size < LARGE or not gc.isenabled() or gc.get_threshold()[0] > _RARE:
        yield
        return
    gc.collect(1)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


_RARE = 50_000


class _QuietBuilder(LXMLTreeBuilder):
    """BeautifulSoup's own builder, for markup that is known to be UTF-8 and meant as HTML."""

    def prepare_markup(self, markup: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        # BeautifulSoup 4.13 sets it in the method that this one stands in for.
        self.processing_instruction_class = ProcessingInstruction
        # libxml2 drops the mark too, but takes one with nothing behind it for text.
        mark: Any = "\ufeff" if isinstance(markup, str) else codecs.BOM_UTF8
        yield markup.removeprefix(mark), "utf-8", None, False


def builder() -> LXMLTreeBuilder:
    """What decides, for tags made one by one, all that depends on how a page is parsed."""
    return _QuietBuilder()


class _FastBuilder(_QuietBuilder):
    """Its own builder with one step in place of the many."""

    def __init__(self, references: list[Reference] | None = None) -> None:
        super().__init__()
        self._references = references

    def feed(self, markup: Any) -> None:
        target = TreeBuilderTarget(self.soup, self, self._references)
        # The list is of this page, not of what is parsed later for a copy of the soup.
        self._references = None
        if (
            markup.count("<" if isinstance(markup, str) else b"<") > MANY
        ):  # those that are nested far too deep are among these
            target = _Shallow(self.soup, self, target._references)
        parser = etree.HTMLParser(target=target, encoding="utf-8", recover=True)
        try:
            if isinstance(target, _Shallow):
                _feed_until_too_deep(parser, target, markup)
            else:
                parser.feed(markup)
                parser.close()
        except (UnicodeDecodeError, LookupError, etree.ParserError) as error:
            raise ParserRejectedMarkup(error) from error


class _TooDeepError(Exception):
    """More elements are within each other than are read."""


class _Shallow(TreeBuilderTarget):
    """Ends where elements are nested deeper than ``DEEPEST``.

    lxml's parser goes through all open elements for each end tag that matches none: what is a
    hundred thousand deep, with as many such tags, would take it half a minute.
    """

    depth = 0

    def start(self, name: str, attributes: Any) -> Any:
        """As in ``TreeBuilderTarget``. Raises _TooDeepError."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise _TooDeepError
        return super().start(name, attributes)

    def end(self, name: str) -> None:
        """As in ``TreeBuilderTarget``."""
        self.depth -= 1
        super().end(name)


def _feed_until_too_deep(parser: Any, target: _Shallow, markup: bytes) -> None:
    try:
        for start in range(0, len(markup), _PIECE):
            parser.feed(markup[start : start + _PIECE])
        parser.close()
    except _TooDeepError:
        target.close()
        log.warning(TOO_DEEP, "a page read as a soup")


def _bs4_is_as_expected() -> bool:
    """True if the installed BeautifulSoup builds nodes as ``TreeBuilderTarget`` does."""
    sample = (
        b"<!DOCTYPE html><p class='a b'>x<br>\n<!-- y --><script>z</script><meta charset=utf-8>"
    )
    try:
        theirs = BeautifulSoup(BytesIO(sample), builder=_QuietBuilder)
        ours = BeautifulSoup(BytesIO(sample), builder=_FastBuilder)
        nodes = zip(theirs.descendants, ours.descendants, strict=True)
        return str(ours) == str(theirs) and all(_look(a) == _look(b) for a, b in nodes)
    except Exception:  # whatever has changed, their own builder still works
        return False


def _look(node: Any) -> Any:
    return type(node), {name: type(value) for name, value in vars(node).items()}


FAST = _bs4_is_as_expected()
"""False where the installed BeautifulSoup has changed, and its own builder makes the trees."""
