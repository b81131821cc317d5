"""robots.txt."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from crawler import urls
from crawler.parsing import robots
from crawler.parsing.robots import Robots
from tests.conformance import expect_misses, rows

DIGITS = "a crawler whose name has digits should find the rules that name it"
ENCODED = "RFC 9309 section 2.2.2: both sides are percent-encoded before comparing"

GOOGLE = expect_misses(
    rows("robots/google_spec_test.jsonl"),
    {
        **{f"spec-test/correctness/non-ascii-paths/{n}": ENCODED for n in (3, 5, 6)},
        "spec-test/correctness/user-agent-name/2": "the agent is a user agent string, whose first "
        "word is the name, so 'Foo Bar' is Foo",
        **{
            f"spec-test/stress/{n}": "RFC 9309 section 2.2.2: /robots.txt is always allowed"
            for n in ("327748/6", "369883/6", "369883/10", "860237/10")
        },
        **{f"spec-test/stress/369883/{n}": DIGITS for n in (7, 8)},
    },
)
DIRECTIVES = expect_misses(
    rows("robots/directives.jsonl"),
    {
        "reppy/test_no_leading_user_agent/d8": "RFC 9309 section 2.2.1: what stands before the "
        "first user-agent line belongs to no group",
        "crawler-commons/testHeritrixCases/d3": "the name is the first word of a user agent",
        "crawler-commons/testSitemap/n": "a URL alone on a line is no sitemap line",
    },
)


@pytest.mark.parametrize("row", GOOGLE)
def test_google_spec(row: dict[str, Any]) -> None:
    content = base64.b64decode(row["robots_b64"]) if "robots_b64" in row else row["robots"]
    rules = Robots(content)
    assert Robots(rules.body).allows(row["url"], row["agent"]) is rules.allows(
        row["url"], row["agent"]
    )
    assert rules.allows(row["url"], row["agent"]) is row["allowed"]


def _body(row: dict[str, Any]) -> bytes:
    if "body_b64" in row:
        return base64.b64decode(row["body_b64"])
    if "generate" in row:
        how = row["generate"]
        padding = how["prefix_lines"] * (how["repeat_until_bytes"] // len(how["prefix_lines"]))
        return bytes(padding + how["then"], "utf-8")
    return str(row["body"]).encode()


@pytest.mark.parametrize("row", rows("robots/fetch_rules.jsonl"))
def test_fetch_rules(row: dict[str, Any]) -> None:
    if "robots_url" in row:
        page = urls.normalise(row["page_url"])
        assert robots.url_for(page or "") == row["robots_url"]
        return
    if "allowed" not in row:
        assert robots.MAX_AGE <= 24 * 60 * 60
        return
    if row["allowed"] == "either":
        assert row["redirects"] > robots.MAX_REDIRECTS
        return
    assert row.get("redirects", 0) <= robots.MAX_REDIRECTS
    rules = Robots.of_response(row["status"], _body(row) if row["status"] else b"")
    assert rules.allows("https://shop.example" + row["url"], "crawler") is row["allowed"]
    assert rules.reachable is not (row["status"] is None or row.get("defer", row["status"] >= 500))


@pytest.mark.parametrize("row", DIRECTIVES)
def test_directives(row: dict[str, Any]) -> None:
    rules = Robots(row["robots"])
    if row["kind"] == "crawl_delay":
        assert rules.crawl_delay(row["agent"]) == row["expected"]
    elif row["kind"] == "sitemap_count":
        assert len(rules.sitemaps) == row["expected"]
    else:
        assert rules.sitemaps == row["expected"]


AGENT = "crawler/0.1 (a web crawler in Python)"


@pytest.mark.parametrize(
    ("agent", "token"),
    [
        (AGENT, "crawler"),
        ("Crawler", "crawler"),
        ("crawler", "crawler"),
        ("Mozilla/5.0 (compatible; Foobot/2.1; +http://foo.example)", "foobot"),
        ("Mozilla/5.0 (X11; Linux x86_64)", "mozilla"),
        ("", ""),
    ],
)
def test_product_token(agent: str, token: str) -> None:
    assert robots.product_token(agent) == token


@pytest.mark.parametrize("name", ["crawl", "awler", "python", "a", "web", "crawler-news", "*bot"])
def test_a_group_for_a_part_of_the_name_is_not_ours(name: str) -> None:
    rules = Robots(f"User-agent: {name}\nDisallow: /\nUser-agent: *\nDisallow: /private")
    assert rules.allows("https://shop.example/x", AGENT)
    assert not rules.allows("https://shop.example/private", AGENT)


def test_the_group_for_the_name_replaces_the_one_for_all() -> None:
    rules = Robots("User-agent: *\nDisallow: /\n\nUser-agent: Crawler/1.0\nCrawl-delay: 2\n")
    assert rules.allows("https://shop.example/x", AGENT)
    assert rules.crawl_delay(AGENT) == 2.0
    assert not rules.allows("https://shop.example/x", "other/1.0")
    assert rules.crawl_delay("other/1.0") is None


def test_a_crawl_delay_of_ages_is_an_hour() -> None:
    rules = Robots(b"User-agent: *\nCrawl-delay: 1e300\n")
    assert rules.crawl_delay(AGENT) == 3600


@pytest.mark.parametrize("delay", ["-1", "NaN", "inf", "-inf", "ten", "", "1.2.3", "10s"])
def test_a_crawl_delay_that_is_no_time_is_none(delay: str) -> None:
    assert Robots(f"User-agent: *\nCrawl-delay: {delay}").crawl_delay(AGENT) is None


def test_a_crawl_delay_alone_is_heard_and_forbids_nothing() -> None:
    rules = Robots("User-agent: *\nCrawl-delay : 0.5")
    assert rules.crawl_delay(AGENT) == 0.5
    assert rules.allows("https://shop.example/x", AGENT)


@pytest.mark.parametrize("garbage", ["<br />", "Noindex: /x", "\x00\x01", "Host: a.example", "::"])
def test_garbage_does_not_part_the_names_of_a_group(garbage: str) -> None:
    rules = Robots(f"User-agent: crawler\n{garbage}\nUser-agent: other\n{garbage}\nDisallow: /x")
    assert not rules.allows("https://shop.example/x", AGENT)
    assert not rules.allows("https://shop.example/x", "other")


def test_half_a_rule_at_the_size_limit_is_no_rule() -> None:
    start = b"User-agent: *\n"
    padding = b"#" * (robots.MAX_SIZE - len(start) - len(b"\nDisallow: /")) + b"\n"
    rules = Robots(start + padding + b"Disallow: /private\n")
    assert rules.allows("https://shop.example/public", AGENT)


def test_a_line_ends_only_where_the_rfc_says() -> None:
    rules = Robots("User-agent: *\nDisallow: /a\u2028Disallow: /b\rDisallow: /c")
    assert rules.allows("https://shop.example/b", AGENT)
    assert not rules.allows("https://shop.example/c", AGENT)


def test_the_body_says_again_what_was_read() -> None:
    written = (
        "\ufeffuser-agent : Crawler/2 # us\n<br>\ndisalow /x\nSITEMAP: https://a.example/s.xml\n"
    )
    rules = Robots(written)
    assert rules.body.decode().splitlines() == [
        "User-agent: Crawler/2",
        "Disallow: /x",
        "Sitemap: https://a.example/s.xml",
    ]
    again = Robots(rules.body)
    assert again.body == rules.body
    assert again.sitemaps == rules.sitemaps == ["https://a.example/s.xml"]
    assert not again.allows("https://shop.example/x", AGENT)


def test_an_unreachable_file_is_kept_as_forbidding_everything() -> None:
    assert not Robots(Robots.of_response(None, b"").body).allows("https://a.example/", AGENT)
