"""A scriptable site on a free port of loopback, which remembers how it was asked."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

PATIENCE = 20.0
"""Seconds that a test waits for something that must come, before it fails."""

JITTER = 0.06
"""Seconds that a loaded client may take between its look at the clock and its sending."""

_SO_TIMESTAMPNS = 35 if sys.platform == "linux" else None  # the socket module has no name for it
_STAMP = struct.Struct("@qq")


@dataclass(frozen=True, slots=True)
class Reply:
    """The response of a page. ``raw`` writes to the socket itself, and ends the connection."""

    body: str | bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    raw: Callable[[socket.socket], object] | None = None


@dataclass(slots=True)
class Visit:
    """One request as the site saw it. Times are on the monotonic clock, the same everywhere.

    ``came`` is the instant at which the kernel received it, so that a site which is late does not
    make a client look early.
    """

    number: int
    method: str
    path: str
    headers: Message
    body: bytes
    connection: int
    came: float
    left: float = 0.0
    """The time at which the answer was ready to be written; 0 while the page is still at it."""

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that came along."""
        pairs = (pair.partition("=") for pair in self.headers.get("Cookie", "").split("; "))
        return {name: value for name, _, value in pairs if name}


Page = Callable[[Visit], Reply | str | bytes]


@dataclass(eq=False)
class Site:
    """Use it as a context manager. ``pages`` are functions by path (with query), or plain bodies.

    What no page is written for goes to ``otherwise``, which by default does not find it. There is
    no robots.txt unless one is among the pages.
    """

    pages: dict[str, Page | Reply | str | bytes] = field(default_factory=dict)
    otherwise: Page = lambda visit: Reply("not found", 404)
    address: str = "127.0.0.1"
    port: int = 0
    name: str = ""
    """The host name in URLs, if it is not the address."""

    def __post_init__(self) -> None:
        self.log: list[Visit] = []
        self.connections = 0
        self.wrong: list[AssertionError] = []
        """Errors that pages have noticed; the site raises the first one at its end."""
        self._ids = itertools.count(1)
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"site": self})
        self._server = _Server((self.address, self.port), handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        self.cut()
        if self.wrong and exc[:1] in {(), (None,)}:
            raise self.wrong[0]

    def cut(self) -> None:
        """Break all connections."""
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        """The origin."""
        return f"http://{self.name or self.address}:{self.port}"

    def visits(self, path: str | None = None) -> list[Visit]:
        """The requests for ``path``, or for everything but robots.txt."""
        return [v for v in list(self.log) if v.path == path or (path is None and not _robots(v))]

    @property
    def asked(self) -> Counter[str]:
        """The number of requests for each path, robots.txt left out."""
        return Counter(visit.path for visit in self.visits())

    def wait_for(self, path: str, times: int = 1) -> Visit:
        """The ``times``-th request for ``path``, as soon as it comes."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.visits(path)) >= times, PATIENCE)
        assert came, f"{path} was asked for {len(self.visits(path))} times, not {times}"
        return self.visits(path)[times - 1]

    @property
    def least_gap(self) -> float:
        """The least time between two requests after each other, robots.txt included."""
        times = sorted(visit.came for visit in self.log)
        return min(after - before for before, after in itertools.pairwise(times))

    @property
    def most_at_once(self) -> int:
        """The highest number of requests that were being answered at the same time."""
        ends = [(visit.left or float("inf"), -1) for visit in self.log]
        events = sorted([*ends, *((visit.came, 1) for visit in self.log)])
        return max(itertools.accumulate(step for _, step in events), default=0)

    # For the handler

    def _came(self, visit: Visit) -> None:
        with self._changed:
            self.log.append(visit)
            self._changed.notify_all()

    def _answer(self, visit: Visit) -> Reply:
        nowhere = Reply("no rules", 404) if _robots(visit) else self.otherwise
        page = self.pages.get(visit.path, nowhere)
        answer = page(visit) if callable(page) else page
        return answer if isinstance(answer, Reply) else Reply(answer)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def server_bind(self) -> None:
        stamp_arrivals(self.socket)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of clients that are killed, which is usual here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    site: Site

    came = 0.0

    def setup(self) -> None:
        super().setup()
        self.site._open.add(self.connection)
        self.site.connections += 1
        self.number = self.site.connections

    def finish(self) -> None:
        self.site._open.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the site keeps its own log."""

    def handle_one_request(self) -> None:
        self.came = arrival(self.connection)
        super().handle_one_request()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = (self.command, self.path, self.headers, body)
        visit = Visit(next(self.site._ids), *request, self.number, self.came or time.monotonic())
        self.site._came(visit)
        try:
            reply = self.site._answer(visit)
        except AssertionError as error:  # which the client sees as a broken connection
            self.site.wrong.append(error)
            raise
        finally:
            visit.left = time.monotonic()  # before anything is sent: nobody can be quicker
        if reply.raw is not None:
            self.close_connection = True
            reply.raw(self.connection)
        else:
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        body = reply.body.encode() if isinstance(reply.body, str) else reply.body
        named = {name.lower() for name, _ in reply.headers}
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if "content-type" not in named:
            self.send_header("Content-Type", "text/html; charset=utf-8")
        if "content-length" not in named and reply.status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _serve  # noqa: N815


def stamp_arrivals(listener: socket.socket) -> None:
    """Let the kernel note when it receives something for connections of ``listener``."""
    if _SO_TIMESTAMPNS is not None:
        listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def arrival(connection: socket.socket) -> float:
    """Wait for a request, and return when the kernel received it; 0 where it does not say."""
    if _SO_TIMESTAMPNS is None or isinstance(connection, ssl.SSLSocket):
        return 0.0
    with contextlib.suppress(OSError):
        for _, kind, stamp in connection.recvmsg(1, 64, socket.MSG_PEEK)[1]:
            if kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _STAMP.unpack(stamp)
                age: float = time.time() - seconds - nanoseconds / 1e9
                return time.monotonic() - age
    return 0.0


def _robots(visit: Visit) -> bool:
    return visit.path == "/robots.txt"


@contextlib.contextmanager
def closed_port(port: int = 0, address: str = "127.0.0.1") -> Iterator[int]:
    """Hold a port at which nothing listens, so that nothing else gets it meanwhile."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((address, port))
        yield held.getsockname()[1]


def links(*targets: str) -> str:
    """A page with links."""
    anchors = "".join(f'<a href="{target}">x</a>\n' for target in targets)
    return f"<html><body>\n{anchors}</body></html>"


def redirect(to: str, status: int = 302, *headers: tuple[str, str]) -> Reply:
    """A redirect; it has a body, as most have."""
    return Reply(f"see {to}", status, (("Location", to), *headers))


def web(sites: Iterable[Site], pages: int) -> set[str]:
    """Make ``sites`` into one web of ``pages`` pages each, densely linked; returns its URLs.

    Page ``n`` links to its successors ``2n+1`` and ``2n+2``, to pages all over the web, to itself
    and to pages that others have spelt in another way. Only the first page of the first site
    need be known.
    """
    known = list(sites)
    urls = {f"{site.url}/{n}" for site in known for n in range(pages)}

    def page(visit: Visit) -> Reply | str:
        number = visit.path.partition("?")[0].lstrip("/")
        if not number.isdigit() or int(number) >= pages:
            return Reply("not found", 404)
        n = int(number)
        here = [k for k in (2 * n + 1, 2 * n + 2) if k < pages]
        there = [f"{site.url}/{k}#there" for site in known for k in (n, (n * 7 + 3) % pages)]
        return links(
            *(f"/{k}" for k in here), *there, f"./{n}", f"/{n}#top", f"/x/../{(n + 5) % pages}"
        )

    for site in known:
        site.otherwise = page
    return urls
