"""Cookies and headers in whole runs: which request sends which of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import Session, Spider
from crawler.settings import Settings
from tests.jobs import Title, items, rows, run_job, values
from tests.sites import JITTER, Reply, Site, Visit, links, redirect

pytestmark = pytest.mark.usefixtures("no_leaks")


def cookie_tree(site: Site, pages: int) -> list[str]:
    """Each page sets a cookie of its own; returns, filled by and by, what children lacked."""
    lacking: list[str] = []

    def page(visit: Visit) -> Reply:
        n = int(visit.path[1:])
        parent = (n - 1) // 2
        if n and f"c{parent}" not in visit.cookies:
            lacking.append(f"page {n} lacks the cookie of its parent {parent}")
        children = [f"/{k}" for k in (2 * n + 1, 2 * n + 2) if k < pages]
        return Reply(links(*children), headers=(("Set-Cookie", f"c{n}=1; Path=/"),))

    site.otherwise = page
    return lacking


@pytest.mark.parametrize("workers", [0, 2])
def test_a_child_sees_its_parents_cookies_wherever_it_runs(
    tmp_path: Path, site: Site, workers: int
) -> None:
    lacking = cookie_tree(site, 120)
    run_job(Title, tmp_path, site.url + "/0", workers=workers, concurrency_per_host=8)
    assert lacking == []
    assert len(items(tmp_path)) == 120


def test_a_counter_in_a_cookie_is_not_lost_between_processes(tmp_path: Path, site: Site) -> None:
    """One request at a time: each must send the cookie that the last one got."""

    def page(visit: Visit) -> Reply:
        n = int(visit.cookies.get("n", 0)) + 1
        here = int(visit.path[1:])
        reply = links(*(f"/{k}" for k in range(here, min(here + 4, 40))))
        return Reply(reply, headers=(("Set-Cookie", f"n={n}"),))

    site.otherwise = page
    run_job(Title, tmp_path, site.url + "/0", workers=2, delay=0.001)
    # A redirect or a second try would count twice; there are none.
    assert rows(tmp_path, "SELECT count(*) FROM sessions") == [(1,)]
    assert [int(v.cookies.get("n", 0)) for v in site.visits()] == list(range(40))


def test_cookies_are_kept_over_a_resume_with_all_that_they_say(tmp_path: Path, site: Site) -> None:
    attributes = "Path=/; HttpOnly; Expires=Fri, 31 Dec 2100 23:59:59 GMT"
    site.pages["/"] = Reply(
        links("/later"),
        headers=(
            ("Set-Cookie", f"kept={'x' * 100}; {attributes}"),
            ("Set-Cookie", 'odd="a b\\054c"; Path=/'),
            ("Set-Cookie", "below=1; Path=/deep"),
            ("Set-Cookie", "secure=1; Secure; Path=/"),
            ("Set-Cookie", "foreign=1; Domain=example.com"),
        ),
    )
    site.otherwise = lambda visit: "x"
    run_job(Title, tmp_path, site.url + "/", max_pages=1)
    run_job(Title, tmp_path, site.url + "/", site.url + "/deep/page")
    (later,) = site.visits("/later")
    assert later.cookies == {"kept": "x" * 100, "odd": '"a b\\054c"'}
    (deep,) = site.visits("/deep/page")
    assert deep.cookies["below"] == "1"


@pytest.mark.parametrize("workers", [0, 2])
def test_deleted_cookies_stay_deleted(tmp_path: Path, site: Site, workers: int) -> None:
    gone = "Max-Age=0" if workers else "Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    site.pages = {
        "/": Reply(links("/delete"), headers=(("Set-Cookie", "a=1"), ("Set-Cookie", "b=1"))),
        "/delete": Reply(
            links(*(f"/{n}" for n in range(12))), headers=(("Set-Cookie", f"a=; {gone}"),)
        ),
    }
    site.otherwise = lambda visit: "x"
    fast: dict[str, Any] = {"workers": workers, "concurrency_per_host": 4}
    run_job(Title, tmp_path, site.url + "/", max_pages=8, **fast)
    run_job(Title, tmp_path, site.url + "/", **fast)
    assert len(items(tmp_path)) == 14
    assert site.visits("/delete")[0].cookies == {"a": "1", "b": "1"}
    after = [visit for visit in site.visits() if visit.path not in ("/", "/delete")]
    assert [visit.cookies for visit in after] == [{"b": "1"}] * 12


def test_cookies_of_failed_and_redirected_answers_count_too(tmp_path: Path, site: Site) -> None:
    site.pages = {
        "/": redirect("/b", 302, ("Set-Cookie", "from-redirect=1")),
        "/b": links("/missing"),
        "/missing": Reply("no", 404, (("Set-Cookie", "from-404=1"),)),
    }
    run_job(Title, tmp_path, site.url + "/")
    site.pages["/late"] = "x"
    run_job(Title, tmp_path, site.url + "/", site.url + "/late")
    assert site.visits("/b")[0].cookies == {"from-redirect": "1"}
    assert site.visits("/late")[0].cookies == {"from-redirect": "1", "from-404": "1"}


def test_sites_do_not_see_each_others_cookies(tmp_path: Path, site: Site, other: Site) -> None:
    for each in (site, other):
        each.pages = {"/": Reply(links("/b"), headers=(("Set-Cookie", "c=1"),)), "/b": "x"}
    run_job(Title, tmp_path, site.url + "/", other.url + "/")
    for each in (site, other):
        assert each.visits("/")[0].cookies == {}
        assert each.visits("/b")[0].cookies == {"c": "1"}


# A session with an account


class Member(Spider):
    """Logs in at the site that its argument names."""

    home: str

    def login(self, session: Session) -> None:
        session.open(f"{self.home}/login")

    def is_logged_out(self, response: Any) -> bool:
        return bool(response.status == 401)

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all()


class TokenMember(Member):
    """Logs in with a header of its session, beside the cookie."""

    def login(self, session: Session) -> None:
        session.headers["X-Token"] = session.open(f"{self.home}/login").text


class Club:
    """A site of numbered pages that lets members in; ``end`` ends their sessions."""

    def __init__(self, site: Site, pages: int, *, header: bool = False) -> None:
        self.urls = [f"{site.url}/{n}" for n in range(pages)]
        self.logins = 0
        self.end_at = ""
        self._site = site
        self._valid = ""
        self._header = header
        site.otherwise = self._page
        site.pages["/login"] = self._login

    def crawl(self, spider: type[Spider], folder: Path, **settings: Any) -> list[Any]:
        run_job(spider, folder, self.urls[0], arguments={"home": self._site.url}, **settings)
        return values(items(folder))

    def _login(self, visit: Visit) -> Reply:
        self.logins += 1
        self._valid = f"t{self.logins}"
        return Reply(self._valid, headers=(("Set-Cookie", f"sid={self._valid}; Path=/"),))

    def _page(self, visit: Visit) -> Reply | str:
        if visit.path == self.end_at:
            self._valid, self.end_at = "none", ""
        proofs = [visit.cookies.get("sid"), visit.headers["X-Token"]][: 1 + self._header]
        if any(proof != self._valid for proof in proofs):
            return Reply("log in first", 401)
        n = int(visit.path[1:])
        return links(*(f"/{k}" for k in range(n, min(n + 4, len(self.urls)))))


@pytest.mark.parametrize("spider", [Member, TokenMember])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_session_logs_in_once_and_in_one_process(
    tmp_path: Path, site: Site, workers: int, spider: type[Spider]
) -> None:
    club = Club(site, 30, header=spider is TokenMember)
    found = club.crawl(spider, tmp_path, workers=workers, concurrency_per_host=4)
    assert found == sorted(club.urls)
    assert club.logins == 1


@pytest.mark.parametrize("spider", [Member, TokenMember])
def test_an_ended_session_logs_in_again_and_loses_no_page(
    tmp_path: Path, site: Site, spider: type[Spider]
) -> None:
    club = Club(site, 30, header=spider is TokenMember)
    club.end_at = "/9"
    assert club.crawl(spider, tmp_path, concurrency_per_host=4) == sorted(club.urls)
    assert club.logins == 2


def test_a_resumed_session_is_still_logged_in(tmp_path: Path, site: Site) -> None:
    club = Club(site, 20)
    assert len(club.crawl(Member, tmp_path, max_pages=7)) == 7
    assert club.crawl(Member, tmp_path) == sorted(club.urls)
    assert club.logins == 1


def test_a_resumed_session_that_has_lost_its_header_logs_in_again(
    tmp_path: Path, site: Site
) -> None:
    club = Club(site, 20, header=True)
    assert len(club.crawl(TokenMember, tmp_path, max_pages=7)) == 7
    assert club.crawl(TokenMember, tmp_path) == sorted(club.urls)


def test_pages_of_a_login_keep_the_delay_too(tmp_path: Path, site: Site) -> None:
    club = Club(site, 3)
    club.crawl(Member, tmp_path, delay=0.2)
    # robots.txt, the login, the pages, and the first of them as an anonymous visitor
    assert len(site.log) == 1 + 1 + 3 + 1
    assert site.least_gap >= 0.2 - JITTER


def test_headers_set_by_a_login_go_to_no_other_site(
    tmp_path: Path, site: Site, other: Site
) -> None:
    class Bearer(Title):
        name = "bearer"
        allowed_domains = "*"

        def login(self, session: Any) -> None:
            session.open(f"{site.url}/login")
            session.headers["Authorization"] = "Bearer token"

    elsewhere = other.url.replace("127.0.0.1", "localhost")
    site.pages = {"/": links("/in", f"{elsewhere}/out"), "/in": "in", "/login": "welcome"}
    other.pages = {"/out": "out"}
    run_job(Bearer, tmp_path, f"{site.url}/", allow_private=True)
    # Each page is looked at as an anonymous visitor gets it, too.
    assert {(v.path, v.headers["Authorization"]) for v in site.visits()} == {
        ("/login", None),
        *((path, header) for path in ("/", "/in") for header in ("Bearer token", None)),
    }
    assert [visit.headers["Authorization"] for visit in other.visits("/out")] == [None]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_spider_that_cannot_prepare_a_session_loses_nothing(
    tmp_path: Path, site: Site, workers: int
) -> None:
    site.pages = {"/": "home"}
    summary = run_job(Unprepared, tmp_path, f"{site.url}/", workers=workers, obey_robots=True)
    assert summary.exit_status == 4
    assert "prepare() of unprepared failed: KeyError: 'NO_SUCH_VARIABLE'" in summary.login_errors[0]
    assert summary.counters.pending == 1
    assert site.log == []


class Unprepared(Title):
    name = "unprepared"

    def prepare(self, session: Session) -> None:
        session.headers["X-Key"] = os.environ["NO_SUCH_VARIABLE"]


def test_tokens_in_headers_are_masked() -> None:
    with Session("account", Settings(delay=0)) as session:
        session.headers["Authorization"] = "Bearer t0ken/of'ada"
        session.headers["X-Api-Key"] = "k3y-of-ada"
        session.headers["Cookie"] = "sid=0a1b2c3d; lang=swedish"
        session.headers["X-Lang"] = "swedes"
        session.pop_changes()
        text = "t0ken/of'ada t0ken%2fof&#39;ada k3y-of-ada 0a1b2c3d swedes Bearer"
        assert session.mask(text) == "***** ***** ***** ***** swedes Bearer"
