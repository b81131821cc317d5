"""Redirects in whole runs: their targets, their turns, and the headers that are removed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import Request, Spider
from tests.jobs import Title, failures, items, run_job, values
from tests.sites import JITTER, Reply, Site, Visit, links, redirect

pytestmark = pytest.mark.usefixtures("no_leaks")


class Telling(Spider):
    """Says how each page was reached."""

    def parse(self, response: Any) -> Iterator[Any]:
        yield from self.page(response)
        yield from response.follow_all(callback="page", cb_kwargs={"via": "a link"})

    def page(self, response: Any, via: str = "a seed") -> Iterator[Any]:
        history = [[hop.url, hop.status] for hop in response.history]
        yield {"url": response.url, "via": via, "history": history}


def test_a_redirect_is_followed_with_its_callback_and_history(tmp_path: Path, site: Site) -> None:
    site.pages = {
        "/": links("/a"),
        "/a": redirect("/b", 301),
        "/b": redirect("c?x=1#there", 307),
        "/c?x=1": "c",
    }
    summary = run_job(Telling, tmp_path, site.url + "/")
    assert items(tmp_path)[1:] == [
        {
            "url": site.url + "/c?x=1",
            "via": "a link",
            "history": [[site.url + "/a", 301], [site.url + "/b", 307]],
        }
    ]
    assert site.asked == {"/": 1, "/a": 1, "/b": 1, "/c?x=1": 1}
    assert (summary.counters.done, summary.counters.redirected) == (2, 2)


def test_a_redirect_to_another_host_waits_for_that_hosts_turn_and_keeps_to_its_rules(
    tmp_path: Path, site: Site, other: Site
) -> None:
    class Both(Telling):
        allowed_domains = ("127.0.0.1", "127.0.0.2")

    site.pages["/"] = links("/to-open", "/to-closed", other.url + "/first")
    site.pages["/to-open"] = redirect(other.url + "/open")
    site.pages["/to-closed"] = redirect(other.url + "/closed/page")
    other.pages["/robots.txt"] = "User-agent: *\nDisallow: /closed/\nCrawl-delay: 0.3"
    other.otherwise = lambda visit: "here"
    run_job(Both, tmp_path, site.url + "/", allow_private=True)
    reached = {
        "url": other.url + "/open",
        "via": "a link",
        "history": [[site.url + "/to-open", 302]],
    }
    assert reached in items(tmp_path)
    assert sorted(visit.path for visit in other.log) == ["/first", "/open", "/robots.txt"]
    assert other.least_gap >= 0.3 - JITTER
    assert failures(tmp_path) == {"/closed/page": "disallowed by robots.txt"}


def test_a_seed_that_redirects_brings_its_new_host_into_scope(
    tmp_path: Path, site: Site, other: Site
) -> None:
    site.pages["/"] = redirect(other.url + "/home", 301)
    other.pages["/home"] = links("/next", "http://127.0.0.3:9/never")
    other.pages["/next"] = "next"
    run_job(Title, tmp_path, site.url + "/", allow_private=True)
    assert values(items(tmp_path)) == [other.url + "/home", other.url + "/next"]
    # It stays in scope when the job is resumed.
    site.pages["/more"] = links(other.url + "/late")
    other.pages["/late"] = "late"
    run_job(Title, tmp_path, site.url + "/", site.url + "/more", allow_private=True)
    assert other.asked == {"/home": 1, "/next": 1, "/late": 1}


def test_a_link_that_redirects_out_of_scope_is_not_followed(
    tmp_path: Path, site: Site, other: Site
) -> None:
    site.pages = {"/": links("/out"), "/out": redirect(other.url + "/")}
    summary = run_job(Title, tmp_path, site.url + "/")
    assert values(items(tmp_path)) == [site.url + "/"]
    assert other.log == []
    assert summary.counters.pending == 0


@pytest.mark.parametrize(
    ("workers", "linked"), [(0, "first"), (0, "last"), (0, "never"), (2, "last")]
)
def test_pages_that_redirect_to_one_page_give_its_item_once(
    tmp_path: Path, site: Site, workers: int, linked: str
) -> None:
    ways = [f"/way-{n}" for n in range(6)]
    direct = {"first": ["/goal", *ways], "last": [*ways, "/goal"], "never": ways}[linked]
    site.pages = {"/": links(*direct), "/goal": links("/after"), "/after": "after"}
    site.otherwise = lambda visit: redirect("/goal")
    summary = run_job(Title, tmp_path, site.url + "/", workers=workers, concurrency_per_host=4)
    assert values(items(tmp_path)) == [site.url + path for path in ("/", "/after", "/goal")]
    assert site.asked["/after"] == 1
    assert summary.counters.pending == 0
    assert summary.failures == {}


def test_a_page_that_redirects_have_led_to_is_not_fetched_for_each_further_one(
    tmp_path: Path, site: Site
) -> None:
    ways = [f"/way-{n}" for n in range(40)]
    site.pages = {"/": links(*ways), "/goal": "goal"}
    site.otherwise = lambda visit: redirect("/goal")
    run_job(Title, tmp_path, site.url + "/", concurrency_per_host=1, delay=0.01)
    assert values(items(tmp_path)) == [site.url + "/", site.url + "/goal"]
    assert site.asked["/goal"] < 40


def test_pages_that_pass_one_page_on_the_way_all_come_back(tmp_path: Path, site: Site) -> None:
    """A consent page, for instance: it redirects back to the page before."""
    passing: deque[str] = deque()
    agreed: set[str] = set()

    def page(visit: Visit) -> Reply | str:
        if visit.path == "/consent":
            agreed.add(passing[0])
            return redirect(passing.popleft())
        if visit.path in agreed:
            return visit.path
        passing.append(visit.path)
        return redirect("/consent")

    pages = [f"/{n}" for n in range(12)]
    site.pages = {"/": links(*pages)}
    site.otherwise = page
    run_job(Title, tmp_path, site.url + "/", concurrency_per_host=1)
    assert values(items(tmp_path)) == sorted(site.url + path for path in ("/", *pages))


@pytest.mark.parametrize(
    ("asked", "to"),
    [
        ("/page", "/page"),
        ("/page", "/page#part"),
        ("/page?b=1&a=2", "/page?a=2&b=1"),
        ("/page?", "/page"),
        ("/p%61ge", "/page"),
    ],
)
def test_a_page_that_redirects_to_itself_with_a_cookie_works(
    tmp_path: Path, site: Site, asked: str, to: str
) -> None:
    def page(visit: Visit) -> Reply | str:
        if "seen" in visit.cookies:
            return "welcome"
        return redirect(to, 302, ("Set-Cookie", "seen=1"))

    site.pages = {"/": links(asked)}
    site.otherwise = page
    run_job(Title, tmp_path, site.url + "/")
    assert len(items(tmp_path)) == 2
    assert items(tmp_path)[1]["url"].startswith(site.url + "/page")


def test_a_redirect_to_another_spelling_of_the_same_page_is_followed(
    tmp_path: Path, site: Site
) -> None:
    """As sites do that have one spelling: both are one page to the frontier, and none is lost."""
    site.pages = {"/": links("/page?b=1&a=2"), "/page?b=1&a=2": redirect("/page?a=2&b=1", 301)}
    site.pages["/page?a=2&b=1"] = "here"
    run_job(Title, tmp_path, site.url + "/")
    assert values(items(tmp_path)) == [site.url + "/", site.url + "/page?a=2&b=1"]


def test_a_way_through_a_cookie_page_back_to_where_it_started(tmp_path: Path, site: Site) -> None:
    site.pages = {
        "/": links("/page"),
        "/page": lambda v: "in" if "ok" in v.cookies else redirect("/consent"),
        "/consent": redirect("/page", 303, ("Set-Cookie", "ok=1")),
    }
    run_job(Title, tmp_path, site.url + "/")
    assert values(items(tmp_path)) == [site.url + "/", site.url + "/page"]


def test_endless_redirects_fail_with_a_cause(tmp_path: Path, site: Site) -> None:
    site.pages = {
        "/": links("/round", "/on?0"),
        "/round": redirect("/round-again"),
        "/round-again": redirect("/round"),
    }
    site.otherwise = lambda visit: redirect(f"/on?{int(visit.path[4:]) + 1}")
    run_job(Title, tmp_path, site.url + "/", max_redirects=4)
    assert values(items(tmp_path)) == [site.url + "/"]
    assert sorted(failures(tmp_path).values()) == ["too many redirects"] * 2
    assert site.asked["/on?4"] == 1
    assert site.asked["/on?5"] == 0
    assert len(site.visits()) == 1 + 2 * 5


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/", "javascript:void(0)", "http://[broken/"])
def test_a_redirect_to_nowhere_fails_with_a_cause(tmp_path: Path, site: Site, target: str) -> None:
    site.pages["/"] = redirect(target)
    run_job(Title, tmp_path, site.url + "/")
    assert failures(tmp_path) == {"/": "bad redirect"}


def test_statuses_without_a_location_are_no_redirects(tmp_path: Path, site: Site) -> None:
    site.pages = {"/": Reply("choices", 300), "/b": Reply("not modified", 302)}
    run_job(Title, tmp_path, site.url + "/", site.url + "/b")
    assert len(items(tmp_path)) == 2


class Posting(Spider):
    def parse(self, response: Any) -> Iterator[Any]:
        for status in (301, 302, 303, 307, 308):
            for method in ("POST", "PUT"):
                path = f"/{status}/{method}"
                yield response.follow(path, "answer", method=method, data={"q": path})

    def answer(self, response: Any) -> Any:
        return {"url": response.text}


def test_redirects_keep_or_drop_the_method_and_the_body(tmp_path: Path, site: Site) -> None:
    def page(visit: Visit) -> Reply | str:
        _, status, method, *there = visit.path.split("/")
        if not there:
            return redirect(f"/{status}/{method}/there", int(status))
        kind = visit.headers.get("Content-Type", "no type")
        return f"{status} {method} -> {visit.method} {visit.body.decode() or 'no body'} {kind}"

    site.pages["/"] = "x"
    site.otherwise = page
    run_job(Posting, tmp_path, site.url + "/")
    form = "application/x-www-form-urlencoded"
    assert values(items(tmp_path)) == [
        "301 POST -> GET no body no type",
        f"301 PUT -> PUT q=%2F301%2FPUT {form}",
        "302 POST -> GET no body no type",
        f"302 PUT -> PUT q=%2F302%2FPUT {form}",
        "303 POST -> GET no body no type",
        "303 PUT -> GET no body no type",
        f"307 POST -> POST q=%2F307%2FPOST {form}",
        f"307 PUT -> PUT q=%2F307%2FPUT {form}",
        f"308 POST -> POST q=%2F308%2FPOST {form}",
        f"308 PUT -> PUT q=%2F308%2FPUT {form}",
    ]


class Trusting(Spider):
    allowed_domains = ("*",)

    def start(self) -> Iterator[Any]:
        yield Request(
            self.start_urls[0],
            headers={"Authorization": "Bearer secret", "X-Plain": "yes"},
            cookies={"mine": "secret"},
        )

    def parse(self, response: Any) -> Any:
        return {"url": response.url}


def test_credentials_of_a_request_stay_with_the_host_that_they_were_meant_for(
    tmp_path: Path, site: Site, other: Site
) -> None:
    class Here(Trusting):
        start_urls = (site.url + "/",)

    site.pages["/"] = redirect("/inside", 302, ("Set-Cookie", "session=secret"))
    site.pages["/inside"] = redirect(other.url + "/", 307)
    other.pages["/"] = redirect("/on")
    other.pages["/on"] = "x"
    run_job(Here, tmp_path, allow_private=True)
    (inside,) = site.visits("/inside")
    assert inside.headers["Authorization"] == "Bearer secret"
    assert inside.cookies == {"mine": "secret", "session": "secret"}
    assert len(other.visits()) == 2
    for visit in other.log:
        assert "secret" not in str(visit.headers)
        assert visit.headers["X-Plain"] == ("yes" if visit.path != "/robots.txt" else None)


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "POST", "data": {"q": "{}"}},
        {"method": "POST", "json": {"q": "{}"}},
        {"method": "POST", "data": {"q": "{}"}, "replay": False},
        {"method": "POST", "data": {"q": "{}"}, "idempotent": True},
        {"method": "PUT", "data": "{}"},
        {"headers": {"X-Page": "{}"}},
        {"cookies": {"page": "{}"}},
        {"replay": False},
        {"safe": True},
        {"idempotent": True},
        {"dont_filter": True},
        {"cb_kwargs": {"query": "{}"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("status", [302, 303, 307])
def test_requests_that_are_more_than_their_urls_may_lead_to_one_page(
    tmp_path: Path, site: Site, fields: dict[str, Any], status: int
) -> None:
    class Searches(Spider):
        def parse(self, response: Any) -> Iterator[Any]:
            yield response.follow("/results", "page")  # which is known, and done, before
            for number in range(5):
                request = response.follow(f"/search?{number}", "page", **filled(fields, number))
                yield request

        def page(self, response: Any, query: str = "") -> Any:
            return {"url": response.url, "from": [hop.url for hop in response.history]}

    site.pages = {"/": "start", "/results": "results", "/middle": redirect("/results", status)}
    site.otherwise = lambda visit: redirect("/middle", status)
    summary = run_job(Searches, tmp_path, site.url + "/", concurrency=1)
    found = [item["from"][0] for item in items(tmp_path) if item["from"]]
    assert sorted(found) == [f"{site.url}/search?{number}" for number in range(5)]
    assert summary.failures == {}
    assert summary.counters.items == 6


def filled(value: Any, number: int) -> Any:
    """Put a number into the texts of a request's fields."""
    if isinstance(value, dict):
        return {name: filled(part, number) for name, part in value.items()}
    return value.format(number) if isinstance(value, str) else value


