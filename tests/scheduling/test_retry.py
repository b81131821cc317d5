"""Retry: whether a request is tried again, and when."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import (
    RetryCallState,
    Retrying,
    retry_always,
    retry_if_exception,
    retry_if_exception_type,
    retry_if_result,
    retry_never,
    stop_after_attempt,
    stop_after_delay,
    stop_before_delay,
    stop_never,
    wait_chain,
    wait_exponential_jitter,
    wait_fixed,
    wait_none,
)
from tenacity.asyncio.retry import retry_if_exception as async_retry_if_exception
from tenacity.wait import wait_base

from crawler import crawl
from crawler.errors import FetchError, SpiderError, StatusError
from crawler.job.lookup import failed_pages
from crawler.request import Request
from crawler.scheduling.retry import (
    ROBOTS_MAX_WAIT,
    ROBOTS_MIN_WAIT,
    RetryPolicy,
    parse_retry_after,
)
from crawler.settings import Settings
from tests.conformance import expect_misses, rows
from tests.jobs import Title, failures, run_job
from tests.sites import JITTER, Reply, Site, links

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


def decide(
    rules: RetryPolicy,
    failure: FetchError | int,
    *,
    tries: int,
    method: str = "GET",
    retry_after: str | None = None,
    now: float,
) -> float | None:
    """Return the wait after ``failure``, an error or a status, in the try number ``tries``."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    if isinstance(failure, int):
        failure = StatusError(failure, "", SimpleNamespace(headers=headers))
    request = Request("https://a.example/", method=method, tries=tries - 1)
    return rules.wait(failure, request, now)


MISSES = {"retry-after/invalid/1.0": "fractions are read, and rounded up, as servers send them"}


@pytest.mark.parametrize("row", expect_misses(rows("http/retries.jsonl"), MISSES))
def test_vectors(row: dict[str, Any]) -> None:
    if "retry_after" in row:
        _check_retry_after(row)
    elif "honours_retry_after" in row:
        wait = decide(policy(), row["status"], tries=1, retry_after="600", now=NOW)
        assert wait == 600.0
    elif "statuses" in row:
        rules = policy(retries=row["max_retries"])
        tries = 1
        while decide(rules, row["statuses"][tries - 1], tries=tries, now=NOW) is not None:
            tries += 1
        assert tries == row["requests_made"]
    else:
        failure = row["status"] if "status" in row else ERRORS[row["error"]]
        wait = decide(policy(), failure, tries=1, method=row.get("method", "GET"), now=NOW)
        assert (wait is not None) is row["retry"]


def _check_retry_after(row: dict[str, Any]) -> None:
    now = datetime.fromisoformat(row["now"]).timestamp() if "now" in row else NOW
    longest = row.get("max_wait_s", Settings().max_retry_wait)
    rules = policy(retry_wait=0.0, max_retry_wait=longest)
    if row.get("invalid"):
        assert parse_retry_after(row["retry_after"], now) is None
        assert rules.granted(row["retry_after"], now) is None
        assert decide(rules, 503, tries=1, retry_after=row["retry_after"], now=now) == 0.0
    else:
        assert rules.granted(row["retry_after"], now) == row["wait_s"]
        wait = decide(rules, 503, tries=1, retry_after=row["retry_after"], now=now)
        assert wait == row["wait_s"]


def test_waits_double_up_to_the_longest() -> None:
    rules = policy(retries=5, retry_wait=2.0, max_retry_wait=10.0)
    waits = [decide(rules, 500, tries=tries, now=NOW) for tries in range(1, 7)]
    assert waits == [2.0, 4.0, 8.0, 10.0, 10.0, None]


def test_jitter_makes_waits_longer_by_up_to_a_half() -> None:
    assert decide(policy(random=1.0), 500, tries=1, now=NOW) == 1.5
    assert decide(policy(random=1.0, max_retry_wait=1.2), 500, tries=1, now=NOW) == 1.2


def test_a_retry_after_never_shortens_the_wait() -> None:
    rules = policy(retry_wait=4.0)
    assert decide(rules, 503, tries=1, retry_after="0", now=NOW) == 4.0
    assert decide(rules, 503, tries=1, retry_after="5", now=NOW) == 5.0
    assert decide(rules, 503, tries=1, retry_after="soon", now=NOW) == 4.0


@pytest.mark.parametrize("method", ["POST", "PATCH", "post"])
def test_a_request_that_may_have_been_acted_on_is_not_sent_twice(method: str) -> None:
    def wait(failure: FetchError | int, retry_after: str | None = None) -> float | None:
        return decide(policy(), failure, tries=1, method=method, retry_after=retry_after, now=NOW)

    assert wait(500) is None
    assert wait(502, "1") is None
    assert wait(503) is None
    assert wait(503, "5") == 5.0
    assert wait(429, "5") == 5.0
    assert wait(ERRORS["timeout"]) is None
    assert wait(ERRORS["connection reset/lost"]) is None
    assert wait(ERRORS["connection refused"]) == 1.0
    assert wait(ERRORS["DNS failure"]) == 1.0


