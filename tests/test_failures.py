"""What is kept of a failure."""

from __future__ import annotations

import msgspec
import pytest

from crawler.errors import DisallowedError, FetchError, LoginError, StatusError
from crawler.failures import report_of, status_error
from crawler.messages import FailureReport
from crawler.request import Request
from crawler.response import Response

URL = "https://user:secret@shop.example/a"


def failed(error: Exception) -> FailureReport:
    """The report of ``error``, raised by a callback, as the scheduling process gets it."""
    try:
        raise error
    except Exception as raised:
        report = report_of(Request(URL, callback="page"), raised)
    return msgspec.msgpack.decode(msgspec.msgpack.encode(report), type=FailureReport)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (FetchError("timeout", "it took too long"), "timeout"),
        (status_error(Request(URL), Response(URL, b"", status=404)), "http 404"),
        (StatusError(503, "busy"), "http 503"),
        (DisallowedError("no"), "disallowed by robots.txt"),
        (LoginError("no"), "login"),
        (KeyError("price"), "KeyError in page()"),
    ],
)
def test_causes_are_few_words(error: Exception, cause: str) -> None:
    report = failed(error)
    assert report.cause == cause
    assert report.url == "https://***@shop.example/a"
    assert "secret" not in report.message


def test_only_the_spider_s_own_errors_have_a_traceback() -> None:
    assert failed(FetchError("timeout", "it took too long")).traceback == ""
    report = failed(ValueError("no price"))
    assert "raise error\nValueError: no price\n" in report.traceback
    assert report.message == "https://***@shop.example/a: ValueError in page(): no price"


def test_half_a_character_in_a_message_does_not_stop_the_report() -> None:
    """``response.json()`` gives lone surrogates; an error that quotes one must get through."""
    report = failed(ValueError("no price for \ud83d"))
    assert report.message.endswith("no price for \\ud83d")
    assert "no price for \\ud83d" in report.traceback
    assert failed(FetchError("x", "\ud83d")).message == "\\ud83d"
