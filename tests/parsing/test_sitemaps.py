"""Sitemaps and feeds in every format, also broken or hostile ones."""

from __future__ import annotations

import base64
import gzip
import io
import logging
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawler import Response, Sitemap, Spider
from crawler.parsing import sitemaps
from crawler.parsing.feed_entries import LONGEST_TEXT, MOST_ALTERNATES, Entry
from tests.conformance import rows
from tests.jobs import items, run_job, values
from tests.sites import Reply, Site, links

URL = "https://shop.example/sitemap.xml"
XML = '<?xml version="1.0" encoding="UTF-8"?>'
VECTORS = rows("sitemaps/sitemaps.jsonl")


def read(body: bytes | str, url: str = URL, content_type: str = "", **limits: Any) -> Sitemap:
    raw = body if isinstance(body, bytes) else body.encode()
    headers = {"Content-Type": content_type} if content_type else None
    return Sitemap(Response(url, raw, headers=headers), **limits)


def found(body: bytes | str, **limits: Any) -> list[str]:
    return [entry.url for entry in read(body, **limits)]


def url_set(*urls: str) -> str:
    entries = "".join(f"<url><loc>{escape(url)}</loc></url>" for url in urls)
    return f"{XML}<urlset>{entries}</urlset>"


# The public vectors


@pytest.mark.parametrize("row", VECTORS)
def test_vectors(row: dict[str, Any]) -> None:
    """Lenient where a row has a lenient reading; nothing is rejected as a whole."""
    body = base64.b64decode(row["body_b64"]) if "body_b64" in row else row["body"].encode()
    sitemap = read(body, row["url"], row.get("content_type", ""))
    entries = list(sitemap)
    urls = [entry.url for entry in entries]
    if "kind" in row:
        assert sitemap.kind == (row["kind"] or "")
    allowed = [row[name] for name in ("urls", "urls_lenient", "error_or_urls") if name in row]
    allowed += row.get("urls_allowed", [])
    assert urls in allowed or (not allowed and len(urls) == row["count"])
    for url, date in (row.get("lastmod") or {}).items():
        assert [entry.lastmod for entry in entries if entry.url == url] == [date or ""]
    for url, others in (row.get("alternates") or {}).items():
        assert [list(map(list, one.alternates)) for one in entries if one.url == url] == [others]
    if "entries" in row:
        assert list(map(as_scrapy, entries)) == [
            {name: value for name, value in entry.items() if value} for entry in row["entries"]
        ]


def as_scrapy(entry: Entry) -> dict[str, Any]:
    said = {
        "loc": entry.url,
        "lastmod": entry.lastmod,
        "changefreq": entry.changefreq,
        "priority": entry.priority,
        "alternate": [url for _, url in entry.alternates],
    }
    return {name: value for name, value in said.items() if value}


# What it is


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", ""),
        ("<", ""),
        ("<!DOCTYPE html><html><body><a href='/'>x</a>", ""),
        ("{}", ""),
        ("http://a.example/", "text"),
        ("\n\nHTTPS://a.example/\r\n", "text"),
        ("http://a.example/ and more", ""),
        ("<urlset/>", "urlset"),
        ("<x:SitemapIndex xmlns:x='y'>", "index"),
        ("<!-- <rss> --><?php ?> <!DOCTYPE x [<!ENTITY a ']'>] >\n<feed>", "atom"),
        ("<!DOCTYPE urlset SYSTEM 'x'><urlset>", "urlset"),
        ("<!-- <urlset>", ""),
        ("<!DOCTYPE x [ <urlset>", ""),
    ],
)
def test_it_is_what_its_first_element_or_line_says(body: str, kind: str) -> None:
    assert read(body, content_type="application/octet-stream").kind == kind
    assert not kind or not read(body).is_index or kind == "index"


def test_the_sitemaps_of_a_robots_txt_are_an_index() -> None:
    body = "User-agent: *\nSitemap: /a.xml\nsitemap : https://cdn.example/b.xml # all\n"
    sitemap = read(body, "https://shop.example/robots.txt")
    assert (sitemap.kind, sitemap.is_index) == ("robots", True)
    assert list(sitemap) == [
        Entry("https://shop.example/a.xml"),
        Entry("https://cdn.example/b.xml"),
    ]


def test_urls_are_absolute_and_can_be_fetched() -> None:
    body = url_set("/a b", "//cdn.example/x#y", "mailto:a@b", "http://", "", "  c\n")
    assert found(body) == [
        "https://shop.example/a%20b",
        "https://cdn.example/x",
        "https://shop.example/c",
    ]


