"""Sessions that end during a crawl: requests in flight, and redirects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import Request, Spider
from crawler.session.concurrency import STABLE_PAGES
from tests.conftest import wait_until
from tests.jobs import items, rows, run_job, values
from tests.sites import PATIENCE, Reply, Site, Visit, links, redirect


class Member(Spider):
    """Logs in with a form, and follows every link; an item a page."""

    def login(self, session: Any) -> None:
        form = session.open(self.start_urls[0] + "/login").form("form")
        session.submit(form, password="sesame")

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all()


class Judge(Member):
    """A spider with its own ``is_logged_out``, as in the guide."""

    def is_logged_out(self, response: Any) -> bool:
        return "/login" in response.url


class Club:
    """A site behind a login; its visitors are known by the cookie ``sid``.

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
            return self.ask(visit)
        if visit.path == "/login":
            return redirect("/")
        if not is_member:
            return redirect("/login", 302, *_cookie(f"nobody-{visit.number}"))
        return self.pages.get(visit.path, Reply("not found", 404))

    def ask(self, visit: Visit) -> Reply:
        """The form, with the cookie that must come with it."""
        self.form = f"form-{visit.number}"
        form = "<form method=post><input type=password name=password></form>"
        return Reply(form, headers=_cookie(self.form))


def _cookie(value: str) -> tuple[tuple[str, str], ...]:
    return (("Set-Cookie", f"sid={value}; Path=/"),)


def crawl(
    site: Site, folder: Path, *paths: str, spider: type[Spider] = Member, **settings: Any
) -> None:
    """A whole job from the front page, which must find each of ``paths``."""
    spider.start_urls = [site.url]
    summary = run_job(spider, folder, site.url + "/", **settings)
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
    """A late response may set an anonymous cookie, which would make the next request anonymous."""
    new_session_in_use, side_by_side = threading.Event(), threading.Event()
    paths = [*(f"/stable/{n}" for n in range(STABLE_PAGES)), "/late", "/ends", "/1", "/2"]
    club = Club(site, *paths)

    def before(visit: Visit) -> None:
        if visit.path == "/ends" and club.logins == 1:
            site.wait_for("/late")
            side_by_side.set()
            club.member = ""
        elif visit.path == "/late" and club.logins == 1:
            site.wait_for("/ends")
            new_session_in_use.wait(0.5)  # no longer: a login may well wait for this answer
        elif visit.path != "/login" and visit.cookies.get("sid") == "member-2":
            new_session_in_use.set()

    club.before = before
    crawl(site, tmp_path, *paths, concurrency_per_host=2)
    assert side_by_side.is_set()
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
    """The login's host is out of scope; requests that the site redirects to it are still kept."""
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


@pytest.mark.parametrize("spider", [Member, Judge])
@pytest.mark.parametrize("comes_first", ["the page", "the refusal"])
def test_a_page_refused_as_another_changed_the_cookie_is_asked_again_without_a_login(
    tmp_path: Path, site: Site, spider: type[Spider], comes_first: str
) -> None:
    """The site changes its cookie at times; requests sent beside that page come too late."""
    calm = [f"/{n}" for n in range(12)]
    club = Club(site, *calm, "/changes", "/beside", "/after")
    club.pages["/changes"] = Reply("x", headers=_cookie("changed"))
    changed = threading.Event()

    def answered(path: str) -> bool:
        return bool(site.visits(path)[0].left)

    def answer(visit: Visit) -> Reply:
        if visit.path == "/changes":
            site.wait_for("/beside")
            page = club.answer(visit)
            club.member = "changed"
            changed.set()
            if comes_first == "the refusal":
                wait_until(lambda: answered("/beside"), "what was sent beside it is not refused")
            return page
        if visit.path == "/beside" and visit.cookies["sid"] == "member-1":
            assert changed.wait(PATIENCE)
            if comes_first == "the page":
                wait_until(lambda: answered("/changes"), "the page is not answered")
            return redirect("/login")
        return club.answer(visit)

    site.otherwise = answer
    crawl(
        site,
        tmp_path,
        *(*calm, "/changes", "/beside", "/after"),
        spider=spider,
        concurrency_per_host=2,
    )
    assert club.logins == 1
    assert site.asked["/beside"] == 2


def test_redirects_to_a_login_that_has_happened_since_are_not_followed(
    tmp_path: Path, site: Site
) -> None:
    """The login's page begins a new session for everybody, and would end that of a member."""
    paths = [f"/{n}" for n in range(30)]
    club = Club(site, *paths)

    def answer(visit: Visit) -> Reply:
        if visit.path == "/3" and club.logins == 1:
            club.member = ""
        is_form = visit.path == "/login" and visit.method == "GET"
        return club.ask(visit) if is_form else club.answer(visit)

    site.otherwise = answer
    crawl(site, tmp_path, *paths, spider=Judge)
    assert club.logins == 2
    # Two for the logins, one for the page that ended the session, and two for the probe page,
    # which leads there without a session.
    assert [visit.method for visit in site.visits("/login")].count("GET") == 5


def test_a_redirect_to_the_login_is_followed_though_its_page_is_known(
    tmp_path: Path, site: Site
) -> None:
    """A member has been sent there too, and has seen another page."""

    class Reader(Member):
        def is_logged_out(self, response: Any) -> bool:
            return "password" in response.text

    club = Club(site, "/moved", "/1")
    club.pages |= {"/moved": redirect("/login"), "/2": Reply("x")}

    def answer(visit: Visit) -> Reply:
        if visit.path == "/2" and club.logins == 1:
            club.member = ""
        is_member = visit.cookies.get("sid", "") == club.member != ""
        return Reply(links("/2")) if visit.path == "/login" and is_member else club.answer(visit)

    site.otherwise = answer
    Reader.start_urls = [site.url]
    run_job(Reader, tmp_path, site.url + "/")
    assert values(items(tmp_path)) == [site.url + path for path in ("/", "/1", "/2", "/login")]
    assert club.logins == 2


def test_a_robots_txt_on_its_way_does_not_take_the_cookies_of_a_login_away(
    tmp_path: Path, site: Site
) -> None:
    """It is of another host of the site; cookies do not care for ports."""
    club = Club(site, "/1")
    logged_in = threading.Event()

    def before(visit: Visit) -> None:
        if visit.path == "/robots.txt":
            other.wait_for("/robots.txt")
            return
        if club.logins:
            logged_in.set()

    def answer(visit: Visit) -> Reply:
        if visit.path == "/robots.txt":
            logged_in.wait(0.5)  # no longer: a login may well wait for this answer
            return Reply("", 404, _cookie("nobody"))
        return Reply("x")

    club.before = before
    with Site() as other:
        other.otherwise = other.pages["/robots.txt"] = answer
        Member.start_urls = [site.url]
        run_job(Member, tmp_path, site.url + "/", other.url + "/", obey_robots=True)
    assert values(items(tmp_path)) == sorted([site.url + "/", site.url + "/1", other.url + "/"])
    assert club.logins == 1
