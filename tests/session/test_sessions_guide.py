"""The examples of docs/sessions.md, each against real servers on loopback: HTTPS, auth, proxies.

The shop of the page is a site with a certificate of a private authority, which the environment
names; where an example names it itself, the environment names another one that does not know the
site.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from requests.utils import parse_dict_header

from crawler import LoginError, Spider, crawl
from crawler.errors import CrawlerError
from crawler.job.importing import import_file
from crawler.settings import Settings
from tests.jobs import failures, rows
from tests.proxies import Proxy
from tests.sites import Reply, Site, Visit
from tests.test_docs import ROOT, blocks_of
from tests.tls import Authority, SecureSite

pytestmark = pytest.mark.usefixtures("no_leaks")

PAGE = ROOT / "docs" / "sessions.md"
EXAMPLES = {
    Path(block.file).stem: block.text
    for block in blocks_of(PAGE.read_text(encoding="utf-8"))
    if block.file
}
PASSWORD = "correct horse"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NETRC", "CURL_CA_BUNDLE")


@pytest.fixture
def folder(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with certificates, in an environment of its own."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    monkeypatch.setenv("PROXY_PASSWORD", "let-me-out")
    authority.issue("reader")
    (tmp_path / "certificates").symlink_to(authority.bundle.parent)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shop(authority: Authority) -> Iterator[SecureSite]:
    """The shop, with a page for everything but robots.txt."""
    with SecureSite.of(authority.context()) as running:
        running.otherwise = lambda visit: "x"
        yield running


@pytest.fixture
def stranger(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment names an authority that does not know the shop."""
    unknown = Authority(tmp_path_factory.mktemp("stranger"), "stranger")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(unknown.bundle))


def example(name: str, site: Site, proxy: Proxy | None = None) -> type[Spider]:
    """The spider of the page, at the real addresses."""
    text = EXAMPLES[name].replace("https://shop.example", site.url)
    text = text.replace("shop.example", site.address)
    if proxy is not None:
        text = text.replace("proxy.example:3128", proxy.place)
    path = Path("spiders", f"{name}.py")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    spider: type[Spider] = getattr(import_file(path.absolute()), name.capitalize())
    return spider


def run(name: str, site: Site, proxy: Proxy | None = None, **settings: Any) -> list[Any]:
    """The items of an example."""
    settings = {"delay": 0, "retries": 0, **settings}
    return list(crawl(example(name, site, proxy), job=f"jobs/{name}", **settings))


def test_every_example_is_run() -> None:
    code = Path(__file__).read_text(encoding="utf-8")
    assert EXAMPLES
    assert [name for name in EXAMPLES if f'"{name}"' not in code] == []


def test_default_headers(folder: Path, shop: SecureSite) -> None:
    assert len(run("headers", shop)) == 1
    sent = shop.visits("/")[0].headers
    assert (sent["Accept-Language"], sent["X-Client"]) == ("de", "bookworm")
    assert sent["Accept-Encoding"] in (None, "identity")
    assert sent["User-Agent"] == Settings().user_agent


def test_timeouts(folder: Path, shop: SecureSite) -> None:
    def slow(visit: Visit) -> str:
        time.sleep(1)
        return "x"

    shop.pages["/slow-login"] = slow
    with pytest.raises(LoginError, match="timed out"):
        run("timeouts", shop)
    assert shop.visits("/") == []


def test_basic(folder: Path, shop: SecureSite) -> None:
    wanted = "Basic " + base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
    shop.pages["/basic"] = lambda v: "x" if v.headers["Authorization"] == wanted else Reply("", 401)
    assert len(run("basic", shop)) == 1


def test_digest(folder: Path, shop: SecureSite) -> None:
    shop.pages["/digest"] = digest_page
    assert len(run("digest", shop)) == 1
    assert len(shop.visits("/digest")) == 2  # the challenge, and its answer


