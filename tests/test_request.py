"""Requests: their fingerprints, and their way to the frontier and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from crawler.request import Hop, Request, fingerprint, packed
from crawler.values.request_check import check_request

URL = "https://shop.example/"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | texts
)
plain = st.recursive(
    scalars | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
text_maps = st.none() | st.dictionaries(texts, texts, max_size=3)
requests = st.builds(
    Request,
    url=texts,
    callback=texts,
    method=st.sampled_from(["GET", "POST", "put"]),
    headers=text_maps,
    data=plain,
    json=plain,
    cookies=text_maps,
    cb_kwargs=st.none() | st.dictionaries(texts, plain, max_size=3),
    priority=st.integers(-(2**63), 2**63 - 1),
    dont_filter=st.booleans(),
    depth=st.integers(0, 1000),
    tries=st.integers(0, 100),
    history=st.lists(st.builds(Hop, texts, st.integers(100, 599)), max_size=3),
)


def unpacked(data: bytes) -> Request:
    return msgspec.msgpack.decode(data, type=Request)


@given(requests)
def test_a_request_comes_back_from_the_frontier_as_it_was(request: Request) -> None:
    assert unpacked(packed(request)) == request


@given(requests, requests)
def test_requests_do_not_share_what_they_hold(one: Request, other: Request) -> None:
    one.history.append(Hop(URL, 302))
    assert other.history is not one.history
    assert Request(URL).history == []


def test_a_plain_request_takes_few_bytes() -> None:
    """Ten million of them stand in the frontier."""
    assert len(packed(Request(URL))) < len(URL) + 10


def test_callbacks_are_kept_by_name() -> None:
    def page(response: Any) -> None: ...

    assert Request(URL, page).callback == "page"
    assert Request(URL, "page").callback == "page"
    assert Request(URL).callback == "parse"


def test_methods_are_in_capitals_as_they_are_sent() -> None:
    assert Request(URL, method="post").method == "POST"
    assert fingerprint(Request(URL, method="get")) == fingerprint(Request(URL))
    assert Request(URL, method="get").is_plain


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "HEAD"},
        {"headers": {}},
        {"data": {}},
        {"data": b""},
        {"json": []},
        {"cookies": {}},
    ],
)
def test_a_request_is_plain_when_its_url_says_it_all(fields: dict[str, Any]) -> None:
    assert Request(URL, cb_kwargs={"a": 1}, priority=3).is_plain
    assert not Request(URL, **fields).is_plain


# Fingerprints


def different(*requests: Request) -> bool:
    return len({fingerprint(request) for request in requests}) == len(requests)


def same(*requests: Request) -> bool:
    return len({fingerprint(request) for request in requests}) == 1


def test_fields_that_are_sent_distinguish_requests() -> None:
    assert different(
        Request(URL),
        Request(URL + "a"),
        Request("http://shop.example/"),
        Request("https://shop.example:8080/"),
        Request("https://www.shop.example/"),
        Request(URL + "?a=1"),
        Request(URL, method="POST"),
        Request(URL, method="POST", data={}),
        Request(URL, method="POST", data={"a": "1"}),
        Request(URL, method="POST", data={"a": "2"}),
        Request(URL, method="POST", data={"a": "1", "b": "2"}),
        Request(URL, method="POST", data=[["a", "1"], ["a", "2"]]),
        Request(URL, method="POST", data=[["a", "2"], ["a", "1"]]),
        Request(URL, method="POST", data=b"a=1"),
        Request(URL, method="POST", json={"a": "1"}),
        Request(URL, data={"a": "1"}),
        Request(URL, json={"a": "1"}),
        Request(URL, method="PUT", json={"a": "1"}),
    )


def test_fields_about_the_response_do_not() -> None:
    assert same(
        Request(URL),
        Request(URL, "other"),
        Request(URL, cb_kwargs={"a": 1}),
        Request(URL, headers={"X": "1"}),
        Request(URL, cookies={"a": "1"}),
        Request(URL, priority=5, dont_filter=True, depth=3, tries=2),
        Request(URL, history=[Hop("https://other.example/", 302)]),
    )


def test_spellings_of_one_address_are_the_same() -> None:
    assert same(
        Request("https://shop.example/a?b=1&a=2"),
        Request("https://shop.example/a?a=2&&b=1"),
        Request("https://shop.example/%61?a=2&b=1"),
    )


def test_the_order_of_fields_by_name_does_not_matter() -> None:
    assert same(
        Request(URL, method="POST", data={"a": {"c": "1", "d": "2"}, "b": "3"}),
        Request(URL, method="POST", data={"b": "3", "a": {"d": "2", "c": "1"}}),
    )
    assert same(
        Request(URL, method="POST", data=[("a", "1")]),
        Request(URL, method="POST", data=[["a", "1"]]),
    )


def test_fingerprints_of_one_host_stand_side_by_side() -> None:
    here = {fingerprint(Request(f"{URL}{number}"))[:4] for number in range(50)}
    there = fingerprint(Request("https://other.example/1"))[:4]
    assert len(here) == 1
    assert there not in here


def test_they_are_the_same_in_every_process_and_version() -> None:
    """Stores contain them: a change would make every job start again."""
    assert fingerprint(Request(URL + "a?b=1")).hex() == "4c1b9308bc4112015cf9d52204b31f79"
    assert (
        fingerprint(Request(URL, method="POST", data={"a": "1"})).hex()
        == "4c1b9308a84ab79ff14c506953aee236"
    )


@given(requests.filter(lambda request: not isinstance(request.data, float)))
def test_a_fingerprint_survives_the_journey(request: Request) -> None:
    assert len(fingerprint(request)) == 16
    assert fingerprint(unpacked(packed(request))) == fingerprint(request)


def test_strings_of_beautifulsoup_count_as_strings() -> None:
    text: Any = BeautifulSoup("<p>Emma</p>", "lxml").p.string  # type: ignore[union-attr]
    marked = Request(URL, data={text: [text]}, cb_kwargs={"title": text}, headers={"X": text})
    request = Request(URL, data={"Emma": ["Emma"]}, cb_kwargs={"title": "Emma"},
                      headers={"X": "Emma"})  # fmt: skip
    check_request(marked)
    assert same(marked, request)
    assert unpacked(packed(marked)) == request


@pytest.mark.parametrize("thing", [object(), len, {1j}, BeautifulSoup("<p>x</p>", "lxml").p])
def test_other_things_are_refused(thing: Any) -> None:
    with pytest.raises(TypeError):
        packed(Request(URL, cb_kwargs={"a": thing}))
