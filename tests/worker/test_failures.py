"""The report of a failure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from crawler.errors import DisallowedError, FetchError, LoginError, SpiderError, StatusError
from crawler.output.items import ItemWriter
from crawler.parsing.response import Response
from crawler.records import FailureReport
from crawler.request import Request
from crawler.spider import Spider
from crawler.tracebacks import whole_traceback_of
from crawler.worker.collector import ResultCollector
from crawler.worker.crawl_limits import CrawlLimits
from crawler.worker.failures import report_of, status_error
from crawler.worker.request_filter import RequestFilter

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


def collected(result: object) -> FailureReport:
    """Return the report for a wrong result of a callback, from the collector."""
    spider = Spider()
    finder = RequestFilter(spider, None, CrawlLimits())
    with pytest.raises(Exception) as caught:  # noqa: PT011 (whatever the callback raises)
        ResultCollector(finder, ItemWriter(None)).collect(result, Request(URL))
    error = caught.value
    return report_of(Request(URL), error.with_traceback(caught.tb.tb_next))  # without this frame


def test_a_wrong_result_of_a_callback_is_reported_without_a_traceback() -> None:
    report = collected([1])
    assert report.message.endswith(
        "parse() yielded int 1, which is neither an item nor a request; to follow a link: "
        "yield response.follow(url)"
    )
    assert report.traceback == ""


def test_a_traceback_begins_in_the_spider_and_goes_on_into_our_code() -> None:
    def parse() -> Iterator[object]:
        yield Response("https://shop.example/", b"<p>").form("#login")

    report = collected(parse())
    first, second, *_ = (line for line in report.traceback.splitlines() if "  File " in line)
    assert __file__ in first
    assert "forms.py" in second or "response.py" in second
    assert report.traceback.startswith("Traceback")


def test_a_traceback_of_our_own_is_whole() -> None:
    with pytest.raises(SpiderError) as caught:
        Response("https://shop.example/", b"<p>").form("#login")
    trace = caught.value.with_traceback(caught.tb.tb_next)
    assert "forms.py" in whole_traceback_of(trace)


def test_half_a_character_in_a_message_does_not_stop_the_report() -> None:
    """``response.json()`` gives lone surrogates; an error that quotes one must get through."""
    report = failed(ValueError("no price for \ud83d"))
    assert report.message.endswith("no price for \\ud83d")
    assert "no price for \\ud83d" in report.traceback
    assert failed(FetchError("x", "\ud83d")).message == "\\ud83d"
