"""The request after a redirect, by the public vectors; ``test_redirects_followed`` has crawls."""

from __future__ import annotations

from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict

from crawler import urls
from crawler.errors import FetchError
from crawler.http.redirects import STATUSES, is_redirect, redirected
from crawler.parsing.response import Response
from crawler.request import Hop, Request
from crawler.scope import is_credential
from tests.conformance import expect_misses, rows

URL = "http://www.example.com/302"

# Where a row says ``differs`` or ``policy``, or is about something that is not decided here.
MISSES: dict[str, str] = {
    "redirect/fragment-kept": "fragments are never sent, and responses do not carry them",
    "redirect/fragment-target-wins": "fragments are never sent, and responses do not carry them",
    "redirect/headers/http-to-https": "another scheme is another origin, so the Cookie goes too",
    "redirect/headers/other-port": "another port is another origin, so the Cookie goes too",
    "redirect/strip-auth/3": "another scheme is another origin (Fetch, HTTP-redirect fetch)",
    "redirect/strip-auth/4": "another scheme is another origin",
    "redirect/strip-auth/5": "another scheme is another origin",
    "refresh/after-post": "a meta refresh is neither followed nor a link so far",
}


@pytest.mark.parametrize("row", expect_misses(rows("http/redirects.jsonl"), MISSES))
def test_vectors(row: dict[str, Any]) -> None:
    kind = row["id"].split("/")[1]
    if row["id"].startswith("refresh/"):
        _check_refresh(row)
    elif kind == "referer":
        _check_referer(row)
    elif "chain" in row:
        _check_chain(row)
    else:
        _check_hop(row)


def _check_refresh(row: dict[str, Any]) -> None:
    """Check a refresh; whether it counts in a noscript or after a long time is policy."""
    found = [link.url for link in Response(URL, row["html"].encode()).links()]
    assert row.get("policy") or row["expect"]["url"] in found


def _check_referer(row: dict[str, Any]) -> None:
    """A Referer that the request has stays unless https leads to http; none is made up."""
    assert row["policy"]
    before = row["request_referer"] and {"Referer": row["request_referer"]}
    if row["id"] == "redirect/referer/3":
        request = Request(row["url"], headers=before)
        assert redirected(request, row["status"], row["location"], 20).headers is None
        return
    request = Request(row["url"], headers=before)
    assert redirected(request, row["status"], row["location"], 20).headers == before


def _location(row: dict[str, Any]) -> str | None:
    if "location_bytes_hex" in row:
        return bytes.fromhex(row["location_bytes_hex"]).decode("latin-1")  # as http.client does
    location: str | None = row["location"]
    return location


def _check_hop(row: dict[str, Any]) -> None:
    expect, status, location = row["expect"], row.get("status", 302), _location(row)
    start = urls.normalise(row.get("url", URL))
    assert start is not None
    request = Request(
        start, method=row.get("method", "GET"), data=row.get("body"), headers=row.get("headers")
    )
    answer = CaseInsensitiveDict({} if location is None else {"Location": location})
    if expect.get("follow") is False:
        assert location is None or _refused(request, status, location)
        assert location is not None or not is_redirect(status, answer)
        return
    assert is_redirect(status, answer)
    assert location is not None
    after = redirected(request, status, location, 20)
    assert after.history == [Hop(start, status)]
    headers = CaseInsensitiveDict(after.headers or {})
    kept = expect.get("kept_headers", list(expect.get("headers", {})))
    dropped = expect.get("dropped_headers", expect.get("absent_headers", []))
    if "authorization" in expect:
        (dropped if expect["authorization"] == "dropped" else kept).append("Authorization")
    assert [name for name in kept if name not in headers] == []
    assert [name for name in dropped if name in headers] == []
    assert after.method == expect.get("method", request.method)
    assert after.data == expect.get("body", request.data)
    assert after.url == expect.get("url", after.url)


