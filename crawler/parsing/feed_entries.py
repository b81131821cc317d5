"""Entries: what the XML of sitemaps and feeds says, as an lxml parser comes by it.

Sitemaps and their indexes (sitemaps.org), RSS 0.9 to 2.0, Atom. No tree is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

LONGEST_TEXT = 16 * 1024
"""Characters of one value of an entry; what follows is left out."""
MOST_ALTERNATES = 1000
"""Languages of an entry; what follows is left out."""

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
"""The elements that say something of an entry, and what."""
_EXTENSIONS = ("sitemap-image/", "sitemap-video/", "sitemap-news/", "sitemap-mobile/")
_PAGE = {"", "alternate"}


class Entry(NamedTuple):
    """One entry of a sitemap or feed.

    ``url`` is absolute and normalised. ``lastmod``, ``changefreq`` and ``priority`` are texts as
    they stand there, empty where they do not; the dates of RSS are written as those of the others
    (``2005-01-01T12:00:00Z``). ``alternates`` are pairs of language and URL.
    """

    url: str
    lastmod: str = ""
    changefreq: str = ""
    priority: str = ""
    alternates: tuple[tuple[str, str], ...] = ()


class Reader:
    """Gathers the entries of one file while lxml reads it. What is nested in their parts is not."""

    def __init__(self, record: str) -> None:
        self._record = record
        self._entries: list[Entry] = []
        self._depth = 0
        self._opened = 0
        """The depth of the entry that is being read; 0 between two."""
        self._said: dict[str, str] = {}
        self._alternates: list[tuple[str, str]] = []
        self._field = ""
        self._text: list[str] = []
        self._length = 0

    def drain(self) -> list[Entry]:
        """The entries since the last call."""
        entries, self._entries = self._entries, []
        return entries

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        self._depth += 1
        space, _, name = tag.rpartition("}")
        name = name.lower()
        if not self._opened:
            if name == self._record:
                self._opened = self._depth
                self._begin("bare")
        elif self._depth == self._opened + 1 and not space.endswith(_EXTENSIONS):
            self._begin(_FIELDS.get(name, ""))
            if self._field == "url" and "url" in self._said:
                self._emit()  # an entry that was never closed
            if self._field == "link" and "href" in attributes:
                self._take_link(attributes)

    def _begin(self, field: str) -> None:
        self._keep()
        self._field, self._text, self._length = field, [], 0

    def _keep(self) -> None:
        """The text of a part has ended. The first of several counts."""
        text = "".join(self._text).strip()
        if self._field and text:
            self._said.setdefault(self._field, text)
        self._field = ""

    def _take_link(self, attributes: Mapping[str, str]) -> None:
        href, language = attributes["href"].strip(), attributes.get("hreflang", "")
        if attributes.get("rel", "").lower() not in _PAGE:
            return
        if language or self._record == "url":
            if len(self._alternates) < MOST_ALTERNATES:
                self._alternates.append((language, href))
        else:
            self._said.setdefault("link", href)

    def data(self, text: str) -> None:
        """Text, or a part of it."""
        if self._field and self._length < LONGEST_TEXT:
            self._text.append(text[: LONGEST_TEXT - self._length])
            self._length += len(text)

    def end(self, tag: str) -> None:
        """An element ends."""
        if self._opened and self._depth <= self._opened + 1:
            self._keep()
            if self._depth == self._opened:
                self._emit()
                self._opened = 0
        self._depth -= 1

    def finish(self, *, in_text: bool) -> None:
        """Nothing more will come: an entry that was cut off is as good as what it has.

        ``in_text`` says that it was cut in the middle of a text, which is then none: half a URL
        is another URL.
        """
        if self._opened:
            if not in_text:
                self._keep()
            self._emit()

    def close(self) -> None:
        """The file ends, as lxml says it."""

    def _emit(self) -> None:
        said = self._said
        url = said.get("url") or said.get("link") or said.get("guid") or said.get("bare")
        if url:
            date = said.get("date", "")
            if self._record == "item":
                date = _as_iso(date)
            self._entries.append(
                Entry(
                    url,
                    date,
                    said.get("changefreq", ""),
                    said.get("priority", ""),
                    tuple(self._alternates),
                )
            )
        self._said, self._alternates = {}, []


def _as_iso(date: str) -> str:
    """A date of RSS as the other formats write it, in UTC; empty if it says no zone or nothing."""
    if date[:4].isdigit():  # RSS 1.0 writes it so
        return date
    try:
        found = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
    if found.tzinfo is None:
        return ""
    return found.astimezone(UTC).isoformat().replace("+00:00", "Z")
