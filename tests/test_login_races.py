"""A session that ends in the middle: what was on its way, and what the site redirects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from crawler import Request, Spider
from tests.jobs import items, rows, run_job, values
from tests.sites import Reply, Site, Visit, links, redirect


class Member(Spider):
    """Logs in with a form, and follows every link; an item a page."""

    def login(self, session: Any) -> None:
        form = session.open(self.start_urls[0] + "/login").form("form")
        session.submit(form, password="sesame")

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all()


class Club:
    """What is behind a login; its visitors are known by the cookie ``sid``.

    As many sites do, it gives a new cookie to whom it does not know, wants the form's cookie with
    the form, and sends members who open the login page to its front page.
    """

    def __init__(self, site: Site, *paths: str) -> None:
        self.pages = {"/": Reply(links(*paths)), **dict.fromkeys(paths, Reply("x"))}
        self.logins = 0
        self.member = ""
        self.form = ""
        site.otherwise = self.answer
        self.before: Callable[[Visit], object] = lambda visit: None

    def answer(self, visit: Visit) -> Reply:
        """The answer to any request."""
        self.before(visit)
        if visit.path == "/robots.txt":
            return Reply("no rules", 404)
        sid = visit.cookies.get("sid", "")
        is_member = sid == self.member != ""
        if visit.path == "/login" and visit.method == "POST":
            if sid != self.form:
                return Reply("the form is too old", 403)
            self.logins += 1
            self.member = f"member-{self.logins}"
            return redirect("/", 302, *_cookie(self.member))
        if visit.path == "/login" and not is_member:
            self.form = f"form-{visit.number}"
            return Reply(
                "<form method=post><input type=password name=password></form>",
                headers=_cookie(self.form),
            )
        if visit.path == "/login":
            return redirect("/")
        if not is_member:
            return redirect("/login", 302, *_cookie(f"nobody-{visit.number}"))
        return self.pages.get(visit.path, Reply("not found", 404))


def _cookie(value: str) -> tuple[tuple[str, str], ...]:
    return (("Set-Cookie", f"sid={value}; Path=/"),)


def crawl(site: Site, folder: Path, *paths: str, **settings: Any) -> None:
    """A whole job from the front page, which must find each of ``paths``."""
    Member.start_urls = [site.url]
    summary = run_job(Member, folder, site.url + "/", **settings)
    assert summary.login_errors == []
    assert rows(folder, "SELECT url, cause FROM failed") == []
    assert values(items(folder)) == sorted(site.url + path for path in ("/", *paths))


def test_pages_redirected_to_the_login_are_not_lost_when_another_has_logged_in_meanwhile(
    tmp_path: Path, site: Site
) -> None:
    """Their redirects lead to the login page, and a member who opens it to the front page."""
    paths = [f"/{n}" for n in range(30)]
    club = Club(site, *paths)

    def end_once(visit: Visit) -> None:
        if visit.path == "/3" and club.logins == 1:
            club.member = ""

    club.before = end_once
    crawl(site, tmp_path, *paths)
    assert club.logins == 2


def test_an_answer_from_before_a_login_does_not_take_its_cookies_away(
    tmp_path: Path, site: Site
) -> None:
    """It may bring a cookie for nobody: if it is the last to come, nobody is who asks next."""
    new_session_in_use = threading.Event()
    club = Club(site, "/late", "/ends", "/1", "/2")

    def before(visit: Visit) -> None:
        if visit.path == "/ends" and club.logins == 1:
            site.wait_for("/late")
            club.member = ""
        elif visit.path == "/late" and club.logins == 1:
            site.wait_for("/ends")
            new_session_in_use.wait(0.5)  # no longer: a login may well wait for this answer
        elif visit.path != "/login" and visit.cookies.get("sid") == "member-2":
            new_session_in_use.set()

    club.before = before
    crawl(site, tmp_path, "/late", "/ends", "/1", "/2", concurrency_per_host=2)
    assert club.logins == 2


def test_a_post_that_was_redirected_to_the_login_is_sent_again_as_it_was(
    tmp_path: Path, site: Site
) -> None:
    class Searcher(Member):
        def start(self) -> Iterator[Request]:
            yield Request(f"{site.url}/search", method="POST", data={"q": "heron"})

    club = Club(site, "/search")

    def end_once(visit: Visit) -> None:
        if visit.path == "/search" and club.logins == 1:
            club.member = ""

    club.before = end_once
    Searcher.start_urls = [site.url]
    run_job(Searcher, tmp_path)
    assert values(items(tmp_path)) == [f"{site.url}/search"]
    assert [(v.method, v.body) for v in site.visits("/search")] == [("POST", b"q=heron")] * 2


def test_a_post_whose_answer_leads_to_the_login_later_is_sent_again_as_it_was(
    tmp_path: Path, site: Site
) -> None:
    class Searcher(Member):
        def start(self) -> Iterator[Request]:
            yield Request(f"{site.url}/search", method="POST", data={"q": "heron"})

    club = Club(site, "/found")

    club.pages["/search"] = redirect("/found", 303)

    def end_once(visit: Visit) -> None:
        if visit.path == "/found" and club.logins == 1:
            club.member = ""

    club.before = end_once
    Searcher.start_urls = [site.url]
    run_job(Searcher, tmp_path)
    assert values(items(tmp_path)) == [f"{site.url}/found"]
    assert [(v.method, v.body) for v in site.visits("/search")] == [("POST", b"q=heron")] * 2


def test_a_login_on_another_host_than_the_pages(tmp_path: Path, site: Site, other: Site) -> None:
    """Its host is out of scope, which is no reason to drop what the site redirects to it."""
    members = [""]

    def page(visit: Visit) -> Reply:
        if visit.path == "/1" and len(members) == 2:
            members.append("")
        if visit.cookies.get("sid", "") != members[-1] or not members[-1]:
            return redirect(f"{other.url}/login")
        return Reply(links("/1", "/2") if visit.path == "/" else "x")

    def enter(visit: Visit) -> Reply:
        members.append(f"member-{visit.number}")
        return redirect("/", 302, *_cookie(members[-1]))

    def log_in(visit: Visit) -> Reply:
        return Reply(
            f"<form method=post action={site.url}/enter><input type=password name=p></form>"
        )

    site.pages = {"/robots.txt": Reply("", 404), "/enter": enter}
    site.otherwise = page
    other.otherwise = log_in

    class Guest(Member):
        def login(self, session: Any) -> None:
            session.submit(session.open(other.url + "/login").form("form"), p="sesame")

    Guest.start_urls = [site.url]
    summary = run_job(Guest, tmp_path, site.url + "/")
    assert summary.login_errors == []
    assert values(items(tmp_path)) == [site.url + path for path in ("/", "/1", "/2")]
