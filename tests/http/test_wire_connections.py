"""Connections that die, TLS that fails, and local addresses: the same by every way in."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from requests.auth import HTTPDigestAuth

from crawler import Request, Session, Spider
from crawler.settings import Settings
from tests.http.wire_server import Host, RawProxy, Row, Wire, ok, read_request
from tests.jobs import failures, items, run_job
from tests.proxies import Proxy
from tests.sites import PATIENCE, Site, links, redirect
from tests.tls import Authority

PAGE = b"<title>page</title>"
LIMITS: dict[str, Any] = {
    "timeout": PATIENCE,
    "connect_timeout": PATIENCE,
    "read_timeout": PATIENCE,
}


class Fickle(Host):
    """Answers the first request of each connection; at a later one it resets or closes it.

    With ``never`` it does so at the first request for /row too.
    """

    def __init__(self, then: str, *, never: bool = False, **options: Any) -> None:
        super().__init__(Row("fickle", ok(PAGE)), **options)
        self.then = then
        self.never = never
        self.heard: list[str] = []

    def serve(self, connection: socket.socket) -> None:
        self.connections += 1
        connection.settimeout(PATIENCE)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
                stack.enter_context(connection)
            reader = stack.enter_context(connection.makefile("rb"))
            first = read_request(reader, self.connections)
            self.heard.append(f"{first.line.split(' ')[0]} {first.target}" if first else "")
            if first and not (self.never and first.target.endswith("/row")):
                self._answer(connection, first)
                read_request(reader, self.connections)
            if self.then == "reset":
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


class Pages(Spider):
    """Fetches ten pages, and asks for one more in each callback."""

    allowed_domains = "*"
    name = "pages"
    proxy = ""
    method = "GET"
    with_digest = False

    def prepare(self, session: Session) -> None:
        if self.proxy:
            session.proxies = {"http": self.proxy, "https": self.proxy}
        if self.with_digest:
            session.auth = HTTPDigestAuth("user", "word")

    def parse(self, response: Any) -> Iterator[Any]:
        assert response.session.get(f"{response.url}x").text
        yield {"url": response.url}
        if response.url.endswith("/0"):
            for number in range(1, 10):
                url = response.url[:-1] + str(number)
                data = {"a": "1"} if self.method == "POST" else None
                yield Request(url, method=self.method, data=data)


@pytest.mark.parametrize("then", ["reset", "close"])
@pytest.mark.parametrize("proxy", ["", "http", "socks5h"])
@pytest.mark.parametrize("method", ["GET", "POST", "digest"])
def test_a_kept_connection_that_has_died_costs_no_try(
    then: str, proxy: str, method: str, tmp_path: Path
) -> None:
    host, raw_proxy = Fickle(then), RawProxy(proxy or "http")
    with Wire(host, raw_proxy):
        settings = {"proxy": raw_proxy.url if proxy else "", "with_digest": method == "digest"}
        if method == "POST":
            settings["method"] = "POST"
        spider = type("Pages", (Pages,), settings)
        summary = run_job(spider, tmp_path, f"{host.url}/0", retries=0, **LIMITS)
    assert failures(tmp_path) == {}
    assert (summary.counters.done, summary.counters.retried) == (10, 0)
    assert len(items(tmp_path)) == 10


@pytest.mark.parametrize("then", ["reset", "close"])
@pytest.mark.parametrize("proxy", ["", "http", "socks5h"])
def test_a_form_goes_over_a_fresh_connection(then: str, proxy: str) -> None:
    host, raw_proxy = Fickle(then), RawProxy(proxy or "http")
    session = Session("wire", Settings(delay=0.0))
    with Wire(host, raw_proxy), session:
        if proxy:
            session.proxies = {"http": raw_proxy.url}
        for _ in range(3):
            page = session.submit(session.open(f"{host.url}/form").form(), a="2")
            assert page.body == PAGE
    assert [line.split(" ")[0] for line in host.heard] == ["GET", "POST"] * 3


class Order(Spider):
    """Orders once."""

    name = "order"
    allowed_domains = "*"
    proxy = ""
    bundle = ""
    replay = False
    method = "POST"

    def prepare(self, session: Session) -> None:
        session.verify = self.bundle or True
        if self.proxy:
            session.proxies = {"http": self.proxy, "https": self.proxy}

    def parse(self, response: Any) -> Iterator[Any]:
        yield Request(
            response.url.replace("/start", "/row"),
            method=self.method,
            data={"a": "1"} if self.method == "POST" else None,
            replay=self.replay,
            callback=self.done,
        )

    def done(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}


@pytest.mark.parametrize("then", ["reset", "close"])
@pytest.mark.parametrize("proxy", ["", "http", "socks5h"])
@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_must_not_be_sent_twice_is_sent_once(
    then: str, proxy: str, method: str, scheme: str, tmp_path: Path, authority: Authority
) -> None:
    context = authority.context() if scheme == "https" else None
    host, raw_proxy = Fickle(then, never=True, context=context), RawProxy(proxy or "http")
    options = {"proxy": raw_proxy.url if proxy else "", "bundle": str(authority.bundle)}
    with Wire(host, raw_proxy):
        spider = type("Order", (Order,), {**options, "method": method})
        run_job(spider, tmp_path, f"{host.url}/start", retries=3, **LIMITS)
    assert failures(tmp_path) == {"/row": "may have been sent"}
    orders = [line for line in host.heard if line.endswith("/row")]
    assert len(orders) == 1, host.heard


class Hurried(Spider):
    """Has a time limit of its own, in one of the usual ways."""

    name = "hurried"
    timeouts: Any = None

    def prepare(self, session: Any) -> None:
        if isinstance(self.timeouts, dict):
            session.request = functools.partial(session.request, **self.timeouts)
        else:
            session.timeout = self.timeouts

    def start(self) -> Iterator[Request]:
        for method in ("GET", "POST"):
            yield Request(self.start_urls[0], method=method)


@pytest.mark.parametrize("timeouts", [0.3, (60, 0.3), {"timeout": 0.3}, {"timeout": (60, 0.3)}])
def test_a_time_limit_of_the_session_counts_for_the_crawl(timeouts: Any, tmp_path: Path) -> None:
    host = Host(Row("stall", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", then="stall"))
    spider = type("Hurried", (Hurried,), {"timeouts": timeouts, "start_urls": [f"{host.url}/row"]})
    limits: dict[str, Any] = dict.fromkeys(LIMITS, 600.0)
    with Wire(host):
        summary = run_job(spider, tmp_path, obey_robots=False, retries=0, **limits)
    assert summary.failures == {"timeout": 2}


# TLS


class Hasty(Host):
    """Ends the first handshakes, after it has read the client's greeting."""

    def __init__(self, context: ssl.SSLContext, ended: int) -> None:
        super().__init__(Row("hasty", ok(PAGE)), context)
        self.ended = ended

    def serve(self, connection: socket.socket) -> None:
        if self.ended:
            self.ended -= 1
            self.connections += 1
            connection.recv(65536)
        else:
            super().serve(connection)


