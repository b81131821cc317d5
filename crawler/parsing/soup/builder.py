"""A page's BeautifulSoup tree, built fast.

The builder receives the same events of lxml's parser as BeautifulSoup's own, so the trees are the
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

MANY_TAGS = 20_000
"""A page with more ``<`` is fed in pieces: deep nesting could make it slow to parse at once."""
_PIECE = 64 * 1024
LARGE = 32 * 1024
"""Bytes of markup: for smaller trees the garbage collector is left alone."""


def build(
    markup: bytes,
    encoding: str = "utf-8",
    *,
    xml: bool = False,
    references: list[Reference] | None = None,
) -> BeautifulSoup:
    """Return the tree that ``BeautifulSoup(markup, "lxml")`` makes (``"lxml-xml"`` for XML).

    ``markup`` is UTF-8; ``encoding`` is its former encoding, for ``original_encoding``. Warnings
    about the look of the markup are omitted. The references of an HTML page's links and bases are
    added to ``references``, in the order of the page.
    """
    # A file object: BeautifulSoup warns about short markup that looks like a file's name.
    file: Any = BytesIO(markup)
    with _without_collection(len(markup)):
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
def _without_collection(size: int) -> Iterator[None]:
    """Collect garbage before a large tree is built, and not while it is built.

    A new tree has no garbage, but at Python's own thresholds the collector would search it again
    and again, which takes longer than to build it. The collection before frees the tree of the
    previous page. A second thread finds collection disabled and leaves it so. Where collections
    are rare (see ``crawler.gc_tuning``), nothing needs to be done.
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


# A threshold of young objects above Python's own, below that of ``crawler.gc_tuning``.
_RARE = 50_000


class _QuietBuilder(LXMLTreeBuilder):
    """BeautifulSoup's own builder, for markup that is certainly UTF-8 and HTML: no warnings."""

    def prepare_markup(self, markup: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        # BeautifulSoup 4.13 sets it in the method that is overridden here.
        self.processing_instruction_class = ProcessingInstruction
        # libxml2 drops the byte order mark too, but reads a mark at the end as text.
        mark: Any = "\ufeff" if isinstance(markup, str) else codecs.BOM_UTF8
        yield markup.removeprefix(mark), "utf-8", None, False


def quiet_builder() -> LXMLTreeBuilder:
    """Return BeautifulSoup's own builder, for tags that are made one by one."""
    return _QuietBuilder()


class _FastBuilder(_QuietBuilder):
    """BeautifulSoup's builder, with ``TreeBuilderTarget`` as the target of the parser's events."""

    def __init__(self, references: list[Reference] | None = None) -> None:
        super().__init__()
        self._references = references

    def feed(self, markup: Any) -> None:
        target = TreeBuilderTarget(self.soup, self, self._references)
        # The list is for this page only: a copy of the soup uses its builder again.
        self._references = None
        if markup.count("<" if isinstance(markup, str) else b"<") > MANY_TAGS:
            target = _DepthLimitedTarget(self.soup, self, target._references)
        parser = etree.HTMLParser(target=target, encoding="utf-8", recover=True)
        try:
            if isinstance(target, _DepthLimitedTarget):
                _feed_until_too_deep(parser, target, markup)
            else:
                parser.feed(markup)
                parser.close()
        except (UnicodeDecodeError, LookupError, etree.ParserError) as error:
            raise ParserRejectedMarkup(error) from error


class _TooDeepError(Exception):
    """Elements are nested deeper than ``DEEPEST``."""


class _DepthLimitedTarget(TreeBuilderTarget):
    """A target that stops where elements are nested deeper than ``DEEPEST``.

    For each end tag without a start tag, lxml's parser searches all open elements. A page that is
    nested a hundred thousand deep, with as many such end tags, would take half a minute.
    """

    depth = 0

    def start(self, name: str, attributes: Any) -> Any:
        """Open a tag. Raises _TooDeepError."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise _TooDeepError
        return super().start(name, attributes)

    def end(self, name: str) -> None:
        """Close the innermost tag."""
        self.depth -= 1
        super().end(name)


def _feed_until_too_deep(parser: Any, target: _DepthLimitedTarget, markup: bytes) -> None:
    try:
        for start in range(0, len(markup), _PIECE):
            parser.feed(markup[start : start + _PIECE])
        parser.close()
    except _TooDeepError:
        target.close()
        log.warning(TOO_DEEP, "a page read as a soup")


def _bs4_is_as_expected() -> bool:
    """Compare a sample page's nodes with those that the installed BeautifulSoup makes."""
    sample = (
        b"<!DOCTYPE html><p class='a b'>x<br>\n<!-- y --><script>z</script><meta charset=utf-8>"
    )
    try:
        theirs = BeautifulSoup(BytesIO(sample), builder=_QuietBuilder)
        ours = BeautifulSoup(BytesIO(sample), builder=_FastBuilder)
        nodes = zip(theirs.descendants, ours.descendants, strict=True)
        return str(ours) == str(theirs) and all(_shape(a) == _shape(b) for a, b in nodes)
    except Exception:  # whatever has changed, BeautifulSoup's own builder still works
        return False


def _shape(node: Any) -> Any:
    return type(node), {name: type(value) for name, value in vars(node).items()}


FAST = _bs4_is_as_expected()
"""False if the installed BeautifulSoup is not as expected: then its own builder makes the trees."""