def _refused(request: Request, status: int, location: str) -> bool:
    with pytest.raises(FetchError) as caught:
        redirected(request, status, location, 20)
    return caught.value.cause == "bad redirect"


def _check_chain(row: dict[str, Any]) -> None:
    request = Request(f"http://a.example/{row['chain']}")
    most = row.get("max_redirects", 30)
    for left in range(row["chain"] - 1, -1, -1):
        if len(request.history) == most and "error" in row["expect"]:
            with pytest.raises(FetchError, match=f"more than max_redirects, {most}, "):
                redirected(request, 302, f"/{left}", most)
            break
        request = redirected(request, 302, f"/{left}", most)
    assert len(request.history) == row["expect"]["history"]
    remaining = row["expect"].get("last_url_remaining", 0)
    assert request.url == f"http://a.example/{remaining}"


@pytest.mark.parametrize("status", [200, 300, 304, 305, 306, 400, 500])
def test_other_statuses_are_no_redirects(status: int) -> None:
    assert not is_redirect(status, {"location": "/a"})
    assert status not in STATUSES


def test_a_redirect_keeps_the_fields_of_its_request() -> None:
    request = Request(
        URL, "page", cb_kwargs={"a": 1}, priority=5, depth=2, tries=2, dont_filter=True
    )
    after = redirected(request, 302, "next", 20)
    assert after == Request(
        "http://www.example.com/next",
        "page",
        cb_kwargs={"a": 1},
        priority=5,
        depth=2,
        tries=2,
        dont_filter=True,
        history=[Hop(URL, 302)],
    )
    assert request.history == [], "the request itself stays as it was"


@pytest.mark.parametrize(
    "name", ["Authorization", "authorization", "COOKIE", "Proxy-Authorization"]
)
def test_credentials_stay_with_their_origin_whatever_their_spelling(name: str) -> None:
    request = Request(URL, headers={name: "secret", "X": "1"}, cookies={"a": "1"})
    assert redirected(request, 307, "/other", 20).headers == request.headers
    for target in (
        "http://other.example/",
        "http://www.example.com:81/",
        "https://www.example.com/",
    ):
        after = redirected(request, 307, target, 20)
        assert after.headers == {"X": "1"}
        assert after.cookies is None


def test_credentials_do_not_come_back_with_the_origin() -> None:
    request = Request(URL, headers={"Authorization": "secret"})
    there = redirected(request, 302, "http://other.example/", 20)
    back = redirected(there, 302, URL, 20)
    assert back.headers is None


def test_a_password_is_not_shown() -> None:
    request = Request("http://user:secret@www.example.com/", history=[Hop(URL, 302)] * 20)
    with pytest.raises(FetchError, match=r"\*\*\*@www") as caught:
        redirected(request, 302, "/", 20)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("https://a.test/b", {"Referer": "https://a.test/?token=1", "X-Api-Key": "k", "X-A": "b"}),
        ("https://b.test/b", {"Referer": "https://a.test/", "X-A": "b"}),
        ("https://a.test:8443/b", {"Referer": "https://a.test/", "X-A": "b"}),
        ("http://a.test/b", {"X-A": "b"}),
    ],
)
def test_headers_that_prove_an_identity_stay_with_their_origin(
    target: str, headers: dict[str, str]
) -> None:
    given = {"Referer": "https://a.test/?token=1", "X-Api-Key": "k", "X-A": "b"}
    request = Request("https://a.test/", headers=given)
    assert redirected(request, 302, target, 20).headers == headers


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("Authorization", "Cookie", "X-Auth-Token", "X-API-Key")),
        *((name, True) for name in ("X-CSRF-Token", "X-XSRF", "apikey", "X-Session-Id")),
        *((name, False) for name in ("Accept", "User-Agent", "Accept-Language", "Referer", "DNT")),
    ],
)
def test_headers_that_prove_an_identity_are_known_by_name(name: str, expected: bool) -> None:
    assert is_credential(name) is expected