FAILS, COMES = Reply("no", 500), "goal"


@pytest.mark.parametrize(
    ("linked", "replies", "items_of_goal", "failed"),
    [
        (["/way", "/goal"], [COMES, FAILS], 1, {"/goal": "http 500"}),
        (["/goal", "/way"], [FAILS, COMES], 1, {"/goal": "http 500"}),
        (["/goal", "/way", "/way2"], [FAILS, COMES, COMES], 1, {"/goal": "http 500"}),
        (["/way", "/goal"], [FAILS, COMES], 1, {"/goal": "http 500"}),
        (["/way", "/goal"], [COMES, COMES], 1, {}),
        (["/goal", "/way"], [COMES, COMES], 1, {}),
        (["/way", "/way2", "/goal"], [COMES, COMES, COMES], 1, {}),
        (["/way", "/way2", "/goal"], [FAILS, COMES, FAILS], 1, {"/goal": "http 500"}),
        (["/way", "/goal"], [FAILS, FAILS], 0, {"/goal": "http 500"}),
    ],
)
@pytest.mark.parametrize("resumed", [False, True])
def test_a_page_counts_as_known_only_when_it_has_been_handled(
    tmp_path: Path,
    site: Site,
    linked: list[str],
    replies: list[Reply | str],
    items_of_goal: int,
    failed: dict[str, str],
    resumed: bool,
) -> None:
    coming = iter(replies)
    site.pages = {
        "/": links(*linked),
        "/way": redirect("/goal"),
        "/way2": redirect("/goal"),
        "/goal": lambda visit: next(coming),
    }
    settings: dict[str, Any] = {"retries": 0, "concurrency": 1, "concurrency_per_host": 1}
    for pages in (2, None) if resumed else (None,):
        summary = run_job(Title, tmp_path, site.url + "/", max_pages=pages, **settings)
    found = values(items(tmp_path))
    assert found.count(site.url + "/goal") == items_of_goal
    assert failures(tmp_path) == failed
    assert summary.counters.pending == 0


