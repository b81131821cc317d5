"""Links: the URLs on a page."""

from __future__ import annotations

import base64
import html as markup
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from crawler import urls
from crawler.errors import SpiderError
from crawler.parsing import links
from crawler.parsing.links import Link
from tests.conformance import expect_misses, rows

PAGE = "https://shop.example/list/page.html?p=1"


def tree(html: str) -> etree._Element:
    return etree.HTML(html)


def found(html: str, base: str = PAGE, **options: Any) -> list[str]:
    return [link.url for link in links.extract(tree(html), base, **options)]


# Scrapy's vectors


def _scrapys_tree(row: dict[str, Any]) -> etree._Element:
    html = base64.b64decode(row["html_b64"]) if "html_b64" in row else row["html"].encode()
    if row.get("xml"):
        return etree.fromstring(html.strip(), etree.XMLParser(recover=True))
    # The rows that are given as text are text already, whatever encoding the page was sent in.
    encoding = row.get("encoding", "utf-8") if "html_b64" in row else "utf-8"
    return etree.HTML(html.decode(encoding, "replace"))


def _our_options(options: dict[str, Any]) -> dict[str, Any]:
    ours = dict(options)
    ours.pop("canonicalize", None)
    for theirs, name in (("restrict_css", "css"), ("restrict_xpaths", "xpath")):
        if theirs in ours:
            ours[name] = ours.pop(theirs)
    for name in ("tags", "attrs"):
        if name in ours and ours[name] is None:
            ours[name] = ()
    # Scrapy leaves these out unless it is told otherwise.
    ours.setdefault("deny_extensions", links.IGNORED_EXTENSIONS)
    return ours


def _in_our_terms(shown: list[tuple[str, str, bool]], options: dict[str, Any]) -> list[Any]:
    """Fragments are never sent, so our URLs have none, and ``unique`` compares without them."""
    cut = [(url.partition("#")[0], text, nofollow) for url, text, nofollow in shown]
    if options.get("canonicalize"):
        cut = [(urls.canonical(url), text, nofollow) for url, text, nofollow in cut]
    if not options.get("unique", True):
        return cut
    return list({one[0]: one for one in reversed(cut)}.values())[::-1]


@pytest.mark.parametrize(
    "row",
    expect_misses(
        rows("links/scrapy_linkextractor.jsonl"),
        {
            "scrapy/TestLxmlLinkExtractor/test_ftp_links/1": "only http and https are fetched",
            "scrapy/TestLxmlParserLinkExtractor/test_deduplicates_by_canonical_url/1": "unique "
            "compares URLs; two spellings of one are found out by the frontier",
        },
    ),
)
def test_scrapys_link_extractor(row: dict[str, Any]) -> None:
    root = _scrapys_tree(row)
    base = links.base_url(root, row["page_url"])
    got = links.extract(
        root, base, encoding=row.get("encoding", "utf-8"), **_our_options(row["options"])
    )
    assert _in_our_terms(
        [(link.url, link.text, link.nofollow) for link in got], row["options"]
    ) == _in_our_terms(
        [(one["url"], one["text"], one["nofollow"]) for one in row["expected"]], row["options"]
    )


@pytest.mark.parametrize("row", rows("links/base_and_schemes.jsonl"))
def test_base_and_schemes(row: dict[str, Any]) -> None:
    root = tree(row["html"])
    base = links.base_url(root, row["page_url"])
    tags, attrs = row.get("selector", "a"), row.get("attribute", "href")
    got = [link.url for link in links.extract(root, base, tags=tags, attrs=attrs)]
    assert got == row["expected"]


@pytest.mark.parametrize("row", rows("links/wpt_meta_refresh.jsonl"))
def test_meta_refresh(row: dict[str, Any]) -> None:
    expected = row["refresh"] and (row["refresh"]["seconds"], row["refresh"]["url"])
    assert links.meta_refresh(row["content"]) == expected


# Our own promises


def test_a_refresh_in_an_absurdly_long_time_is_a_number() -> None:
    refresh = links.meta_refresh("9" * 10_000 + "; url=x")
    assert refresh is not None
    assert refresh[0] > 10**8


def test_the_usual_page() -> None:
    html = """
      <a href="a">one</a> <a href="../b#part">two</a> <a href="/c?x=1">three</a>
      <a href="https://other.example">four</a> <map><area href="d"></map>
      <a href="a">one again</a> <a>none</a> <a href="#top">top</a>
      <a href="mailto:x@y.example">mail</a> <a href="javascript:void(0)">no</a>
      <a href="http://[broken">no</a> <!-- <a href="comment">no</a> --> <a href="">itself</a>
    """
    assert found(html) == [
        "https://shop.example/list/a",
        "https://shop.example/b",
        "https://shop.example/c?x=1",
        "https://other.example/",
        "https://shop.example/list/d",
        PAGE,
    ]


