"""Credentials go to the origins that the login has visited, and to no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import Spider
from tests.jobs import failures, items, run_job, values
from tests.login_sites.checks import parameters
from tests.sites import Reply, Site, links
from tests.tls import Authority, SecureSite

SECRET = "sesame-0815"
FORM = "<form method=post action='{}'><input name=user><input type=password name=password></form>"


def carries_secret(site: Site) -> list[str]:
    """Return the paths of the requests that brought the secret in a header or the body."""
    return [
        visit.path
        for visit in site.log
        if SECRET in str(visit.headers.items()) or SECRET.encode() in visit.body
    ]


class Holder(Spider):
    """Logs in with a header, at ``home``; follows every link; an item a page."""

    name = "holder"
    home = ""
    header = "Authorization"
    verify = ""
    allowed_domains = ("127.0.0.1", "127.0.0.2")

    def prepare(self, session: Any) -> None:
        if self.verify:
            session.verify = self.verify

    def login(self, session: Any) -> None:
        session.open(f"{self.home}/login")
        session.headers[self.header] = f"Bearer {SECRET}"

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all()


HEADERS = ["Authorization", "X-Auth-Token", "Api-Key", "Cookie"]


@pytest.mark.parametrize("header", parameters("C17 {} at another host", HEADERS))
def test_another_host_of_the_job_gets_no_header_of_the_login(
    tmp_path: Path, site: Site, other: Site, header: str
) -> None:
    site.pages = {"/login": "welcome", "/": links("/a", f"{other.url}/b"), "/a": "a"}
    other.pages = {"/b": "b"}
    arguments = {"home": site.url, "header": header}
    run_job(Holder, tmp_path, f"{site.url}/", arguments=arguments, allow_private=True)
    assert values(items(tmp_path)) == sorted([f"{site.url}/", f"{site.url}/a", f"{other.url}/b"])
    assert {"/", "/a"} <= set(carries_secret(site))
    assert carries_secret(other) == []


@pytest.mark.parametrize("header", parameters("X5 {} in clear", HEADERS[:2]))
def test_a_login_over_https_is_not_carried_to_http(
    tmp_path: Path, authority: Authority, site: Site, header: str
) -> None:
    with SecureSite.of(authority.context()) as secure:
        secure.pages = {"/login": "welcome", "/": links("/a", f"{site.url}/b"), "/a": "a"}
        site.pages = {"/b": "b", "/robots.txt": "User-agent: *\nDisallow: /no"}
        arguments = {"home": secure.url, "header": header, "verify": str(authority.bundle)}
        run_job(Holder, tmp_path, f"{secure.url}/", arguments=arguments, allow_private=True)
    assert len(items(tmp_path)) == 3
    assert {"/", "/a"} <= set(carries_secret(secure))
    assert carries_secret(site) == []


@pytest.mark.parametrize("header", parameters("X5 {} at another port", HEADERS[:2]))
def test_a_login_is_not_carried_to_another_port(
    tmp_path: Path, authority: Authority, header: str
) -> None:
    context = authority.context()
    with SecureSite.of(context) as secure, SecureSite.of(context) as port:
        secure.pages = {"/login": "welcome", "/": links("/a", f"{port.url}/b"), "/a": "a"}
        port.pages = {"/b": "b"}
        arguments = {"home": secure.url, "header": header, "verify": str(authority.bundle)}
        run_job(Holder, tmp_path, f"{secure.url}/", arguments=arguments, allow_private=True)
    assert len(items(tmp_path)) == 3
    assert {"/", "/a"} <= set(carries_secret(secure))
    assert carries_secret(port) == []


class Basic(Holder):
    """Logs in with a password at each request, which ``prepare`` sets."""

    name = "basic"

    def prepare(self, session: Any) -> None:
        super().prepare(session)
        session.auth = ("ada", SECRET)

    def login(self, session: Any) -> None:
        session.open(f"{self.home}/login")


@pytest.mark.parametrize("kind", parameters("X5 a password, {}", ["another host", "in clear"]))
def test_a_password_of_the_session_stays_with_its_origin(
    tmp_path: Path, authority: Authority, site: Site, other: Site, kind: str
) -> None:
    away = other if kind == "another host" else site
    with SecureSite.of(authority.context()) as secure:
        secure.pages = {"/login": "welcome", "/": links(f"{away.url}/b")}
        away.pages = {"/b": "b"}
        arguments = {"home": secure.url, "verify": str(authority.bundle)}
        run_job(Basic, tmp_path, f"{secure.url}/", arguments=arguments, allow_private=True)
        authorized = [visit for visit in secure.log if "Authorization" in visit.headers]
    assert len(items(tmp_path)) == 2
    assert authorized
    assert [visit.path for visit in away.log if "Authorization" in visit.headers] == []


class Trusting(Spider):
    """Submits whatever form the login page has."""

    name = "trusting"
    home = ""

    def login(self, session: Any) -> None:
        form = session.open(f"{self.home}/login").form("form")
        session.submit(form, user="ada", password=SECRET)

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all()


@pytest.mark.parametrize("kind", parameters("X6 the form's address is {}", ["local"]))
def test_a_form_that_posts_to_a_local_address_is_not_sent(
    tmp_path: Path, site: Site, other: Site, kind: str
) -> None:
    """Only the user's own addresses may be local: a page has named this one."""
    site.pages = {"/login": FORM.format(f"{other.url}/collect"), "/": "home"}
    other.otherwise = lambda visit: "thanks"
    summary = run_job(Trusting, tmp_path, f"{site.url}/", arguments={"home": site.url})
    assert other.log == []
    assert summary.exit_status == 4
    assert "private" in summary.login_errors[0]
    assert items(tmp_path) == []


