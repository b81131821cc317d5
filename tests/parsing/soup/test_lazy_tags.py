"""``Response.select``: the same tags as BeautifulSoup's own, built from the matches only."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soupsieve
from bs4.element import Tag
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawler import Response
from crawler.parsing.html_tree import parse
from crawler.parsing.soup import builder
from crawler.parsing.soup.lazy_tags import Selection
from tests.parsing.soup.selectors import SELECTORS, random_selectors
from tests.trees import BROKEN, POSTGRES, PYTHON, looks, theirs


def own(markup: bytes, css: str) -> list[Tag] | None:
    """Return the tags selected without BeautifulSoup, or None."""
    return Selection(parse(markup), markup).select(css)


def assert_same_tags(markup: bytes, css: str, found: list[Tag]) -> None:
    expected = list(theirs(markup).select(css))
    assert [str(tag) for tag in found] == [str(tag) for tag in expected]
    for tag, other in zip(found, expected, strict=True):
        if tag.parent is None:
            assert looks(tag) == looks(other.extract())


PAGE = """<!DOCTYPE html>
<!-- c --><html lang=en><head><title>T &amp; t</title><meta charset=utf-8></head>
<body class='a  b'><h1 id=x>One <b class=größe>b</b></h1><p class="a" title='x y'>1<!-- c --></p>
<div id=été class='b\u00a0a\u2003c'><p title=en-GB>2 <b>3</b><i> </i><b>4</b></p><p>5</p>
<pre>  <b>  </b>\n</pre><a href=x class=b>6</a><a href='html'>7<i>8</i></a><a title=''>9</a></div>
<table><tr><td>1<td class='a\tb'>2<tr><td data-x="a'b" data-y>3</table><H2>z</H2>
<ul><li>1<li>2<ul><li><b>x</b></ul><li>3</ul><script>if (1 < 2) 'b'</script><style> p {} </style>
<ruby>r<rp>(</rp><rt>t<b>u</b></rt></ruby><iframe><p>no</p></iframe><svg:g a:b=c>s</svg:g>
<textarea> <b> </textarea></body>\n</html>\n<!-- end -->\n""".encode()


@pytest.mark.parametrize("css", SELECTORS)
def test_tags_of_a_page_are_the_same(css: str) -> None:
    found = own(PAGE, css)
    assert found is not None
    assert_same_tags(PAGE, css, found)


@settings(max_examples=400, deadline=None)
@given(BROKEN, st.one_of(st.sampled_from(SELECTORS), random_selectors()))
@example(["<div>", "<p>"] * 1200, "div > p")
@example(["<p class='a\x0cb'>"], ".b")
@example(["<p class='a&#12;b'>", "<p class='a&#x001F;b'>"], ".b")
@example(["<p class='b{' {x}class='a'>"], ".a")
@example(["</html>", "<p>", "x"], "html > body > p")
@example(["<p></html>\x0b"], "*")
@example(["\x0b<!doctype html><p>"], "*")
@example(["<p {a\x0bb}c='x'>"], "[c]")
@example(["<p>a</p></html><!--><p>b-->"], "p")
@example(["<p>a</p></html><!-- --!><p>b-->"], "body p")
@example(["<p>a<!doctype x>b</p>"], "p")
@example(["<!-- x --><?y z><!doctype html><!doctype x><p>a"], "p")
@example(["<template><p>x</p></template><p>"], "p:first-child")
@example(["<TEMPLATE><p>x"], "template > p")
@example(["<html><body><html class=a><body class=b><p>"], ".b")
@example(["<frameset><frame><noframes><p></noframes></frameset></html> <p>"], "p")
@example(["<p>a</p></body> <p>b</p> </html> \n <!-- c --> \t"], "p")
@example(["<i\x1f<p>"], "*")
@example(["<i\x1f><i\x1f>"], "*")
@example(["<p\ufffe\uffff a\ufffe=b>"], "*")
@example(["<input disabled><input checked=checked><input checked='' selected=x>"], "input")
@example(["<form><input disabled></form>"], "form")
@example(["<img ismap><img ismap=ismap>"], "[ismap=ismap]")
@example(["<html a='/>'/><p>b"], "*")
@example(["<html/><p>b"], "p")
@example(["<html a=b/><p>b"], "p")
def test_tags_of_broken_markup_are_the_same(pieces: list[str], css: str) -> None:
    markup = "".join(pieces).encode("utf-8", "replace")
    found = own(markup, css)
    if found is not None:
        assert_same_tags(markup, css, found)
    response = Response("https://x.example/", markup, headers={"Content-Type": "text/html"})
    expected = [str(tag) for tag in theirs(markup).select(css)]
    assert [str(tag) for tag in response.select(css)] == expected
    one = response.select_one(css)
    assert [str(tag) for tag in [one] if tag] == expected[:1]


@pytest.mark.parametrize("css", ["a.reference", "h1, h2", "li > p:first-child", "div[id] > p"])
@pytest.mark.parametrize("folder", [POSTGRES, PYTHON])
def test_tags_of_real_pages_are_the_same(folder: Path, css: str) -> None:
    if not folder.is_dir():
        pytest.skip("needs postgresql-doc-15 and python3.11-doc")
    for page in sorted(folder.rglob("*.html"))[::100]:
        markup = page.read_bytes()
        found = own(markup, css)
        assert found is not None, page
        expected = builder.build(markup).select(css)
        assert [str(tag) for tag in found] == [str(tag) for tag in expected], page


# What users do with them


def page(body: bytes = PAGE) -> Any:
    return Response("https://x.example/", body, headers={"Content-Type": "text/html"})


def test_a_tag_is_a_tree_of_its_own() -> None:
    response = page()
    tag: Any = response.select_one("div p")
    assert (tag.parent, tag.next_sibling, tag.previous_element) == (None, None, None)
    assert tag.b.parent is tag
    assert [type(tag)] == [Tag]
    assert tag.b.next_sibling.name == "i"
    assert [b.text for b in tag.select("b + i + b")] == ["4"]
    assert str(pickle.loads(pickle.dumps(tag))) == str(tag)
    tag.b.decompose()
    assert str(tag) == '<p title="en-GB">2 <i> </i><b>4</b></p>'
    assert len(response.soup.select("div p > b")) == 2


def edited(tag: Any) -> Any:
    tag["title"] = "t"
    tag.name = "q"
    tag.append("end")
    return tag


LOOKS: dict[str, Callable[[Any], Any]] = {
    "str": str,
    "prettify": lambda tag: tag.prettify(),
    "text": lambda tag: tag.get_text("|", strip=True),
    "strings": lambda tag: list(tag.stripped_strings),
    "child": lambda tag: tag.b,
    "no child": lambda tag: tag.h6,
    "find": lambda tag: tag.find("i"),
    "find_all": lambda tag: tag.find_all(string=True),
    "find_next": lambda tag: tag.find_next("b"),
    "select": lambda tag: tag.select("b + i"),
    "children": lambda tag: list(tag.children),
    "length": len,
    "truth": bool,
    "hash": hash,
    "attributes": lambda tag: (tag["title"], tag.get("id"), tag.has_attr("class"), tag.attrs),
    "copy": lambda tag: looks(copy.copy(tag)),
    "deepcopy": lambda tag: looks(copy.deepcopy(tag)),
    "pickle": lambda tag: str(pickle.loads(pickle.dumps(tag))),
    "extract": lambda tag: looks(tag.extract()),
    "decompose": lambda tag: (tag.decompose(), tag.decomposed)[1],
    "clear": lambda tag: (tag.clear(), str(tag))[1],
    "edits": lambda tag: looks(edited(tag)),
    "empty": lambda tag: tag.is_empty_element,
    "equal": lambda tag: tag == copy.copy(tag),
    "unwrap contents": lambda tag: [str(one.extract()) for one in list(tag.contents)],
}


@pytest.mark.parametrize("look", LOOKS)
def test_the_first_look_at_a_tag_finds_what_there_is(look: str) -> None:
    found = LOOKS[look](page().select_one("div p"))
    expected: Any = theirs(PAGE).select_one("div p")
    assert found == LOOKS[look](expected.extract())


def test_a_tag_put_into_another_tree_is_a_part_of_it() -> None:
    tag = page().select_one("h1")
    tree: Any = theirs(b"<div><p>x</p></div>")
    tree.p.insert_before(tag)
    assert str(tree.div) == str(tag.parent) == f"<div>{page().soup.h1}<p>x</p></div>"
    assert tag.b.find_next("p").text == "x"


def test_a_match_within_another_is_a_part_of_it() -> None:
    outer, inner = page().select("ul")
    assert inner.find_parent("ul") is outer
    assert outer.parent is None


def test_an_existing_soup_gives_its_own_tags() -> None:
    response = page()
    tree = response.soup
    assert response.select("p")[0] is tree.p
    assert response.select_one("p") is tree.p
    assert response.select("b ~ b") == tree.select("b ~ b")
    assert response.select_one("h6") is None


def test_selectors_that_only_beautifulsoup_knows_make_the_soup() -> None:
    response = page()
    found = response.select_one("b ~ b")
    assert found is response.soup.select_one("b ~ b")
    with pytest.raises(soupsieve.SelectorSyntaxError):
        page().select("a[")
    with pytest.raises(NotImplementedError, match="Pseudo-element"):
        page().select("a::text")


def test_pages_without_elements_and_xml() -> None:
    assert page(b"").select("p") == []
    assert page(b"<!-- x -->").select_one("p") is None
    feed = Response("https://x.example/", b"<a><B/></a>", headers={"Content-Type": "text/xml"})
    assert [tag.name for tag in feed.select("B")] == ["B"]


def test_with_another_beautifulsoup_it_matches_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "FAST", False)
    assert own(PAGE, "p") is None
    assert [tag.text for tag in page().select("h1")] == ["One b"]
