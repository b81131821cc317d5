"""Collect the entries of sitemaps and feeds from the events of lxml's XML parser.

Sitemaps and their indexes (sitemaps.org), RSS 0.9 to 2.0, Atom. No tree is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

LONGEST_TEXT = 16 * 1024
"""Characters of one value of an entry; the rest is omitted."""
MOST_ALTERNATES = 1000
"""Languages of an entry; the rest is omitted."""

_FIELDS = {
    "loc": "url",
    "lastmod": "date",
    "changefreq": "changefreq",
    "priority": "priority",
    "link": "link",
    "guid": "guid",
    "pubdate": "date",
    "updated": "date",
    "published": "date",
    "date": "date",
}
"""The elements of an entry that are read, and the field that each of them fills."""
_EXTENSIONS = ("sitemap-image/", "sitemap-video/", "sitemap-news/", "sitemap-mobile/")
_PAGE = {"", "alternate"}


class Entry(NamedTuple):
    """One entry of a sitemap or feed.

    ``url`` is absolute and normalised. ``lastmod``, ``changefreq`` and ``priority`` are the texts
    of the file, or empty; the dates of RSS are written like those of the other formats
    (``2005-01-01T12:00:00Z``). ``alternates`` are pairs of language and URL.
    """

    url: str
    lastmod: str = ""
    changefreq: str = ""
    priority: str = ""
    alternates: tuple[tuple[str, str], ...] = ()


class EntryReader:
    """A target of lxml's parser: collect entries. Elements inside their parts are ignored."""

    def __init__(self, record: str) -> None:
        self._record = record
        self._entries: list[Entry] = []
        self._depth = 0
        self._opened = 0
        """The depth of the open entry; 0 between two entries."""
        self._values: dict[str, str] = {}
        self._alternates: list[tuple[str, str]] = []
        self._field = ""
        self._text: list[str] = []
        self._length = 0

    def drain(self) -> list[Entry]:
        """Return the entries since the last call."""
        entries, self._entries = self._entries, []
        return entries

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        self._depth += 1
        space, _, name = tag.rpartition("}")
        name = name.lower()
        if not self._opened:
            if name == self._record:
                self._opened = self._depth
                self._begin("bare")
        elif self._depth == self._opened + 1 and not space.endswith(_EXTENSIONS):
            self._begin(_FIELDS.get(name, ""))
            if self._field == "url" and "url" in self._values:
                self._emit()  # an entry that was never closed
            if self._field == "link" and "href" in attributes:
                self._take_link(attributes)

    def _begin(self, field: str) -> None:
        self._store_text()
        self._field, self._text, self._length = field, [], 0

    def _store_text(self) -> None:
        """Store the text of the part that has ended. The first of several counts."""
        text = "".join(self._text).strip()
        if self._field and text:
            self._values.setdefault(self._field, text)
        self._field = ""

    def _take_link(self, attributes: Mapping[str, str]) -> None:
        href, language = attributes["href"].strip(), attributes.get("hreflang", "")
        if attributes.get("rel", "").lower() not in _PAGE:
            return
        if language or self._record == "url":
            if len(self._alternates) < MOST_ALTERNATES:
                self._alternates.append((language, href))
        else:
            self._values.setdefault("link", href)

    def data(self, text: str) -> None:
        """Add text, or a piece of it."""
        if self._field and self._length < LONGEST_TEXT:
            self._text.append(text[: LONGEST_TEXT - self._length])
            self._length += len(text)

    def end(self, tag: str) -> None:
        """End an element."""
        if self._opened and self._depth <= self._opened + 1:
            self._store_text()
            if self._depth == self._opened:
                self._emit()
                self._opened = 0
        self._depth -= 1

    def finish(self, *, in_text: bool) -> None:
        """End the file: an entry that is cut off counts as far as it goes.

        ``in_text``: the file is cut in the middle of a text, which is dropped then, since half a
        URL is another URL.
        """
        if self._opened:
            if not in_text:
                self._store_text()
            self._emit()

    def close(self) -> None:
        """End the file: lxml calls this; ``finish`` does the work."""

    def _emit(self) -> None:
        values = self._values
        url = values.get("url") or values.get("link") or values.get("guid") or values.get("bare")
        if url:
            date = values.get("date", "")
            if self._record == "item":
                date = _as_iso(date)
            self._entries.append(
                Entry(
                    url,
                    date,
                    values.get("changefreq", ""),
                    values.get("priority", ""),
                    tuple(self._alternates),
                )
            )
        self._values, self._alternates = {}, []


def _as_iso(date: str) -> str:
    """Convert a date of RSS to ISO 8601 in UTC; empty if it is invalid or has no time zone."""
    if date[:4].isdigit():  # RSS 1.0 has ISO 8601 already
        return date
    try:
        time = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
    if time.tzinfo is None:
        return ""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
