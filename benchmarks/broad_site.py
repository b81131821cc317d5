"""Serve many hosts for a broad crawl, and check how politely the crawler asks them.

Each host has its own address, from 127.1.0.1 on: Linux answers on all of 127.0.0.0/8, so this
needs neither root nor lines in ``/etc/hosts``. One process serves them all on one port:
``python -m benchmarks.broad_site``. It is one thread around epoll, for it shares the cores with the
crawler that it must not hold up. The address 127.0.0.1 reports what the hosts have seen.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import select
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.measure import Traffic
from tests.tls import Authority

HOSTS = 200
PAGES = 100
"""Pages of each host."""
SIZE = 12_000
"""Bytes of a page."""
LATENCY = 0.05
"""Seconds until a response is sent."""
DELAY = 0.25
"""Seconds that a crawler must leave between two requests to a host."""
TOLERANCE = 0.001
"""Seconds by which a request may be early: the crawler has another clock."""
NAMES = 100
"""Hosts that share a certificate, as at a content delivery network."""

_NEXT = 10
"""The number of following pages of its host that a page links to."""
_WORD = "A broad crawl asks many hosts, each of them seldom. "
_CONTROL = "127.0.0.1"
_SEND_BUFFER = 1 << 18
"""Bytes of the socket's buffer, so that a response goes out in one call."""
_STALLED = 10.0
"""Seconds until a client that reads nothing is dropped."""


@dataclass(frozen=True, slots=True)
class BroadSite:
    """All hosts, while the process ``server`` serves them."""

    hosts: int
    port: int
    server: int
    delay: float
    bundle: str = ""
    """The file of the authority that has signed the certificates; empty for plain HTTP."""

    @property
    def name(self) -> str:
        """The name for messages."""
        return f"{self.hosts:,} hosts"

    @property
    def seeds(self) -> list[str]:
        """The first page of every host; the others are reachable from it."""
        scheme = "https" if self.bundle else "http"
        return [f"{scheme}://{address(n)}:{self.port}/0.html" for n in range(self.hosts)]

    @property
    def arguments(self) -> Mapping[str, str]:
        """The arguments of a spider of ours."""
        return {"bundle": self.bundle} if self.bundle else {}

    def watch(self) -> Callable[[], Traffic]:
        """Start observing; the returned function reports the traffic since."""
        self._report()
        return self._report

    def _report(self) -> Traffic:
        with urllib.request.urlopen(f"http://{_CONTROL}:{self.port}/report") as response:
            return msgspec.json.decode(response.read(), type=Traffic)


def address(host: int) -> str:
    """Return the address of a host."""
    return f"127.{1 + host // 62_500}.{host // 250 % 250}.{host % 250 + 1}"


def number(address: str) -> int:
    """Return the number of the host with an address."""
    _, first, second, third = map(int, address.split("."))
    return (first - 1) * 62_500 + second * 250 + third - 1


