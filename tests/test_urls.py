"""URLs: resolved, canonical, taken apart."""

from __future__ import annotations

from typing import Any

import pytest
from ada_url import join_url
from hypothesis import example, given
from hypothesis import strategies as st

from crawler import urls
from tests.conformance import rows

# What a job does where the vectors leave the choice to a policy.
POLICY = {
    "equiv/27": True,  # parameters in another order
    "equiv/28": True,  # "+" and "%20" in a query
    "equiv/29": True,  # an empty parameter
    "equiv/30": True,  # an empty query
    "equiv/31": False,  # doubled slashes
    "equiv/32": False,  # a dot at the end of the host
    "equiv/33": False,  # tracking parameters
    "equiv/34": False,  # session parameters
    "equiv/35": False,  # http and https
}


@pytest.mark.parametrize("row", rows("urls/wpt_http_subset.jsonl"))
def test_wpt(row: dict[str, Any]) -> None:
    base = row["base"]
    got = urls.normalise(row["input"]) if base is None else urls.resolve(base, row["input"])
    if row.get("failure"):
        assert got is None
        return
    expected = row["href"].partition("#")[0]
    if not expected.startswith(("http://", "https://")):
        assert got is None
        return
    assert got == expected
    assert urls.normalise(expected) == expected
    assert urls.netloc(expected) == row["host"]


@pytest.mark.parametrize("row", rows("urls/equivalence.jsonl"))
def test_equivalence(row: dict[str, Any]) -> None:
    expected = POLICY[row["id"]] if row["same"] == "policy" else row["same"]
    assert (urls.canonical(row["a"]) == urls.canonical(row["b"])) is expected


def _by_the_library(base: str, reference: str) -> str | None:
    try:
        url = join_url(base, reference)
    except ValueError:
        return None
    return url.partition("#")[0] if url.startswith(("http://", "https://")) else None


BASES = [
    "https://shop.example/a/b/page.html?x=/y/z",
    "https://shop.example/a/b/",
    "https://shop.example/",
    "http://shop.example:8080/a//b",
    "http://user:secret@shop.example/a",
    "http://[::1]:8/a",
]
CHARACTERS = list("ab/.:?#\\@ \t\n%&=+~-_[]é\u3000\u200b\ud800")
WORDS = [
    "http:",
    "https://",
    "javascript:",
    "mailto:",
    "..",
    "//",
    "%2e",
    "xn--",
    "127.1",
    "www.example",
    ":80",
    ":443",
    "[::1]",
]
REFERENCES = st.lists(st.sampled_from(CHARACTERS + WORDS), max_size=8).map("".join)


@given(st.sampled_from(BASES), REFERENCES)
@example(BASES[0], "")
@example(BASES[0], "#top")
@example(BASES[0], "?q")
@example(BASES[0], "http:?q")
@example(BASES[0], " ?q")
@example(BASES[0], "\t#")
def test_resolving_is_what_the_library_does_whatever_is_remembered(base: str, ref: str) -> None:
    expected = _by_the_library(base, ref.replace("\ud800", "\ufffd"))
    assert urls.resolve(base, ref) == expected
    assert urls.resolve(base, ref) == expected
    if expected is not None:
        assert urls.normalise(expected) == expected
        assert urls.canonical(urls.canonical(expected)) == urls.canonical(expected)


@given(REFERENCES.map(lambda rest: "http://" + rest))
@example("http://a.example:080/")
@example("http://0x7f.1/")
@example("https://a.example/.")
def test_normalising_is_what_the_library_does(url: str) -> None:
    assert urls.normalise(url) == _by_the_library("http://x/", url.replace("\ud800", "\ufffd"))


def test_pages_of_a_directory_share_what_is_remembered_but_not_their_queries() -> None:
    one, two = "https://a.example/d/1.html?p=1", "https://a.example/d/2.html?p=2"
    assert urls.resolve(one, "x") == urls.resolve(two, "x") == "https://a.example/d/x"
    assert urls.resolve(one, "?q=1") == "https://a.example/d/1.html?q=1"
    assert urls.resolve(two, "?q=1") == "https://a.example/d/2.html?q=1"
    assert urls.resolve(one, "") == one
    assert urls.resolve(two, "#f") == two
    assert urls.resolve("https://a.example/e/", "x") == "https://a.example/e/x"


def test_a_broken_base_still_leaves_absolute_references() -> None:
    assert urls.resolve("nonsense", "https://a.example/x") == "https://a.example/x"
    assert urls.resolve("nonsense", "x") is None
    assert urls.resolve("nonsense", "/x") is None
    assert urls.resolve("https://a.example/", "/x") == "https://a.example/x"