def test_a_list_holds_urls_and_nothing_else() -> None:
    body = (
        "http://a.example/1\r\n  http://a.example/2\n\n/3\nrubbish http://a.example/4\nftp://x/\n"
    )
    assert found(body) == ["http://a.example/1", "http://a.example/2"]


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "iso-8859-1", "cp1251"])
def test_every_encoding_is_read(codec: str) -> None:
    letter = "д" if codec == "cp1251" else "é"
    body = url_set(f"/{letter}").replace("UTF-8", codec.removesuffix("-sig"))
    assert found(body.encode(codec)) == found(url_set(f"/{letter}"))


def test_the_header_says_the_encoding_before_the_file_does() -> None:
    (entry,) = read(url_set("/é").encode("latin-1"), content_type="text/xml; charset=latin-1")
    assert entry.url.endswith("/%C3%A9")


@pytest.mark.parametrize("shift", range(4))
def test_a_letter_may_be_cut_between_two_pieces(shift: int) -> None:
    body = url_set("/" + "x" * shift, *["/é中" * 10] * 5000)
    assert set(found(body)) == set(found(url_set("/" + "x" * shift, "/é中" * 10)))


def test_gzipped_sitemaps_are_read_as_far_as_they_go() -> None:
    body = url_set(*(f"/{n}" for n in range(20_000)))
    packed = gzip.compress(body[:500_000].encode()) + gzip.compress(body[500_000:].encode())
    assert found(packed) == found(body)
    cut = found(packed[: len(packed) // 2])
    assert 5000 < len(cut) < 20_000
    assert cut == found(body)[: len(cut)], "and no half a URL at the end"
    broken = bytearray(packed)
    broken[len(packed) // 3 : len(packed) // 3 + 1000] = b"\0" * 1000
    assert len(found(bytes(broken))) < 20_000


def test_it_may_be_read_twice() -> None:
    sitemap = read(url_set("/a", "/b"))
    assert list(sitemap) == list(sitemap)


printable = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)


@given(st.lists(st.tuples(printable, st.dates().map(str), st.sampled_from(["", "daily"]))))
def test_written_entries_are_read(said: list[tuple[str, str, str]]) -> None:
    entries = "".join(
        f"<url><loc>/a/{escape(path)}</loc><lastmod> {date}</lastmod>"
        f"<changefreq>{often}</changefreq><x><loc>/no</loc></x></url>"
        for path, date, often in said
    )
    sitemap = read(f"{XML}<urlset xmlns='x'>{entries}</urlset>")
    response = Response(URL)
    expected = [(response.follow(f"/a/{path}").url, date, often) for path, date, often in said]
    assert [(one.url, one.lastmod, one.changefreq) for one in sitemap] == expected


TAGS = ["<urlset>", "<url>", "<loc>", "</loc>", "</url>", "http://a.example/", "<", "&", "]]>",
        "]>", "<rss>", "<item>", "<link href='x'>", "<!--", "-->", "<![CDATA[", "<!DOCTYPE", "[",
        "\0", "<pubDate>", "1 Jan 99999 24:61", "<?", "é", "<feed>", "<entry>"]  # fmt: skip


@given(st.binary() | st.lists(st.sampled_from(TAGS)).map(lambda found: "".join(found).encode()))
@example(b"\x1f\x8b")
@example(b"<rss><item><link>/a</link><pubDate>1 Jan 99999 10:00 GMT</pubDate>")
@example(b"<rss><item><link>/a</link><pubDate>Mon, 1 Jan 0001 00:00:00 +2359</pubDate>")
def test_every_body_is_read(body: bytes) -> None:
    for packed in (body, gzip.compress(body)):
        sitemap = read(packed)
        assert all(entry.url.startswith(("http://", "https://")) for entry in sitemap)


# What is hostile


def test_no_other_file_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("http://leak.example/")
    for declaration in (
        f'<!ENTITY x SYSTEM "{secret.as_uri()}">',
        f'<!ENTITY % p SYSTEM "{secret.as_uri()}"> %p; <!ENTITY x "">',
        f'<!ENTITY % p SYSTEM "{secret.as_uri()}"> <!ENTITY x "%p;">',
    ):
        entries = "<url><loc>&x;</loc></url><url><loc>/b&x;</loc></url><url><loc>/c</loc></url>"
        body = f"{XML}<!DOCTYPE u [{declaration}]><urlset>{entries}</urlset>"
        assert not any("leak" in url for url in found(body))
    include = f'<xi:include href="{secret.as_uri()}" parse="text"/>'
    body = f'<urlset xmlns:xi="http://www.w3.org/2001/XInclude"><url><loc>{include}</loc></url>'
    assert found(body) == []


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
BOMBS = {
    "laughs": f'{XML}<!DOCTYPE u [<!ENTITY a0 "ha">{LAUGHS}]><urlset><url><loc>/&a11;</loc></url>',
    "quadratic": f'{XML}<!DOCTYPE u [<!ENTITY a "{"x" * 50_000}">]><urlset><url><loc>/'
    + "&a;" * 100_000,
    "deep": f"{XML}<urlset>" + "<url>" * 100_000,
    "long": f"{XML}<urlset><url><loc>/{'x' * 5_000_000}</loc></url>",
    "languages": f"{XML}<urlset><url><loc>/</loc>" + '<link hreflang="en" href="/x"/>' * 100_000,
    "parts": f"{XML}<urlset><url><loc>/</loc>" + "<priority>1</priority>" * 200_000,
    "attributes": f"{XML}<urlset><url " + "".join(f"a{n}='' " for n in range(100_000)),
    "comments": f"{XML}{'<!--' * 1_000_000}",
    "doctype": f"{XML}<!DOCTYPE u [{']' * 1_000_000}",
    "line": "http://a.example/\n" + "x" * 5_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_does_not_go_off(name: str) -> None:
    body = BOMBS[name].encode()
    response = Response(URL, body)
    tracemalloc.start()
    try:
        entries = list(Sitemap(response))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(entries) <= 1
    assert most < 12_000_000, "bytes of Python's own"
    for entry in entries:
        assert len(entry.url) <= LONGEST_TEXT + len(URL)
        assert len(entry.alternates) <= MOST_ALTERNATES


def test_endless_gzip_is_read_up_to_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    packed = io.BytesIO()
    with gzip.open(packed, "wb") as file:
        file.write(b"<urlset><url><loc>/a</loc></url>")
        for _ in range(100):
            file.write(b" " * 1_000_000)
        file.write(b"<url><loc>/b</loc></url>")
    with caplog.at_level(logging.WARNING, sitemaps.__name__):
        assert found(packed.getvalue()) == ["https://shop.example/a"]
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{URL} is a sitemap of more than 52,428,800 bytes: the rest is ignored"
    )


def test_entries_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    body = url_set("/a", "/b", "mailto:x", "/c")
    with caplog.at_level(logging.WARNING, sitemaps.__name__):
        assert len(found(body, most_entries=3)) == 3
        assert caplog.records == []
        assert len(found(body, most_entries=2)) == 2
    (record,) = caplog.records
    assert record.getMessage() == f"{URL} is a sitemap of more than 2 entries: the rest is ignored"


def test_entries_come_while_it_is_read() -> None:
    body = (url_set(*(f"{URL}/{n}" for n in range(20_000)))).encode()
    response = Response(URL, body)
    tracemalloc.start()
    try:
        count = sum(1 for _ in Sitemap(response))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert most < len(body), "all of them are never there at the same time"


# In a crawl


class Pages(Spider):
    """From a site's robots.txt to all of its pages."""

    def parse(self, response: Response) -> Iterator[Any]:
        sitemap = Sitemap(response)
        for entry in sitemap:
            yield response.follow(entry.url, self.parse if sitemap.is_index else self.parse_page)

    def parse_page(self, response: Response) -> Any:
        return {"url": response.url}


@pytest.mark.usefixtures("no_leaks")
def test_a_spider_starts_from_the_sitemaps_of_a_site(tmp_path: Path, site: Site) -> None:
    index = "<sitemapindex><sitemap><loc>/a.xml.gz</loc></sitemap><sitemap><loc>/b.txt</loc>"
    packed = gzip.compress(url_set("/1", "/2", "/private").encode())
    site.pages = {
        "/robots.txt": f"User-agent: *\nDisallow: /private\nSitemap: {site.url}/index.xml\n",
        "/index.xml": Reply(index, headers=(("Content-Type", "application/xml"),)),
        "/a.xml.gz": Reply(packed, headers=(("Content-Type", "application/x-gzip"),)),
        "/b.txt": f"{site.url}/2\n{site.url}/3\n",
    }
    site.otherwise = lambda visit: links()
    run_job(Pages, tmp_path, site.url + "/robots.txt", obey_robots=True)
    assert sorted(values(items(tmp_path))) == [f"{site.url}/{n}" for n in (1, 2, 3)]
    assert site.asked["/private"] == 0