class Submitting(Spider):
    """Submits a form in a callback, by the response's session."""

    name = "submitting"
    home = ""

    def login(self, session: Any) -> None:
        session.open(f"{self.home}/login")

    def parse(self, response: Any) -> Iterator[Any]:
        page = response.session.submit(response.form("form"), user="ada", password=SECRET)
        yield {"url": page.url}


def test_a_callback_does_not_send_a_form_to_a_local_address(
    tmp_path: Path, site: Site, other: Site
) -> None:
    site.pages = {"/login": "welcome", "/": FORM.format(f"{other.url}/collect")}
    other.otherwise = lambda visit: "thanks"
    run_job(Submitting, tmp_path, f"{site.url}/", arguments={"home": site.url})
    assert other.log == []
    assert items(tmp_path) == []
    assert list(failures(tmp_path)) == ["/"]


class Referring(Holder):
    """Starts from an address that has a password and a token in it."""

    name = "referring"

    def login(self, session: Any) -> None:
        session.open(f"{self.home}/login")


@pytest.mark.parametrize("kind", parameters("X6 Referer, {}", ["the same host", "another host"]))
def test_a_referer_has_no_password_and_across_origins_no_path(
    tmp_path: Path, site: Site, other: Site, kind: str
) -> None:
    away = site if kind == "the same host" else other
    site.pages = {"/login": "welcome", "/?token=t-0815": links(f"{away.url}/b")}
    away.pages |= {"/b": "b"}
    seed = site.url.replace("//", f"//ada:{SECRET}@") + "/?token=t-0815"
    run_job(Referring, tmp_path, seed, arguments={"home": site.url}, allow_private=True)
    visit = away.visits("/b")[0]  # further ones are looks as an anonymous visitor
    allowed = {None, f"{site.url}/"} | ({f"{site.url}/?token=t-0815"} if away is site else set())
    assert visit.headers["Referer"] in allowed


@pytest.mark.parametrize("kind", parameters("X6 Referer of a form, {}", ["another host"]))
def test_a_form_at_another_origin_is_sent_with_the_origin_alone(
    tmp_path: Path, site: Site, other: Site, kind: str
) -> None:
    token = "/login?token=t-0815"
    site.pages = {token: FORM.format(f"{other.url}/session"), "/": "home"}
    other.pages["/session"] = Reply("welcome", headers=(("Set-Cookie", "sid=1"),))

    class Elsewhere(Trusting):
        """Logs in at an address with a token in it."""

        name = "elsewhere"

        def login(self, session: Any) -> None:
            form = session.open(f"{self.home}{token}").form("form")
            session.submit(form, user="ada", password=SECRET)

    arguments = {"home": site.url}
    run_job(Elsewhere, tmp_path, f"{site.url}/", arguments=arguments, allow_private=True)
    (visit,) = other.visits("/session")
    assert visit.headers["Referer"] in (None, f"{site.url}/")
