"""Politeness in whole runs, as the server sees it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from crawler.engine.signals import StopSignal
from tests.jobs import Title, failures, items, run_job, values
from tests.sites import JITTER, Reply, Site, Visit, links, web

pytestmark = pytest.mark.usefixtures("no_leaks", "quick_back_off")


@pytest.fixture
def quick_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra delay after 429 and 503 starts at a second, which is long for a test."""
    monkeypatch.setattr("crawler.scheduling.politeness.FIRST_BACK_OFF", 0.05)


def slowly(site: Site, seconds: float) -> None:
    """Let every page take its time, so that requests at the same time would be seen."""
    quick = site.otherwise

    def page(visit: Visit) -> Any:
        time.sleep(seconds)
        return quick(visit)

    site.otherwise = page


@pytest.mark.parametrize(("workers", "delay"), [(0, 0.0), (2, 0.0), (2, 0.01)])
def test_a_host_is_asked_one_thing_at_a_time_by_default(
    tmp_path: Path, site: Site, workers: int, delay: float
) -> None:
    web([site], 25)
    slowly(site, 0.02)
    run_job(Title, tmp_path, site.url + "/0", workers=workers, delay=delay)
    assert len(items(tmp_path)) == 25
    assert site.most_at_once == 1


@pytest.mark.parametrize(("workers", "delay"), [(0, 0.0), (2, 0.0), (2, 0.001)])
def test_concurrency_per_host_is_used_and_kept(
    tmp_path: Path, site: Site, workers: int, delay: float
) -> None:
    site.pages["/"] = links(*(f"/{n}" for n in range(40)))
    site.otherwise = lambda visit: "x"
    slowly(site, 0.05)
    run_job(Title, tmp_path, site.url + "/", workers=workers, concurrency_per_host=4, delay=delay)
    assert len(items(tmp_path)) == 41
    assert 2 <= site.most_at_once <= 4


def test_all_hosts_together_keep_to_concurrency(tmp_path: Path) -> None:
    sites = [Site(address=f"127.0.0.{n + 1}") for n in range(5)]
    for site in sites:
        web([site], 6)
        slowly(site, 0.03)
        site.__enter__()
    try:
        run_job(Title, tmp_path, *(f"{site.url}/0" for site in sites), concurrency=2)
    finally:
        for site in sites:
            site.__exit__()
    together = Site()
    together.log = [visit for site in sites for visit in site.log]
    assert together.most_at_once == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_the_delay_lies_between_two_requests(tmp_path: Path, site: Site, workers: int) -> None:
    web([site], 6)
    run_job(Title, tmp_path, site.url + "/0", workers=workers, delay=0.2, concurrency_per_host=3)
    assert len(site.log) == 7
    assert site.least_gap >= 0.2 - JITTER


def test_other_hosts_are_asked_while_one_waits(tmp_path: Path, site: Site, other: Site) -> None:
    """For as long as it takes: it stops when every page of the others has been asked for."""
    site.pages["/robots.txt"] = "User-agent: *\nCrawl-delay: 60"
    web([site], 3)
    web([other], 20)
    page, stop = other.otherwise, StopSignal()

    def last(visit: Visit) -> Any:
        if len(other.asked) == 20:
            stop.stop()
        return page(visit)

    other.otherwise = last
    run_job(Title, tmp_path, site.url + "/0", other.url + "/0", stop=stop)
    stop.close()
    assert len(items(tmp_path)) == 20
    assert [visit.path for visit in site.log] == ["/robots.txt"]


def test_a_longer_crawl_delay_wins_over_the_delay(tmp_path: Path, site: Site, other: Site) -> None:
    site.pages["/robots.txt"] = "User-agent: *\nCrawl-delay: 0.3"
    other.pages["/robots.txt"] = "User-agent: *\nCrawl-delay: 0.01"
    web([site], 4)
    web([other], 4)
    run_job(Title, tmp_path, site.url + "/0", other.url + "/0", delay=0.2)
    assert site.least_gap >= 0.3 - JITTER
    assert other.least_gap >= 0.2 - JITTER


