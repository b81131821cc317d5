"""The values in a request: taken for the plain ones that they mean, or named."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
from bs4 import BeautifulSoup
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from crawler.errors import SpiderError
from crawler.request import Request, packed, unpacked
from crawler.values.request_check import check_request

URL = "https://shop.example/"
TEXT: Any = BeautifulSoup("<p>token</p>", "lxml").p.string  # type: ignore[union-attr]
LOOP: list[Any] = []
LOOP.append(LOOP)


class Unspeakable:
    """An object that cannot be shown."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


class NumpyLike:
    """A number as numpy has it."""

    dtype = "int64"

    def __init__(self, value: Any) -> None:
        self._value = value

    def item(self) -> Any:
        return self._value


def jar() -> RequestsCookieJar:
    jar = RequestsCookieJar()
    jar["a"] = "b"
    return jar


def refused(request: Request) -> str:
    with pytest.raises(SpiderError) as caught:
        check_request(request)
    return str(caught.value)


@pytest.mark.parametrize("url", [None, 5, True, 1.5])
def test_a_url_that_is_no_text_is_named(url: Any) -> None:
    assert f"a request has url={'' if url is None else type(url).__name__ + ' '}{url}, but" in (
        refused(Request(url))
    )


@pytest.mark.parametrize("url", [TEXT, b"token", type("URL", (), {"__str__": lambda _: "token"})()])
def test_text_of_other_kinds_is_a_url(url: Any) -> None:
    request = Request(url)
    check_request(request)
    assert request.url == "token"
    assert type(request.url) is str


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"cb_kwargs": {"more": object()}}, "cb_kwargs=a value of the type dict, but ['more']"),
    ({"cb_kwargs": 5}, "cb_kwargs=int 5, but it must be a dict"),
    ({"cb_kwargs": {1: 2}}, "but its keys must be the names of arguments"),
    ({"cb_kwargs": {"text": "\ud800"}}, "but ['text'] must be plain data"),
    ({"cb_kwargs": {"number": 2**70}}, "but ['number'] must be plain data"),
    ({"data": {"a": [1, object()]}}, "data=a value of the type dict, but ['a'][1]"),
    ({"data": 5}, "data=int 5, but it must be the fields of a form"),
    ({"data": ["ab", "cd"]}, "but it must be the fields of a form, text or bytes"),
    ({"json": {"a": {1j}}}, "but ['a'] must be plain data"),
    ({"json": {"a": b"bytes"}}, "cannot be kept: Object of type bytes is not JSON"),
    ({"json": [float("nan")]}, "cannot be kept: Out of range float values"),
    ({"json": LOOP}, "but it contains itself"),
    ({"headers": {"X": object()}}, "'X' is object <object object at"),
    ({"headers": {"X": "a\nX-Admin: 1"}}, "but it must be one line of text"),
    ({"headers": {"X": "€"}}, "a header has characters of Latin-1 only"),
    ({"headers": {"X": True}}, "'X' is bool True, but it must be text"),
    ({"headers": {"X": float("nan")}}, "'X' is float nan, but it must be text"),
    ({"headers": {"X": {1}}}, "'X' is set {1}, but it must be text"),
    ({"headers": {5: "x"}}, "the name is int 5, but the name of a header"),
    ({"headers": {"a:b": "x"}}, "but the name of a header must be a word"),
    ({"headers": {"": "x"}}, "but the name of a header must be a word"),
    ({"headers": "X: 1"}, "str 'X: 1' is no dict, such as"),
    (
        {"headers": {"Authorization": ["s3cret"]}},
        "'Authorization' is a value of the type list, but",
    ),
    ({"cookies": {"page": None}}, "'page' is None, but it must be text"),
    ({"cookies": {"page": "a\r\nb"}}, "but it must be one line of text"),
    ({"cookies": "a=b"}, 'a line of cookies goes into headers={"Cookie": …}'),
    ({"method": "GET /"}, "has method=str 'GET /', but it must be a method of HTTP"),
    ({"method": None}, "has method=None, but it must be text"),
    ({"priority": 0.5}, "has priority=float 0.5, but it must be a whole number"),
    ({"priority": "1"}, "has priority=str '1', but it must be a whole number"),
    ({"priority": None}, "has priority=None, but it must be a whole number"),
    ({"priority": 2**70}, "but it must be a whole number between -2**63 and 2**63"),
    ({"priority": -(2**63)}, "but it must be a whole number between -2**63 and 2**63"),
    ({"priority": 2**63 - 1}, "but it must be between -2**62 and 2**62"),
    ({"safe": "yes"}, "has safe=str 'yes', but it must be True or False"),
    ({"replay": None}, "has replay=None, but it must be True or False"),
    ({"dont_filter": 2}, "has dont_filter=int 2, but it must be True or False"),
    ({"idempotent": []}, "has idempotent=list [], but it must be True or False"),
    ({"depth": "deep"}, "has depth=str 'deep', but it must be a whole number"),
    ({"history": [5]}, "cannot be kept"),
    ({"account": object()}, "but it must be text"),
    ({"priority": Unspeakable()}, "(repr() raises ZeroDivisionError), but it must be a whole"),
    ({"headers": {"X": Unspeakable()}}, "(repr() raises ZeroDivisionError), but it must be text"),
]


