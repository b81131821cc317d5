"""Read sitemaps piece by piece.

Sitemaps and their indexes (sitemaps.org), RSS and Atom feeds, plain lists of URLs and the Sitemap
lines of a robots.txt, all of them also compressed with gzip. A broken file is read up to the fault.
No tree is built, no other file is read, and limits on entries and bytes stop an endless file.
"""

from __future__ import annotations

import codecs
import gzip
import logging
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from urllib.parse import urlsplit

from lxml import etree

from crawler import urls
from crawler.parsing import encoding
from crawler.parsing.feed_entries import LONGEST_TEXT, Entry, EntryReader
from crawler.parsing.response import Response
from crawler.parsing.robots import Robots

log = logging.getLogger(__name__)

MOST_ENTRIES = 50_000
"""Entries of a sitemap (sitemaps.org)."""
MOST_BYTES = 50 * 1024 * 1024
"""Bytes of a sitemap, uncompressed (sitemaps.org)."""
_PIECE = 64 * 1024


class Sitemap:
    """The sitemap in ``response``; an iterable of each ``Entry``.

    ``kind`` is ``urlset``, ``index``, ``rss``, ``rdf`` (RSS 1.0), ``atom``, ``text``, ``robots``,
    or empty for anything else, which has no entries. Entries without a URL that can be fetched are
    omitted, and so is the rest after ``most_entries`` or ``most_bytes`` (uncompressed), with a
    warning.
    """

    def __init__(
        self,
        response: Response,
        *,
        most_entries: int = MOST_ENTRIES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.url = response.url
        self._body = response.body
        self._content_type = response.headers.get("Content-Type")
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self.kind = _kind(self.url, next(self._texts(), ""))

    @property
    def is_index(self) -> bool:
        """True if the entries are sitemaps themselves."""
        return self.kind in {"index", "robots"}

    def __iter__(self) -> Iterator[Entry]:
        count = 0
        for entry in self._raw_entries():
            url = self._resolve(entry.url)
            if url is None:
                continue
            if count == self._most_entries:
                self._warn(f"more than {count:,} entries")
                return
            count += 1
            alternates = tuple(
                (lang, self._resolve(alternate) or alternate)
                for lang, alternate in entry.alternates
            )
            yield entry._replace(url=url, alternates=alternates)

    def _resolve(self, reference: str) -> str | None:
        # Most are absolute and distinct, so the cache of urls.resolve would not help.
        if reference.startswith(("https://", "http://")):
            return urls.normalise(reference)
        return urls.resolve(self.url, reference)

    def _raw_entries(self) -> Iterator[Entry]:
        """Yield entries with their URLs as in the file."""
        if self.kind == "robots":
            return map(Entry, Robots(self._body).sitemaps)
        if self.kind == "text":
            return self._entries_of_lines()
        return self._entries_of_xml() if self.kind else iter(())

    def _entries_of_lines(self) -> Iterator[Entry]:
        rest = ""
        for text in self._texts():
            *lines, rest = (rest + text).splitlines(keepends=True) or [""]
            yield from (Entry(line.strip()) for line in lines if _URL_LINE.match(line.lstrip()))
            rest = rest[:LONGEST_TEXT]
        if _URL_LINE.match(rest.lstrip()):
            yield Entry(rest.strip())

    def _entries_of_xml(self) -> Iterator[Entry]:
        reader = EntryReader(_RECORDS[self.kind])
        # Entities cannot name other files, and libxml2 limits how far those in this one expand.
        parser = etree.XMLParser(
            target=reader, encoding="utf-8", recover=True, resolve_entities=False, no_network=True
        )
        text = ""
        with suppress(etree.XMLSyntaxError):  # the entries before the error count
            for text in self._texts():
                parser.feed(text.encode("utf-8", "replace"))
                yield from reader.drain()
            parser.close()
        reader.finish(in_text="<" not in text.rpartition(">")[2])
        yield from reader.drain()

    def _texts(self) -> Iterator[str]:
        """Yield the text piece by piece, without leading white space."""
        decoder = None
        started = False
        for piece in self._pieces():
            if decoder is None:
                # A character of UTF-8 may be cut in two at the end.
                head = piece.rstrip(_NOT_ASCII)
                codec = encoding.detect(head or piece, self._content_type)
                decoder = codecs.getincrementaldecoder(codec)("replace")
            text = decoder.decode(piece)
            if not started:
                text = text.lstrip("\ufeff \t\r\n\v\f")
                started = bool(text)
            if text:
                yield text

    def _pieces(self) -> Iterator[bytes]:
        """Yield the uncompressed bytes piece by piece, up to the limit."""
        bytes_left = self._most_bytes
        is_compressed = self._body.startswith(_GZIP)
        for piece in _decompress(self._body) if is_compressed else _cut(self._body):
            if len(piece) > bytes_left:
                yield piece[:bytes_left]
                self._warn(f"more than {self._most_bytes:,} bytes")
                return
            bytes_left -= len(piece)
            yield piece

    def _warn(self, excess: str) -> None:
        log.warning("%s is a sitemap of %s: the rest is ignored", urls.redacted(self.url), excess)


_NOT_ASCII = bytes(range(0x80, 0x100))
_GZIP = b"\x1f\x8b"


def _cut(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]


def _decompress(body: bytes) -> Iterator[bytes]:
    """Yield the content of a gzip file piece by piece, up to where it is broken or cut off."""
    with gzip.open(BytesIO(body)) as file, suppress(OSError, EOFError, zlib.error):
        while piece := file.read1(_PIECE):
            yield piece


# Kinds of sitemaps

_KINDS = {"urlset": "urlset", "sitemapindex": "index", "rss": "rss", "feed": "atom", "rdf": "rdf"}
_RECORDS = {"urlset": "url", "index": "sitemap", "rss": "item", "rdf": "item", "atom": "entry"}
_ROOT = re.compile(r"<(?:[\w.-]+:)?(\w+)[\s/>]")
_SUBSET_END = re.compile(r"\]\s*>")
_SPACE = re.compile(r"\s*")
_URL_LINE = re.compile(r"https?://\S+\s*(?:[\r\n]|$)", re.I)


def _kind(url: str, start: str) -> str:
    if urlsplit(url).path == "/robots.txt":
        return "robots"
    if not start.startswith("<"):
        return "text" if _URL_LINE.match(start) else ""
    root = _ROOT.match(start, _before_root(start))
    return _KINDS.get(root[1].lower(), "") if root else ""


def _before_root(text: str) -> int:
    """Return the position of the first element, after declarations and comments."""
    at = 0
    while True:
        if text.startswith("<!--", at):
            end = text.find("-->", at + 4) + 2
        elif text.startswith("<?", at):
            end = text.find("?>", at) + 1
        elif text[at : at + 9].upper() == "<!DOCTYPE":
            end = text.find(">", at)
            if text.find("[", at, end) >= 0:
                subset = _SUBSET_END.search(text, at)
                end = subset.end() - 1 if subset else 0
        else:
            return at
        if end <= at:
            return len(text)
        space = _SPACE.match(text, end + 1)
        at = space.end() if space else len(text)