@pytest.mark.parametrize(
    "failure", [500, 502, 503, ERRORS["timeout"], ERRORS["connection reset/lost"]]
)
def test_a_post_that_only_reads_is_sent_again(failure: FetchError | int) -> None:
    error = failure if isinstance(failure, FetchError) else StatusError(failure, "", None)
    request = Request("https://a.example/graphql", method="POST", idempotent=True)
    assert policy().wait(error, request, NOW) == 1.0
    request.replay = False
    assert policy().wait(error, request, NOW) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0.5", 1.0),
        ("1.2", 2.0),
        (" 1 ", 1.0),
        ("1m0s", 60.0),
        ("1h30m", 5400.0),
        ("1 min", 60.0),
        ("90 seconds", 90.0),
        ("90S", 90.0),
        ("500ms", 1.0),
        ("PT1M30S", 90.0),
        ("2d", 172_800.0),
        ("1 hour 30 minutes", 5400.0),
        ("Fri, 02 Jan 1970 00:00:00", 86_400.0),
        ("1970-01-02T00:00:00Z", 86_400.0),
        ("1970-01-02 00:00:00", 86_400.0),
        *(
            (text, None)
            for text in ("", "-5", "+1", "soon", "1e9", "1 parsec", "1 2", "m", "1,5", ".")
        ),
    ],
)
def test_a_retry_after_is_read_as_servers_write_it(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, 0.0) == seconds


