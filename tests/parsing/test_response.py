"""``crawler.parsing.response``: every way to read a page and to go on from it."""

from __future__ import annotations

import pytest
import requests
from requests.structures import CaseInsensitiveDict

from crawler.errors import FetchError, SpiderError
from crawler.parsing.response import Response
from crawler.request import Hop, Request
from tests.parsing.pages import PAGE, URL, page, urls_of

# Attributes


def test_a_url_and_a_body_are_enough() -> None:
    response = Response("https://x.example/", b"<p>x")
    assert (response.status, response.history, response.session) == (200, [], None)
    assert response.request == Request("https://x.example/")
    assert response.headers == {}
    assert response.select_one("p").text == "x"  # type: ignore[union-attr]
    assert repr(response) == "<Response 200 https://x.example/>"


def test_given_parts_are_kept() -> None:
    headers = CaseInsensitiveDict({"Content-Type": "text/html"})
    session = requests.Session()
    request = Request("https://x.example/old", depth=3)
    hops = [Hop("https://x.example/old", 301)]
    response = Response(
        URL, b"", status=404, headers=headers, request=request, history=hops, session=session
    )
    assert response.headers is headers
    assert response.headers["content-TYPE"] == "text/html"
    assert response.request is request
    assert response.history is hops
    assert response.session is session
    assert response.status == 404


def test_an_unknown_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError):
        Response(URL).meta = {}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        ("text/html; charset=utf-8", b"", "html"),
        ("TEXT/HTML", b"{}", "html"),
        ("application/xhtml+xml", b"<?xml version='1.0'?>", "html"),
        ("application/rss+xml", b"", "xml"),
        ("text/xml;charset=x", b"", "xml"),
        ("application/json", b"<html>", "other"),
        ("text/plain", b"<html>", "other"),
        ("image/svg+xml", b"<svg/>", "xml"),
        (None, b"<!doctype html>", "html"),
        (None, b" text <a href=x>", "html"),
        (None, b"<?xml version='1.0'?><html xmlns='x'>", "html"),
        (None, b"<?xml version='1.0'?><urlset>", "xml"),
        (None, b"\xef\xbb\xbf<?xml version='1.0'?><urlset>", "xml"),
        (None, b'{"a": "<b>"}', "other"),
        (None, b"a <b@c.example> and 1 < 2", "other"),
        (None, b"%PDF-1.4 <a href=x>", "other"),
        (None, b"\x89PNG", "other"),
        (None, b"", "other"),
    ],
)
def test_it_knows_what_it_is(content_type: str | None, body: bytes, kind: str) -> None:
    response = page(body, content_type)
    assert (response.is_html, response.is_xml) == (kind == "html", kind == "xml")


# Text


def test_the_text_is_decoded_as_declared() -> None:
    response = page("<meta charset=latin-1><p>é".encode("latin-1"))
    assert response.encoding == "cp1252"
    assert response.text == "<meta charset=latin-1><p>é"
    assert response.soup.p.text == "é"  # type: ignore[union-attr]
    assert response.soup.original_encoding == "cp1252"
    assert response.css("p::text").get() == "é"


def test_the_header_names_the_encoding() -> None:
    response = page("<p>я".encode("koi8-r"), "text/html; charset=koi8-r")
    assert response.text == "<p>я"
    assert response.xpath("//p/text()").get() == "я"


def test_utf_16_is_read() -> None:
    response = page("\ufeff<base href=/x/><p>é<a href=y>".encode("utf-16-le"))
    assert response.soup.p.contents[0] == "é"  # type: ignore[union-attr]
    assert response.root.findtext(".//p") == "é"
    assert response.follow("y").url == "https://shop.example/x/y"


def test_broken_bytes_are_replaced_in_every_tree() -> None:
    response = page(b"<p>a\xffb", "text/html; charset=utf-8")
    assert response.text == "<p>a\ufffdb"
    assert response.select("p")[0].text == response.css("p::text").get() == "a\ufffdb"


def test_json_is_read() -> None:
    assert page('{"a": ["é", 1.5, null]}', "application/json").json() == {"a": ["é", 1.5, None]}
    assert page("\ufeff[1]".encode("utf-16-le")).json() == [1]


def test_a_body_that_is_no_json_is_a_clear_error() -> None:
    with pytest.raises(FetchError, match=r"shop\.example.*\(text/html\) is not JSON: Expecting"):
        page("<p>", "text/html").json()
    with pytest.raises(FetchError) as caught:
        page(b"").json()
    assert caught.value.cause == "not json"


# Trees


def test_each_tree_is_built_once() -> None:
    response = page()
    assert response.soup is response.soup
    assert response.root is response.root
    assert response.text is response.text
    assert response.css("a")[0].root.getroottree().getroot() is response.root


def test_selecting() -> None:
    response = page()
    assert [tag["href"] for tag in response.select("li.book a")] == ["/b/1", "b/2#reviews"]
    assert response.select_one("h1") is None
    assert response.css("li.book a::attr(href)").getall() == ["/b/1", "b/2#reviews"]
    assert response.xpath("//a[@href=$href]/text()", href="/b/1").get() == "One"


def test_xml_is_read_as_xml() -> None:
    feed = b"<rss><Channel><link>https://x.example/</link><Item/></Channel></rss>"
    response = page(feed, "application/rss+xml")
    assert response.xpath("//Channel/link/text()").get() == "https://x.example/"
    assert response.css("Item").get() == "<Item/>"
    assert response.soup.Channel.link.text == "https://x.example/"  # type: ignore[union-attr]
    assert response.links() == []


@pytest.mark.parametrize("content_type", [None, "text/html", "text/xml", "image/png"])
@pytest.mark.parametrize("body", [b"", b" ", b"\0", b"<", b"\xff\xfe", b"<!-- x -->", b"<?xml ?>"])
def test_nothing_is_too_broken(body: bytes, content_type: str | None) -> None:
    response = page(body, content_type)
    assert response.select("a") == []
    assert response.select_one("a") is None
    assert list(response.css("a")) == list(response.xpath("//a")) == []
    assert response.links() == list(response.follow_all()) == list(response.follow_all("a")) == []
    assert isinstance(response.text, str)
    assert response.follow("/x").url == "https://shop.example/x"
    with pytest.raises(SpiderError, match=r"shop\.example"):
        response.form("form")


# Links and forms


def test_links() -> None:
    found = page().links()
    assert [(link.url, link.text, link.nofollow) for link in found] == [
        ("https://shop.example/b/1", "One", False),
        ("https://shop.example/books/b/2", "Two & a half", True),
        ("https://other.example/", "Other", False),
    ]
    assert urls_of(page().links(css="li.book", allow=r"/2")) == ["https://shop.example/books/b/2"]


def test_bodies_that_are_no_page_have_no_links() -> None:
    assert page(PAGE, "text/plain").links() == []


def test_forms() -> None:
    request = page().form("#search").to_request({"q": "tea"})
    assert request.url == "https://shop.example/search?q=tea"
    assert page().form().to_request().url == "https://shop.example/search?q=x"
    with pytest.raises(SpiderError, match="#login"):
        page().form("#login")