def test_the_crawl_delay_is_kept_by_a_resume(tmp_path: Path, site: Site) -> None:
    site.pages["/robots.txt"] = "User-agent: *\nCrawl-delay: 0.4"
    web([site], 4)
    run_job(Title, tmp_path, site.url + "/0", max_pages=2)
    run_job(Title, tmp_path, site.url + "/0")
    assert len(items(tmp_path)) == 4
    assert [visit.path for visit in site.log].count("/robots.txt") == 1
    assert site.least_gap >= 0.4 - JITTER


@pytest.mark.parametrize(("status", "kind"), [(429, "seconds"), (503, "date")])
def test_retry_after_is_kept_by_the_whole_host(
    tmp_path: Path, site: Site, kind: str, status: int
) -> None:
    def busy(visit: Visit) -> Reply | str:
        if len(site.visits("/busy")) > 1:
            return "fine again"
        at = datetime.now(UTC) + timedelta(seconds=2)  # dates have whole seconds: 1 at least
        return Reply(
            "busy",
            status,
            (("Retry-After", "1" if kind == "seconds" else format_datetime(at, usegmt=True)),),
        )

    site.pages = {"/": links("/busy", *(f"/{n}" for n in range(5))), "/busy": busy}
    site.otherwise = lambda visit: "x"
    summary = run_job(Title, tmp_path, site.url + "/")
    first, second = site.visits("/busy")
    assert second.came - first.came >= 1.0 - JITTER
    between = [v.path for v in site.log if first.came < v.came < first.came + 1.0 - JITTER]
    assert between == []
    assert len(items(tmp_path)) == 7
    assert (summary.counters.retried, summary.counters.failed) == (1, 0)


def test_retry_after_is_kept_by_a_resume(tmp_path: Path, site: Site) -> None:
    site.pages = {"/": links("/busy", "/after"), "/after": "x"}
    site.pages["/busy"] = lambda visit: (
        Reply("busy", 503, (("Retry-After", "1"),)) if len(site.visits("/busy")) < 2 else "fine"
    )
    stop = StopSignal()
    site.pages["/busy"] = Stopping(site.pages["/busy"], stop)
    summary = run_job(Title, tmp_path, site.url + "/", stop=stop)
    stop.close()
    assert summary.exit_status == 3
    run_job(Title, tmp_path, site.url + "/")
    assert len(items(tmp_path)) == 3
    first = site.visits("/busy")[0]
    assert min(v.came for v in site.log if v.number > first.number) - first.came >= 1.0 - JITTER


class Stopping:
    """A page that stops the crawl when it is asked for."""

    def __init__(self, page: Any, stop: StopSignal) -> None:
        self._page = page
        self._stop = stop

    def __call__(self, visit: Visit) -> Any:
        self._stop.stop()
        return self._page(visit)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_tried_again_and_counted(
    tmp_path: Path, site: Site, status: int
) -> None:
    site.pages = {"/": links("/sometimes", "/never"), "/never": Reply("no", status)}
    site.pages["/sometimes"] = lambda visit: (
        "at last" if len(site.visits("/sometimes")) == 3 else Reply("no", status)
    )
    summary = run_job(Title, tmp_path, site.url + "/", retries=2)
    assert site.asked == {"/": 1, "/sometimes": 3, "/never": 3}
    assert values(items(tmp_path)) == [site.url + "/", site.url + "/sometimes"]
    assert failures(tmp_path) == {"/never": f"http {status}"}
    assert summary.counters.retried == 4
    assert summary.failures == {f"http {status}": 1}


