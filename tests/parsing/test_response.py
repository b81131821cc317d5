"""``crawler.parsing.response``: every way to read a page and to go on from it."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from requests.structures import CaseInsensitiveDict

from crawler.errors import FetchError, SpiderError
from crawler.parsing.response import Response
from crawler.request import Hop, Request

URL = "https://shop.example/books/list?page=1"
PAGE = b"""<!DOCTYPE html>
<html><head><title>Books</title><link rel=next href="?page=2"></head><body>
<ul>
<li class="book"><a href="/b/1">One</a> <img src="1.png"></li>
<li class="book"><a href="b/2#reviews" rel="nofollow">Two &amp; a half</a></li>
<li><a href="mailto:x@shop.example">Mail</a> <a href="javascript:void(0)">Menu</a>
<a name="top">Top</a> <a href="http://[broken/">Broken</a> <a href="https://other.example">Other</a></li>
</ul>
<form id="search" action="/search"><input name="q" value="x"><input type="submit"></form>
</body></html>"""


def page(body: bytes | str = PAGE, content_type: str | None = None, **options: Any) -> Response:
    raw = body.encode() if isinstance(body, str) else body
    headers = {"Content-Type": content_type} if content_type is not None else None
    return Response(URL, raw, headers=headers, **options)


def urls_of(requests: Any) -> list[str]:
    return [request.url for request in requests]


# What came back


def test_a_url_and_a_body_are_enough() -> None:
    response = Response("https://x.example/", b"<p>x")
    assert (response.status, response.history, response.session) == (200, [], None)
    assert response.request == Request("https://x.example/")
    assert response.headers == {}
    assert response.select_one("p").text == "x"  # type: ignore[union-attr]
    assert repr(response) == "<Response 200 https://x.example/>"


def test_what_is_given_is_kept() -> None:
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


def test_what_is_no_json_is_an_error_that_says_so() -> None:
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


# The way on


def test_links() -> None:
    found = page().links()
    assert [(link.url, link.text, link.nofollow) for link in found] == [
        ("https://shop.example/b/1", "One", False),
        ("https://shop.example/books/b/2", "Two & a half", True),
        ("https://other.example/", "Other", False),
    ]
    assert urls_of(page().links(css="li.book", allow=r"/2")) == ["https://shop.example/books/b/2"]


def test_what_is_no_page_has_no_links() -> None:
    assert page(PAGE, "text/plain").links() == []


def test_follow_takes_what_can_be_found_on_a_page() -> None:
    response = page()
    first = response.links()[0]
    tag = response.select_one("li.book a")
    image = response.select_one("img")
    assert tag is not None
    assert image is not None
    targets: list[Any] = [
        "/b/1",
        " /b/1\n",
        "https://shop.example/b/1#x",
        first,
        tag,
        str(tag["href"]),
        response.css("li.book a")[0],
        response.css("li.book a::attr(href)")[0],
        response.css("li.book a::attr(href)").get(),
        response.root.find(".//a"),
    ]
    for target in targets:
        assert response.follow(target) == Request("https://shop.example/b/1", depth=1)
    assert response.follow(image).url == "https://shop.example/books/1.png"
    assert response.follow(response.css("link")[0]).url == "https://shop.example/books/list?page=2"


def test_follow_makes_the_request_that_was_asked_for() -> None:
    def parse_book() -> None: ...

    response = page(request=Request(URL, depth=4, priority=9, cb_kwargs={"a": 1}))
    made = response.follow(
        "/x", parse_book, priority=2, cb_kwargs={"b": 2}, method="POST", data=b""
    )
    assert made == Request(
        "https://shop.example/x",
        "parse_book",
        depth=5,
        priority=2,
        cb_kwargs={"b": 2},
        method="POST",
        data=b"",
    )
    assert response.follow("/x", callback="parse_book").callback == "parse_book"
    assert [r.callback for r in response.follow_all("li.book a", parse_book)] == ["parse_book"] * 2


def test_urls_start_from_the_base() -> None:
    response = page("<head><BASE href='https://cdn.example/a/'><body><a href=b>")
    assert response.follow("b").url == "https://cdn.example/a/b"
    assert urls_of(response.links()) == ["https://cdn.example/a/b"]
    assert urls_of(response.follow_all("a")) == ["https://cdn.example/a/b"]


def test_a_base_in_a_text_is_none() -> None:
    response = page("<!-- <base href='https://cdn.example/'> --><a href=b>")
    assert response.follow("b").url == "https://shop.example/books/b"


def test_queries_are_in_the_encoding_of_the_page() -> None:
    response = page("<a href='?q=é&r=%20'>é".encode("latin-1"), "text/html; charset=latin-1")
    expected = "https://shop.example/books/list?q=%E9&r=%20"
    assert urls_of(response.links()) == urls_of(response.follow_all("a")) == [expected]
    assert response.follow("/é?q=é").url == "https://shop.example/%C3%A9?q=%E9"


@pytest.mark.parametrize(
    "target", ["mailto:x@shop.example", "javascript:void(0)", "http://[broken/", "data:,x"]
)
def test_follow_refuses_what_cannot_be_fetched(target: str) -> None:
    with pytest.raises(SpiderError, match="http or https") as caught:
        page().follow(target)
    assert repr(target) in str(caught.value)


@pytest.mark.parametrize("target", [None, 7, ["/x"]])
def test_follow_refuses_what_is_no_target(target: Any) -> None:
    with pytest.raises(SpiderError, match=r"follow\(\) was given a (NoneType|int|list)"):
        page().follow(target)


def test_follow_refuses_elements_without_a_url() -> None:
    response = page()
    targets: list[Any] = [
        response.select_one("li"),
        response.css("li")[0],
        response.root.find(".//li"),
    ]
    for target in targets:
        with pytest.raises(SpiderError, match="a <li>, which has no href or src"):
            response.follow(target)
    with pytest.raises(SpiderError, match="SelectorList"):
        response.follow(response.css("a"))  # type: ignore[arg-type]


def test_follow_all_follows_all_links() -> None:
    expected = [
        "https://shop.example/b/1",
        "https://shop.example/books/b/2",
        "https://other.example/",
    ]
    response = page()
    assert urls_of(response.follow_all()) == expected
    assert urls_of(response.follow_all("a")) == expected
    assert urls_of(response.follow_all(response.select("a"))) == expected
    assert urls_of(response.follow_all(response.css("a"))) == expected
    assert urls_of(response.follow_all(response.links())) == expected
    assert urls_of(response.follow_all("a::attr(href)")) == expected
    assert urls_of(response.follow_all(["/b/1", "tel:1"])) == expected[:1]
    assert {request.depth for request in response.follow_all()} == {1}


@pytest.mark.parametrize(
    "body",
    [
        b"<base href=/dir/><a href=x#y>1</a><a href=x>2</a><area href='?q=\xc3\xa9'><a>3</a>",
        b"<a href=x>1</a></body></html><a href=y>2</a> text <base href=/late/>",
        b"text alone",
        b"",
    ],
)
def test_follow_all_after_soup_follows_the_same_without_another_parse(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> Response:
        return Response("https://x.example/a/", body, headers={"Content-Type": "text/html"})

    expected = urls_of(read().follow_all())
    response = read()
    for tag in response.soup.find_all("a"):
        tag.decompose()
    monkeypatch.setattr("crawler.parsing.html_tree.parse", None)
    assert urls_of(response.follow_all()) == expected
    assert len(expected) == 2 * (b"<a" in body)


def test_follow_all_gives_each_url_once() -> None:
    targets = ["/x", "/x#top", "/y", "/x"]
    made = page().follow_all(targets)
    assert urls_of(made) == ["https://shop.example/x", "https://shop.example/y"]
    assert len(list(page().follow_all(targets, dont_filter=True))) == 4


def test_follow_all_of_a_selector_that_matches_no_links_is_an_error() -> None:
    with pytest.raises(SpiderError, match=r"follow_all\('li.book'\).*<li>.*'li.book a'"):
        list(page().follow_all("li.book"))


def test_follow_all_knows_the_selectors_that_select_knows() -> None:
    expected = ["https://shop.example/b/1"]
    assert urls_of(page().follow_all("a:-soup-contains-own('One')")) == expected
    assert urls_of(page().follow_all("li:first-child > a")) == expected
    with pytest.raises(SpiderError, match="<li>"):
        list(page().follow_all("li:-soup-contains('One')"))


def test_follow_all_of_what_is_no_selector_is_an_error() -> None:
    with pytest.raises(SpiderError, match=r"'a\[' is no CSS selector"):
        list(page().follow_all("a["))


def test_forms() -> None:
    request = page().form("#search").to_request({"q": "tea"})
    assert request.url == "https://shop.example/search?q=tea"
    assert page().form().to_request().url == "https://shop.example/search?q=x"
    with pytest.raises(SpiderError, match="#login"):
        page().form("#login")