def digest_page(visit: Visit) -> Reply:
    """A page behind Digest authentication (RFC 7616, MD5 with qop=auth)."""
    kind, _, rest = (visit.headers["Authorization"] or "").partition(" ")
    said: dict[str, str] = {}
    if kind == "Digest":
        said = parse_dict_header(rest)  # type: ignore[no-untyped-call]
    one = md5(f"reader:shop:{PASSWORD}")
    two = md5(f"GET:{visit.path}")
    middle = f"{said.get('nonce')}:{said.get('nc')}:{said.get('cnonce')}:auth"
    if said.get("response") == md5(f"{one}:{middle}:{two}") and said["nonce"] == "n0nce":
        return Reply("x")
    return Reply("", 401, (("WWW-Authenticate", 'Digest realm="shop", nonce="n0nce", qop="auth"'),))


def md5(text: str) -> str:
    """As Digest wants it."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def test_bearer(folder: Path, shop: SecureSite) -> None:
    """The token is asked for once, and once more when it has ended."""
    tokens: list[str] = []
    json = (("Content-Type", "application/json"),)

    def token(visit: Visit) -> Reply:
        assert PASSWORD.encode() in visit.body
        tokens.append(f"t{len(tokens)}")
        return Reply(f'{{"token": "{tokens[-1]}"}}', headers=json)

    def orders(visit: Visit) -> Reply:
        good = visit.headers["Authorization"] == f"Bearer {tokens[-1]}" and len(tokens) == 2
        return Reply('[{"order": 1}]', headers=json) if good else Reply("", 401)

    shop.pages = {"/api/token": token, "/api/orders": orders}
    assert run("bearer", shop, retries=2) == [{"order": 1}]
    assert tokens == ["t0", "t1"]


def test_private_authority(folder: Path, shop: SecureSite, stranger: None) -> None:
    assert len(run("private", shop)) == 1


def test_the_environments_authority_counts_where_the_session_says_nothing(
    folder: Path, shop: SecureSite
) -> None:
    assert len(run("headers", shop)) == 1


@pytest.mark.parametrize("in_login", [False, True])
def test_an_unknown_authority_is_refused(
    folder: Path, shop: SecureSite, stranger: None, in_login: bool
) -> None:
    if in_login:
        with pytest.raises(LoginError, match="unable to get local issuer certificate"):
            run("bearer", shop, obey_robots=False)
    else:
        assert run("headers", shop) == []
    assert shop.log == []


def test_client_certificates(folder: Path, authority: Authority, stranger: None) -> None:
    with SecureSite.of(authority.context(asks_clients=True)) as shop:
        shop.otherwise = lambda visit: "x"
        assert run("private", shop) == []  # it brings none
        assert shop.log == []
        assert len(run("badge", shop)) == 1


@pytest.mark.parametrize("name", ["private", "badge"])
def test_certificates_that_are_not_there_are_named(
    folder: Path, shop: SecureSite, name: str
) -> None:
    missing = "reader.pem" if name == "badge" else "authority.pem"
    bundle = (folder / "certificates" / "authority.pem").read_bytes()
    (folder / "certificates").unlink()
    (folder / "certificates").mkdir()
    if name == "badge":
        (folder / "certificates" / "authority.pem").write_bytes(bundle)
    assert run(name, shop, obey_robots=False) == []
    assert failures(folder / "jobs" / name) == {"/": "certificate"}
    (told,) = rows(folder / "jobs" / name, "SELECT message FROM failed")
    assert f"certificates/{missing}" in told[0]


@pytest.mark.parametrize("secure", [False, True])
def test_proxies(folder: Path, shop: SecureSite, site: Site, secure: bool) -> None:
    wanted = shop if secure else site
    wanted.otherwise = lambda visit: "x"
    with Proxy("reader", "let-me-out") as proxy:
        assert len(run("proxied", wanted, proxy)) == 1
    assert {user for _, _, user in proxy.log} == {"reader"}
    assert proxy.methods == ({"CONNECT"} if secure else {"GET"})
    assert len(proxy.log) == (1 if secure else 2)  # one tunnel for robots.txt and the page
    assert all(visit.headers["Proxy-Authorization"] is None for visit in wanted.log)


def test_a_proxy_that_does_not_let_in(folder: Path, shop: SecureSite) -> None:
    why = r"no host answers: \S+ \(proxy\)"
    with Proxy("reader", "another") as proxy, pytest.raises(CrawlerError, match=why):
        run("proxied", shop, proxy)
    assert proxy.log == []
    assert shop.log == []


def test_proxies_of_accounts(folder: Path, shop: SecureSite) -> None:
    with Anybody() as proxy:
        found = run("routes", shop, proxy)
    assert sorted(item["account"] for item in found) == ["ada", "ibn"]
    assert sorted(user for _, _, user in proxy.log) == ["ada", "ibn"]  # a tunnel each


class Anybody(Proxy):
    """A proxy that accepts every user, and records the names."""

    def lets_in(self, header: str | None) -> str | None:
        """Accept any user."""
        return base64.b64decode((header or "Basic ").partition(" ")[2]).decode().partition(":")[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_environments_proxy_counts_in_login_too(
    folder: Path, shop: SecureSite, site: Site, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Member(Spider):
        def login(self, session: Any) -> None:
            session.get(wanted.url + "/login")

        def parse(self, response: Any) -> Any:
            return {"url": response.url}

    wanted = shop if scheme == "https" else site
    wanted.otherwise = lambda visit: "x"
    with Proxy() as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", proxy.url)
        assert len(list(crawl(Member, wanted.url, delay=0))) == 1
    # One tunnel for all; or each request by itself: robots.txt, login, page, and as a stranger.
    assert [method for method, _, _ in proxy.log] == (
        ["CONNECT"] if wanted is shop else ["GET"] * 4
    )


@pytest.mark.parametrize("way", ["none", "another", "trust_env"])
def test_the_session_wins_over_the_environments_proxy(
    folder: Path, site: Site, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Member(Spider):
        def prepare(self, session: Any) -> None:
            if way == "trust_env":
                session.trust_env = False
            else:
                session.proxies = {"all": own.url if way == "another" else None}

        def login(self, session: Any) -> None:
            session.get(site.url + "/login")

        def parse(self, response: Any) -> Any:
            return {"url": response.url}

    site.otherwise = lambda visit: "x"
    with Proxy() as proxy, Proxy() as own:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert len(list(crawl(Member, site.url, delay=0))) == 1
    assert proxy.log == []
    assert len(own.log) == (4 if way == "another" else 0)


@pytest.mark.parametrize("trusted", [True, False])
def test_netrc_counts_where_the_session_has_no_auth(
    folder: Path, site: Site, trusted: bool
) -> None:
    class Member(Spider):
        def prepare(self, session: Any) -> None:
            session.trust_env = trusted

        def login(self, session: Any) -> None:
            session.get(site.url + "/login")

        def parse(self, response: Any) -> Any:
            return {"url": response.url}

    (folder / ".netrc").write_text(f"machine {site.address} login ada password {PASSWORD[:7]}\n")
    (folder / ".netrc").chmod(0o600)
    site.otherwise = lambda visit: "x"
    assert len(list(crawl(Member, site.url, delay=0))) == 1
    sent = [(visit.path, visit.headers["Authorization"] is not None) for visit in site.log]
    # At last comes the look at the page as an anonymous visitor.
    assert sent == [("/robots.txt", trusted), ("/login", trusted), ("/", trusted), ("/", False)]


def test_pool_sizes_and_adapters(folder: Path, shop: SecureSite) -> None:
    assert len(run("narrow", shop)) == 10
    assert shop.connections == 1
    assert {visit.headers["X-Sent-By"] for visit in shop.log} == {"stamp"}


def test_hooks(folder: Path, shop: SecureSite) -> None:
    assert run("hooked", shop) == [{"url": shop.url + "/", "seen": "200"}]


def test_cookies_by_hand(folder: Path, shop: SecureSite) -> None:
    assert len(run("cookies", shop)) == 2
    assert shop.visits("/")[0].cookies == {"currency": "EUR"}
    assert shop.visits("/next")[0].cookies == {"currency": "EUR", "seen": "yes"}


def test_closing(folder: Path, shop: SecureSite) -> None:
    shop.pages = {
        "/code": "4711",
        "/enter": lambda v: Reply("in", headers=(("Set-Cookie", "member=1"),)),
        "/members": lambda v: "x" if v.cookies.get("member") else Reply("", 401),
    }
    assert len(run("beside", shop)) == 1
    assert shop.visits("/enter")[0].body == b"code=4711"
    connections = [shop.visits(path)[0].connection for path in ("/code", "/enter", "/members")]
    assert len(set(connections)) == 3