@pytest.mark.parametrize("value", ["soon", "-5", "0.5", "1m0s", "Fri, 02 Jan 1970 00:00:00"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_post_that_is_asked_to_come_back_does(value: str, status: int) -> None:
    wait = decide(policy(), status, tries=1, method="POST", retry_after=value, now=NOW)
    assert wait is not None
    assert wait >= 1.0


def test_an_error_that_is_not_retryable_is_final() -> None:
    assert decide(policy(), FetchError("body too large", ""), tries=1, now=NOW) is None


def test_retry_status_is_a_setting() -> None:
    assert decide(policy(retry_status=(404,)), 404, tries=1, now=NOW) == 1.0
    assert decide(policy(retry_status=()), 503, tries=1, now=NOW) is None


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


# A spider's own rules


def by_rules(rules: Any, **settings: Any) -> RetryPolicy:
    return RetryPolicy(Settings(**settings), rules, random=lambda: 1.0)


def waits_of(policy: RetryPolicy, failure: FetchError | int = 500) -> list[float | None]:
    """Return the waits after each try, up to the last or the tenth."""
    waits: list[float | None] = []
    while len(waits) < 10 and (not waits or waits[-1] is not None):
        waits.append(decide(policy, failure, tries=len(waits) + 1, now=NOW))
    return waits


def is_busy(error: BaseException) -> bool:
    return isinstance(error, StatusError) and error.status == 418


def test_a_stop_alone_leaves_the_settings_waits_and_statuses() -> None:
    policy = by_rules(stop_after_attempt(3), retries=9, retry_wait=2.0)
    assert waits_of(policy) == [3.0, 6.0, None]
    assert waits_of(policy, 404) == [None]


def test_a_wait_alone_has_no_jitter_of_ours_and_keeps_the_settings_stop() -> None:
    assert waits_of(by_rules(wait_fixed(7), retries=2)) == [7.0, 7.0, None]
    assert waits_of(by_rules([wait_none()], retries=1)) == [0.0, None]
    assert waits_of(by_rules(wait_chain(wait_fixed(1), wait_fixed(5)))) == [1.0, 5.0, 5.0, None]
    first, second, last = waits_of(by_rules(wait_exponential_jitter(jitter=0.5), retries=2))
    assert first is not None
    assert second is not None
    assert 1.0 <= first <= 1.5 < 2.0 <= second <= 2.5
    assert last is None


def test_a_retry_alone_replaces_what_is_tried_again() -> None:
    policy = by_rules(retry_if_exception(is_busy), retries=1, retry_wait=0.0)
    assert waits_of(policy, 418) == [0.0, None]
    assert waits_of(policy, 500) == [None]
    assert waits_of(policy, ERRORS["timeout"]) == [None]
    assert waits_of(by_rules(retry_never)) == [None]


def test_all_three_in_a_tuple() -> None:
    policy = by_rules((retry_if_exception(is_busy), stop_after_attempt(2), wait_fixed(4)))
    assert waits_of(policy, 418) == [4.0, None]
    assert waits_of(policy, 503) == [None]


def test_combinations() -> None:
    either = retry_if_exception(is_busy) | retry_if_exception_type(StatusError)
    assert waits_of(by_rules(either, retries=0), 404) == [None]
    assert waits_of(by_rules((either, wait_fixed(1) + wait_fixed(2)), retries=1), 404) == [3, None]
    both = retry_if_exception(is_busy) & retry_if_exception_type(StatusError)
    assert waits_of(by_rules(both), 404) == [None]
    earlier = stop_after_attempt(2) | stop_after_attempt(4)
    later = stop_after_attempt(2) & stop_after_attempt(4)
    assert len(waits_of(by_rules(earlier))) == 2
    assert len(waits_of(by_rules(later))) == 4


def test_the_time_since_the_first_try_is_that_of_the_wall_clock() -> None:
    def wait(seconds: float, rule: Any) -> float | None:
        request = Request("https://a.example/", tries=3, first_tried=NOW - seconds, asked=NOW - 1)
        return by_rules((rule, wait_fixed(5))).wait(ERRORS["timeout"], request, NOW)

    assert wait(59, stop_after_delay(60)) == 5.0
    assert wait(61, stop_after_delay(60)) is None
    assert wait(54, stop_before_delay(60)) == 5.0
    assert wait(56, stop_before_delay(60)) is None
    assert wait(-10, stop_after_delay(60)) == 5.0  # the clock was set back
    first = Request("https://a.example/", tries=0, asked=NOW - 61)
    assert (
        by_rules((stop_after_delay(60), wait_fixed(5))).wait(ERRORS["timeout"], first, NOW) is None
    )


def test_a_rule_of_the_users_own_sees_the_error_and_the_request() -> None:
    class WaitForReset(wait_base):
        def __call__(self, retry_state: RetryCallState) -> float:
            assert retry_state.outcome is not None
            error = retry_state.outcome.exception()
            assert isinstance(error, StatusError)
            assert retry_state.args[0].url == "https://a.example/"
            return float(error.response.headers["x-reset"]) * retry_state.attempt_number

    error = StatusError(500, "", SimpleNamespace(headers={"x-reset": "30"}))
    request = Request("https://a.example/", tries=1)
    assert by_rules(WaitForReset()).wait(error, request, NOW) == 60.0


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_rules_do_not_send_twice_what_may_have_been_acted_on(method: str) -> None:
    policy = by_rules((retry_always, stop_never, wait_none()))
    assert decide(policy, 500, tries=1, method=method, now=NOW) is None
    assert decide(policy, ERRORS["timeout"], tries=1, method=method, now=NOW) is None
    assert decide(policy, ERRORS["DNS failure"], tries=1, method=method, now=NOW) == 0.0
    assert decide(policy, 503, tries=1, method=method, retry_after="2", now=NOW) == 2.0
    once = Request("https://a.example/", replay=False)
    assert policy.wait(ERRORS["timeout"], once, NOW) is None
    assert policy.wait(ERRORS["connection refused"], once, NOW) == 0.0


def test_a_retry_after_and_the_longest_wait_stand_above_the_rules() -> None:
    policy = by_rules((wait_fixed(5), stop_after_attempt(9)), max_retry_wait=60.0)
    assert decide(policy, 503, tries=1, retry_after="20", now=NOW) == 20.0
    assert decide(policy, 503, tries=1, retry_after="3600", now=NOW) == 60.0
    assert decide(policy, 503, tries=1, retry_after="1", now=NOW) == 5.0
    for wait in (wait_fixed(999), wait_fixed(math.inf)):
        assert decide(by_rules(wait, max_retry_wait=60.0), 500, tries=1, now=NOW) == 60.0
    for wait in (wait_fixed(-3), wait_fixed(math.nan)):
        assert decide(by_rules(wait), 500, tries=1, now=NOW) == 0.0


async def is_busy_later(error: BaseException) -> bool:
    return True


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (3, "retry holds 3: it takes the stop_…, wait_… and retry_… objects of tenacity"),
        (None, "retry holds None"),
        ("stop_never", "retry holds 'stop_never'"),
        (wait_none, "retry holds the class wait_none, not an object of it"),
        (Retrying(), "retry holds a Retrying:"),
        ((wait_none(), is_busy), "retry holds a function:"),
        ((stop_never, stop_never), r"retry holds two stop_… objects: join them with \| or &"),
        ([wait_none(), wait_none()], r"retry holds two wait_… objects: join them with \+"),
        (retry_if_result(bool), "retry holds a retry_if_result, but only failures are tried again"),
        (retry_if_exception(is_busy) | retry_if_result(bool), "retry holds a retry_if_result"),
        (async_retry_if_exception(is_busy_later), "of tenacity.asyncio: use tenacity's own"),
    ],
)
def test_a_rule_that_is_none_is_refused(rules: Any, message: str) -> None:
    with pytest.raises(SpiderError, match=message):
        by_rules(rules)


