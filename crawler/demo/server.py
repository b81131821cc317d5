"""Serve the shop over HTTP on loopback, with a log of all requests."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from crawler.demo.sessions import Sessions
from crawler.demo.shop import Shop
from crawler.demo.site import Answer, Ask, Site
from crawler.demo.wire import WireServer
from crawler.errors import UsageError


class Visit(NamedTuple):
    """A request that the server has received.

    The times are ``time.monotonic()``: when it had come, and when its answer was about to go.
    ``target`` is path and query; ``user`` is whom the shop took it to come from; ``cookie`` is
    the session's token as it came; ``connection`` counts connections from 1.
    """

    started: float
    finished: float
    method: str
    target: str
    user: str | None
    cookie: str | None
    status: int
    connection: int


@dataclass
class Counters:
    """Totals of a server: requests by path (without query), and how many at the same time."""

    requests: Counter[str] = field(default_factory=Counter)
    logins: int = 0
    connections: int = 0
    at_once: int = 0
    most_at_once: int = 0


class DemoServer:
    """Serves a shop from threads of this process: a context manager, or ``start`` and ``stop``.

    ``port`` 0 is any free port. ``latency`` is how many seconds each answer takes. Sessions end
    after ``session_requests`` or ``session_seconds``; with ``rotate_cookies`` each of their
    requests gets a new cookie (see ``SessionPool``). ``instead`` may answer in the shop's place: it
    gets every ``Ask``, and returns ``None`` for those that the shop is to answer.

    A visit is in ``log`` and ``counters`` before its answer is sent, so that a client which has
    the answer finds it there.
    """

    def __init__(
        self,
        shop: Shop | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        latency: float = 0.0,
        session_requests: int | None = None,
        session_seconds: float | None = None,
        rotate_cookies: bool = False,
        instead: Callable[[Ask], Answer | None] | None = None,
    ) -> None:
        self.shop = shop or Shop()
        self.host = host
        self.port = port
        self.latency = latency
        self.instead = instead
        self.sessions = Sessions(session_requests, session_seconds, rotate_cookies)
        self.log: list[Visit] = []
        self.counters = Counters()
        self._lock = threading.Lock()
        self._wire: WireServer | None = None

    @property
    def url(self) -> str:
        """The address of the shop, without a final slash; the port is known after the start."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> Self:
        """Serve. After ``stop`` the shop restarts on its port, with its sessions."""
        try:
            self._wire = WireServer((self.host, self.port), self._respond)
        except OSError as error:
            raise UsageError(
                f"the shop cannot be served on {self.host}, port {self.port}: {error.strerror}; "
                "choose another port"
            ) from None
        self.port = self._wire.server_port
        self._site = Site(self.shop, self.sessions, self.url)
        self._wire.start()
        return self

    def stop(self) -> None:
        """Close every connection and wait for the threads. Stopping twice is harmless."""
        if self._wire is not None:
            self._wire.stop()
            self._wire = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def end_sessions(self) -> None:
        """Log all users out, as the restart of a site does."""
        self.sessions.close_all()

    def _respond(self, ask: Ask, connection: int) -> Answer:
        started = time.monotonic()
        with self._lock:
            self.counters.at_once += 1
            self.counters.most_at_once = max(self.counters.most_at_once, self.counters.at_once)
        try:
            ask, answer = self._answer(ask)
        finally:
            with self._lock:
                self.counters.at_once -= 1
        self._record(ask, answer, started, connection)
        return answer

    def _answer(self, ask: Ask) -> tuple[Ask, Answer]:
        if self.latency:
            time.sleep(self.latency)
        ask = replace(ask, session=self.sessions.find(ask.token))
        answer = self.instead(ask) if self.instead else None
        return ask, answer or self._site.answer(ask)

    def _record(self, ask: Ask, answer: Answer, started: float, connection: int) -> None:
        visit = Visit(
            started=started,
            finished=time.monotonic(),
            method=ask.method,
            target=ask.target,
            user=ask.user,
            cookie=ask.token,
            status=answer.status,
            connection=connection,
        )
        with self._lock:
            self.log.append(visit)
            self.counters.requests[ask.path] += 1
            self.counters.connections = max(self.counters.connections, connection)
            self.counters.logins = self.sessions.logins


WELCOME = """\
A bookshop to crawl is open at {url}

  account    user "{user}", password "{password}"
  to see     /  /books/  /categories/mystery
  logged in  /orders  /orders/{order}
  for robots /robots.txt  /sitemap.xml

In another terminal:

  crawl new shop {url}/
  crawl run shop -s delay=0.1

It is your own, so it need not be asked slowly. Ctrl-C closes the shop."""


def serve(host: str = "127.0.0.1", port: int = 8765) -> None:
    """Serve the shop until Ctrl-C. Raises UsageError if the port is in use."""
    with DemoServer(host=host, port=port) as server, suppress(KeyboardInterrupt):
        shop = server.shop
        print(
            WELCOME.format(
                url=server.url,
                user=shop.user,
                password=shop.password,
                order=shop.orders[0].number,
            ),
            flush=True,
        )
        threading.Event().wait()