def test_a_handshake_that_the_server_ends_is_tried_again(
    tmp_path: Path, authority: Authority
) -> None:
    host = Hasty(authority.context(), 3)  # libcurl's two, by HTTP/2 and HTTP/1.1, and one more
    with Wire(host):
        spider = type("Order", (Order,), {"bundle": str(authority.bundle), "method": "GET"})
        run_job(spider, tmp_path, f"{host.url}/start", retries=3, obey_robots=False, **LIMITS)
    assert failures(tmp_path) == {}
    assert len(items(tmp_path)) == 1


def self_signed(authority: Authority, folder: Path) -> tuple[ssl.SSLContext, str]:
    return Authority(folder, "nobody").context(), str(authority.bundle)


CERTIFICATES: dict[str, tuple[Callable[[Authority, Path], tuple[ssl.SSLContext, str]], str]] = {
    "another name": (
        lambda authority, folder: (authority.context(host="shop.test"), str(authority.bundle)),
        "127.0.0.1",
    ),
    "expired": (
        lambda authority, folder: (authority.context(expired=True), str(authority.bundle)),
        "certificate has expired",
    ),
    "an unknown authority": (self_signed, "unable to get local issuer certificate"),
}


@pytest.mark.parametrize("name", CERTIFICATES)
@pytest.mark.parametrize("way", ["crawl", "open", "get", "post", "proxy"])
def test_a_bad_certificate_is_explained_by_openssl(
    name: str, way: str, tmp_path: Path, authority: Authority
) -> None:
    make, reason = CERTIFICATES[name]
    context, bundle = make(authority, tmp_path)
    host, proxy = Host(Row("tls", ok(PAGE)), context), RawProxy()
    with Wire(host, proxy):
        if way == "crawl":
            seen: list[Any] = []
            spider = type("Order", (Order,), {"bundle": bundle, "failed": failed_into(seen)})
            run_job(spider, tmp_path / "job", f"{host.url}/start", obey_robots=False)
            ((cause, message),) = seen
        else:
            with Session("tls", Settings(delay=0.0)) as session:
                session.verify = bundle
                session.proxies = {"https": proxy.url} if way == "proxy" else {}
                send = getattr(session, "get" if way == "proxy" else way)
                with pytest.raises(Exception, match="certificate") as caught:
                    send(f"{host.url}/row")
            cause = getattr(caught.value.__cause__, "cause", "")
            message = str(caught.value)
    assert cause == "tls"
    assert reason in message
    assert "session.verify" in message
    assert host.asked == []