class Persistent(Title):
    """Tries pages again that are not ready or broken, the former for longer."""

    retry = (
        stop_after_attempt(4),
        wait_chain(wait_fixed(0.1), wait_fixed(0.8)),
        retry_if_exception(lambda error: getattr(error, "status", 0) in (404, 500)),
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_a_crawl_by_rules_of_the_spiders_own(tmp_path: Path, site: Site, workers: int) -> None:
    site.pages = {"/": links("/late", "/busy", "/next"), "/busy": Reply("no", 502), "/next": "x"}
    site.pages["/late"] = lambda visit: (
        "at last" if len(site.visits("/late")) == 3 else Reply("not yet", 404)
    )
    summary = run_job(Persistent, tmp_path, site.url + "/", workers=workers)
    assert site.asked == {"/": 1, "/late": 3, "/busy": 1, "/next": 1}
    assert failures(tmp_path) == {"/busy": "http 502"}
    assert summary.counters.retried == 2
    first, second, third = site.visits("/late")
    assert second.came - first.came >= 0.1 - JITTER
    assert third.came - second.came >= 0.8 - JITTER
    (other,) = site.visits("/next")
    assert other.came < third.came


def test_the_time_for_all_tries_counts_from_the_first(tmp_path: Path, site: Site) -> None:
    class Limited(Title):
        retry = (stop_after_delay(0.5), wait_fixed(0.2))

    site.pages = {"/": Reply("no", 500)}
    run_job(Limited, tmp_path, site.url + "/")
    assert 2 <= len(site.visits("/")) <= 4
    first, *_, last = site.visits("/")
    assert last.came - first.came >= 0.2 - JITTER


def test_a_rule_that_raises_fails_its_page_with_both_errors(tmp_path: Path, site: Site) -> None:
    class Mistaken(Title):
        retry = retry_if_exception(lambda error: bool(error.args[7]))

    site.pages = {"/": Reply("no", 500)}
    run_job(Mistaken, tmp_path, site.url + "/")
    assert failures(tmp_path) == {"/": "IndexError in retry"}
    (page,) = failed_pages(tmp_path)
    assert page.message.endswith(
        "/: the server answered 500; retry raised IndexError: tuple index out of range"
    )
    assert "lambda error: bool(error.args[7])" in (tmp_path / "run.log").read_text()


def test_a_spider_whose_retry_is_no_rule_does_not_begin(tmp_path: Path) -> None:
    class Wrong(Title):
        retry: Any = (stop_after_attempt(2), 5)

    with pytest.raises(SpiderError, match=r"Wrong\.retry holds 5: it takes the stop_…"):
        list(crawl(Wrong, ["https://a.example/"], job=tmp_path / "job"))
    assert not (tmp_path / "job").exists()


# robots.txt


def robots_wait(failure: FetchError, tries: int, **settings: Any) -> float | None:
    request = Request("https://a.example/robots.txt", tries=tries)
    return policy(**settings).robots_wait(failure, request)


def an_answer(status: int, **headers: str) -> StatusError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return StatusError(status, "", SimpleNamespace(headers=named))


@pytest.mark.parametrize("failure", [*ERRORS.values(), an_answer(500), an_answer(599)])
def test_robots_txt_is_requested_again_and_again(failure: FetchError) -> None:
    waits = [robots_wait(failure, tries) for tries in range(12)]
    assert waits[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert waits[10:] == [ROBOTS_MAX_WAIT, ROBOTS_MAX_WAIT]
    assert robots_wait(failure, 5000) == ROBOTS_MAX_WAIT


def test_waits_for_robots_txt_grow_even_from_nothing() -> None:
    assert robots_wait(ERRORS["timeout"], 0, retry_wait=0.0) == ROBOTS_MIN_WAIT
    assert robots_wait(ERRORS["timeout"], 30, retry_wait=0.0) == ROBOTS_MAX_WAIT


def test_robots_txt_is_not_requested_before_the_time_of_retry_after() -> None:
    assert robots_wait(an_answer(503, retry_after="3600"), 0) == 3600.0
    assert robots_wait(an_answer(503, retry_after="3600"), 0, max_retry_wait=60.0) == 60.0


def test_a_final_failure_of_robots_txt_is_not_retried() -> None:
    assert robots_wait(FetchError("tls", ""), 0) is None
    assert robots_wait(FetchError("private address", ""), 0) is None
