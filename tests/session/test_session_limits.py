"""The requests of a login obey every limit of a fetch: size, time, redirects, delay, addresses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from crawler import Session, Spider
from crawler.engine.manual_login import log_in
from crawler.errors import FetchError, LoginError
from crawler.session.session import no_prompt
from crawler.settings import Settings
from tests.jobs import failures, items, plan, run_job
from tests.sites import JITTER, Reply, Site, redirect

pytestmark = pytest.mark.usefixtures("no_leaks")

ENOUGH = 8 * 1024 * 1024
"""Bytes that no reader of a redirect should take; what is under way in buffers is far less."""


def session(**settings: Any) -> Session:
    """As a login has it."""
    return Session("account", Settings(**{"delay": 0.0, **settings}))


class Flood:
    """A redirect to /there with an endless body, compressed or not; counts the sent bytes."""

    def __init__(self) -> None:
        self.sent = 0

    def __call__(self, sock: Any) -> None:
        head = "HTTP/1.1 302 Found\r\nLocation: /there\r\nConnection: close\r\n\r\n"
        sock.sendall(head.encode())
        while self.sent < 4 * ENOUGH:
            try:
                sock.sendall(b"x" * 65536)
            except OSError:
                return
            self.sent += 65536


@pytest.mark.parametrize("way", ["open", "get"])
def test_of_a_redirects_own_body_little_is_read(site: Site, way: str) -> None:
    flood = Flood()
    site.pages = {"/": Reply(raw=flood), "/there": "arrived"}
    with session() as opened:
        assert getattr(opened, way)(f"{site.url}/").text == "arrived"
    assert flood.sent < ENOUGH


def test_a_short_body_of_a_redirect_costs_no_connection(site: Site) -> None:
    site.pages["/"] = Reply("moved " * 1000, 302, (("Location", "/there"),))
    site.pages["/there"] = "arrived"
    with session() as opened:
        page = opened.get(f"{site.url}/")
    assert page.history[0].text == "moved " * 1000
    assert site.connections == 1


@pytest.mark.parametrize("where", ["/", "/there"])
def test_a_page_that_drips_is_cut(site: Site, where: str) -> None:
    over = threading.Event()

    def drip(sock: Any) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not over.wait(0.02):
            try:
                sock.sendall(b"x")
            except OSError:
                return

    site.pages = {"/": redirect("/there"), "/there": "arrived", where: Reply(raw=drip)}
    with session(timeout=0.3) as opened:
        with pytest.raises(FetchError, match=r"took longer than timeout, 0\.3 s") as raised:
            opened.open(f"{site.url}/")
        assert raised.value.cause == "timeout"
    over.set()


def test_the_pace_is_not_the_servers_time(site: Site) -> None:
    """With a long delay, the pages of a login together take longer than one of them may."""
    site.pages = {"/": redirect("/a"), "/a": redirect("/b"), "/b": "arrived"}
    with session(timeout=0.4, delay=0.25) as opened:
        assert opened.open(f"{site.url}/").text == "arrived"
    assert site.least_gap >= 0.25 - JITTER


class Asking(Spider):
    """Its callback asks for a second page, a while after the first has come."""

    name = "asking"

    def parse(self, response: Any) -> None:
        time.sleep(0.2)
        response.session.get(f"{response.url}/more")


def test_the_delay_counts_from_what_a_callback_asks_for(tmp_path: Path, site: Site) -> None:
    site.otherwise = lambda visit: "page"
    run_job(Asking, tmp_path, f"{site.url}/a", f"{site.url}/b", delay=0.4)
    first, more, second, last = (visit for visit in site.log if visit.path != "/robots.txt")
    assert (more.path, last.path) == (f"{first.path}/more", f"{second.path}/more")
    assert second.came - more.came >= 0.4 - JITTER


def test_redirects_are_followed_as_often_as_in_the_crawl(site: Site) -> None:
    site.otherwise = lambda visit: redirect(visit.path + "x")
    with session(max_redirects=5) as opened, pytest.raises(requests.TooManyRedirects):
        opened.open(f"{site.url}/")
    assert len(site.log) == 6


# Addresses


def vault(site: Site, other: Site) -> None:
    """A site whose pages lead to ``other``, which is not a seed."""
    site.pages = {"/": "page", "/login": redirect(f"{other.url}/secret")}
    other.otherwise = lambda visit: "secret"


class Opening(Spider):
    """Its login opens a page of the site."""

    name = "opening"

    def __init__(self, home: str) -> None:
        super().__init__()
        self.home = home

    def login(self, session: Session) -> None:
        session.open(f"{self.home}/login")

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}


def test_a_login_by_hand_is_led_to_no_local_address(
    tmp_path: Path, site: Site, other: Site
) -> None:
    vault(site, other)
    home = {"home": site.url}
    with pytest.raises(LoginError, match="a local address, and no seed is there"):
        log_in(plan(Opening, tmp_path, f"{site.url}/", arguments=home), None, no_prompt)
    assert not other.log
    log_in(
        plan(Opening, tmp_path, f"{site.url}/", arguments=home, allow_private=True), None, no_prompt
    )
    assert [visit.path for visit in other.log] == ["/secret"]


class Fetching(Opening):
    """The callback itself requests the URL on the page."""

    name = "fetching"

    def login(self, session: Session) -> None:
        session.open(f"{self.home}/in")

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"text": response.session.get(response.css("a::attr(href)").get()).text}


def test_a_callback_s_requests_are_not_the_user_s_word(
    tmp_path: Path, site: Site, other: Site
) -> None:
    site.pages = {"/": f"<a href='{other.url}/secret'>x</a>", "/in": "in"}
    other.otherwise = lambda visit: "secret"
    home = {"home": site.url}
    run_job(Fetching, tmp_path / "a", f"{site.url}/", arguments=home)
    assert not other.log
    assert items(tmp_path / "a") == []
    assert list(failures(tmp_path / "a")) == ["/"]
    run_job(Fetching, tmp_path / "b", f"{site.url}/", arguments=home, allow_private=True)
    assert items(tmp_path / "b") == [{"text": "secret"}]


class Token(Fetching):
    """Its login brings a token, for the site that it asked for that."""

    name = "token"

    def login(self, session: Session) -> None:
        super().login(session)
        session.headers["Authorization"] = "Bearer secret"

    def parse(self, response: Any) -> Iterator[Any]:
        if response.css("a"):
            yield from super().parse(response)
            yield response.follow(response.css("a::attr(href)").get() + "2")


def test_a_callback_s_requests_make_no_home_of_credentials(
    tmp_path: Path, site: Site, other: Site
) -> None:
    site.pages = {"/": f"<a href='{other.url}/secret'>x</a>", "/in": "in"}
    other.otherwise = lambda visit: "secret"
    seeds = (f"{site.url}/", f"{other.url}/")
    run_job(Token, tmp_path, *seeds, arguments={"home": site.url})
    (later,) = other.visits("/secret2")
    assert later.headers["Authorization"] is None
    assert site.visits("/")[0].headers["Authorization"]


class Elsewhere(Opening):
    """It logs in at an address that its seeds do not name."""

    name = "elsewhere"

    def login(self, session: Session) -> None:
        session.open(f"{self.home}/in")


def test_urls_in_a_login_are_the_user_s_word(tmp_path: Path, site: Site, other: Site) -> None:
    site.pages["/"] = "page"
    other.pages["/in"] = "in"
    run_job(Elsewhere, tmp_path, f"{site.url}/", arguments={"home": other.url})
    assert len(items(tmp_path)) == 1
    assert [visit.path for visit in other.log] == ["/in"]
