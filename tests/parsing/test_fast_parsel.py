"""Selectors give the same results as parsel's."""

from __future__ import annotations

from typing import Any

import parsel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from crawler.parsing import fast_parsel
from crawler.parsing.fast_parsel import Selector
from crawler.parsing.html_tree import parse
from crawler.parsing.response import Response

PAGE = b"""<!DOCTYPE html><html><head><title>A &amp; B</title></head><body>
<h1>One <b>two</b></h1><ul class="x y"><li id=a>1</li><li>2<!-- c --></li></ul>
<a href="/x">x</a><a>no</a><p>price: 12.50</p></body></html>"""

QUERIES = [
    "//a",
    "//a/@href",
    "//text()",
    "//comment()",
    "count(//li)",
    "//a = 'x'",
    "string(//h1)",
    "//nothing",
    "//li[position() = $n]",
    "re:test('a', 'a')",
    "//li[re:test(., '[0-9]')]",
    "//*[has-class('x')]",
    "child::node()",
    "id('a')",
    ".",
]


def root() -> Any:
    return parse(PAGE)


def results(selectors: Any) -> list[tuple[Any, ...]]:
    """Return all that users can see of each selector."""
    return [
        (match.get(), match.type, match.attrib, match._expr)
        if hasattr(match.root, "attrib")
        else (match.get(), match.type, match._expr)
        for match in selectors
    ]


@pytest.mark.parametrize("query", QUERIES)
def test_an_expression_matches_what_it_does_in_parsel(query: str) -> None:
    page = root()
    ours, theirs = Selector(root=page, type="html"), parsel.Selector(root=page, type="html")
    assert results(ours.xpath(query, n=1)) == results(theirs.xpath(query, n=1))
    nodes = zip(ours.xpath("//*"), theirs.xpath("//*"), strict=True)
    assert all(results(a.xpath(query, n=2)) == results(b.xpath(query, n=2)) for a, b in nodes)


@pytest.mark.parametrize(
    "query", ["li", "li::text", "a::attr(href)", "ul.x > li", "#a", "li:nth-child(2)", "h1 *::text"]
)
def test_css_too(query: str) -> None:
    page = root()
    ours, theirs = Selector(root=page, type="html"), parsel.Selector(root=page, type="html")
    assert results(ours.css(query)) == results(theirs.css(query))
    assert ours.css(query).getall() == theirs.css(query).getall()
    assert ours.css(query).re(r"\w+") == theirs.css(query).re(r"\w+")


@pytest.mark.parametrize("query", ["//[", "", "//a[$missing]", "nope:a", "//a[f()]", 7])
def test_mistakes_are_those_of_parsel(query: Any) -> None:
    page = root()
    errors = []
    for kind in (Selector, parsel.Selector):
        with pytest.raises((ValueError, TypeError)) as caught:
            kind(root=page, type="html").xpath(query)
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


def test_matches_can_be_searched_further() -> None:
    selector = Selector(root=root(), type="html")
    assert isinstance(selector.css("ul"), parsel.SelectorList)
    assert selector.css("ul").css("li").xpath("./text()").getall() == ["1", "2"]
    assert isinstance(selector.css("ul")[0], Selector)
    assert selector.css("a::attr(href)").xpath(".").getall() == ["/x"]


def test_namespaces_are_registered_for_one_selector_and_what_it_matches() -> None:
    page = parse(b'<r xmlns:v="urn:v"><v:a><v:b/></v:a><v:a/></r>', xml=True)
    selector = Selector(root=page, type="xml")
    first, second = selector.xpath("*")
    first.register_namespace("w", "urn:v")
    assert len(first.xpath("w:b")) == 1
    assert len(first.xpath(".")[0].xpath("w:b")) == 1
    assert len(first.xpath("q:b", namespaces={"q": "urn:v"})) == 1
    for other in (selector, second):
        with pytest.raises(ValueError, match="Undefined namespace prefix"):
            other.xpath("w:b")


def test_a_page_without_elements_is_asked_too() -> None:
    response = Response("http://x.test/", b"", headers={"Content-Type": "text/html"})
    assert response.css("a").getall() == []
    assert response.xpath("//a").get() is None


def test_text_and_json_are_parsels_business() -> None:
    second: Any = Selector(text='{"a": [1, 2]}', type="json").jmespath("a[1]").get()
    assert second == 2
    assert Selector(text="<a>1</a>").xpath("//a/text()").get() == "1"


@given(
    st.text(alphabet="<>abc/='\" \n&;!-", max_size=60), st.sampled_from(["//a", "//@*", "//text()"])
)
def test_broken_pages(text: str, query: str) -> None:
    page = parse(text.encode())
    if isinstance(page, etree._Element):
        ours, theirs = Selector(root=page, type="html"), parsel.Selector(root=page, type="html")
        assert results(ours.xpath(query)) == results(theirs.xpath(query))


# The check of the installed parsel


def test_the_installed_parsel_is_as_expected() -> None:
    assert fast_parsel.FAST


def test_with_another_parsel_it_makes_all_selectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_parsel, "FAST", False)
    monkeypatch.setattr(fast_parsel, "_new", None)
    page = root()
    ours, theirs = Selector(root=page, type="html"), parsel.Selector(root=page, type="html")
    for query in QUERIES:
        assert results(ours.xpath(query, n=1)) == results(theirs.xpath(query, n=1))
    assert isinstance(ours.css("li")[0], Selector)


class Renamed(parsel.Selector):
    """A parsel whose constructor sets an attribute that ``Selector.xpath`` does not know."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.new_attribute = True


class Slotted(parsel.Selector):
    __slots__ = ("new_attribute",)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.new_attribute = True


class Failing(parsel.Selector):
    def get(self) -> Any:
        raise AttributeError("new_attribute")


@pytest.mark.parametrize("kind", [Renamed, Slotted, Failing])
def test_a_change_of_parsel_is_noticed(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsel, "Selector", kind)
    assert not fast_parsel._parsel_is_as_expected()
