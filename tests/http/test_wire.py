"""Odd answers, the same by every way in: crawls, logins, forms, auth, proxies, callbacks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.auth import HTTPDigestAuth

from crawler import Request, Response, Session, Sitemap, Spider
from crawler.errors import FetchError
from crawler.settings import Settings
from tests.http.wire_rows import (
    BAD_FRAMING,
    DRIPS,
    ENCODINGS,
    ENTRIES,
    FRAMING,
    HEADERS,
    PAGE,
    REDIRECTS,
    TYPES,
)
from tests.http.wire_server import AFTER, Host, RawProxy, Row, Wire, hosts_of
from tests.jobs import items, run_job
from tests.sites import PATIENCE

ROWS = [*FRAMING, *BAD_FRAMING, *DRIPS, *HEADERS, *REDIRECTS, *ENCODINGS, *TYPES]
LIMITS: dict[str, Any] = {
    "max_body": 8 * 1024 * 1024,
    "timeout": PATIENCE,
    "connect_timeout": PATIENCE,
    "read_timeout": PATIENCE,
}


@dataclass
class Result:
    """What came of an answer: a page or a failure. ``after`` is the body of the next page."""

    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cause: str = ""
    message: str = ""
    after: bytes = AFTER
    targets: list[str] = field(default_factory=list)
    entries: list[str] | None = None
    """The URLs of the page as a sitemap."""


Way = Callable[[list[Host], Path, dict[str, Any]], dict[str, Result]]
"""Asks hosts in a folder, with settings, and returns what came of each row."""


def limits_of(row: Row) -> dict[str, Any]:
    """Return the time limits with which a row is to be asked for."""
    limits = {"read_timeout": row.seconds, "timeout": row.limit}
    return {**LIMITS, **{name: value for name, value in limits.items() if value}}


def by_limits(rows: list[Row]) -> Iterator[tuple[dict[str, Any], list[Row]]]:
    """Yield the rows that are asked for with the same limits."""
    for key in sorted({(row.seconds, row.limit) for row in rows}):
        same = [row for row in rows if (row.seconds, row.limit) == key]
        yield limits_of(same[0]), same


# Sessions alone


def by_session(fetch: Callable[[Session, str], Any], proxy: str = "") -> Way:
    """Return the way of ``fetch``, which gets a session and the URL of a host.

    ``proxy`` is the kind of the session's proxy.
    """

    def ask(host: Host, limits: dict[str, Any]) -> Result:
        with contextlib.ExitStack() as stack:
            session = stack.enter_context(Session("wire", Settings(delay=0.0, **limits)))
            if proxy:
                raw_proxy = RawProxy(proxy)
                stack.enter_context(Wire(raw_proxy))
                session.proxies = {"http": raw_proxy.url}
            result = result_of(fetch, session, host.url)
            result.targets = host.targets()
            if not result.cause and host.row.then == "keep":
                result.after = session.get(f"{host.url}/after").content
        return result

    def way(hosts: list[Host], folder: Path, limits: dict[str, Any]) -> dict[str, Result]:
        with ThreadPoolExecutor(8) as threads:
            results = threads.map(lambda host: ask(host, limits), hosts)
            return {host.row.name: result for host, result in zip(hosts, results, strict=True)}

    return way


def result_of(fetch: Callable[..., Any], *arguments: Any) -> Result:
    try:
        page = fetch(*arguments)
        body = page.content if isinstance(page, requests.Response) else page.body
        status = page.status_code if isinstance(page, requests.Response) else page.status
        return Result(status, body, {name.lower(): value for name, value in page.headers.items()})
    except (FetchError, requests.RequestException) as error:
        fetch_error = error if isinstance(error, FetchError) else error.__cause__
        cause = getattr(fetch_error, "cause", repr(error))
        return Result(cause=cause, message=str(fetch_error))
    except Exception as error:
        return Result(cause=repr(error), message="this is no error of a request")


def by_form(session: Session, url: str) -> Any:
    return session.submit(session.open(f"{url}/form").form(), a="2")


def by_digest(session: Session, url: str) -> Any:
    session.auth = HTTPDigestAuth("user", "word")
    return session.open(f"{url}/digest")


def by_post(session: Session, url: str) -> Any:
    return session.post(f"{url}/row", data={"a": "1"})


# Crawls


class Pages(Spider):
    """Reports what becomes of each seed."""

    allowed_domains = "*"
    way = ""

    def prepare(self, session: Session) -> None:
        if self.way == "auth":
            session.auth = ("user", "word")
        if self.way == "digest":
            session.auth = HTTPDigestAuth("user", "word")
        session.proxies.update(PROXIES)

    def start(self) -> Iterator[Any]:
        for url in self.start_urls:
            if self.way == "post":
                yield Request(f"{url}/row", method="POST", data={"a": "1"})
            elif self.way == "callback":
                yield Request(f"{url}/start", callback=self.ask)
            else:
                yield f"{url}/digest" if self.way == "digest" else f"{url}/row"

    def parse(self, response: Any) -> Iterator[Any]:
        seed = response.history[0].url if response.history else response.url
        result = [response.status, response.body.decode("latin-1"), dict(response.headers)]
        entries = [entry.url for entry in Sitemap(response)]
        yield {"seed": seed, "result": result, "cause": "", "message": "", "entries": entries}

    def ask(self, response: Any) -> Iterator[Any]:
        url = response.url.replace("/start", "/row")
        result = result_of(response.session.get, url)
        page = [result.status, result.body.decode("latin-1"), result.headers]
        yield {"seed": url, "result": page, "cause": result.cause, "message": result.message}

    def failed(self, failure: Any) -> Iterator[Any]:
        history = failure.request.history
        seed = history[0].url if history else failure.request.url
        yield {"seed": seed, "result": None, "cause": failure.cause, "message": failure.message}


PROXIES: dict[str, str] = {}
"""Proxies of the running crawl by host."""


def by_crawl(kind: str) -> Way:
    """Return the way of crawl requests of a ``kind``."""

    def way(hosts: list[Host], folder: Path, limits: dict[str, Any]) -> dict[str, Result]:
        spider = type("Pages", (Pages,), {"way": kind, "start_urls": [host.url for host in hosts]})
        run_job(spider, folder, allow_private=True, concurrency=16, retries=0, **limits)
        rows = {f"{item['seed'].rsplit('/', 1)[0]}": item for item in items(folder)}
        results = {}
        for host in hosts:
            item = rows[host.url]
            result = results[host.row.name] = Result(cause=item["cause"], message=item["message"])
            if item["result"]:
                result.status, body, headers = item["result"]
                result.body = body.encode("latin-1")
                result.headers = {name.lower(): value for name, value in headers.items()}
                result.entries = item.get("entries")
            result.targets = host.targets()
        return results

    return way


def by_crawl_and_proxy(kind: str) -> Way:
    """Return the way of crawl GETs by proxies of a ``kind``, a proxy for each host."""

    def way(hosts: list[Host], folder: Path, limits: dict[str, Any]) -> dict[str, Result]:
        proxies = [RawProxy(kind) for _ in hosts]
        with Wire(*proxies):
            for host, proxy in zip(hosts, proxies, strict=True):
                PROXIES[host.url.rpartition(":")[0]] = proxy.url
            try:
                return by_crawl("get")(hosts, folder, limits)
            finally:
                PROXIES.clear()

    return way


WAYS: dict[str, Way] = {
    "crawl": by_crawl("get"),
    "crawl, POST": by_crawl("post"),
    "crawl, auth": by_crawl("auth"),
    "crawl, digest": by_crawl("digest"),
    "crawl, HTTP proxy": by_crawl_and_proxy("http"),
    "crawl, SOCKS proxy": by_crawl_and_proxy("socks5h"),
    "callback": by_crawl("callback"),
    "open": by_session(lambda session, url: session.open(f"{url}/row")),
    "get": by_session(lambda session, url: session.get(f"{url}/row")),
    "form": by_session(by_form),
    "digest": by_session(by_digest),
    "POST by HTTP proxy": by_session(by_post, "http"),
    "POST by SOCKS proxy": by_session(by_post, "socks5h"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """The results of all rows by a way; each way is gone once."""
    ready: dict[str, dict[str, Result]] = {}

    def results_of(way: str) -> dict[str, Result]:
        if way not in ready:
            ready[way] = {}
            for limits, rows in by_limits(ROWS):
                with hosts_of(rows) as hosts:
                    folder = tmp_path_factory.mktemp("job")
                    ready[way] |= WAYS[way](hosts, folder, limits)
        return ready[way]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crawler.scheduling.politeness.FIRST_BACK_OFF", 0.0)
        yield results_of


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
@pytest.mark.parametrize("way", WAYS)
def test_an_answer_is_read_rightly(
    way: str, row: Row, results: Callable[[str], dict[str, Result]]
) -> None:
    result = results(way)[row.name]
    assert result.cause == row.cause, result.message
    if row.cause:
        return
    assert (result.status, result.body) == (row.status, row.body)
    for name, value in row.headers.items():
        assert result.headers.get(name) == value
    assert result.after == AFTER
    if row.body == PAGE and result.entries is not None:
        assert result.entries == ENTRIES
    if row.kind:
        page = Response("http://page.example/", result.body, headers=result.headers)
        assert (page.is_html, page.is_xml) == (row.kind == "html", row.kind == "xml")
        assert page.encoding == row.encoding
    if row.goes_to:
        assert result.targets[-1].rpartition("127.0.")[2].partition("/")[2] == row.goes_to[1:]
