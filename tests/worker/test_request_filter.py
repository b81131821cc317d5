"""Which requests that a callback yields go to the frontier, and in which form."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from crawler import Spider
from crawler.errors import SpiderError
from crawler.records import NewRequest
from crawler.request import Request, fingerprint
from crawler.scope import Scope
from crawler.worker import request_filter as finder
from crawler.worker.crawl_limits import CrawlLimits
from crawler.worker.request_filter import RequestFilter, encoded
from tests import jobs
from tests.sites import Site, links, redirect

URL = "https://shop.example/"


class Shop(Spider):
    not_a_method = "text"

    def parse(self, response: Any) -> None: ...

    def book(self, response: Any, title: str, *, page: int = 1) -> None: ...

    def anything(self, response: Any, **more: Any) -> None: ...

    def no_response(self) -> None: ...

    @staticmethod
    def static(response: Any) -> None: ...


def a_finder(scope: Scope | None = None, **guards: Any) -> RequestFilter:
    return RequestFilter(Shop(), scope, CrawlLimits(**guards))


def request_in(found: NewRequest | None) -> Request:
    assert found is not None
    return msgspec.msgpack.decode(found.request, type=Request)


def refused(request: Request) -> str:
    with pytest.raises(SpiderError) as caught:
        a_finder().accept(request, 1)
    return str(caught.value)


# The form


def test_a_request_goes_to_the_frontier_with_its_url_normalised() -> None:
    found = a_finder().accept(Request("HTTPS://Shop.Example:443/a/../b?x=1#top", "anything"), 3)
    request = request_in(found)
    assert request == Request("https://shop.example/b?x=1", "anything", depth=3)
    assert found == NewRequest(fingerprint(request), "https://shop.example", 0, "anything",
                          found.request)  # type: ignore[union-attr] # fmt: skip


def test_a_higher_priority_is_a_lesser_rank() -> None:
    for priority, rank in ((5, -5), (-2, 2), (0, 0)):
        assert encoded(Request(URL, priority=priority)).rank == rank


def test_dont_filter_is_handed_on() -> None:
    assert encoded(Request(URL, dont_filter=True)).dont_filter


def test_a_depth_that_is_given_stays() -> None:
    assert request_in(a_finder().accept(Request(URL, depth=7), 1)).depth == 7


@pytest.mark.parametrize(
    "url",
    ["/relative", "shop.example/a", "mailto:a@b.example", "ftp://a.example/", "", "http://", None],
)
def test_a_url_that_cannot_be_requested_is_named(url: Any) -> None:
    message = refused(Request(url))
    assert repr(url) in message
    assert "response.follow()" in message


def test_strings_of_beautifulsoup_are_plain_data() -> None:
    text: Any = BeautifulSoup(f"<p>{URL}</p>", "lxml").p.string  # type: ignore[union-attr]
    request = Request(text, "anything", data={text: [text]}, cb_kwargs={"title": text})
    sent = request_in(a_finder().accept(request, 1))
    assert sent.url == URL
    assert sent.data == {URL: [URL]}
    assert sent.cb_kwargs == {"title": URL}
    assert encoded(request).fingerprint == fingerprint(sent)


# Callbacks


@pytest.mark.parametrize(
    "callback", ["missing", "not_a_method", "__init__", "__class__", "", "a b"]
)
def test_a_callback_that_is_no_method_is_named(callback: str) -> None:
    assert refused(Request(URL, callback)).startswith(
        f"callback {callback!r} is not a method of Shop"
    )


def test_a_lambda_is_no_callback() -> None:
    assert "is not a method of Shop" in refused(Request(URL, lambda response: None))
    assert "is not a method of Shop" in refused(Request(URL, partial(Shop.static)))


def test_methods_may_be_given_themselves() -> None:
    shop = Shop()
    for callback, name in (
        (shop.anything, "anything"),
        (Shop.parse, "parse"),
        (shop.static, "static"),
    ):
        found = RequestFilter(shop, None, CrawlLimits()).accept(Request(URL, callback), 1)
        assert found is not None
        assert found.callback == name


@pytest.mark.parametrize(
    ("callback", "cb_kwargs"),
    [
        ("book", None),
        ("book", {"page": 1}),
        ("book", {"title": "Emma", "other": 1}),
        ("parse", {"title": "Emma"}),
        ("no_response", None),
        ("anything", {"response": 1}),
    ],
)
def test_arguments_that_the_callback_does_not_take(
    callback: str, cb_kwargs: dict[str, Any] | None
) -> None:
    assert f"callback {callback}()" in refused(Request(URL, callback, cb_kwargs=cb_kwargs))


def test_arguments_are_checked_each_time_and_not_only_the_first() -> None:
    one = a_finder()
    assert one.accept(Request(URL + "1", "book", cb_kwargs={"title": "Emma"}), 1)
    with pytest.raises(SpiderError):
        one.accept(Request(URL + "2", "book", cb_kwargs={"name": "Emma"}), 1)
    with pytest.raises(SpiderError):
        one.accept(Request(URL + "3", "book"), 1)


def test_a_wrong_callback_is_an_error_even_if_the_url_is_known() -> None:
    one = a_finder()
    assert one.accept(Request(URL), 1)
    with pytest.raises(SpiderError, match="missing"):
        one.accept(Request(URL, "missing"), 1)


# What is dropped


def test_requests_too_deep_or_off_scope_are_dropped() -> None:
    one = a_finder(Scope.of_domains(["shop.example"]), max_depth=2)
    assert one.accept(Request(URL), 2)
    assert one.accept(Request(URL + "deep"), 3) is None
    assert one.accept(Request("https://other.example/"), 1) is None
    assert one.accept(Request(URL + "deep"), 2), "it was too deep then; it is not now"


def test_a_url_is_sent_once() -> None:
    one = a_finder()
    assert one.accept(Request(URL), 1)
    assert one.accept(Request(URL), 1) is None
    assert one.accept(Request(URL), 2) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"dont_filter": True},
        {"method": "POST"},
        {"data": {"a": 1}},
        {"json": {"a": 1}},
        {"headers": {"X": "1"}},
        {"cookies": {"a": "1"}},
    ],
)
def test_requests_with_more_than_a_url_are_sent_each_time(fields: dict[str, Any]) -> None:
    """The store recognises new requests by the fingerprint; this memory only knows URLs."""
    one = a_finder()
    assert one.accept(Request(URL), 1)
    for _ in range(2):
        assert one.accept(Request(URL, **fields), 1)
    assert one.accept(Request(URL), 1) is None


def test_requests_from_a_page_that_failed_are_sent_again() -> None:
    one = a_finder()
    assert one.accept(Request(URL), 1)
    one.forget()
    assert one.accept(Request(URL), 1)


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "MOST_SENT", 10)
    one = a_finder()
    for number in range(100):
        assert one.accept(Request(f"{URL}{number}"), 1)
        assert len(one._sent) <= 10


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["GET", "POST"]), st.booleans())))
def test_nothing_new_is_ever_dropped(pages: list[tuple[str, str, bool]]) -> None:
    """A store that takes each fingerprint once has the same, with this memory and without."""
    one = a_finder()
    without, having = set(), set()
    for page, method, dont_filter in pages:
        request = Request(URL + page, method=method, dont_filter=dont_filter)
        without.add(fingerprint(request))
        found = one.accept(request, 1)
        if found is not None:
            having.add(found.fingerprint)
        else:
            assert not dont_filter
    assert having == without


class Account(Spider):
    """Logs in, so that whether a redirect's page is known is only looked at when it is there."""

    def login(self, session: Any) -> None: ...

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all()


@pytest.mark.parametrize("order", [("/way", "/page"), ("/page", "/way")])
def test_links_of_a_page_that_two_ways_lead_to_are_followed(
    tmp_path: Path, site: Site, order: tuple[str, str]
) -> None:
    """The target of a redirect is already done, so its whole output is dropped."""
    site.pages |= {"/": links(*order), "/way": redirect("/page"), "/page": links("/a", "/b")}
    site.pages |= {"/a": "a", "/b": "b"}
    jobs.run_job(Account, tmp_path, f"{site.url}/", delay=0.15, commit_interval=0.01)
    wanted = [f"{site.url}{path}" for path in ("/", "/a", "/b", "/page")]
    assert jobs.values(jobs.items(tmp_path)) == wanted
