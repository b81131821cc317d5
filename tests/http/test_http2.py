"""Hosts that speak HTTP/2 only, and hosts whose HTTP/2 is broken: the same by every way in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from crawler import Request, Session, Spider
from crawler.errors import FetchError
from crawler.settings import Settings
from tests.http.http2_server import Http2Host
from tests.http.wire_server import RawProxy, Wire
from tests.jobs import failures, items, run_job
from tests.sites import PATIENCE
from tests.tls import Authority

BODY = (
    b"<title>page</title><form method=post action=/in><input name=a></form>"
    b"\nUser-agent: *\nDisallow: /secret\n" + b"<p>some text</p>" * 100
)
LIMITS: dict[str, Any] = {
    "timeout": PATIENCE,
    "connect_timeout": PATIENCE,
    "read_timeout": PATIENCE,
}
FAULTS = [
    *("closed at once", "HTTP/1.1 over HTTP/2", "rubbish", "closed", "a reset stream"),
    *("HTTP/1.1 required", "goaway", "a broken head", "a frame too large"),
    *("closed in the body", "a reset in the body"),
]


class Pages(Spider):
    """Fetches three pages, and asks for one more in each callback."""

    name = "pages"
    bundle = ""
    proxy = ""
    method = "GET"
    with_auth = False

    def prepare(self, session: Session) -> None:
        session.verify = self.bundle
        session.proxies = {"https": self.proxy} if self.proxy else {}
        session.auth = ("user", "word") if self.with_auth else None

    def start(self) -> Iterator[Request]:
        for number in range(3):
            yield Request(f"{self.start_urls[0]}/{number}", method=self.method, idempotent=True)

    def parse(self, response: Any) -> Iterator[Any]:
        again = response.session.get(f"{response.url}x").content
        yield {"is_whole": response.body == BODY == again}


def crawl(
    host: Http2Host, folder: Path, authority: Authority, retries: int = 0, **options: Any
) -> None:
    """Crawl three pages, and check that they came."""
    settings = {"start_urls": [host.url], "bundle": str(authority.bundle), **options}
    summary = run_job(type("Pages", (Pages,), settings), folder, retries=retries, **LIMITS)
    assert failures(folder) == {}
    assert items(folder) == [{"is_whole": True}] * 3
    assert (summary.counters.retried, summary.exit_status) == (0, 0)


CRAWLS: dict[str, dict[str, Any]] = {
    "GET": {},
    "auth": {"with_auth": True},
    "HTTP proxy": {"proxy": "http"},
    "SOCKS proxy": {"proxy": "socks5h"},
}


@pytest.mark.parametrize("way", [*CRAWLS, "POST"])
def test_a_crawl_of_a_host_that_speaks_only_http2(
    way: str, tmp_path: Path, authority: Authority
) -> None:
    host = Http2Host(authority.context(), BODY, only_http2=True)
    options = dict(CRAWLS.get(way, {"method": "POST"}))
    raw_proxy = RawProxy(options.get("proxy", "http"))
    if "proxy" in options:
        options["proxy"] = raw_proxy.url
    with Wire(host, raw_proxy):
        crawl(host, tmp_path, authority, **options)
    assert host.by_http2 == 7


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", CRAWLS)
def test_a_crawl_of_a_host_whose_http2_is_broken(
    way: str, fault: str, tmp_path: Path, authority: Authority
) -> None:
    host = Http2Host(authority.context(), BODY, fault)
    options = dict(CRAWLS[way])
    raw_proxy = RawProxy(options.get("proxy", "http"))
    if "proxy" in options:
        options["proxy"] = raw_proxy.url
    if way == "auth" and fault.endswith("in the body"):  # part of it may have been read
        options["retries"] = 1
    with Wire(host, raw_proxy):
        crawl(host, tmp_path, authority, **options)
    assert host.is_spoken <= 2, "it is remembered; libcurl may have tried it once more by itself"


@pytest.fixture
def session(authority: Authority) -> Iterator[Session]:
    with Session("http2", Settings(delay=0.0, **LIMITS)) as session:
        session.verify = str(authority.bundle)
        yield session


WAYS: dict[str, Any] = {
    "open": lambda session, url: session.open(f"{url}/a").body,
    "get": lambda session, url: session.get(f"{url}/a").content,
    "stream": lambda session, url: b"".join(session.get(f"{url}/a", stream=True).iter_content(99)),
    "form": lambda session, url: session.submit(session.open(url).form(), a="1").body,
}


@pytest.mark.parametrize("way", [*WAYS, "post"])
def test_a_session_with_a_host_that_speaks_only_http2(
    way: str, session: Session, authority: Authority
) -> None:
    host = Http2Host(authority.context(), BODY, only_http2=True)
    with Wire(host):
        if way == "post":
            assert session.post(f"{host.url}/a", data={"a": "1"}).content == BODY
        else:
            assert WAYS[way](session, host.url) == BODY


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", WAYS)
def test_a_session_with_a_host_whose_http2_is_broken(
    way: str, fault: str, session: Session, authority: Authority
) -> None:
    host = Http2Host(authority.context(), BODY, fault)
    with Wire(host):
        if fault.endswith("in the body"):  # part of it may have been read
            with contextlib.suppress(requests.RequestException, FetchError):
                WAYS[way](session, host.url)
        assert WAYS[way](session, host.url) == BODY
        assert session.get(f"{host.url}/b").content == BODY
    assert host.is_spoken <= 2, "it is remembered"


def test_a_host_that_is_silent_by_http2_is_asked_by_http1_next(
    tmp_path: Path, authority: Authority
) -> None:
    host = Http2Host(authority.context(), BODY, "silence")
    options = {"start_urls": [host.url], "bundle": str(authority.bundle)}
    with Wire(host):
        spider = type("Pages", (Pages,), options)
        run_job(spider, tmp_path, retries=1, **{**LIMITS, "read_timeout": 0.5})
    assert items(tmp_path) == [{"is_whole": True}] * 3
    assert host.is_spoken == 1


def test_a_host_that_speaks_only_http2_is_not_lost_by_one_broken_connection(
    session: Session, authority: Authority
) -> None:
    host = Http2Host(authority.context(), BODY, "closed", only_http2=True)
    with Wire(host):
        for method in ("get", "post"):
            host.fault = "closed"
            with pytest.raises(requests.RequestException):
                getattr(session, method)(f"{host.url}/a")
            host.fault = ""
            if method == "post":  # HTTP/1.1 may have been what it wants
                with pytest.raises(requests.RequestException):
                    session.post(f"{host.url}/a")
            assert getattr(session, method)(f"{host.url}/a").content == BODY


@pytest.mark.parametrize("fault", FAULTS)
def test_a_post_is_not_sent_again_by_http1_but_the_next_one_is_sent_by_it(
    fault: str, session: Session, authority: Authority
) -> None:
    host = Http2Host(authority.context(), BODY, fault)
    with Wire(host):
        for _ in range(2):
            try:
                assert session.post(f"{host.url}/a", data={"a": "1"}).content == BODY
            except (requests.RequestException, FetchError):
                assert not host.asked
        assert session.post(f"{host.url}/a", data={"a": "1"}).content == BODY
    posts = [asked for asked in host.asked if asked.line.startswith("POST")]
    assert host.by_http2 + len(posts) <= 3, "none was sent twice"
    assert host.is_spoken <= 2
