"""``parsing.soup.builder``: the same trees as BeautifulSoup's own lxml builder, node by node."""

from __future__ import annotations

import base64
import copy
import gc
import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning
from bs4.element import PreformattedString, Tag
from hypothesis import given, settings
from lxml import etree

from crawler.parsing import encoding, links
from crawler.parsing.html_tree import parse
from crawler.parsing.soup import builder, nodes
from tests.conformance import rows
from tests.trees import BROKEN, POSTGRES, PYTHON, looks, theirs


def assert_same(markup: bytes) -> None:
    own, ours = looks(theirs(markup)), looks(builder.build(markup))
    for mine, other in zip(ours, own, strict=False):
        assert mine == other
    assert len(ours) == len(own)


def test_the_installed_beautifulsoup_is_one_that_trees_are_built_fast_for() -> None:
    assert builder.FAST


HARD = [
    b"",
    *(
        b"\xef\xbb\xbf" + rest
        for rest in (b"", b" ", b"x", b"\xef\xbb\xbf", b"\xef\xbb\xbfx", b"\x00")
    ),
    b"  \n ",
    b"text",
    b"https://x.example/page.html",
    b"<html><body></body></html>\n",
    b"<!-- a --><!DOCTYPE html><!-- b --><p>x</p></body></html> \n <!-- c --> late <i>x",
    b"<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0//EN' 'http://www.w3.org/TR/x.dtd'>\n<html>",
    b"<!DOCTYPE html SYSTEM 'about:legacy-compat'>",
    b"<!DOCTYPE><!DOCTYPE html><p><!DOCTYPE x>",
    b"<?xml version='1.0' encoding='x'?><html><?php echo ?><p>",
    b"<![CDATA[x]]>y<script><![CDATA[ < ]]></script>",
    b"<!----><!-- --><!-- \n --><pre><!--  --> \n <textarea>\n\n</textarea> </pre> <b>  </b>",
    b"<pre> <pre> </pre>  </pre>  <textarea> <p> </textarea>  \x0c <b>\xc2\xa0 \xc2\xa0</b>",
    b"<script>if (a < b) document.write('<p>')</script><style> p > a {} </style><script> </script>",
    b"<template>a<p>b<script>c</script>d</template><ruby>x<rp>(</rp><rt>y<b>z</b></rt></ruby>",
    b"<meta charset=latin1><meta http-equiv=Content-Type content='text/html; charset=x'>",
    b"<meta content='a' http-equiv='refresh'><meta name=x content='charset=y'>",
    b"<p class='a  b\n c' id='a b' rel='x y' accesskey='' class=z><a rel='x y' rev=' '>",
    b"<td headers='a b'><form accept-charset='a b'><iframe sandbox='a b'><output for='a b'>",
    b"<a {x}y=1 {=2 {x}class='a b' rel='x y' =z {http://a}b =>",
    b"<svg:a xlink:href=x xml:lang=de xmlns:q=r><math><mi>x</math><svg viewBox='0 0 1 1'/>",
    b"<p></br>a</p></p><b><i>x</b>y</i><table>z<tr><td>x<p>y</table><li>a<li>b",
    b"<html a=1><body b=2><html c=3><body d=4><head e=5><title>t</title>",
    b"a\x00b\x01\x0b\x0c\x7f\xef\xbf\xbf\xf0\x9f\x98\x80<p\x00q r\x00='s\x00'>",
    b"&amp;&lt;&nbsp;&notin;&notit;&#0;&#x110000;&#55296;&#x80;&unknown;&",
    b"<a href='?a=1&copy=2&amp;b&#x20;'>x</a><",
    b"<img src=a><br/><hr></hr><input disabled><wbr><frame><keygen><bgsound>x",
    b"<select><option>a<option selected>b<optgroup></select><dl><dt>a<dd>b</dl>",
    b"<noscript><p>x</noscript><iframe><p>x</iframe><xmp><p></xmp><plaintext><p>",
    b"<p" + b" a" * 300 + b">" + b"<i>" * 300 + b"x" + b"</i>" * 299,
]


@pytest.mark.parametrize("markup", HARD)
def test_a_hard_snippet_gives_the_same_tree(markup: bytes) -> None:
    assert_same(markup)