def test_text_is_what_a_reader_sees() -> None:
    (link,) = links.extract(tree("<a href=x> A <b>big\n  red</b><!-- not --> bus\t</a>"), PAGE)
    assert link.text == "A big red bus"
    assert repr(link) == "Link('https://shop.example/list/x', text='A big red bus')"


def test_links_are_equal_by_url_and_text() -> None:
    one, two, three = links.extract(
        tree("<a href=x>A</a><a href=x rel=nofollow>A</a><a href=x>B</a>"), PAGE, unique=False
    )
    assert one == two
    assert hash(one) == hash(two)
    assert one != three
    assert one != PAGE
    assert Link(PAGE).text == ""
    assert not Link(PAGE).nofollow


@pytest.mark.parametrize(
    ("rel", "nofollow"),
    [("nofollow", True), ("NoFollow ugc", True), ("nofollower", False), ("", False)],
)
def test_nofollow(rel: str, nofollow: bool) -> None:
    (link,) = links.extract(tree(f"<a rel='{rel}' href=x>A</a>"), PAGE)
    assert link.nofollow is nofollow


def test_a_selector_may_choose_links_or_what_they_are_in() -> None:
    html = "<ul><li class=next><a href=n>next</a></li><li><a href=o>other</a></li></ul>"
    next_page = ["https://shop.example/list/n"]
    assert found(html, css="li.next a") == next_page
    assert found(html, css=".next") == next_page
    assert found(html, xpath="//li[@class='next']") == next_page
    assert found(html, css=".none") == []


def test_an_element_chosen_twice_is_one_link() -> None:
    html = "<div><div><a href=x>X</a></div></div>"
    assert len(found(html, css=["div", "a"], xpath="//div", unique=False)) == 1


def test_no_tags_are_no_links() -> None:
    assert found("<a href=x>X</a>", tags=()) == []


def test_filters() -> None:
    html = "".join(f"<a href={ref}>{ref}</a>" for ref in ("a1", "a2.pdf", "b1", "//o.example/a3"))
    assert found(html, allow="/a") == [
        "https://shop.example/list/a1",
        "https://shop.example/list/a2.pdf",
        "https://o.example/a3",
    ]
    assert found(html, allow=[re.compile("A1", re.IGNORECASE), "b"], deny=r"a\d\.") == [
        "https://shop.example/list/a1",
        "https://shop.example/list/b1",
    ]
    assert found(html, allow_domains="o.example") == ["https://o.example/a3"]
    assert found(html, deny_domains=["shop.example"]) == ["https://o.example/a3"]
    assert "https://shop.example/list/a2.pdf" not in found(html, deny_extensions=".PDF")
    assert found(html, restrict_text="^b") == ["https://shop.example/list/b1"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"css": "a[["}, "'a[[' is not a CSS selector"),
        ({"xpath": "//["}, "'//[' is not an XPath expression"),
        ({"allow": "("}, "'(' is not a regular expression"),
        ({"allow_domains": "https://x.example/"}, "is a URL"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(SpiderError, match=re.escape(named)):
        found("<a href=x>X</a>", **options)


def test_a_selector_that_does_not_choose_elements_chooses_nothing() -> None:
    assert found("<a href=x>X</a>", xpath="//a/@href") == []


# All addresses in one walk

REFERENCES = st.one_of(
    st.sampled_from(
        [
            *("", "#", "#top", " #a", "a #b", "a#b", "a#b#c", "/x#", "?q#f", "\t#a", "a\x00#b"),
            *("mailto:x@y.test", "http://[", "//other.test/#x", "http:#a", "b\n#c", "é?ü=1#x"),
        ]
    ),
    st.text(max_size=12),
)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "area", "base", "link", "A"]), REFERENCES), max_size=8
    ),
    st.sampled_from(["utf-8", "cp1252", "euc_jp"]),
)
def test_addresses_are_the_links_of_a_page(page: list[tuple[str, str]], encoding: str) -> None:
    body = "".join(f'<{tag} href="{markup.escape(value)}">x</{tag}>' for tag, value in page)
    root = tree(f"<html><body><p>{body}</body></html>".replace("\0", ""))
    url = "http://site.test/dir/page.html?q=1"
    extracted = links.extract(root, links.base_url(root, url), encoding=encoding)
    found = links.link_urls(links.references(root), url, encoding=encoding)
    assert found == [link.url for link in extracted]
