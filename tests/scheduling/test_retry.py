"""Retry: whether a request is tried again, and when."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import FetchError, StatusError
from crawler.request import Request
from crawler.scheduling.retry import LEAST_WAIT, TRY_AGAIN, RetryPolicy, parse_retry_after
from crawler.settings import Settings
from tests.conformance import rows

NOW = 1_559_559_600.0
ERRORS = {
    "connection refused": FetchError("refused", "", retryable=True),
    "connection reset/lost": FetchError("connection", "", retryable=True),
    "timeout": FetchError("timeout", "", retryable=True),
    "read timeout": FetchError("timeout", "", retryable=True),
    "DNS failure": FetchError("dns", "", retryable=True),
}


def policy(random: float = 0.0, **settings: Any) -> RetryPolicy:
    return RetryPolicy(Settings(**settings), random=lambda: random)


@pytest.mark.parametrize("row", rows("http/retries.jsonl"))
def test_vectors(row: dict[str, Any]) -> None:
    if "retry_after" in row:
        _check_retry_after(row)
    elif "honours_retry_after" in row:
        wait = policy().decide(row["status"], tries=1, retry_after="600", now=NOW)
        assert wait == 600.0
    elif "statuses" in row:
        rules = policy(retries=row["max_retries"])
        tries = 1
        while rules.decide(row["statuses"][tries - 1], tries=tries, now=NOW) is not None:
            tries += 1
        assert tries == row["requests_made"]
    else:
        failure = row["status"] if "status" in row else ERRORS[row["error"]]
        wait = policy().decide(failure, tries=1, method=row.get("method", "GET"), now=NOW)
        assert (wait is not None) is row["retry"]


def _check_retry_after(row: dict[str, Any]) -> None:
    now = datetime.fromisoformat(row["now"]).timestamp() if "now" in row else NOW
    longest = row.get("max_wait_s", Settings().max_retry_wait)
    rules = policy(retry_wait=0.0, max_retry_wait=longest)
    if row.get("invalid"):
        assert parse_retry_after(row["retry_after"], now) is None
        assert rules.granted(row["retry_after"], now) is None
        assert rules.decide(503, tries=1, retry_after=row["retry_after"], now=now) == 0.0
    else:
        assert rules.granted(row["retry_after"], now) == row["wait_s"]
        wait = rules.decide(503, tries=1, retry_after=row["retry_after"], now=now)
        assert wait == row["wait_s"]


def test_waits_double_up_to_the_longest() -> None:
    rules = policy(retries=5, retry_wait=2.0, max_retry_wait=10.0)
    waits = [rules.decide(500, tries=tries, now=NOW) for tries in range(1, 7)]
    assert waits == [2.0, 4.0, 8.0, 10.0, 10.0, None]


def test_jitter_makes_waits_longer_by_up_to_a_half() -> None:
    assert policy(random=1.0).decide(500, tries=1, now=NOW) == 1.5
    assert policy(random=1.0, max_retry_wait=1.2).decide(500, tries=1, now=NOW) == 1.2


def test_a_retry_after_never_shortens_the_wait() -> None:
    rules = policy(retry_wait=4.0)
    assert rules.decide(503, tries=1, retry_after="0", now=NOW) == 4.0
    assert rules.decide(503, tries=1, retry_after="5", now=NOW) == 5.0
    assert rules.decide(503, tries=1, retry_after="soon", now=NOW) == 4.0


@pytest.mark.parametrize("method", ["POST", "PATCH", "post"])
def test_a_request_that_may_have_been_acted_on_is_not_sent_twice(method: str) -> None:
    def wait(failure: FetchError | int, retry_after: str | None = None) -> float | None:
        return policy().decide(failure, tries=1, method=method, retry_after=retry_after, now=NOW)

    assert wait(500) is None
    assert wait(502, "1") is None
    assert wait(503) is None
    assert wait(503, "5") == 5.0
    assert wait(429, "5") == 5.0
    assert wait(ERRORS["timeout"]) is None
    assert wait(ERRORS["connection reset/lost"]) is None
    assert wait(ERRORS["connection refused"]) == 1.0
    assert wait(ERRORS["DNS failure"]) == 1.0


def test_an_error_that_is_not_retryable_is_final() -> None:
    assert policy().decide(FetchError("body too large", ""), tries=1, now=NOW) is None


def test_retry_status_is_a_setting() -> None:
    assert policy(retry_status=(404,)).decide(404, tries=1, now=NOW) == 1.0
    assert policy(retry_status=()).decide(503, tries=1, now=NOW) is None


def test_wait_reads_the_error_and_the_request() -> None:
    response = SimpleNamespace(headers={"retry-after": "7"})
    error = StatusError(503, "", response)
    rules = policy(retries=2)
    assert rules.wait(error, Request("https://a.example/"), NOW) == 7.0
    assert rules.wait(error, Request("https://a.example/", method="POST"), NOW) == 7.0
    assert rules.wait(error, Request("https://a.example/", tries=2), NOW) is None
    assert rules.wait(ERRORS["timeout"], Request("https://a.example/")) == 1.0


@given(st.one_of(st.text(), st.from_regex(r"[0-9]{1,400}"), st.from_regex(r"[A-Z][a-z ,0-9:-]*")))
def test_no_header_does_harm(value: str) -> None:
    granted = policy().granted(value, NOW)
    assert granted is None or 0.0 <= granted <= Settings().max_retry_wait


# robots.txt


def robots_wait(failure: FetchError, tries: int, **settings: Any) -> float | None:
    request = Request("https://a.example/robots.txt", tries=tries)
    return policy(**settings).robots_wait(failure, request)


def an_answer(status: int, **headers: str) -> StatusError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return StatusError(status, "", SimpleNamespace(headers=named))


@pytest.mark.parametrize("failure", [*ERRORS.values(), an_answer(500), an_answer(599)])
def test_robots_txt_is_asked_for_again_and_again(failure: FetchError) -> None:
    waits = [robots_wait(failure, tries) for tries in range(12)]
    assert waits[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert waits[10:] == [TRY_AGAIN, TRY_AGAIN]
    assert robots_wait(failure, 5000) == TRY_AGAIN


def test_waits_for_robots_txt_grow_even_from_nothing() -> None:
    assert robots_wait(ERRORS["timeout"], 0, retry_wait=0.0) == LEAST_WAIT
    assert robots_wait(ERRORS["timeout"], 30, retry_wait=0.0) == TRY_AGAIN


def test_robots_txt_is_not_asked_for_before_the_time_that_its_host_says() -> None:
    assert robots_wait(an_answer(503, retry_after="3600"), 0) == 3600.0
    assert robots_wait(an_answer(503, retry_after="3600"), 0, max_retry_wait=60.0) == 60.0


def test_what_does_not_pass_is_not_asked_for_again() -> None:
    assert robots_wait(FetchError("tls", ""), 0) is None
    assert robots_wait(FetchError("private address", ""), 0) is None
