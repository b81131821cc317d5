"""Cookie files as browsers and their extensions write them."""

from __future__ import annotations

import json
from http.cookiejar import MozillaCookieJar
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import CookieFileError
from crawler.records import Cookie
from crawler.session.cookie_files import as_json, netscape, read

EXPORTED = """\
# Netscape HTTP Cookie File
# https://curl.se/docs/http-cookies.html

.shop.example\tTRUE\t/\tTRUE\t1999999999\tsid\tabc=def
#HttpOnly_www.shop.example\tFALSE\t/account\tFALSE\t0\tcsrf\t"quoted value"
"""

SID = Cookie("sid", "abc=def", ".shop.example", "/", 1999999999.0, secure=True, host_only=False)
CSRF = Cookie("csrf", '"quoted value"', "www.shop.example", "/account", http_only=True)


def line(**changed: str) -> str:
    fields = {"domain": "a.example", "sub": "FALSE", "path": "/", "secure": "FALSE", "expires": "0"}
    fields |= {"name": "n", "value": "v"}
    return "\t".join((fields | changed).values())


def entry(**changed: Any) -> str:
    return json.dumps([{"name": "n", "value": "v", "domain": "a.example"} | changed])


def test_cookies_txt_is_read() -> None:
    assert read(EXPORTED, "cookies.txt") == [SID, CSRF]
    assert read(EXPORTED.replace("\n", "\r\n"), "cookies.txt") == [SID, CSRF]
    assert read("\ufeff" + EXPORTED, "cookies.txt") == [SID, CSRF]


def test_a_json_export_is_read() -> None:
    text = json.dumps(
        [
            {
                "domain": ".shop.example",
                "expirationDate": 1999999999.25,
                "hostOnly": False,
                "httpOnly": False,
                "name": "sid",
                "path": "/",
                "sameSite": "lax",
                "secure": True,
                "session": False,
                "storeId": "0",
                "value": "abc=def",
            },
            {
                "domain": "www.shop.example",
                "hostOnly": True,
                "httpOnly": True,
                "name": "csrf",
                "path": "/account",
                "secure": False,
                "session": True,
                "value": '"quoted value"',
            },
        ]
    )
    sid, csrf = read(text, "cookies.json")
    assert sid.expires == 1999999999.25
    assert csrf == CSRF


def test_a_playwright_state_is_read() -> None:
    cookie = {"name": "n", "value": "v", "domain": "a.example", "path": "/", "expires": -1}
    state = json.dumps({"cookies": [cookie], "origins": []})
    assert read(state, "state.json") == [Cookie("n", "v", "a.example", "/")]


def test_cookies_of_a_host_and_of_a_domain_are_distinguished() -> None:
    def domain(text: str) -> tuple[str, bool]:
        (cookie,) = read(text, "x")
        return cookie.domain, cookie.host_only

    assert domain(line(domain="a.example", sub="TRUE")) == (".a.example", False)
    assert domain(line(domain=".a.example", sub="FALSE")) == ("a.example", True)
    assert domain(line(domain="127.0.0.1", sub="TRUE")) == ("127.0.0.1", True)
    assert domain(entry(domain=".a.example")) == (".a.example", False)
    assert domain(entry(domain="a.example")) == ("a.example", True)
    assert domain(entry(domain="a.example", hostOnly=False)) == (".a.example", False)


def test_a_name_without_dots_is_as_the_cookie_jar_has_it() -> None:
    (cookie,) = read(line(domain="localhost"), "x")
    assert cookie.domain == "localhost.local"
    assert "localhost\tFALSE" in netscape([cookie])


def test_a_value_may_be_empty_or_have_tabs() -> None:
    assert read(line(value=""), "x")[0].value == ""
    assert read(line().removesuffix("\tv"), "x")[0].value == ""
    assert read(line(value="a\tb"), "x")[0].value == "a\tb"


def test_cookies_without_a_name_are_ignored() -> None:
    assert read(f"{line(name='')}\n{line()}", "x") == read(line(), "x")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "x holds no cookies"),
        ("# nothing\n", "x holds no cookies"),
        ("[]", "x holds no cookies"),
        (
            f"{line()}\na=b; c=d",
            "x:2 is not a cookie: it needs seven fields with tabs between them",
        ),
        (line(expires="soon"), "x:1: its expiry must be in seconds since 1970, not 'soon'"),
        (line(expires="nan"), "x:1: its expiry must be in seconds"),
        (line(domain=""), "x:1: its domain is empty"),
        ("[", "x is not valid JSON"),
        ('{"a": 1}', "x is not a list of cookies"),
        ("[1]", "x, cookie 1 is not an object with name, value and domain"),
        (entry(value=5), "x, cookie 1: its value must be one line of text"),
        (entry(value="a\r\nSet-Cookie: b=c"), "x, cookie 1: its value must be one line of text"),
        (entry(expirationDate=[]) + "", "x holds"),
        (entry(expirationDate="2030-01-01"), "x, cookie 1: its expiry must be in seconds"),
    ],
)
def test_an_error_of_a_cookie_file_names_its_line(text: str, why: str) -> None:
    if why == "x holds":  # whatever is empty is no expiry
        assert read(text, "x")[0].expires is None
        return
    with pytest.raises(CookieFileError) as raised:
        read(text, "x")
    assert str(raised.value).startswith(why)


def test_the_standard_library_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text(netscape([SID, CSRF]))
    jar = MozillaCookieJar(path)
    jar.load(ignore_discard=True, ignore_expires=True)
    found = {(c.name, c.value, c.domain, c.path, c.secure, c.domain_specified) for c in jar}
    assert found == {
        ("sid", "abc=def", ".shop.example", "/", True, True),
        ("csrf", '"quoted value"', "www.shop.example", "/account", False, False),
    }


printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)
cookies = st.builds(
    Cookie,
    name=printable,
    value=st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["C"])),
    domain=st.sampled_from(["a.example", "localhost.local", "127.0.0.1"]),
    path=st.sampled_from(["/", "/a b", "/ä"]),
    expires=st.none() | st.integers(1, 2**33).map(float),
    secure=st.booleans(),
    http_only=st.booleans(),
) | st.builds(
    Cookie,
    name=printable,
    value=printable,
    domain=st.just(".a.example"),
    path=st.just("/"),
    host_only=st.just(False),
)


@given(st.lists(cookies, min_size=1))
def test_written_files_are_read_again(found: list[Cookie]) -> None:
    assert read(netscape(found), "x") == found
    assert read(as_json(found), "x") == found