@pytest.mark.parametrize(("fields", "reason"), REFUSED)
def test_values_that_are_not_plain_are_an_error_when_they_are_yielded(
    fields: dict[str, Any], reason: str
) -> None:
    message = refused(Request("https://user:secret@shop.example/", "anything", **fields))
    assert "the request for https://***@shop.example/" in message
    assert reason in message
    assert "secret" not in message
    assert "\n" not in message


TAKEN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"headers": {"X-Page": 5, "X-Price": 1.5}}, {"headers": {"X-Page": "5", "X-Price": "1.5"}}),
    ({"headers": {"X": TEXT, "Y": b"\xe9"}}, {"headers": {"X": "token", "Y": "é"}}),
    ({"headers": {"Accept": None}}, {"headers": {"Accept": None}}),
    ({"headers": CaseInsensitiveDict(a="b")}, {"headers": {"a": "b"}}),
    ({"cookies": {"page": 2, "token": TEXT}}, {"cookies": {"page": "2", "token": "token"}}),
    ({"cookies": jar()}, {"cookies": {"a": "b"}}),
    ({"priority": 3.0}, {"priority": 3}),
    ({"priority": NumpyLike(7)}, {"priority": 7}),
    ({"headers": {"X": NumpyLike(7)}}, {"headers": {"X": "7"}}),
    ({"cb_kwargs": {"page": NumpyLike(7), "text": TEXT}}, {"cb_kwargs": {"page": 7, "text": TEXT}}),
    ({"data": {"tags": {"b", "a"}}}, {"data": {"tags": ["a", "b"]}}),
    ({"cb_kwargs": {"set": {1}, "row": (1, 2)}}, {"cb_kwargs": {"set": [1], "row": [1, 2]}}),
    ({"replay": 0, "safe": 1}, {"replay": False, "safe": True}),
    ({"dont_filter": NumpyLike(True)}, {"dont_filter": True}),
    ({"method": " post\n"}, {"method": "POST"}),
    ({"account": None}, {"account": ""}),
    ({"data": {"page": 2, "token": TEXT}}, {"data": {"page": 2, "token": TEXT}}),
    ({"data": bytearray(b"x")}, {"data": b"x"}),
    ({"data": [("a", 1), ("a", 2)]}, {"data": [["a", 1], ["a", 2]]}),
    ({"json": {"a": OrderedDict(b=TEXT)}}, {"json": {"a": {"b": TEXT}}}),
]


@pytest.mark.parametrize(("fields", "meant"), TAKEN)
def test_values_are_taken_for_the_plain_ones_that_they_mean(
    fields: dict[str, Any], meant: dict[str, Any]
) -> None:
    request = Request("https://shop.example/", "anything", **fields)
    check_request(request)
    sent = unpacked(packed(request))
    assert {name: getattr(sent, name) for name in meant} == meant


def test_a_callback_that_is_none_is_parse() -> None:
    assert Request(URL, None).callback == "parse"
