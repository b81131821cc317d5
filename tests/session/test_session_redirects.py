"""Redirects that a session follows: secrets stay with their host, and with https."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.auth import HTTPBasicAuth, HTTPDigestAuth

from crawler import Session, Spider
from crawler.settings import Settings
from tests.jobs import run_job
from tests.sites import Reply, Site, Visit, redirect
from tests.tls import Authority, SecureSite

pytestmark = pytest.mark.usefixtures("no_leaks")

CHALLENGE = Reply("who?", 401, (("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"'),))


@pytest.fixture
def session(authority: Authority) -> Iterator[Session]:
    """A session as a login has it."""
    with Session("account", Settings(delay=0)) as opened:
        opened.verify = str(authority.bundle)
        yield opened


class Bearer(requests.auth.AuthBase):
    """A token that an auth object sets."""

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = "Bearer secret"
        return request


def give(session: Session, how: str) -> None:
    """Set a credential in one of the ways that requests knows."""
    if how == "header":
        session.headers["Authorization"] = "Bearer secret"
    else:
        kinds: dict[str, Any] = {
            "tuple": ("ada", "secret"), "basic": HTTPBasicAuth("ada", "secret"), "bearer": Bearer(),
        }  # fmt: skip
        session.auth = kinds[how]


WAYS = ["header", "tuple", "basic", "bearer"]


@pytest.mark.parametrize("how", WAYS)
def test_authorization_goes_to_no_other_host(
    session: Session, site: Site, other: Site, how: str
) -> None:
    site.pages["/"] = redirect(other.url + "/there")
    other.pages["/there"] = redirect("/further")
    other.pages["/further"] = "x"
    give(session, how)
    session.get(site.url + "/")
    assert site.visits("/")[0].headers["Authorization"]
    for path in ("/there", "/further"):
        assert other.visits(path)[0].headers["Authorization"] is None


@pytest.mark.parametrize("how", WAYS)
def test_authorization_goes_from_https_to_no_http(
    session: Session, secure: SecureSite, site: Site, how: str
) -> None:
    secure.pages["/"] = redirect(site.url + "/there")
    site.pages["/there"] = "x"
    give(session, how)
    session.get(secure.url + "/")
    assert secure.visits("/")[0].headers["Authorization"]
    assert site.visits("/there")[0].headers["Authorization"] is None


def test_a_stranger_is_told_no_digest(session: Session, site: Site, other: Site) -> None:
    """In plain requests another host need only ask."""
    site.pages["/"] = redirect(other.url + "/there")
    other.pages["/there"] = CHALLENGE
    session.auth = HTTPDigestAuth("ada", "secret")
    assert session.get(site.url + "/").status_code == 401
    assert [visit.headers["Authorization"] for visit in other.visits()] == [None]


def test_digest_answers_its_own_host_after_a_redirect(session: Session, site: Site) -> None:
    site.pages["/"] = redirect("/there")
    site.pages["/there"] = lambda visit: "in" if visit.headers["Authorization"] else CHALLENGE
    session.auth = HTTPDigestAuth("ada", "secret")
    assert session.get(site.url + "/").text == "in"


def test_cookies_go_to_no_other_host(session: Session, site: Site, other: Site) -> None:
    site.pages["/"] = redirect(other.url + "/there", 302, ("Set-Cookie", "sid=secret; Path=/"))
    other.pages["/there"] = redirect(site.url + "/back", 302, ("Set-Cookie", "own=1; Path=/"))
    site.pages["/back"] = "x"
    session.get(site.url + "/", headers={"Cookie": "given=1"})
    assert other.visits("/there")[0].headers["Cookie"] is None
    assert site.visits("/back")[0].cookies == {"sid": "secret"}


@pytest.mark.parametrize("attributes", ["", "; Secure"])
def test_a_redirect_takes_no_cookie_from_https_to_http(
    session: Session, secure: SecureSite, site: Site, attributes: str
) -> None:
    cookie = ("Set-Cookie", f"sid=secret; Path=/{attributes}")
    secure.pages["/"] = redirect(site.url + "/there", 302, cookie)
    site.pages["/there"] = "x"
    session.get(secure.url + "/")
    assert site.visits("/there")[0].headers["Cookie"] is None
    secure.pages["/again"] = "x"
    session.get(secure.url + "/again")
    assert secure.visits("/again")[0].cookies == {"sid": "secret"}


@pytest.mark.parametrize("how", WAYS)
def test_redirects_of_pages_keep_the_same_rules(
    tmp_path: Path, authority: Authority, secure: SecureSite, other: Site, site: Site, how: str
) -> None:
    """The crawl's own: each hop is a request of its own, through the session of the job."""

    class Asking(Spider):
        allowed_domains = ("*",)

        def prepare(self, session: Session) -> None:
            session.verify = str(authority.bundle)
            give(session, how)

        def login(self, session: Session) -> None:
            session.get(secure.url + "/login")

        def parse(self, response: Any) -> Any:
            return {"url": response.url}

    secure.pages = {
        "/login": Reply("in", headers=(("Set-Cookie", "sid=secret; Path=/"),)),
        "/to-host": redirect(other.url + "/there"),
        "/to-http": redirect(site.url + "/there"),
        "/to-itself": redirect("/there"),
        "/there": "x",
    }
    other.pages["/there"] = site.pages["/there"] = "x"
    seeds = [f"{secure.url}/{name}" for name in ("to-host", "to-http", "to-itself")]
    run_job(Asking, tmp_path, *seeds, allow_private=True)
    assert secure.visits("/there")[0].headers["Authorization"]
    assert secure.visits("/there")[0].cookies == {"sid": "secret"}
    for elsewhere in (other, site):
        (visit,) = elsewhere.visits("/there")
        assert (visit.headers["Authorization"], visit.headers["Cookie"]) == (None, None)


def test_pages_tell_a_stranger_no_digest(tmp_path: Path, site: Site, other: Site) -> None:
    class Asking(Spider):
        allowed_domains = ("*",)

        def prepare(self, session: Session) -> None:
            session.auth = HTTPDigestAuth("ada", "secret")

        def login(self, session: Session) -> None:
            session.get(site.url + "/login")

        def is_logged_out(self, response: Any) -> bool:
            return False

        def parse(self, response: Any) -> None:
            """Nothing comes here."""

    site.pages = {"/login": "in", "/": redirect(other.url + "/there")}
    other.pages["/there"] = CHALLENGE
    run_job(Asking, tmp_path, site.url + "/", allow_private=True)
    asked: list[Visit] = other.visits("/there")
    assert [visit.headers["Authorization"] for visit in asked] == [None]