def failed_into(seen: list[Any]) -> Callable[..., None]:
    def failed(self: Spider, failure: Any) -> None:
        seen.append((failure.cause, failure.message))

    return failed


# Local addresses


class Lured(Spider):
    """Goes to /row of ``target`` by one ``way``."""

    name = "lured"
    allowed_domains = "*"
    way = ""
    target = ""
    proxies: dict[str, str] = {}

    def prepare(self, session: Session) -> None:
        session.proxies = dict(self.proxies)
        if self.way == "auth":
            session.auth = ("user", "word")

    def parse(self, response: Any) -> Iterator[Any]:
        error = ""
        url = f"{self.target}/row"
        if self.way in ("link", "auth"):
            yield Request(url, callback=self.reached)
        elif self.way == "post":
            yield Request(url, method="POST", data={"a": "1"}, callback=self.reached)
        elif self.way == "redirect":
            yield Request(response.urljoin("/away"), callback=self.reached)
        elif self.way == "redirect of a POST":
            yield Request(response.urljoin("/away"), method="POST", callback=self.reached)
        else:
            error = self.ask(response.session, url, response)
        if error:
            yield {"error": error}

    def ask(self, session: Any, url: str, response: Any) -> str:
        ways: dict[str, Callable[[], Any]] = {
            "get": lambda: session.get(url),
            "open": lambda: session.open(url),
            "session.post": lambda: session.post(url, data={"a": "1"}),
            "get, redirected": lambda: session.get(response.urljoin("/away")),
            "post, redirected": lambda: session.post(response.urljoin("/away")),
            "form": lambda: session.submit(response.form(), a="1"),
            "stream": lambda: session.get(url, stream=True),
        }
        try:
            ways[self.way]()
        except Exception as error:
            return str(getattr(error, "cause", "") or getattr(error.__cause__, "cause", error))
        return "reached"

    def reached(self, response: Any) -> Iterator[Any]:
        yield {"error": "reached"}

    def failed(self, failure: Any) -> Iterator[Any]:
        yield {"error": failure.cause}


@pytest.mark.parametrize("proxy", ["", "http", "socks5h"])
@pytest.mark.parametrize(
    "way",
    [
        *("link", "auth", "post", "redirect", "redirect of a POST", "get", "open", "session.post"),
        *("get, redirected", "post, redirected", "form", "stream"),
    ],
)
@pytest.mark.parametrize("spelling", ["127.0.0.1", "127.1", "0x7f000001", "[::ffff:127.0.0.1]"])
def test_a_local_address_is_refused(
    way: str, proxy: str, spelling: str, site: Site, tmp_path: Path
) -> None:
    inside, raw_proxy = Host(Row("inside", ok(PAGE))), RawProxy("socks5h")
    target = inside.url.replace("127.0.0.1", spelling)
    form = f'<form method="post" action="{target}/row"><input name="a"></form>'
    site.pages = {"/": form + links("/x"), "/away": redirect(f"{target}/row")}
    site.otherwise = lambda visit: "x"
    with Wire(inside, raw_proxy), Proxy() as http_proxy:
        proxy_url = {"http": http_proxy.url, "socks5h": raw_proxy.url}.get(proxy)
        proxies = {"http": proxy_url} if proxy_url else {}
        settings = {"way": way, "target": target, "proxies": proxies}
        run_job(type("Lured", (Lured,), settings), tmp_path, f"{site.url}/", **LIMITS)
    assert [item["error"] for item in items(tmp_path)] == ["private address"]
    assert inside.connections == 0
    port = inside.url.rpartition(":")[2]
    assert all(str(target_port) != port for _, target_port in raw_proxy.targets)
    assert all(f":{port}/" not in asked for _, asked, _ in http_proxy.log)


@pytest.mark.parametrize("way", ["link", "auth", "post", "redirect", "get", "form", "stream"])
def test_a_name_may_not_lead_inside(
    way: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Host(Row("inside", ok(PAGE)))
    port = int(inside.url.rpartition(":")[2])
    addresses = [(socket.AF_INET, 1, 6, "", (number, port)) for number in ("127.0.0.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *name, **options: addresses)
    target = f"http://inside.test:{port}"
    form = f'<form method="post" action="{target}/row"><input name="a"></form>'
    site.pages = {"/": form, "/away": redirect(f"{target}/row")}
    with Wire(inside):
        settings = {"way": way, "target": target}
        run_job(type("Lured", (Lured,), settings), tmp_path, f"{site.url}/", **LIMITS)
    assert [item["error"] for item in items(tmp_path)] == ["private address"]
    assert inside.connections == 0
