"""Set-Cookie lines on their own; ``test_cookie_jar`` has the cookies of whole responses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.http.set_cookie import (
    CookieOrigin,
    default_path,
    domains_for,
    parse_date,
    parse_line,
    path_matches,
)
from crawler.records import Cookie

ORIGIN = CookieOrigin.of("https://shop.example/cart/")
NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Shop.Example/a/b?c#d", CookieOrigin(True, "shop.example", "/a/b")),
        ("http://me:x@shop.example:8080", CookieOrigin(False, "shop.example", "/")),
        ("http://[::1]:80/a", CookieOrigin(False, "[::1]", "/a")),
        ("no url", CookieOrigin(False, "", "/")),
    ],
)
def test_the_origin_of_a_url(url: str, origin: CookieOrigin) -> None:
    assert CookieOrigin.of(url) == origin


@pytest.mark.parametrize("line", ["", "a", "=1", "a=\x00", "a=1; Domain=other.example"])
def test_a_line_that_is_ignored(line: str) -> None:
    assert parse_line(line, ORIGIN, NOW) is None


def test_max_age_comes_before_expires() -> None:
    line = "a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:10 GMT"
    assert parse_line(line, ORIGIN, NOW) == Cookie("a", "1", "shop.example", "/cart", NOW + 60)
    assert parse_line("a=1; Max-Age=0", ORIGIN, NOW) == Cookie("a", None, "shop.example", "/cart")


@pytest.mark.parametrize(
    ("path", "default"), [("/", "/"), ("/a", "/"), ("/a/", "/a"), ("/a/b", "/a"), ("", "/")]
)
def test_the_path_of_a_cookie_without_one(path: str, default: str) -> None:
    assert default_path(path) == default


def test_a_path_matches_whole_segments() -> None:
    assert path_matches("/a/b", "/a")
    assert path_matches("/a/b", "/a/")
    assert path_matches("/a", "/a")
    assert not path_matches("/ab", "/a")


def test_only_the_host_itself_gets_cookies_for_that_host_alone() -> None:
    domains = dict(domains_for("www.shop.example"))
    assert domains["www.shop.example"]
    assert not domains["shop.example"]
    assert not domains[".shop.example"]
    assert set(domains_for("127.0.0.1")) == {("127.0.0.1", True), ("", True)}


# Dates


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Thu, 01 Jan 1970 00:00:10 GMT", 10),
        ("Thursday, 01-Jan-70 00:00:10 GMT", 10),
        ("Thu Jan  1 00:00:10 1970", 10),
        ("1970 january 1th 00:00:10utc", 10),
        ("10 Feb 2000 8:4:9", 950169849),
        ("Fri, 07 Aug 69 08:04:19 GMT", 3143088259),
        ("Fri, 07 Aug 1600 08:04:19 GMT", None),
        ("Fri, 31 Feb 2020 08:04:19 GMT", None),
        ("Fri, 07 Aug 2020 24:04:19 GMT", None),
        ("Fri, 07 Aug 2020", None),
        ("07 2020 08:04:19", None),
        ("Fri, 007 Aug 2020 08:04:19", None),
        ("", None),
    ],
)
def test_dates_are_read_by_their_parts(text: str, expected: float | None) -> None:
    assert parse_date(text) == expected


@given(st.integers(-11644473600, 253402300799))
def test_the_date_of_a_server_is_read(at: int) -> None:
    date = datetime.fromtimestamp(0, UTC) + timedelta(seconds=at)
    assert parse_date(format_datetime(date, usegmt=True)) == at
