"""Crawl limits: endless links are skipped and counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import FetchError
from crawler.settings import Settings
from crawler.worker.crawl_limits import CrawlLimits, SkipCounter, repeats
from tests.worker.test_request_filter import URL, a_finder

DEFAULT = CrawlLimits.of(Settings())


@pytest.mark.parametrize(
    ("url", "most"),
    [
        ("http://a.test/", 1),
        ("http://a.test/a/b/c", 1),
        ("http://a.test/a/b/a/b/", 2),
        ("http://a.test/a/a/a?a/a/a", 3),
        ("http://a.test:8000/2/2/2/2", 4),
        ("http://a.test/a//b///c", 3),
    ],
)
def test_segments_of_the_path_are_counted(url: str, most: int) -> None:
    assert repeats(url) == most


@given(
    st.lists(st.sampled_from(["a", "b", "", "shop"]), max_size=12),
    st.sampled_from(["", "?", "?a/a/a/a", "?q=1"]),
)
def test_the_short_cut_changes_nothing(segments: list[str], query: str) -> None:
    url = "http://a.test/" + "/".join(segments) + query
    objection = CrawlLimits(max_repeated_segments=3).violated_by_url(url)
    assert objection == ("max_repeated_segments" if repeats(url) > 3 else "")


def test_each_limit_is_the_last_that_is_allowed() -> None:
    guards = CrawlLimits(max_depth=2, max_url_length=20)
    assert guards.violated("http://a.test/", 2) == ""
    assert guards.violated("http://a.test/", 3) == "max_depth"
    assert guards.violated("http://a.test/123456", 0) == ""
    assert guards.violated("http://a.test/1234567", 0) == "max_url_length"


def test_none_is_no_limit() -> None:
    assert CrawlLimits().violated("http://a.test" + "/a" * 100_000, 10**9) == ""
    assert CrawlLimits().allows_another(10**9)


def test_the_defaults_let_ordinary_sites_be() -> None:
    for path in ("/2011/11/11/11th", "/src/main/java/org/apache/org/main/", "/?q=" + "x" * 1900):
        assert DEFAULT.violated(f"http://a.test{path}", 9_999) == ""


def test_a_redirect_that_a_guard_is_against_is_an_error() -> None:
    DEFAULT.check_redirect("http://a.test/", "http://a.test/b")
    with pytest.raises(FetchError, match=r"more than 2048 characters \(max_url_length\)") as caught:
        DEFAULT.check_redirect("http://a.test/", "http://a.test/" + "x" * 3000)
    assert caught.value.cause == "bad redirect"
    assert len(str(caught.value)) < 500


def test_a_repeated_link_counts_once_and_the_first_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tally = SkipCounter()
    for number in (1, 2, 2, 1):
        tally.add("max_depth", f"http://user:secret@a.test/{number}", 7)
    assert tally.pop_counts() == {"max_depth": 2}
    assert tally.pop_counts() == {}
    tally.add("max_depth", "http://a.test/3", 7)
    (record,) = caplog.records
    assert "***@a.test/1, as it is more than 7 links away from a seed" in record.message
    assert "secret" not in record.message


def test_a_page_leads_to_so_many_new_requests() -> None:
    from crawler.request import Request

    one = a_finder(max_requests_per_page=2)
    assert one.accept(Request(URL + "1"), 1, 0)
    assert one.accept(Request(URL + "2"), 1, 1)
    assert one.accept(Request(URL + "3"), 1, 2) is None
    assert one.accept(Request(URL + "3"), 1, 0), "another page may lead there"
    assert one.skipped_by_limit.pop_counts() == {"max_requests_per_page": 1}


def test_long_urls_are_remembered_by_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    from crawler.request import Request
    from crawler.worker import request_filter as finder

    monkeypatch.setattr(finder, "MOST_SENT", 10)
    one = a_finder()
    for number in range(100):
        assert one.accept(Request(f"{URL}{'x' * 1000}{number}"), 1)
        assert sum(map(len, one._sent)) <= 10 * finder.USUAL_LENGTH + 1100