@pytest.mark.parametrize("row", rows("encoding/html5lib_sniff.jsonl"))
def test_a_page_of_the_encoding_vectors_gives_the_same_tree(row: dict[str, str]) -> None:
    body = base64.b64decode(row["html_b64"])
    assert_same(encoding.as_utf8(body, encoding.detect(body)))


@settings(max_examples=300, deadline=None)
@given(BROKEN)
def test_broken_markup_gives_the_same_tree(pieces: list[str]) -> None:
    assert_same("".join(pieces).encode("utf-8", "replace"))


@pytest.mark.skipif(
    etree.LIBXML_VERSION < (2, 14),
    reason="older libxml2 reads some fragments differently when it is fed, as BeautifulSoup does",
)
@settings(max_examples=100, deadline=None)
@given(BROKEN)
def test_both_trees_have_the_same_elements_and_text(pieces: list[str]) -> None:
    markup = encoding.as_utf8("".join(pieces).encode("utf-8", "replace"), "utf-8")
    root, tree = parse(markup), builder.build(markup)
    elements = [] if root is None else root.iter(etree.Element)
    assert inner([element.tag for element in elements]) == inner(
        [tag.name for tag in tree.find_all(True)]
    )
    text = "" if root is None else root.xpath("string()")
    assert visible(text) == visible("".join(s for s in tree.find_all(string=is_text)))


def inner(names: list[str]) -> list[str]:
    """Names without those of which BeautifulSoup has several when text follows ``</html>``."""
    return [name for name in names if name not in ("html", "head", "body")]


def visible(text: str) -> str:
    """``text`` without white space, which the trees shorten differently, and control characters."""
    return re.sub(r"[\s\x00-\x1f\ufffe\uffff]", "", text)


def is_text(string: Any) -> bool:
    return not isinstance(string, PreformattedString)


# ALL_PAGES=1 compares every page, 1,700 of them in about two minutes.
STEP = 1 if os.environ.get("ALL_PAGES") else 100


