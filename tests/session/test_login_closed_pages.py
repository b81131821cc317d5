"""Pages that an account may not see, in a job that logs in; and logins that always fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import Spider
from tests.jobs import failures, items, run_job, values
from tests.sites import JITTER, Reply, Site, Visit, links, redirect

pytestmark = pytest.mark.usefixtures("no_leaks")

FORM = "<form method=post><input name=user><input type=password name=password></form>"


class Member(Spider):
    """Logs in with a form, and follows every link; an item a page."""

    name = "member"

    def __init__(self, home: str) -> None:
        super().__init__()
        self.home = home

    def login(self, session: Any) -> None:
        form = session.open(f"{self.home}/login").form("form")
        session.submit(form, user="ada", password="sesame")

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all()


class Club:
    """A few pages for members, of which some are ``closed``: ``no`` says so to anybody.

    All sessions end at the pages ``ends``, once each.
    """

    def __init__(self, site: Site, *closed: str, no: Reply | None = None, pages: int = 12) -> None:
        self.pages = pages
        self.closed = set(closed)
        self.no = no or Reply("no", 403)
        self.ends: set[str] = set()
        self.logins = 0
        self.banned = False
        self._page = links(*(f"/{number}" for number in range(pages)))
        self._sid = ""
        self.home = site.url
        site.pages["/login"] = self.log_in
        site.otherwise = self.show

    def log_in(self, visit: Visit) -> Reply:
        if visit.method == "GET":
            return Reply(FORM)
        self.logins += 1
        self._sid = f"member-{self.logins}"
        return Reply("", 303, (("Location", "/hello"), ("Set-Cookie", f"sid={self._sid}; Path=/")))

    def show(self, visit: Visit) -> Any:
        if visit.path in self.ends:
            self.ends.discard(visit.path)
            self._sid = "nobody"
        if visit.path == "/hello":
            return "hello"
        if self.banned or visit.cookies.get("sid") != self._sid:
            return redirect("/login")
        return self.no if visit.path in self.closed else self._page

    def crawl(self, folder: Path, **settings: Any) -> Any:
        return run_job(Member, folder, f"{self.home}/0", arguments={"home": self.home}, **settings)

    def open_pages(self) -> list[str]:
        paths = {f"/{number}" for number in range(self.pages)} - self.closed
        return sorted(self.home + path for path in paths)


NO = {
    "403": (Reply("no", 403), "http 403"),
    "to the login": (redirect("/login"), "closed to the account"),
}


@pytest.mark.parametrize("closed", [("/5",), ("/11",), ("/3", "/7"), ("/1",)])
@pytest.mark.parametrize("kind", list(NO))
def test_a_page_that_is_closed_to_the_account_fails_and_no_other(
    tmp_path: Path, site: Site, closed: tuple[str, ...], kind: str
) -> None:
    no, cause = NO[kind]
    club = Club(site, *closed, no=no)
    summary = club.crawl(tmp_path)
    assert summary.login_errors == []
    assert values(items(tmp_path)) == club.open_pages()
    assert failures(tmp_path) == dict.fromkeys(closed, cause)
    assert club.logins <= 1 + len(closed), "one, and one for each to see what it is about"


@pytest.mark.parametrize("kind", list(NO))
def test_closed_pages_and_sessions_that_end(tmp_path: Path, site: Site, kind: str) -> None:
    no, cause = NO[kind]
    club = Club(site, "/2", "/9", no=no)
    club.ends = {"/1", "/4", "/8"}
    summary = club.crawl(tmp_path)
    assert summary.login_errors == []
    assert values(items(tmp_path)) == club.open_pages()
    assert failures(tmp_path) == dict.fromkeys(("/2", "/9"), cause)
    assert club.logins <= 1 + 3 + 2


def test_an_account_that_is_banned_loses_no_page(tmp_path: Path, site: Site) -> None:
    """Nothing comes any more, after a new login neither: the rest waits for the next run."""
    club = Club(site)
    page = site.otherwise

    def bans(visit: Visit) -> Any:
        club.banned = club.banned or visit.path == "/6"
        return page(visit)

    site.otherwise = bans
    summary = club.crawl(tmp_path)
    assert summary.login_errors
    assert failures(tmp_path) == {}
    assert summary.counters.done + summary.counters.pending == 12
    club.banned, site.otherwise = False, page
    club.crawl(tmp_path)
    assert values(items(tmp_path)) == club.open_pages()


def test_the_look_at_another_page_keeps_the_delay(tmp_path: Path, site: Site) -> None:
    club = Club(site, "/2", pages=4)
    club.crawl(tmp_path, delay=0.2)
    assert failures(tmp_path) == {"/2": "http 403"}
    assert site.least_gap >= 0.2 - JITTER


# Logins that let nobody in


class Sloppy(Club):
    """Answers to a wrong password with the form, and shows its pages to anybody."""

    def log_in(self, visit: Visit) -> Reply:
        self.logins += visit.method == "POST"
        return Reply(FORM + "Wrong password")

    def show(self, visit: Visit) -> Any:
        return self._page


def test_a_login_that_is_answered_with_the_form_has_failed(tmp_path: Path, site: Site) -> None:
    club = Sloppy(site)
    summary = club.crawl(tmp_path)
    (error,) = summary.login_errors
    assert "login of member failed: the page after it asks for the password again" in error
    assert club.logins == 1
    assert items(tmp_path) == []
    assert summary.counters.pending == 1