def test_memory_for_references_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = urls._Memory()
    monkeypatch.setattr(urls, "_memory", memory)
    monkeypatch.setattr(memory, "MOST", 100, raising=False)
    base = urls.Base("https://a.example/d/")
    for number in range(1_000):
        assert base.join(f"/x{number}") == f"https://a.example/x{number}"
        assert base.join(f"y{number}") == f"https://a.example/d/y{number}"
        other = urls.Base.of(f"https://a{number}.example/d/")
        assert other.join("x") == f"https://a{number}.example/d/x"
        assert other.join(f"https://b.example/{number}") == f"https://b.example/{number}"
        below = sum(1 + len(known) for known in memory._below.values())
        assert below + len(memory.absolute) <= 100
        assert len(base._root) <= 100
        assert len(base._here) <= 100


@pytest.mark.parametrize(
    ("reference", "encoding", "expected"),
    [
        ("/é?q=é", "utf-8", "/é?q=é"),
        ("/é?q=é", "windows-1252", "/é?q=%E9"),
        ("?q=привет", "windows-1251", "?q=%EF%F0%E8%E2%E5%F2"),
        ("?q=a&b=ж", "windows-1252", "?q=a&b=%26%231078%3B"),
        ("?q=é", "no-such-encoding", "?q=é"),
        ("/é", "windows-1252", "/é"),
    ],
)
def test_queries_are_written_in_the_encoding_of_the_page(
    reference: str, encoding: str, expected: str
) -> None:
    assert urls.encode_query(reference, encoding) == expected


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://a.example/x", "https://a.example/x"),
        ("https://a.example/%7Eme/%2fx", "https://a.example/~me/%2Fx"),
        ("https://a.example/x?", "https://a.example/x"),
        ("https://a.example/x?b=2&a=1&b=1", "https://a.example/x?a=1&b=2&b=1"),
        ("https://a.example/x?q=a+b", "https://a.example/x?q=a%20b"),
        ("https://a.example/a+b", "https://a.example/a+b"),
        ("https://a.example/x?&&", "https://a.example/x"),
        ("https://A.example/x#top", "https://a.example/x"),
        ("no url", "no url"),
    ],
)
def test_canonical(url: str, canonical: str) -> None:
    assert urls.canonical(url) == canonical


@pytest.mark.parametrize(
    ("url", "origin", "netloc", "site"),
    [
        ("https://www.shop.example/", "https://www.shop.example", "www.shop.example", None),
        ("http://a.b.co.uk:8080/x@y", "http://a.b.co.uk:8080", "a.b.co.uk:8080", "b.co.uk"),
        ("https://u:p@a.example/@", "https://a.example", "a.example", "a.example"),
        ("https://me.github.io/", "https://me.github.io", "me.github.io", "me.github.io"),
        ("https://co.uk/", "https://co.uk", "co.uk", "co.uk"),
        ("http://127.0.0.1:81/", "http://127.0.0.1:81", "127.0.0.1:81", "127.0.0.1"),
        ("http://[::1]/", "http://[::1]", "[::1]", "[::1]"),
        ("http://[::1]:81/", "http://[::1]:81", "[::1]:81", "[::1]"),
        ("http://localhost:81/", "http://localhost:81", "localhost:81", "localhost"),
        ("http://a/", "http://a", "a", "a"),
    ],
)
def test_parts(url: str, origin: str, netloc: str, site: str | None) -> None:
    assert urls.origin(url) == origin
    assert urls.netloc(url) == netloc
    assert urls.site(url) == (site or "shop.example")


def test_same_origin() -> None:
    assert urls.same_origin("https://a.example/x", "https://u:p@a.example/y")
    assert not urls.same_origin("https://a.example/", "http://a.example/")
    assert not urls.same_origin("https://a.example/", "https://a.example:8443/")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/x", "https://a.example/x"),
        ("https://a.example/@me", "https://a.example/@me"),
        ("https://u:secret@a.example/x@y", "https://***@a.example/x@y"),
        ("https://u:secret@", "https://***@"),
        ("http://u:sec/ret@a.example/", "http://***@a.example/"),
        ("ftp://u:secret@a.example/", "ftp://***@a.example/"),
        ("HTTP:u:secret@a.example", "http://***@a.example/"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert urls.redacted(url) == shown
    assert "secret" not in urls.redacted(url)