def test_a_host_that_is_overloaded_is_asked_less_and_less_often(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawler.scheduling.politeness.FIRST_BACK_OFF", 0.2)
    site.pages = {"/": Reply("busy", 503)}
    run_job(Title, tmp_path, site.url + "/", retries=2, concurrency_per_host=8)
    first, second, third = site.visits("/")
    assert second.came - first.came >= 0.2 - JITTER
    assert third.came - second.came >= 0.4 - JITTER


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
def test_a_status_that_stays_is_not_tried_again(tmp_path: Path, site: Site, status: int) -> None:
    site.pages["/"] = Reply("no", status)
    summary = run_job(Title, tmp_path, site.url + "/")
    assert site.asked["/"] == 1
    assert failures(tmp_path) == {"/": f"http {status}"}
    assert summary.exit_status == 0


def test_accepted_statuses_reach_the_callback(tmp_path: Path, site: Site) -> None:
    site.pages["/"] = Reply("no", 404)
    run_job(Title, tmp_path, site.url + "/", accept_status=(404,))
    assert values(items(tmp_path)) == [site.url + "/"]


# robots.txt


def test_pages_that_robots_txt_disallows_are_not_requested(tmp_path: Path, site: Site) -> None:
    site.pages["/robots.txt"] = (
        "User-agent: *\nDisallow: /\n\nUser-agent: crawler\nDisallow: /private\nAllow: /private/not"
    )
    site.pages["/"] = links("/private/page", "/private/not/really", "/open")
    site.otherwise = lambda visit: "x"
    summary = run_job(Title, tmp_path, site.url + "/")
    assert set(site.asked) == {"/", "/private/not/really", "/open"}
    assert failures(tmp_path) == {"/private/page": "disallowed by robots.txt"}
    assert summary.failures == {"disallowed by robots.txt": 1}
    assert site.log[0].path == "/robots.txt"


def test_a_disallowed_page_costs_no_delay(tmp_path: Path, site: Site) -> None:
    """With the delay after each of them it would take longer than any test waits."""
    site.pages["/robots.txt"] = "User-agent: *\nDisallow: /no\nCrawl-delay: 0.5"
    site.pages["/"] = links(*(f"/no/{n}" for n in range(50)), "/yes")
    site.pages["/yes"] = "x"
    run_job(Title, tmp_path, site.url + "/")
    assert len(failures(tmp_path)) == 50
    assert site.least_gap >= 0.5 - JITTER
    assert site.visits("/yes")[0].came - site.visits("/")[0].came < 50 * 0.5


def test_obey_robots_false_does_not_ask(tmp_path: Path, site: Site) -> None:
    site.pages = {"/robots.txt": "User-agent: *\nDisallow: /", "/": "x"}
    run_job(Title, tmp_path, site.url + "/", obey_robots=False)
    assert [visit.path for visit in site.log] == ["/"]


def test_robots_txt_is_asked_once_by_all_workers(tmp_path: Path, site: Site) -> None:
    web([site], 30)
    run_job(Title, tmp_path, site.url + "/0", workers=2, concurrency_per_host=8)
    assert [visit.path for visit in site.log].count("/robots.txt") == 1


@pytest.mark.parametrize(
    ("answer", "asked", "cause"),
    [
        (Reply("none", 404), 1, None),
        (Reply("none", 403), 1, None),
        (Reply("<html>no rules</html>"), 1, None),
        (Reply(b"\xff\xfe\x00binary", headers=(("Content-Type", "image/png"),)), 1, None),
        (Reply("", 302, (("Location", "/rules"),)), 1, "disallowed by robots.txt"),
        (Reply("", 302, (("Location", "/robots.txt"),)), 6, "too many redirects"),
    ],
)
def test_meanings_of_responses_to_robots_txt(
    tmp_path: Path, site: Site, answer: Reply, asked: int, cause: str | None
) -> None:
    site.pages = {"/robots.txt": answer, "/": "x", "/rules": "User-agent: *\nDisallow: /"}
    run_job(Title, tmp_path, site.url + "/", retries=2)
    assert [visit.path for visit in site.log].count("/robots.txt") == asked
    assert failures(tmp_path) == ({} if cause is None else {"/": cause})
    assert len(items(tmp_path)) == (cause is None)


def test_a_robots_txt_that_comes_at_the_second_try_counts(tmp_path: Path, site: Site) -> None:
    rules = "User-agent: *\nDisallow: /a"
    site.pages["/robots.txt"] = lambda visit: (
        Reply("busy", 503) if len(site.visits("/robots.txt")) == 1 else rules
    )
    site.pages["/"] = links("/a", "/b")
    site.pages["/b"] = "b"
    run_job(Title, tmp_path, site.url + "/")
    assert site.asked == {"/": 1, "/b": 1}


def test_a_silent_robots_txt_holds_up_its_own_host_only(
    tmp_path: Path, site: Site, other: Site
) -> None:
    site.pages["/robots.txt"] = Reply(raw=lambda sock: sock.recv(1))  # until the client gives up
    site.pages["/"] = "x"
    web([other], 20)
    seeds = (site.url + "/", other.url + "/0")
    summary = run_job(Title, tmp_path, *seeds, read_timeout=0.3, retries=1)
    assert len(items(tmp_path)) == 20
    assert summary.waits_for == f"{site.url} (timeout)"
    assert site.visits() == []
