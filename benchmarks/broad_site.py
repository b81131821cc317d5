"""Serve 200 hosts for a broad crawl, and check how politely the crawler asks them.

Each host has its own address, from 127.1.0.1 on: Linux answers on all of 127.0.0.0/8, so this
needs neither root nor lines in ``/etc/hosts``. One process serves them all on one port:
``python -m benchmarks.broad_site``.
"""

from __future__ import annotations

import argparse
import asyncio
import selectors
import subprocess
import sys
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from benchmarks.measure import Traffic

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

_NEXT = 10
"""The number of following pages of its host that a page links to."""
_WORD = "A broad crawl asks many hosts, each of them seldom. "


@dataclass(frozen=True, slots=True)
class BroadSite:
    """All hosts, while the process ``server`` serves them."""

    name: str
    port: int
    server: int
    delay: float = DELAY

    @property
    def seeds(self) -> list[str]:
        """The first page of every host; the others are reachable from it."""
        return [f"http://{address(number)}:{self.port}/0.html" for number in range(HOSTS)]

    def watch(self) -> Callable[[], Traffic]:
        """Start observing; the returned function reports the traffic since."""
        self._report()
        return self._report

    def _report(self) -> Traffic:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/report") as response:
            return msgspec.json.decode(response.read(), type=Traffic)


def address(host: int) -> str:
    """Return the address of a host."""
    return f"127.1.{host // 250}.{host % 250 + 1}"


@contextmanager
def serve(pages: int = PAGES, latency: float = LATENCY) -> Iterator[BroadSite]:
    """Serve ``pages`` pages at each host until the block ends."""
    command = [sys.executable, "-m", "benchmarks.broad_site", str(pages), "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield BroadSite(f"{HOSTS} hosts", int(server.stdout.readline()), server.pid)
        finally:
            server.terminate()


class Visit:
    """The requests of one crawl: when the last one of each host arrived, which are unanswered."""

    def __init__(self) -> None:
        self.connections = 0
        self.pages: set[tuple[str, str]] = set()
        """Host and path of each page that was sent."""
        self._arrived_after: dict[str, float] = {}
        self._unanswered: Counter[str] = Counter()
        self._requests = self._early = 0
        self._first = self._last = 0.0
        self._least_gap = 60.0

    def add_request(self, host: str, since: float, now: float) -> None:
        """Count a request that is noticed now, and arrived at some time after ``since``.

        It is early if the previous request to its host is unanswered, or cannot have arrived at
        least the delay, less the tolerance, before it.
        """
        gap = now - self._arrived_after.get(host, 0.0)
        self._early += gap < DELAY - TOLERANCE or self._unanswered[host] > 0
        self._least_gap = min(self._least_gap, gap)
        self._requests += 1
        self._first, self._last = self._first or now, now
        self._arrived_after[host] = since
        self._unanswered[host] += 1

    def add_answer(self, host: str) -> None:
        """Count the response to a request as sent."""
        self._unanswered[host] -= 1

    def traffic(self) -> Traffic:
        """Return the figures of the visit."""
        counts = len(self.pages), self._requests, self.connections
        return Traffic(*counts, self._first, self._last, self._early, self._least_gap)


class Site:
    """All hosts: their pages, and the visit of the crawler."""

    def __init__(self, pages: int, latency: float) -> None:
        self.latency = latency
        self.visit = Visit()
        self._pages = pages

    def answer(self, host: str, path: str) -> bytes:
        """Return the response to a request whose latency is over."""
        self.visit.add_answer(host)
        name = path[1:].removesuffix(".html")
        if not name.isdecimal() or int(name) >= self._pages:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        self.visit.pages.add((host, path))
        return _http("text/html; charset=utf-8", self._page(host, int(name)))

    def report(self) -> bytes:
        """Return the visit so far as a response, and begin a new visit."""
        visit, self.visit = self.visit, Visit()
        return _http("application/json", msgspec.json.encode(visit.traffic()))

    def _page(self, host: str, number: int) -> bytes:
        """Return a page of ``SIZE`` bytes that links to the pages before and after it."""
        near = range(max(0, number - 3), min(self._pages, number + _NEXT + 1))
        links = "".join(f'<li><a href="/{page}.html">Page {page}</a></li>' for page in near)
        text = (
            f"<!DOCTYPE html><html><head><title>Page {number} of {host}</title></head><body>"
            f"<h1>Page {number}</h1><ul>{links}</ul><h2>Why</h2><h2>How</h2>"
        )
        paragraph = f"<p>{_WORD * 10}</p>"
        count, rest = divmod(SIZE - len(text) - 21, len(paragraph))
        filler = paragraph * count + f"<p>{'.' * max(0, rest - 7)}</p>"
        return f"{text}{filler}</body></html>".encode()


def _http(kind: str, body: bytes) -> bytes:
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class TimedSelector(selectors.DefaultSelector):
    """A selector that records when the event loop polled its sockets.

    Data that one poll returns arrived after the poll before it, however long this process waited
    for a core in between.
    """

    _ACCEPTING = 6
    """Polls from the last one without a new connection to the one that returns its request:
    asyncio takes three rounds until it reads from a connection."""

    def __init__(self) -> None:
        super().__init__()
        self._times = deque([0.0] * self._ACCEPTING, self._ACCEPTING)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Poll, and record the time."""
        ready = super().select(timeout)
        self._times.append(time.time())
        return ready

    def before(self, *, accepting: bool) -> float:
        """Return a time before the data of the last poll arrived.

        ``accepting`` means that the data is the first of its connection.
        """
        return self._times[0 if accepting else -2]


class Connection(asyncio.Protocol):
    """One connection; the address that it was made to tells the host."""

    def __init__(self, site: Site, selector: TimedSelector) -> None:
        self._site = site
        self._selector = selector
        self._is_new = True
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the host."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host: str = transport.get_extra_info("sockname")[0]
        if self._host != "127.0.0.1":
            self._site.visit.connections += 1

    def data_received(self, data: bytes) -> None:
        """Answer each complete request after the latency."""
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode("ascii", "replace")
            if self._host == "127.0.0.1":
                self._transport.write(self._site.report())
                continue
            since = self._selector.before(accepting=self._is_new)
            self._is_new = False
            self._site.visit.add_request(self._host, since, time.time())
            asyncio.get_running_loop().call_later(self._site.latency, self._answer, path)

    def _answer(self, path: str) -> None:
        body = self._site.answer(self._host, path)
        if not self._transport.is_closing():
            self._transport.write(body)


async def _serve(site: Site, selector: TimedSelector) -> None:
    def connection() -> Connection:
        return Connection(site, selector)

    loop = asyncio.get_running_loop()
    control = await loop.create_server(connection, "127.0.0.1", 0)
    port = control.sockets[0].getsockname()[1]
    hosts = [address(number) for number in range(HOSTS)]
    async with await loop.create_server(connection, hosts, port, backlog=1000):
        print(port, flush=True)
        await control.serve_forever()


def main() -> None:
    """Print the port, and serve until the process ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.broad_site", description=__doc__)
    parser.add_argument("pages", type=int, nargs="?", default=PAGES, help="of each host")
    parser.add_argument("--latency", type=float, default=LATENCY, help="seconds")
    options = parser.parse_args()
    selector = TimedSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(_serve(Site(options.pages, options.latency), selector))


if __name__ == "__main__":
    main()