@contextmanager
def serve(
    pages: int = PAGES,
    latency: float = LATENCY,
    *,
    hosts: int = HOSTS,
    delay: float = DELAY,
    is_https: bool = False,
) -> Iterator[BroadSite]:
    """Serve ``pages`` pages at each host until the block ends."""
    with TemporaryDirectory(prefix="benchmark-hosts-") as folder:
        bundle = _issue(Path(folder), hosts) if is_https else ""
        command = [
            *(sys.executable, "-m", "benchmarks.broad_site", str(pages)),
            *("--latency", str(latency), "--delay", str(delay)),
            *(("--certificates", folder) if is_https else ()),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                yield BroadSite(hosts, int(server.stdout.readline()), server.pid, delay, bundle)
            finally:
                server.terminate()


def _issue(folder: Path, hosts: int) -> str:
    """Issue a certificate for each hundred hosts, and return the file of the authority."""
    authority = Authority(folder)
    for first in range(0, hosts, NAMES):
        addresses = [address(host) for host in range(first, min(first + NAMES, hosts))]
        authority.issue(f"hosts-{first // NAMES}", addresses=addresses)
    return str(authority.bundle)


# What the server sees


@dataclass
class Visit:
    """The requests of one crawl: when the last one of each host arrived, which are unanswered."""

    delay: float = DELAY
    connections: int = 0
    handshakes: int = 0
    pages: set[tuple[str, str]] = field(default_factory=set)
    """Host and path of each page that was sent."""
    _times: array[float] = field(default_factory=lambda: array("d"))
    """When each request was noticed."""
    _arrived_after: dict[str, float] = field(default_factory=dict)
    _unanswered: Counter[str] = field(default_factory=Counter)
    _early: int = 0
    _least_gap: float = 60.0

    def add_request(self, host: str, since: float, now: float) -> None:
        """Count a request that is noticed now, and arrived at some time after ``since``.

        It is early if the previous request to its host is unanswered, or cannot have arrived at
        least the delay, less the tolerance, before it.
        """
        gap = now - self._arrived_after.get(host, 0.0)
        self._early += gap < self.delay - TOLERANCE or self._unanswered[host] > 0
        self._least_gap = min(self._least_gap, gap)
        self._times.append(now)
        self._arrived_after[host] = since
        self._unanswered[host] += 1

    def add_answer(self, host: str) -> None:
        """Count the response to a request as sent."""
        self._unanswered[host] -= 1

    def traffic(self) -> Traffic:
        """Return the figures of the visit."""
        times = self._times
        return Traffic(
            pages=len(self.pages),
            requests=len(times),
            connections=self.connections,
            first=times[0] if times else 0.0,
            last=times[-1] if times else 0.0,
            early=self._early,
            least_gap=self._least_gap,
            handshakes=self.handshakes,
            tenths=_rates_of_tenths(times),
        )


def _rates_of_tenths(times: array[float]) -> list[float]:
    """Return the requests per second in each tenth of the requests; none if they are too few."""
    size = max(len(times) - 1, 0) // 10
    if not size:
        return []
    marks = [times[n * size] for n in range(11)]
    return [size / max(end - start, 1e-6) for start, end in pairwise(marks)]


# The server


class Site:
    """All hosts: their pages, and the visit of the crawler."""

    def __init__(self, pages: int, latency: float, delay: float = DELAY) -> None:
        self.latency = latency
        self.delay = delay
        self.visit = Visit(delay)
        self._pages = pages

    def answer(self, host: str, path: str) -> bytes:
        """Return the response to a request whose latency is over."""
        self.visit.add_answer(host)
        name = path[1:].removesuffix(".html")
        if not name.isdecimal() or int(name) >= self._pages:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        self.visit.pages.add((host, path))
        return _page(int(name), self._pages)

    def report(self) -> bytes:
        """Return the visit so far as a response, and begin a new visit."""
        visit, self.visit = self.visit, Visit(self.delay)
        return _http("application/json", msgspec.json.encode(visit.traffic()))


@lru_cache(1000)
def _page(page: int, pages: int) -> bytes:
    """Return a response of ``SIZE`` bytes that links to the pages before and after it."""
    near = range(max(0, page - 3), min(pages, page + _NEXT + 1))
    links = "".join(f'<li><a href="/{other}.html">Page {other}</a></li>' for other in near)
    text = (
        f"<!DOCTYPE html><html><head><title>Page {page} of a host</title></head><body>"
        f"<h1>Page {page}</h1><ul>{links}</ul><h2>Why</h2><h2>How</h2>"
    )
    paragraph = f"<p>{_WORD * 10}</p>"
    count, rest = divmod(SIZE - len(text) - 21, len(paragraph))
    filler = paragraph * count + f"<p>{'.' * max(0, rest - 7)}</p>"
    return _http("text/html; charset=utf-8", f"{text}{filler}</body></html>".encode())


def _http(kind: str, body: bytes) -> bytes:
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Connection:
    """One connection; the address that it was made to tells the host."""

    __slots__ = ("buffer", "host", "is_new", "is_shaking_hands", "socket")

    def __init__(self, socket: socket.socket, host: str, *, is_shaking_hands: bool) -> None:
        self.socket = socket
        self.host = host
        self.is_shaking_hands = is_shaking_hands
        self.is_new = True
        self.buffer = b""

    def receive(self) -> bytes | None:
        """Return what has come: None for nothing yet, no bytes at the end."""
        try:
            return self.socket.recv(65_536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:
            return b""

    def send(self, data: bytes) -> None:
        """Send a response, which the socket's buffer has room for unless the client stalls."""
        with contextlib.suppress(OSError):
            try:
                sent = self.socket.send(data)
            except (BlockingIOError, ssl.SSLWantWriteError):
                sent = 0
            if sent < len(data):
                self.socket.settimeout(_STALLED)
                self.socket.sendall(data[sent:])
                self.socket.setblocking(False)


class Server:
    """Serves all hosts in one thread.

    Data that one poll returns arrived after the poll before it, however long this process waited
    for a core in between: so late notice makes no request seem early.
    """

    def __init__(self, site: Site, listener: socket.socket, certificates: Path | None) -> None:
        self._site = site
        self._listener = listener
        self._certificates = certificates
        self._contexts: dict[int, ssl.SSLContext] = {}
        self._connections: dict[int, Connection] = {}
        self._unanswered: deque[tuple[float, Connection, str]] = deque()
        """The time at which each request is to be answered."""
        self._polled = deque([0.0] * 3, 3)
        """The times of the last polls."""
        self._poll = select.epoll()
        self._poll.register(listener, select.EPOLLIN)

    def run(self) -> None:
        """Serve until the process ends."""
        listener = self._listener.fileno()
        while True:
            due = self._unanswered[0][0] if self._unanswered else None
            timeout = None if due is None else max(0.0, due - time.time())
            events = self._poll.poll(timeout, 100_000)
            self._polled.append(time.time())
            for handle, _ in events:
                if handle == listener:
                    self._accept()
                else:
                    self._read(self._connections[handle])
            self._answer(time.time())

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted, _ = self._listener.accept()
                accepted.setblocking(False)
                host = accepted.getsockname()[0]
                is_secure = self._certificates is not None and host != _CONTROL
                self._site.visit.connections += host != _CONTROL
                if is_secure:
                    accepted = self._context(number(host) // NAMES).wrap_socket(
                        accepted, server_side=True, do_handshake_on_connect=False
                    )
                connection = Connection(accepted, host, is_shaking_hands=is_secure)
                self._connections[accepted.fileno()] = connection
                self._poll.register(accepted, select.EPOLLIN)

    def _context(self, group: int) -> ssl.SSLContext:
        """Return the context for a group of hosts, with their certificate."""
        context = self._contexts.get(group)
        if context is None:
            assert self._certificates is not None
            context = self._contexts[group] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            name = f"hosts-{group}"
            context.load_cert_chain(
                self._certificates / f"{name}.pem", self._certificates / f"{name}-key.pem"
            )
        return context

    def _read(self, connection: Connection) -> None:
        if connection.is_shaking_hands and not self._has_shaken_hands(connection):
            return
        while data := connection.receive():
            connection.buffer += data
            while b"\r\n\r\n" in connection.buffer:
                head, _, connection.buffer = connection.buffer.partition(b"\r\n\r\n")
                self._take(connection, head.split(b" ", 2)[1].decode("ascii", "replace"))
            if len(data) < 65_536 and self._certificates is None:
                return
        if data is not None:
            self._close(connection)

    def _has_shaken_hands(self, connection: Connection) -> bool:
        assert isinstance(connection.socket, ssl.SSLSocket)
        try:
            connection.socket.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except OSError:
            self._close(connection)
            return False
        self._site.visit.handshakes += 1
        connection.is_shaking_hands = False
        return True

    def _take(self, connection: Connection, path: str) -> None:
        if connection.host == _CONTROL:
            connection.send(self._site.report())
            return
        # A new connection was accepted in one turn and registered for the next.
        since = self._polled[0 if connection.is_new else -2]
        connection.is_new = False
        now = time.time()
        self._site.visit.add_request(connection.host, since, now)
        self._unanswered.append((now + self._site.latency, connection, path))

    def _answer(self, now: float) -> None:
        while self._unanswered and self._unanswered[0][0] <= now:
            _, connection, path = self._unanswered.popleft()
            connection.send(self._site.answer(connection.host, path))

    def _close(self, connection: Connection) -> None:
        self._poll.unregister(connection.socket)
        del self._connections[connection.socket.fileno()]
        connection.socket.close()


def _listener() -> socket.socket:
    """Listen at every address of the loopback, and at no other one."""
    listener = socket.socket()
    with contextlib.suppress(PermissionError):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    listener.bind(("0.0.0.0", 0))
    listener.listen(4096)
    listener.setblocking(False)
    return listener


def main() -> None:
    """Print the port, and serve until the process ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.broad_site", description=__doc__)
    parser.add_argument("pages", type=int, nargs="?", default=PAGES, help="of each host")
    parser.add_argument("--latency", type=float, default=LATENCY, help="seconds")
    parser.add_argument("--delay", type=float, default=DELAY, help="seconds between two requests")
    parser.add_argument("--certificates", type=Path, help="the folder of the hosts' certificates")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    listener = _listener()
    print(listener.getsockname()[1], flush=True)
    site = Site(options.pages, options.latency, options.delay)
    Server(site, listener, options.certificates).run()


if __name__ == "__main__":
    main()
