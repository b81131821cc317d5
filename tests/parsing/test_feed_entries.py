"""``crawler.parsing.feed_entries``: entries from the events of lxml's parser.

Whole files, and the limits on hostile ones, are tests of ``sitemaps``.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from lxml import etree

from crawler.parsing.feed_entries import LONGEST_TEXT, MOST_ALTERNATES, Entry, EntryReader


def entries(markup: str, record: str, *, in_text: bool = False) -> list[Entry]:
    reader = EntryReader(record)
    parser: Any = etree.XMLParser(target=reader, recover=True)
    with suppress(etree.XMLSyntaxError):
        parser.feed(markup)
        parser.close()
    reader.finish(in_text=in_text)
    return reader.drain()


def test_elements_inside_the_parts_of_an_entry_are_ignored() -> None:
    markup = "<urlset><url><loc>a</loc><x><loc>b</loc></x><priority>1</priority></url></urlset>"
    assert entries(markup, "url") == [Entry("a", priority="1")]


def test_the_first_of_several_values_counts() -> None:
    markup = "<rss><item><link/><link>a</link><link>b</link><guid>c</guid></item></rss>"
    assert entries(markup, "item") == [Entry("a")]


def test_drain_returns_each_entry_once() -> None:
    reader = EntryReader("url")
    parser: Any = etree.XMLParser(target=reader)
    parser.feed("<urlset><url><loc>a</loc></url><url>")
    assert reader.drain() == [Entry("a")]
    parser.feed("<loc>b</loc></url>")
    assert reader.drain() == [Entry("b")]
    assert reader.drain() == []


@pytest.mark.parametrize(("in_text", "expected"), [(False, [Entry("a")]), (True, [])])
def test_a_text_that_is_cut_off_is_dropped(in_text: bool, expected: list[Entry]) -> None:
    assert entries("<urlset><url><loc>a", "url", in_text=in_text) == expected


def test_values_and_alternates_are_limited() -> None:
    link = "<link rel='alternate' hreflang='de' href='b'/>"
    markup = f"<urlset><url><loc>{'a' * 2 * LONGEST_TEXT}</loc>{link * (MOST_ALTERNATES + 1)}"
    (entry,) = entries(markup, "url")
    assert entry.url == "a" * LONGEST_TEXT
    assert entry.alternates == (("de", "b"),) * MOST_ALTERNATES


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Sat, 01 Jan 2005 12:00:00 GMT", "2005-01-01T12:00:00Z"),
        ("Sat, 01 Jan 2005 12:00:00 +0200", "2005-01-01T10:00:00Z"),
        ("2005-01-01", "2005-01-01"),
        ("Sat, 01 Jan 2005 12:00:00", ""),
        ("Sat, 01 Jan 2005 12:00:00 -0000", ""),
        ("yesterday", ""),
    ],
)
def test_dates_of_rss_become_iso_dates_in_utc(date: str, expected: str) -> None:
    markup = f"<rss><item><link>a</link><pubDate>{date}</pubDate></item></rss>"
    assert entries(markup, "item") == [Entry("a", expected)]
