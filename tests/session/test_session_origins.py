"""A session's credentials stay with their origins, and a form's action is the page's word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import Session, Spider, SpiderError
from crawler.errors import FetchError
from crawler.http.adapter import CurlAdapter
from crawler.http.address_policy import AddressPolicy
from crawler.settings import Settings
from tests.jobs import items, run_job
from tests.sites import Reply, Site, links, redirect
from tests.tls import Authority, SecureSite

pytestmark = pytest.mark.usefixtures("no_leaks")

SECRETS = ("Authorization", "X-Auth-Token", "X-Plain")


@pytest.fixture
def session(authority: Authority) -> Iterator[Session]:
    """A session as a login has it, which is refused local addresses that the user has not named."""
    with Session("account", Settings(delay=0), CurlAdapter(addresses=AddressPolicy())) as opened:
        opened.verify = str(authority.bundle)
        yield opened


class Wide(Spider):
    """Logs in at an https site, and follows links to any host."""

    name = "wide"
    allowed_domains = ("*",)
    home: str
    bundle: str

    def prepare(self, session: Session) -> None:
        session.verify = self.bundle
        session.auth = ("ada", "secret")
        session.headers["X-Plain"] = "before"

    def login(self, session: Session) -> None:
        session.get(f"{self.home}/login")
        session.headers["X-Auth-Token"] = "secret"
        session.headers["X-Plain"] = "secret"

    def is_logged_out(self, response: Any) -> bool:
        return False

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        if direct := response.css("b::text").get():
            response.session.get(direct)
            response.session.post(direct, data={"a": "b"})
            response.session.get(direct.replace("direct", "own"), headers={"X-Auth-Token": "own"})
        yield from response.follow_all()
        for url in response.css("i::text").getall():
            yield response.follow(url, method="POST", data={"a": "b"})


def test_credentials_go_to_no_http_and_no_other_port(
    tmp_path: Path, authority: Authority, secure: SecureSite, site: Site
) -> None:
    """By a link, a POST, a redirect, a callback's own request, and with robots.txt."""
    with SecureSite.of(authority.context()) as port:
        elsewhere = [site, port]
        secure.pages = {
            "/": links("/in", "/hop", *(f"{each.url}/link" for each in elsewhere))
            + "".join(f"<i>{each.url}/post</i>" for each in elsewhere)
            + f"<b>{site.url}/direct</b>",
            "/in": "in",
            "/hop": redirect(f"{port.url}/there"),
            "/login": "welcome",
        }
        for each in elsewhere:
            each.pages["/robots.txt"] = "User-agent: *\nAllow: /"
            each.otherwise = lambda visit: "x"
        arguments = {"home": secure.url, "bundle": str(authority.bundle)}
        run_job(
            *(Wide, tmp_path, f"{secure.url}/"),
            arguments=arguments,
            allow_private=True,
            obey_robots=True,
        )
        for path in ("/", "/in"):
            headers = secure.visits(path)[0].headers
            assert headers["Authorization"]
            assert headers["X-Auth-Token"] == "secret"
        visits = [*site.log, *port.log]
        assert {visit.path for visit in visits} == {
            *("/robots.txt", "/link", "/post", "/there", "/direct", "/own")
        }
        for visit in visits:
            values = [visit.headers[name] for name in SECRETS]
            assert values == [None, "own" if visit.path == "/own" else None, "before"]


def test_credentials_reach_a_port_that_a_seed_names(tmp_path: Path, site: Site) -> None:
    class Named(Wide):
        def prepare(self, session: Session) -> None:
            """Set nothing."""

    with Site() as port:
        site.pages = {"/": "x", "/login": "welcome"}
        port.pages["/"] = "x"
        run_job(Named, tmp_path, f"{site.url}/", f"{port.url}/", arguments={"home": site.url})
        assert port.visits("/")[0].headers["X-Auth-Token"] == "secret"


def test_credentials_stay_with_their_origins_after_a_restart(
    tmp_path: Path, authority: Authority, secure: SecureSite, site: Site
) -> None:
    secure.pages = {"/": links("/a", f"{site.url}/b"), "/a": "a", "/login": "welcome"}
    site.otherwise = lambda visit: "b"
    arguments = {"home": secure.url, "bundle": str(authority.bundle)}
    for limit in (1, None):
        run_job(
            *(Wide, tmp_path, f"{secure.url}/"),
            arguments=arguments,
            allow_private=True,
            max_pages=limit,
        )
    assert len(secure.visits("/login")) == 1
    assert secure.visits("/a")[0].headers["X-Auth-Token"] == "secret"
    assert [visit.headers["X-Auth-Token"] for visit in site.visits("/b")] == [None]


def test_a_redirect_of_requests_carries_no_header_of_the_login(
    session: Session, site: Site, other: Site
) -> None:
    site.pages = {"/": redirect(f"{other.url}/there"), "/same": redirect("/here"), "/here": "x"}
    other.otherwise = lambda visit: "x"
    session.get_adapter(site.url).addresses.permit(other.url)  # type: ignore[attr-defined]
    session.headers["X-Auth-Token"] = "secret"
    session.get(f"{site.url}/")
    session.get(f"{site.url}/same")
    assert other.visits("/there")[0].headers["X-Auth-Token"] is None
    assert site.visits("/here")[0].headers["X-Auth-Token"] == "secret"


# Forms

FORM = "<form method=post action='{}'><input name=user><input type=password name=pw></form>"