def pages(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.html"))[::STEP]


@pytest.mark.skipif(not POSTGRES.is_dir(), reason="needs postgresql-doc-15")
def test_pages_of_the_postgresql_manual_give_the_same_trees() -> None:
    for page in pages(POSTGRES):
        assert_same(page.read_bytes())


@pytest.mark.skipif(not PYTHON.is_dir(), reason="needs python3.11-doc")
def test_pages_of_the_python_manual_give_the_same_trees() -> None:
    for page in pages(PYTHON):
        assert_same(page.read_bytes())


# What users do with trees


PAGE = (
    b"<!DOCTYPE html>\n<title>t</title>\n<ul class='a b'><li>x<li>y</ul>"
    b"<p id=p>&eacute; <b>z</b></p><script>1</script>\n"
)


def both() -> tuple[Any, Any]:
    return builder.build(PAGE), theirs(PAGE)


def test_it_prints_the_same() -> None:
    ours, own = both()
    assert str(ours) == str(own)
    assert ours.prettify() == own.prettify()
    assert ours.encode("latin-1") == own.encode("latin-1")
    assert ours.get_text("|", strip=True) == own.get_text("|", strip=True)


def test_it_is_searched_the_same() -> None:
    for tree in both():
        assert [tag.text for tag in tree.find_all("li")] == ["x", "y"]
        assert [tag["class"] for tag in tree.select("ul.b")] == [["a", "b"]]
        assert tree.find("b").find_parent("p")["id"] == "p"
        assert tree.find(string="y").find_previous("title").string == "t"
        assert tree.p.script is None


def test_it_is_copied_and_pickled_the_same() -> None:
    ours, own = both()
    assert looks(copy.copy(ours)) == looks(copy.copy(own))
    assert looks(copy.deepcopy(ours.ul)) == looks(copy.deepcopy(own.ul))
    assert str(copy.copy(ours).builder.soup) == str(copy.copy(own).builder.soup)
    assert looks(pickle.loads(pickle.dumps(ours))) == looks(pickle.loads(pickle.dumps(own)))


def edit(tree: Any) -> None:
    tree.ul.li.decompose()
    tree.p.b.replace_with("Z", tree.new_tag("i", string="new", attrs={"class": "c"}))
    tree.ul.append(tree.new_string("end"))
    tree.p.insert_before(tree.script.extract())
    tree.p["class"] = "d e"
    tree.ul.unwrap()
    tree.smooth()


def test_it_is_edited_the_same() -> None:
    ours, own = both()
    edit(ours)
    edit(own)
    assert looks(ours) == looks(own)
    assert str(ours) == str(own)


def test_the_original_encoding_is_the_one_given() -> None:
    tree = builder.build("<p>é".encode(), "cp1252")
    assert tree.original_encoding == "cp1252"
    assert tree.p is not None
    assert tree.p.string == "é"


def test_markup_that_looks_like_something_else_gives_no_warning() -> None:
    builder.build(b"page.html")
    builder.build(b"https://x.example/")
    builder.build(b"<?xml version='1.0'?><rss></rss>")
    with pytest.warns(XMLParsedAsHTMLWarning):
        BeautifulSoup(b"<?xml version='1.0'?><rss></rss>", "lxml")


def test_xml_gives_an_xml_tree() -> None:
    markup = b"<?xml version='1.0'?><a:Feed xmlns:a='urn:a'><Item b='1 2'/></a:Feed>"
    assert str(builder.build(markup, xml=True)) == str(BeautifulSoup(markup, "lxml-xml"))
    assert builder.build(markup, xml=True).is_xml


# Another BeautifulSoup


def test_a_beautifulsoup_with_other_nodes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up = Tag.__init__

    def set_up_more(self: Tag, *args: Any, **kwargs: Any) -> None:
        set_up(self, *args, **kwargs)
        vars(self)["new_in_5_0"] = True

    monkeypatch.setattr(Tag, "__init__", set_up_more)
    assert not builder._bs4_is_as_expected()


def test_a_beautifulsoup_without_these_methods_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("bs4.element.Doctype._string_for_name_and_ids")
    assert not builder._bs4_is_as_expected()


@pytest.mark.parametrize("markup", HARD)
def test_without_the_fast_builder_trees_are_the_same(
    markup: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "FAST", False)
    assert_same(markup)


# Links, found on the way


@given(BROKEN)
def test_references_are_collected_while_the_tree_is_built(pieces: list[str]) -> None:
    markup = b"<area href><a href='a#b'>x</a>" + "".join(pieces).encode("utf-8", "replace")
    found: list[links.Reference] = []
    tree = builder.build(markup, references=found)
    assert found == [(tag.name, tag["href"]) for tag in tree.find_all(nodes.REFERRING, href=True)]
    assert found[:2] == [("area", ""), ("a", "a#b")]


def test_without_the_fast_builder_references_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    markup = b"<base href=/x/><a href=y>z<a name=q>q</a><link href=l><area href=' w '>"
    fast: list[links.Reference] = []
    slow: list[links.Reference] = []
    builder.build(markup, references=fast)
    monkeypatch.setattr(builder, "FAST", False)
    builder.build(markup, references=slow)
    assert fast == slow == [("base", "/x/"), ("a", "y"), ("area", " w ")]


def test_a_copy_of_the_soup_leaves_the_references_alone() -> None:
    found: list[links.Reference] = []
    copied = copy.copy(builder.build(b"<a href=x>y</a>", references=found))
    assert copied.a is not None
    assert found == [("a", "x")]


# The garbage collector


def collections_while_building(markup: bytes) -> list[int]:
    generations: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            generations.append(info["generation"])

    gc.collect()
    gc.callbacks.append(note)
    try:
        builder.build(markup)
    finally:
        gc.callbacks.remove(note)
    return generations


LARGE = b"<p class=x>y</p>\n" * 5000


def test_a_large_tree_is_made_with_one_collection_before() -> None:
    # One more when collection is on again, for all that was made.
    assert collections_while_building(LARGE)[0] == 1
    assert len(collections_while_building(LARGE)) <= 2
    assert gc.isenabled()


def test_collections_that_are_off_or_rare_are_left_so() -> None:
    gc.disable()
    try:
        assert collections_while_building(LARGE) == []
        assert not gc.isenabled()
    finally:
        gc.enable()
    thresholds = gc.get_threshold()
    gc.set_threshold(1_000_000, 20, 20)
    try:
        assert collections_while_building(LARGE) == []
        assert gc.isenabled()
    finally:
        gc.set_threshold(*thresholds)


def test_collection_is_on_again_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(nodes.TreeBuilderTarget, "comment", fail)
    with pytest.raises(MemoryError):
        builder.build(LARGE + b"<!-- x -->")
    assert gc.isenabled()
