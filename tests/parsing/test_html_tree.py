"""``crawler.parsing.html_tree``: the lxml tree of a page."""

from __future__ import annotations

from pathlib import Path

from lxml import etree
from lxml import html as lxml_html

from crawler.parsing.html_tree import parse
from crawler.parsing.soup.builder import build


def test_elements_are_those_of_lxml_html() -> None:
    root = parse(b"<p>x<!-- y --><a href=z>")
    assert isinstance(root, lxml_html.HtmlElement)
    assert isinstance(root.find(".//a"), lxml_html.HtmlElement)
    assert isinstance(root[0][0][0], lxml_html.HtmlComment)


def test_markup_behind_the_end_of_the_page_is_in_its_body() -> None:
    root = parse(
        b"<html><body><p>a</p></body></html>\n<!-- c -->b<a href=x>c</a>d</html>e<body f=g>h<i>j"
    )
    assert [link.get("href") for link in root.iter("a")] == ["x"]
    assert [child.tag for child in root] == ["body"]
    assert root.xpath("string(body)") == "abcdehj"
    assert root.getnext().getnext() is None
    assert parse(b"<frameset></frameset></html><p>x")[-1].tag == "p"


def test_control_characters_after_the_end_of_the_page_are_no_error() -> None:
    root = parse(b"<p>a\x01</p>\x02</html>\x08b\x0c")
    assert root.xpath("string()").replace("\x01", "") == "ab"


def test_markup_without_elements_has_no_root() -> None:
    for markup in (b"", b" ", b"<!-- x -->"):
        assert parse(markup) is None
    for markup in (b"", b"x"):
        assert parse(markup, xml=True) is None


def test_deep_nesting_and_long_text_are_kept() -> None:
    root = parse(b"<div>" * 1000 + b"x" * 11_000_000 + b"<a href=x>")
    assert len(root.xpath("//div")) == 1000
    assert len(root.xpath("//a")) == 1


def test_xml_entities_do_not_read_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    markup = f'<!DOCTYPE a [<!ENTITY f SYSTEM "{secret.as_uri()}">]><a>x&f;</a>'.encode()
    root = parse(markup, xml=True)
    assert root.xpath("string()") == "x"
    assert "secret" not in etree.tostring(root, encoding="unicode")
    assert "secret" not in str(build(markup, xml=True))


def test_xml_entities_do_not_fill_the_memory() -> None:
    laughs = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    markup = f'<!DOCTYPE a [<!ENTITY e0 "lol">{laughs}]><a>&e9;</a>'.encode()
    assert len(parse(markup, xml=True).xpath("string()")) < 1_000_000
    assert len(str(build(markup, xml=True))) < 1_000_000
