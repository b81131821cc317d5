"""Crawls of the hostile web: one behaviour at a time, in this process."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pycurl

from crawler import Spider
from crawler.http.address_policy import is_public
from crawler.http.curl.handle import Handle
from crawler.stats import Summary
from tests.hostile import bodies, heads, hosts, pages
from tests.hostile.web import Behaviour
from tests.jobs import failures, items, run_job
from tests.tls import Authority

ALL: tuple[Behaviour, ...] = (*bodies.ALL, *heads.ALL, *pages.ALL, *hosts.ALL)
SETTINGS: dict[str, Any] = {
    "timeout": 20.0,
    "read_timeout": 5.0,
    "connect_timeout": 2.0,
    "retries": 1,
    "robots_wait": 0.0,
    "max_redirects": 10,
}
"""Small limits for a short test; a behaviour may have further settings."""


class Reader(Spider):
    """Read each page in every possible way, and follow every link."""

    bundle = ""

    def prepare(self, session: Any) -> None:
        if self.bundle:
            session.verify = self.bundle

    def parse(self, response: Any) -> Iterator[Any]:
        yield {
            "url": response.url,
            "size": len(response.body),
            "encoding": response.encoding,
            "text": response.text[:1000],
            "title": response.css("title::text").get(),
            "deep": len(response.xpath("//div//a").getall()),
            "links": len(response.links()),
            "linked": [link.text for link in response.links()][:3],
            "soup": len(response.soup.find_all(True)),
            "selected": len(response.select("a")),
            "read": response.soup.get_text()[:1000],
            "forms": [list(map(list, response.form().fields))] if response.css("form") else [],
            "cookies": len(response.session.cookies),
        }
        yield from response.follow_all()


class Wide(Reader):
    """A Reader without a limit of scope."""

    name = "wide"
    allowed_domains = "*"


@dataclass(frozen=True)
class Ending:
    """The result of a crawl."""

    summary: Summary
    items: list[dict[str, Any]]
    causes: dict[str, str]
    log: str


def crawl(behaviour: Behaviour, url: str, folder: Path, bundle: str = "") -> Ending:
    """Crawl from ``url``, with the settings and names of ``behaviour``."""
    settings = {**SETTINGS, **behaviour.settings}
    spider = Wide if settings.pop("allowed", "") else Reader
    with names(behaviour.names):
        summary = run_job(spider, folder, url, arguments={"bundle": bundle}, **settings)
    log = folder / "run.log"  # a run without events writes none
    text = log.read_text(errors="replace") if log.exists() else ""
    return Ending(summary, items(folder), failures(folder), text)


@contextlib.contextmanager
def names(known: dict[str, list[str]]) -> Iterator[None]:
    """Resolve names by ``known``, their addresses; other names resolve as usual.

    No connection leaves this machine: public addresses do not answer.
    """
    ask, connect, prepare = socket.getaddrinfo, Handle._on_open, Handle.prepare
    nowhere = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = nowhere.getsockname()[1]
    filling = [socket.socket() for _ in range(4)]  # then no connection is answered any more
    for sock in filling:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))

    def answer(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in known:
            return ask(host, port, *args, **kwargs)
        if not known[host]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]
        ]

    def connect_locally(handle: Handle, purpose: int, address: Any) -> int:
        if address.addr[1] == port:
            return socket.socket().detach()
        return connect(handle, purpose, address)

    def without_public(handle: Handle, transfer: Any, addresses: list[str] | None) -> None:
        prepare(handle, transfer, addresses)
        if any(map(is_public, known.get(handle.server[0], ()))):
            handle.is_worn = True
            handle.curl.setopt(pycurl.CONNECT_TO, [f"::127.0.0.1:{port}"])

    socket.getaddrinfo = answer
    Handle._on_open, Handle.prepare = connect_locally, without_public  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        socket.getaddrinfo = ask
        Handle._on_open, Handle.prepare = connect, prepare  # type: ignore[method-assign]
        for sock in (nowhere, *filling):
            sock.close()


class Certificates:
    """The TLS contexts of hosts by the names of their certificates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.known = Authority(folder, "known")

    def __call__(self, name: str) -> Any:
        contexts: dict[str, Callable[[], Any]] = {
            "good": self.known.context,
            "expired": lambda: self.known.context(expired=True),
            "wrong": lambda: self.known.context(host="elsewhere.test"),
            "unknown": Authority(self._folder, "unknown").context,
        }
        return contexts[name]()
