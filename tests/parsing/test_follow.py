"""``crawler.parsing.follow``, and ``Response.follow`` and ``follow_all``, which use it."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.errors import SpiderError
from crawler.parsing.response import Response
from crawler.request import Request
from tests.parsing.pages import URL, page, urls_of


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
    with pytest.raises(SpiderError, match=r"'a\[' is not a CSS selector"):
        list(page().follow_all("a["))
