"""The log at debug level, and requests as command lines of curl."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from requests.exceptions import ProxyError

from crawler import Request, Session, Spider
from crawler.errors import SettingsError
from crawler.http import exchange_log
from crawler.settings import Settings
from tests.jobs import run_job
from tests.sites import Reply, Site


class Shop(Spider):
    """Logs in, asks in a callback, and goes by a POST."""

    name = "shop"

    def login(self, session: Session) -> None:
        session.post(self.start_urls[0] + "login", data={"password": "hunter22"})
        session.headers["X-Api-Key"] = "s3cret-key"

    def parse(self, response: Any) -> Iterator[Any]:
        response.session.get(response.urljoin("/asked"))
        yield Request(response.urljoin("/posted"), "done", method="POST", data={"a": "1"})

    def done(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    level = exchange_log.log.level
    yield
    exchange_log.log.setLevel(level)


def log_of(site: Site, folder: Path, **settings: Any) -> str:
    cookie = ("Set-Cookie", "sid=v3ry-secret; Path=/")
    site.otherwise = lambda visit: Reply("x", headers=(cookie, ("X-Served-By", "a")))
    spider = type("Shop", (Shop,), {"start_urls": [f"{site.url}/"]})
    run_job(spider, folder, **settings)
    return (folder / "run.log").read_text()


def test_the_log_shows_what_was_sent_and_what_came(site: Site, tmp_path: Path) -> None:
    log = log_of(site, tmp_path, log_level="debug")
    for line in (
        *(f"> GET {site.url}/\n", f"> GET {site.url}/asked\n", f"> GET {site.url}/robots.txt\n"),
        *(f"> POST {site.url}/login\n", f"> POST {site.url}/posted\n", "> (3 bytes)"),
        *("> Cookie: sid=*****", "> X-Api-Key: *****", "< HTTP/1.1 200 OK ("),
        *("< Set-Cookie: sid=*****; Path=/", "< X-Served-By: a"),
    ):
        assert line in log
    for secret in ("hunter22", "s3cret-key", "v3ry-secret"):
        assert secret not in log


def test_by_default_the_log_has_no_exchanges(site: Site, tmp_path: Path) -> None:
    assert "> GET" not in log_of(site, tmp_path)


def test_a_failure_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    session = Session("s", Settings(log_level="debug"))
    session.proxies = {"http": "http://user:pass-word@127.0.0.1:1"}
    with session, pytest.raises(ProxyError, match="the proxy does not answer"):
        session.get("http://shop.test/")
    assert "> GET http://shop.test/ by http://***@127.0.0.1:1" in caplog.text
    assert "< http://shop.test/: the proxy does not answer" in caplog.text
    assert "pass-word" not in caplog.text


def test_another_level_is_refused() -> None:
    with pytest.raises(SettingsError, match="log_level"):
        Settings(log_level="loud")


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("Cookie", "a=1; b=2=3", "a=*****; b=*****"),
        ("set-cookie", "a=1; Path=/; HttpOnly", "a=*****; Path=/; HttpOnly"),
        ("Set-Cookie", "odd", "odd=*****"),
        ("Authorization", "Bearer abc", "Bearer *****"),
        ("Proxy-Authorization", "Basic abc", "Basic *****"),
        ("X-Auth-Token", "abc", "*****"),
        ("Accept", "text/html", "text/html"),
        ("X", "y" * 600, "y" * 500 + "…"),
    ],
)
def test_what_proves_an_identity_is_masked(name: str, value: str, right: str) -> None:
    assert exchange_log.masked(name, value) == right


# As a command line


REQUESTS = [
    Request("{url}/a%2fb/[1]?x={{y}}&q='z'"),
    Request("{url}/a/../b"),
    Request("{url}/p", method="POST", data={"a": "1 2", "b": ["x", "é&"]}),
    Request("{url}/p", method="POST", data="@plain"),
    Request("{url}/p", method="POST", data=b"\x00\xff\n'"),
    Request("{url}/p", method="PUT", json={"a": ["é", None]}),
    Request("{url}/p", method="POST"),
    Request("{url}/p", method="DELETE", headers={"X-Api-Key": "k$y", "Referer": "http://a/"}),
    Request("{url}/p", cookies={"a": "1", "b": "x'y"}),
]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize(
    "request_", REQUESTS, ids=lambda request: f"{request.method} {request.url}"
)
def test_curl_sends_the_same(request_: Request, site: Site) -> None:
    site.otherwise = lambda visit: "x"
    request = Request(
        request_.url.replace("{url}", site.url).replace("{{", "{").replace("}}", "}"),
        **{
            name: getattr(request_, name)
            for name in ("method", "headers", "data", "json", "cookies")
        },
    )
    with Session("s", Settings(delay=0.0)) as session:
        session.credentials.name(site.url)
        session.send(session.prepare(request))
    subprocess.run(["bash", "-c", request.to_curl(secrets=True) + " -s -S"], check=True)
    ours, theirs = site.visits()
    assert (theirs.method, theirs.path, theirs.body) == (ours.method, ours.path, ours.body)
    for name in ("Content-Type", "X-Api-Key", "Referer", "Cookie"):
        assert theirs.headers.get(name) == ours.headers.get(name)


def test_the_command_shows_no_secrets() -> None:
    request = Request(
        "http://user:word@shop.test/",
        headers={"Authorization": "Bearer t0ken"},
        cookies={"a": "c00kie"},
    )
    line = request.to_curl()
    for secret in ("word@", "t0ken", "c00kie"):
        assert secret not in line
        assert secret in request.to_curl(secrets=True)