def test_a_request_that_waits_for_a_retry_is_pending_too(tmp_path: Path, site: Site) -> None:
    coming: Iterator[Reply | str] = iter([Reply("later", 503), "goal", "goal"])
    site.pages = {
        "/": links("/goal", "/way"),
        "/way": redirect("/goal"),
        "/goal": lambda visit: next(coming),
    }
    run_job(Title, tmp_path, site.url + "/", retry_wait=0.2, concurrency=1)
    assert values(items(tmp_path)) == [site.url + "/", site.url + "/goal"]
    assert site.asked["/goal"] == 3


def test_a_pending_request_that_is_more_than_its_url_has_its_own_output(
    tmp_path: Path, site: Site
) -> None:
    class Both(Telling):
        def parse(self, response: Any) -> Iterator[Any]:
            yield response.follow("/goal", "page", cb_kwargs={"via": "a link"})
            yield response.follow("/way", "page", priority=1)

    coming: Iterator[Reply | str] = iter([Reply("later", 503), "goal", "goal"])
    site.pages = {
        "/": "start",
        "/way": redirect("/goal"),
        "/goal": lambda visit: next(coming),
    }
    run_job(Both, tmp_path, site.url + "/", retry_wait=0.2, concurrency=1)
    assert values(items(tmp_path), "via") == ["a link", "a seed"]


def test_a_pending_request_that_is_redirected_elsewhere_has_its_own_output(
    tmp_path: Path, site: Site
) -> None:
    class Two(Telling):
        def parse(self, response: Any) -> Iterator[Any]:
            yield response.follow("/goal", "page")
            yield response.follow("/way", "page", priority=1)

    coming: Iterator[Reply | str] = iter([Reply("later", 503), "goal", redirect("/elsewhere")])
    site.pages = {
        "/": "start",
        "/way": redirect("/goal"),
        "/goal": lambda visit: next(coming),
        "/elsewhere": "elsewhere",
    }
    run_job(Two, tmp_path, site.url + "/", retry_wait=0.2, concurrency=1)
    assert values(items(tmp_path)) == [site.url + path for path in ("/elsewhere", "/goal")]
