"""Forms of the crawl whose token has expired: the site answers 419."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import Request, Spider
from tests.jobs import items, run_job, values
from tests.sites import Reply, Site, Visit, redirect


class Searcher(Spider):
    """Fills in the search form of the front page, and yields what it brings."""

    replay = True

    def parse(self, response: Any) -> Iterator[Request]:
        form = response.form("#search")
        yield form.to_request({"q": "ä & b"}, callback="results", replay=self.replay)

    def results(self, response: Any) -> Iterator[Any]:
        yield {"text": response.text, "token": "token" in response.request.data.decode()}


class Member(Searcher):
    """Logs in first."""

    site = ""

    def login(self, session: Any) -> None:
        form = session.open(self.site + "login").form("form")
        session.submit(form, password="sesame")


class Shop:
    """A site with a search form whose token is good for one session, and once."""

    def __init__(self, site: Site, *, is_closed: bool = False) -> None:
        self.is_closed = is_closed
        self.logins = self.searches = 0
        self.member = ""
        self.token = ""
        self.forget_before: set[int] = set()
        """The searches before which the session ends, by their numbers."""
        self.expired_before: set[int] = set()
        """The searches before which the token expires."""
        self.bodies: list[str] = []
        site.otherwise = self.answer

    def answer(self, visit: Visit) -> Reply:
        if visit.path == "/robots.txt":
            return Reply("no rules", 404)
        if visit.path == "/login":
            return self.log_in(visit)
        if visit.path == "/search":
            return self.search(visit)
        if not self.is_let_in(visit):
            return redirect("/login")
        self.token = f"token-{visit.number}"
        return Reply(
            f"<form action=/other method=post><input name=q></form>"
            f"<form id=search action=/search method=post><input type=hidden name=token "
            f"value={self.token}><input name=q><button name=go value=1></form>"
        )

    def is_let_in(self, visit: Visit) -> bool:
        return not self.is_closed or visit.cookies.get("sid") == self.member != ""

    def log_in(self, visit: Visit) -> Reply:
        if visit.method == "GET":
            return Reply("<form method=post><input type=password name=password></form>")
        self.logins += 1
        self.member = f"member-{self.logins}"
        return redirect("/", 302, ("Set-Cookie", f"sid={self.member}; Path=/"))

    def search(self, visit: Visit) -> Reply:
        self.searches += 1
        self.bodies.append(visit.body.decode())
        if self.searches in self.forget_before:
            self.member = self.token = ""
        if self.searches in self.expired_before:
            self.token = ""
        is_good = self.token and f"token={self.token}&" in visit.body.decode() + "&"
        if not (self.is_let_in(visit) and is_good):
            return Reply("<title>Page Expired</title>", 419)
        self.token = ""
        return Reply("found")


def test_the_form_is_opened_again_and_filled_in_as_before(site: Site, tmp_path: Path) -> None:
    shop = Shop(site)
    shop.expired_before = {1}
    summary = run_job(Searcher, tmp_path / "job", site.url + "/")
    assert values(items(tmp_path / "job"), "text") == ["found"]
    assert summary.counters.failed == 0
    first, second = shop.bodies
    assert first != second
    assert [body.partition("&")[2] for body in shop.bodies] == ["q=%C3%A4+%26+b&go=1"] * 2


def test_a_session_that_ends_is_logged_in_once_and_the_form_is_opened_again(
    site: Site, tmp_path: Path
) -> None:
    shop = Shop(site, is_closed=True)
    shop.forget_before = {1}
    summary = run_job(Member, tmp_path / "job", site.url + "/", arguments={"site": site.url + "/"})
    assert values(items(tmp_path / "job"), "text") == ["found"]
    assert (shop.logins, shop.searches, summary.counters.failed) == (2, 2, 0)


def test_a_token_that_expires_in_a_session_that_lives_needs_no_login(
    site: Site, tmp_path: Path
) -> None:
    shop = Shop(site, is_closed=True)
    shop.expired_before = {1}
    run_job(Member, tmp_path / "job", site.url + "/", arguments={"site": site.url + "/"})
    assert values(items(tmp_path / "job"), "text") == ["found"]
    assert (shop.logins, shop.searches) == (1, 2)


@pytest.mark.parametrize("spider", [Searcher, Member])
def test_a_form_that_is_always_refused_fails_after_a_second_try(
    site: Site, tmp_path: Path, spider: type[Spider]
) -> None:
    shop = Shop(site, is_closed=spider is Member)
    shop.expired_before = set(range(1, 100))
    arguments = {"site": site.url + "/"} if spider is Member else {}
    summary = run_job(spider, tmp_path / "job", site.url + "/", arguments=arguments)
    assert summary.failures == {"http 419": 1}
    assert (shop.searches, items(tmp_path / "job")) == (2, [])


def test_what_must_not_happen_twice_is_not_sent_again(site: Site, tmp_path: Path) -> None:
    class Once(Searcher):
        replay = False

    shop = Shop(site)
    shop.expired_before = {1}
    summary = run_job(Once, tmp_path / "job", site.url + "/")
    assert (shop.searches, summary.failures) == (1, {"http 419": 1})
