"""Whole runs, in one process and in several: the requests and the output."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from crawler import Failure, Request, Spider
from crawler.cli.report import summary_text
from crawler.engine import seeding as opening
from crawler.engine.engine import Engine
from crawler.errors import SeedError
from crawler.job.job import Job
from crawler.store.sqlite.queue import SQLiteQueue
from tests.jobs import (
    Title,
    failures,
    items,
    plan,
    rows,
    run_job,
    tracebacks,
    values,
)
from tests.sites import Reply, Site, Visit, links, redirect, web

pytestmark = pytest.mark.usefixtures("no_leaks")


# Every page once


@pytest.mark.parametrize("workers", [0, 2])
def test_every_page_of_a_web_is_asked_once_and_gives_one_item(tmp_path: Path, workers: int) -> None:
    with Site() as one, Site() as two, Site(address="127.0.0.2") as three:
        sites = [one, two, three]
        urls = web(sites, 110)
        seeds = [f"{site.url}/0" for site in sites]
        summary = run_job(Title, tmp_path, *seeds, workers=workers, concurrency_per_host=8)
        assert values(items(tmp_path)) == sorted(urls)
        for site in sites:
            assert len(site.asked) == 110
            assert set(site.asked.values()) == {1}
    assert (summary.counters.done, summary.counters.pending) == (330, 0)
    assert summary.counters.items == 330
    assert summary.exit_status == 0
    assert rows(tmp_path, "SELECT count(*) FROM pending") == [(0,)]


def test_queues_longer_than_their_heads_in_memory_lose_nothing(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawler.scheduling.scheduler.HEAD_TOTAL", 8)
    site.pages["/"] = links(*(f"/{n}?p={n * 7 % 13}" for n in range(400)))
    site.otherwise = lambda visit: Reply("busy", 500) if site.asked[visit.path] < 2 else "ok"
    run_job(Prioritised, tmp_path, site.url + "/", concurrency_per_host=8)
    expected = [f"{site.url}/{n}?p={n * 7 % 13}" for n in range(400)]
    assert values(items(tmp_path)) == sorted(expected)
    assert {n for path, n in site.asked.items() if path != "/"} == {2}


class Prioritised(Spider):
    def parse(self, response: Any) -> Iterator[Any]:
        for request in response.follow_all(callback="page"):
            request.priority = int(request.url.partition("?p=")[2] or 0)
            yield request

    def page(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all()


def test_more_hosts_than_fit_into_memory_are_all_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawler.scheduling.frontier.MOST_HOSTS", 2)
    monkeypatch.setattr("crawler.scheduling.frontier.MOST_IDLE", 1)
    sites = [Site(address=f"127.0.0.{n + 1}") for n in range(6)]
    for site in sites:
        site.__enter__()
    try:
        urls = web(sites, 5)
        run_job(Title, tmp_path, *(f"{site.url}/0" for site in sites))
    finally:
        for site in sites:
            site.__exit__()
    assert values(items(tmp_path)) == sorted(urls)


# Scope, depth, size


def test_other_hosts_than_the_seeds_are_not_asked(tmp_path: Path, site: Site, other: Site) -> None:
    site.pages["/"] = links("/a", other.url + "/b", f"http://localhost:{site.port}/c")
    site.pages["/a"] = "a"
    run_job(Title, tmp_path, site.url + "/")
    assert values(items(tmp_path)) == [site.url + "/", site.url + "/a"]
    assert other.log == []
    assert [visit.path for visit in site.log] == ["/robots.txt", "/", "/a"]


def test_allowed_domains_say_which_hosts_are_asked(tmp_path: Path, site: Site, other: Site) -> None:
    class Allowing(Title):
        allowed_domains = ("127.0.0.1", f"localhost:{site.port}")

    site.pages["/"] = links("/a", other.url + "/b", f"http://localhost:{site.port}/c")
    site.pages["/a"] = site.pages["/c"] = "x"
    run_job(Allowing, tmp_path, site.url + "/", allow_private=True)
    assert values(items(tmp_path)) == sorted(
        [site.url + "/", site.url + "/a", f"http://localhost:{site.port}/c"]
    )
    assert other.log == []


def test_a_seed_outside_of_allowed_domains_is_reported_and_not_requested(
    tmp_path: Path, site: Site, other: Site
) -> None:
    class Allowing(Title):
        allowed_domains = ("127.0.0.1",)

    site.pages["/"] = "x"
    summary = run_job(Allowing, tmp_path, site.url + "/", other.url + "/")
    assert (summary.bad_seeds, summary.new_seeds) == (1, 1)
    assert other.log == []


def test_nothing_to_start_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="start_urls"):
        run_job(Title, tmp_path)


@pytest.mark.parametrize(("depth", "pages"), [(0, 1), (1, 3), (2, 7)])
def test_max_depth_counts_links_from_a_seed(
    tmp_path: Path, site: Site, depth: int, pages: int
) -> None:
    site.otherwise = lambda visit: links(visit.path + "0", visit.path + "1")
    run_job(Title, tmp_path, site.url + "/", max_depth=depth)
    assert len(site.asked) == len(items(tmp_path)) == pages


@pytest.mark.parametrize("workers", [0, 2])
def test_max_pages_is_kept_exactly_and_over_all_runs(
    tmp_path: Path, site: Site, workers: int
) -> None:
    web([site], 60)
    fast: dict[str, Any] = {"workers": workers, "concurrency_per_host": 8}
    summary = run_job(Title, tmp_path, site.url + "/0", max_pages=17, **fast)
    assert len(site.visits()) == len(items(tmp_path)) == 17
    assert (summary.counters.reason, summary.exit_status) == ("max_pages", 0)
    if not workers:
        run_job(Title, tmp_path, site.url + "/0", max_pages=30, **fast)
        assert len(site.visits()) == len(items(tmp_path)) == 30
        run_job(Title, tmp_path, site.url + "/0", **fast)
        assert len(site.visits()) == len(items(tmp_path)) == 60


@pytest.mark.parametrize(("workers", "concurrency"), [(0, 1), (0, 4), (0, 16), (2, 16)])
def test_max_pages_counts_redirects_to_a_known_page(
    tmp_path: Path, site: Site, concurrency: int, workers: int
) -> None:
    site.pages["/"] = links("/known", *(f"/hop{n}" for n in range(60)))
    site.pages["/known"] = "known"
    site.otherwise = lambda visit: redirect("/known")
    summary = run_job(
        *(Title, tmp_path, site.url + "/"),
        workers=workers,
        concurrency_per_host=concurrency,
        max_pages=10,
    )
    assert (summary.counters.done, summary.counters.reason) == (10, "max_pages")
    assert values(items(tmp_path)) == [f"{site.url}/", f"{site.url}/known"]


def test_half_characters_in_items_are_counted(tmp_path: Path, site: Site) -> None:
    class Api(Spider):
        name = "api"

        def parse(self, response: Any) -> Any:
            return response.json()

    site.pages["/"] = '{"t": "cut \\ud83d"}'
    summary = run_job(Api, tmp_path, site.url + "/")
    assert items(tmp_path) == [{"t": "cut \ufffd"}]
    assert (summary.counters.repaired, summary.counters.rejected) == (1, 0)


@pytest.mark.parametrize("disallowed", [True, False])
def test_a_site_that_disallows_everything_has_a_status_of_its_own(
    tmp_path: Path, site: Site, *, disallowed: bool
) -> None:
    site.pages = {"/robots.txt": "User-agent: *\nDisallow: /" + "a" * (not disallowed), "/": "x"}
    seeds = [f"{site.url}/", f"{site.url}/a"]
    for _ in range(2):
        summary = run_job(Title, tmp_path, *seeds, obey_robots=True)
        assert summary.exit_status == (5 if disallowed else 0)
        assert ("robots.txt disallows every URL" in summary_text(summary)) is disallowed


def test_max_pages_counts_failed_pages_too(tmp_path: Path, site: Site) -> None:
    site.pages["/"] = links(*(f"/{n}" for n in range(20)))
    summary = run_job(Title, tmp_path, site.url + "/", max_pages=5)
    assert (summary.counters.done, summary.counters.failed) == (1, 4)
    assert len(site.visits()) == 5


def test_waiting_for_the_last_page_does_not_keep_the_processor_busy(
    tmp_path: Path, site: Site
) -> None:
    def slow(visit: Visit) -> str:
        time.sleep(0.5)
        return "slow"

    site.pages["/"] = links(*(f"/{n}" for n in range(20)))
    site.otherwise = slow
    with Job(plan(Title, tmp_path, site.url + "/", max_pages=2)) as job:
        turns = sum(1 for _ in Engine(job).steps())
    assert turns < 100  # a loop that spins makes tens of thousands


# Requests


class Ordered(Spider):
    def parse(self, response: Any) -> Iterator[Any]:
        for n, priority in enumerate([0, -1, 5, 0, 9, 5]):
            yield Request(response.url + f"{n}", "page", priority=priority)

    def page(self, response: Any) -> Any:
        return {"page": int(response.url[-1]), "priority": response.request.priority}


def test_a_higher_priority_goes_first_and_equals_keep_their_order(
    tmp_path: Path, site: Site
) -> None:
    site.otherwise = lambda visit: "x"
    run_job(Ordered, tmp_path, site.url + "/")
    assert [visit.path for visit in site.visits()] == ["/", "/4", "/2", "/5", "/0", "/3", "/1"]
    assert [item["page"] for item in items(tmp_path)] == [4, 2, 5, 0, 3, 1]


class Again(Spider):
    def parse(self, response: Any) -> Iterator[Any]:
        yield Request(response.url, "second", dont_filter=True)
        yield Request(response.url, "filtered")

    def second(self, response: Any) -> Any:
        return {"second": response.url}

    def filtered(self, response: Any) -> Any:
        return {"filtered": response.url}


def test_dont_filter_asks_for_what_was_seen(tmp_path: Path, site: Site) -> None:
    site.pages["/"] = "x"
    run_job(Again, tmp_path, site.url + "/")
    assert items(tmp_path) == [{"second": site.url + "/"}]


class Carrying(Spider):
    def parse(self, response: Any) -> Iterator[Any]:
        yield response.follow("/kw", self.with_arguments, cb_kwargs={"a": 1, "b": ["x", None]})
        yield Request(response.url + "form", "body", "POST", data={"q": "ä b", "n": "1"})
        yield Request(response.url + "form", "body", "POST", data={"q": "other"})
        yield Request(response.url + "form", "body", "POST", data={"q": "other"})
        yield Request(response.url + "raw", "body", "PUT", data=b"\x00\xff")
        yield Request(response.url + "json", "body", "POST", json={"x": [1, 2]})
        yield Request(response.url + "headers", "body", headers={"X-Mine": "1"}, cookies={"c": "2"})

    def with_arguments(self, response: Any, a: int, b: list[Any]) -> Any:
        return {"path": "/kw", "body": f"{a} {b}"}

    def body(self, response: Any) -> Any:
        return {"path": response.url.rpartition("/")[2], "body": response.text}


def test_arguments_bodies_and_headers_reach_their_ends(tmp_path: Path, site: Site) -> None:
    site.pages["/"] = "x"
    site.otherwise = lambda v: f"{v.method} {v.headers.get('Content-Type', '-')} {v.body!r}"
    site.pages["/headers"] = lambda v: f"{v.headers['X-Mine']} {v.cookies['c']}"
    run_job(Carrying, tmp_path, site.url + "/")
    form = "application/x-www-form-urlencoded"
    expected = [
        {"path": "/kw", "body": "1 ['x', None]"},
        {"path": "form", "body": f"POST {form} b'q=%C3%A4+b&n=1'"},
        {"path": "form", "body": f"POST {form} b'q=other'"},
        {"path": "headers", "body": "1 2"},
        {"path": "json", "body": "POST application/json b'{\"x\": [1, 2]}'"},
        {"path": "raw", "body": "PUT - b'\\x00\\xff'"},
    ]
    assert sorted(items(tmp_path), key=lambda i: (i["path"], -len(i["body"]))) == expected


# Callbacks


class Returning(Spider):
    def parse(self, response: Any) -> Any:
        return [response.follow(f"/{kind}", kind) for kind in ("one", "some", "none", "request")]

    def one(self, response: Any) -> Any:
        return {"kind": "one"}

    def some(self, response: Any) -> Any:
        return [{"kind": "some"}, None, response.follow("/one", "one"), {"kind": "more"}]

    def none(self, response: Any) -> None:
        return None

    def request(self, response: Any) -> Any:
        return response.follow("/last", "one")


def test_callbacks_may_return_one_or_a_list_or_nothing(tmp_path: Path, site: Site) -> None:
    site.otherwise = lambda visit: "x"
    summary = run_job(Returning, tmp_path, site.url + "/")
    assert values(items(tmp_path), "kind") == ["more", "one", "one", "some"]
    assert summary.failures == {}


class Failing(Spider):
    def parse(self, response: Any) -> Iterator[Any]:
        yield response.follow("/raises", "raising")
        yield response.follow("/text", "text")
        yield response.follow("/number", "number")
        yield response.follow("/method", "unknown_method")
        yield response.follow("/good", "good")

    def raising(self, response: Any) -> Iterator[Any]:
        yield {"url": "never written"}
        yield response.follow("/only-found-by-the-good-one", "good")
        raise LookupError("no title here")

    def text(self, response: Any) -> Any:
        return "text is neither an item nor a request"

    def number(self, response: Any) -> Iterator[Any]:
        yield {"url": "never written"}
        yield response.follow("/never-found")
        yield 17

    def unknown_method(self, response: Any) -> Iterator[Any]:
        yield {"url": "never written"}
        yield response.follow("/never-found", "no_such_method")

    def good(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield response.follow("/only-found-by-the-good-one", "good")


def test_a_callback_that_raises_fails_its_page_and_no_other(tmp_path: Path, site: Site) -> None:
    site.otherwise = lambda visit: "x"
    summary = run_job(Failing, tmp_path, site.url + "/")
    good = [site.url + "/good", site.url + "/only-found-by-the-good-one"]
    assert values(items(tmp_path)) == good
    assert site.asked["/never-found"] == 0
    assert failures(tmp_path) == {
        "/raises": "LookupError in raising()",
        "/text": "SpiderError in text()",
        "/number": "SpiderError in number()",
        "/method": "SpiderError in unknown_method()",
    }
    assert (summary.counters.done, summary.counters.failed) == (3, 4)
    assert summary.exit_status == 0
    kept = tracebacks(tmp_path)
    assert "LookupError: no title here" in kept
    assert 'in raising\n    raise LookupError("no title here")' in kept
    (why,) = rows(tmp_path, "SELECT message FROM failed WHERE url LIKE '%/method'")
    assert "'no_such_method' is not a method of Failing" in why[0]


class Rescuing(Spider):
    ended: ClassVar[list[dict[str, Any]]] = []

    def parse(self, response: Any) -> Iterator[Any]:
        yield response.follow("/missing", cb_kwargs=None)
        yield response.follow("/raising", "raising")

    def raising(self, response: Any) -> None:
        raise ValueError("no")

    def failed(self, failure: Failure) -> Iterator[Any]:
        status = failure.response.status if failure.response else None
        yield {"cause": failure.cause, "status": status, "url": failure.request.url}
        yield Request(failure.request.url + "-instead", "instead")

    def instead(self, response: Any) -> Any:
        return {"cause": "none", "url": response.url, "status": response.status}

    def closed(self, stats: dict[str, Any]) -> None:
        self.ended.append(stats)


def test_failed_may_yield_items_and_requests_and_closed_gets_the_counts(
    tmp_path: Path, site: Site
) -> None:
    site.pages = {"/": "x", "/raising": "x", "/missing-instead": "x", "/raising-instead": "x"}
    Rescuing.ended.clear()
    run_job(Rescuing, tmp_path, site.url + "/")
    found = sorted((i["cause"], i["status"], i["url"][len(site.url) :]) for i in items(tmp_path))
    assert found[0] == ("ValueError in raising()", None, "/raising")
    assert found[1:] == [
        ("http 404", 404, "/missing"),
        ("none", 200, "/missing-instead"),
        ("none", 200, "/raising-instead"),
    ]
    (stats,) = Rescuing.ended
    assert stats["done"] == 3
    assert stats["failed"] == 2
    assert stats["items"] == 4
    assert stats["pending"] == 0
    assert stats["reason"] == "finished"


@dataclass
class Book:
    title: str
    price: float


class Typed(Spider):
    item_type = Book

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"title": "good", "price": 1.5}
        yield {"title": "bad", "price": "cheap"}
        yield {"price": 2}
        yield Book("also good", 2.0)


def test_items_that_do_not_fit_go_to_rejected(tmp_path: Path, site: Site) -> None:
    site.pages["/"] = "x"
    summary = run_job(Typed, tmp_path, site.url + "/")
    assert items(tmp_path) == [
        {"title": "good", "price": 1.5},
        {"title": "also good", "price": 2.0},
    ]
    rejected = items(tmp_path, "rejected.jsonl")
    assert [line["item"] for line in rejected] == [
        {"title": "bad", "price": "cheap"},
        {"price": 2},
    ]
    assert all(line["url"] == site.url + "/" for line in rejected)
    assert "price" in rejected[0]["reason"]
    assert "title" in rejected[1]["reason"]
    assert (summary.counters.items, summary.counters.rejected) == (2, 2)


class Busy(Spider):
    """Notices when two callbacks of one instance run at the same time."""

    inside: ClassVar[threading.Semaphore] = threading.Semaphore(1)

    def parse(self, response: Any) -> Iterator[Any]:
        assert self.inside.acquire(blocking=False)
        try:
            for _ in range(3):
                time.sleep(0.001)  # a callback that lets other threads run
                yield {"url": response.url}
        finally:
            self.inside.release()
        yield from response.follow_all()


def test_callbacks_of_one_worker_never_run_at_the_same_time(tmp_path: Path, site: Site) -> None:
    urls = web([site], 40)
    run_job(Busy, tmp_path, site.url + "/0", concurrency_per_host=8)
    assert values(items(tmp_path)) == sorted([*urls] * 3)


# Resuming


def test_a_finished_job_says_so_and_asks_for_nothing(tmp_path: Path, site: Site) -> None:
    web([site], 5)
    run_job(Title, tmp_path, site.url + "/0")
    asked = len(site.log)
    before = (tmp_path / "items.jsonl").read_bytes()
    summary = run_job(Title, tmp_path, site.url + "/0")
    assert summary.already_finished
    assert len(site.log) == asked
    assert (tmp_path / "items.jsonl").read_bytes() == before


def test_new_seeds_of_a_finished_job_are_added(tmp_path: Path, site: Site) -> None:
    site.pages = {"/a": "a", "/b": "b"}
    run_job(Title, tmp_path, site.url + "/a")
    summary = run_job(Title, tmp_path, site.url + "/a", site.url + "/b")
    assert summary.new_seeds == 1
    assert not summary.already_finished
    assert site.asked == {"/a": 1, "/b": 1}
    assert values(items(tmp_path)) == [site.url + "/a", site.url + "/b"]


@pytest.mark.parametrize(("at_once", "most_held"), [(2, 32_000_000), (100, 0), (100, 32_000_000)])
def test_seeds_are_added_once_however_many_are_written_together(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch, at_once: int, most_held: int
) -> None:
    monkeypatch.setattr(opening, "AT_ONCE", at_once)
    monkeypatch.setattr(opening, "MOST_HELD", most_held)
    written: list[int] = []
    add = SQLiteQueue.add

    def noted(store: SQLiteQueue, found: Any, first: int) -> Any:
        written.append(len(found))
        return add(store, found, first)

    monkeypatch.setattr(SQLiteQueue, "add", noted)
    paths = [f"/{number}" for number in (3, 1, 4, 1, 5)]
    site.pages = dict.fromkeys(paths, "x")
    urls = [site.url + path for path in paths]
    assert run_job(Title, tmp_path, *urls).new_seeds == 4
    assert values(items(tmp_path)) == sorted(set(urls))
    wanted = {(2, 32_000_000): [2, 2, 1], (100, 0): [1] * 5, (100, 32_000_000): [5]}
    assert [count for count in written if count] == wanted[at_once, most_held]


class Insisting(Spider):
    """Its start does not care whether a URL was seen."""

    def start(self) -> Any:
        return [Request(self.start_urls[0], dont_filter=True)]

    def parse(self, response: Any) -> Any:
        return {"url": response.url}


def test_a_seed_with_dont_filter_is_not_added_again_by_a_resume(tmp_path: Path, site: Site) -> None:
    class Here(Insisting):
        start_urls = (site.url + "/",)

    site.pages["/"] = "x"
    run_job(Here, tmp_path)
    run_job(Here, tmp_path)
    assert len(items(tmp_path)) == 1


def test_seeds_that_are_all_out_of_scope_are_an_error(tmp_path: Path, site: Site) -> None:
    class Elsewhere(Title):
        name = "elsewhere"
        allowed_domains = ["elsewhere.example"]

    with pytest.raises(SeedError, match="none of the seeds"):
        run_job(Elsewhere, tmp_path, f"{site.url}/")