@pytest.mark.parametrize("address", ["127.0.0.2", "10.1.2.3", "169.254.169.254", "[::1]", "0x7f.2"])
def test_the_action_of_a_form_may_be_no_local_address(
    session: Session, site: Site, other: Site, address: str
) -> None:
    site.pages["/login"] = FORM.format(f"http://{address}:{other.port}/steal")
    form = session.open(f"{site.url}/login").form()
    with pytest.raises(FetchError, match="leads to a private address") as refused:
        session.submit(form, user="ada", pw="secret")
    assert refused.value.cause == "private address"
    assert other.log == []


def test_the_action_of_a_form_may_be_no_other_port_of_a_local_address(
    session: Session, site: Site
) -> None:
    with Site() as port:
        site.pages["/login"] = FORM.format(f"{port.url}/steal")
        with pytest.raises(FetchError, match="local address"):
            session.submit(session.open(f"{site.url}/login").form(), pw="secret")
        assert port.log == []


def test_a_form_of_a_local_site_that_the_user_names_is_sent(session: Session, site: Site) -> None:
    site.pages = {"/login": FORM.format("/in"), "/in": redirect("/home"), "/home": "welcome"}
    page = session.submit(session.open(f"{site.url}/login").form(), user="ada", pw="secret")
    assert page.text == "welcome"


def test_a_password_goes_from_https_to_no_http(
    session: Session, secure: SecureSite, site: Site
) -> None:
    secure.pages["/login"] = FORM.format(f"{site.url}/in")
    form = session.open(f"{secure.url}/login").form()
    with pytest.raises(SpiderError, match="would send a password unencrypted, to http://"):
        session.submit(form, pw="secret")
    assert site.log == []


@pytest.mark.parametrize(
    "fields",
    [
        {"data": {"auth[user]": "ada", "pw": "secret"}},
        {"data": [("auth[user]", "ada"), ("pw", "secret")]},
        {"data": {"auth[user]": "ada", "pw": "replaced"}, "pw": "secret"},
    ],
)
def test_data_gives_the_fields_whose_names_python_does_not_allow(
    session: Session, site: Site, fields: dict[str, Any]
) -> None:
    site.pages = {"/login": FORM.format("/in"), "/in": "welcome"}
    session.submit(session.open(f"{site.url}/login").form(), **fields)
    assert site.visits("/in")[0].body == b"user=&auth%5Buser%5D=ada&pw=secret"
    assert session.mask("my secret") == "my *****"


def test_a_field_may_be_called_data(session: Session, site: Site) -> None:
    site.pages = {"/login": FORM.format("/in"), "/in": "welcome"}
    form = session.open(f"{site.url}/login").form()
    session.submit(form, data="x", form="y")
    assert site.visits("/in")[0].body == b"user=&pw=&data=x&form=y"


# The Referer


def test_the_referer_has_no_userinfo_and_across_origins_the_origin_only(
    session: Session, site: Site, other: Site
) -> None:
    named = site.url.replace("http://", "http://ada:secret@")
    site.pages = {
        "/login?token=t": "x",
        "/same": redirect("/here"),
        "/here": "x",
        "/away": redirect(f"{other.url}/there"),
    }
    other.otherwise = lambda visit: "x"
    for path in ("/same", "/away"):
        session.open(f"{named}/login?token=t#top")
        session.get_adapter(site.url).addresses.permit(other.url)  # type: ignore[attr-defined]
        session.open(f"{site.url}{path}")
    session.open(f"{site.url}/login?token=t")
    session.open(f"{other.url}/opened")
    for path in ("/same", "/here", "/away"):
        assert site.visits(path)[0].headers["Referer"] == f"{site.url}/login?token=t"
    for path in ("/there", "/opened"):
        assert other.visits(path)[0].headers["Referer"] == f"{site.url}/"


def test_the_referer_goes_from_https_to_no_http(
    session: Session, secure: SecureSite, site: Site
) -> None:
    secure.pages = {"/login": "x", "/away": redirect(f"{site.url}/there")}
    site.otherwise = lambda visit: "x"
    session.get_adapter(site.url).addresses.permit(site.url)  # type: ignore[attr-defined]
    for url in (f"{secure.url}/away", f"{site.url}/opened"):
        session.open(f"{secure.url}/login")
        session.open(url)
    assert secure.visits("/away")[0].headers["Referer"] == f"{secure.url}/login"
    for path in ("/there", "/opened"):
        assert site.visits(path)[0].headers["Referer"] is None


def test_credentials_of_prepare_stay_with_the_seeds_without_a_login(
    tmp_path: Path, site: Site
) -> None:
    class Basic(Spider):
        name = "basic"
        allowed_domains = ("*",)

        def prepare(self, session: Session) -> None:
            session.auth = ("ada", "secret")
            session.headers["X-Api-Key"] = "secret"
            session.headers["X-Lang"] = "de"

        def parse(self, response: Any) -> Iterator[Any]:
            yield {"url": response.url}
            yield from response.follow_all()

    with Site() as port:
        site.pages = {"/": links("/in", f"{port.url}/out"), "/in": "in"}
        port.pages["/out"] = Reply("x")
        run_job(Basic, tmp_path, f"{site.url}/", allow_private=True)
        assert len(items(tmp_path)) == 3
        for path in ("/", "/in"):
            headers = site.visits(path)[0].headers
            assert headers["Authorization"]
            assert headers["X-Api-Key"] == "secret"
        headers = port.visits("/out")[0].headers
        assert [headers[name] for name in ("Authorization", "X-Api-Key")] == [None, None]
        assert headers["X-Lang"] == "de"
