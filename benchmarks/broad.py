"""A site of 200 hosts for a broad crawl, which watches how polite its visitor is.

Each host is an address of its own, 127.1.0.1 and those after it: Linux answers on all of
127.0.0.0/8, so neither root nor a line in ``/etc/hosts`` is needed. All are served by one
process, on one port: ``python -m benchmarks.broad``.
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

from benchmarks.measure import Seen

HOSTS = 200
PAGES = 100
"""Pages of each host."""
SIZE = 12_000
"""Bytes of a page."""
LATENCY = 0.05
"""Seconds until an answer is sent."""
DELAY = 0.25
"""Seconds that a visitor must leave between two requests to a host."""
TOLERANCE = 0.001
"""Seconds that a request may come too early: those who ask have other clocks."""

_NEXT = 10
"""Further pages of its host that a page links to."""
_WORD = "A broad crawl asks many hosts, each of them seldom. "


@dataclass(frozen=True, slots=True)
class Broad:
    """The hosts while they are being served, by the process ``server``."""

    name: str
    port: int
    server: int
    delay: float = DELAY

    @property
    def seeds(self) -> list[str]:
        """The first page of every host; the others can be reached from it."""
        return [f"http://{address(number)}:{self.port}/0.html" for number in range(HOSTS)]

    def watch(self) -> Callable[[], Seen]:
        """Begin to look; the function that this returns tells what was seen."""
        self._report()
        return self._report

    def _report(self) -> Seen:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/report") as response:
            return msgspec.json.decode(response.read(), type=Seen)


def address(host: int) -> str:
    """Where a host listens."""
    return f"127.1.{host // 250}.{host % 250 + 1}"


@contextmanager
def serve(pages: int = PAGES, latency: float = LATENCY) -> Iterator[Broad]:
    """Serve ``pages`` pages at each host until the block ends."""
    command = [sys.executable, "-m", "benchmarks.broad", str(pages), "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield Broad(f"{HOSTS} hosts", int(server.stdout.readline()), server.pid)
        finally:
            server.terminate()


class Visit:
    """What is seen of one visitor: after when each host's last request came, what it waits for."""

    def __init__(self) -> None:
        self.connections = 0
        self.found: set[tuple[str, str]] = set()
        self._after: dict[str, float] = {}
        self._waiting: Counter[str] = Counter()
        self._requests = self._early = 0
        self._first = self._last = 0.0
        self._least_gap = 60.0

    def asked(self, host: str, since: float, now: float) -> None:
        """A request is seen now, and has come at some time after ``since``.

        It is early if the last one of its host cannot have come as long before it as the delay
        less the tolerance, or is not answered yet.
        """
        gap = now - self._after.get(host, 0.0)
        self._early += gap < DELAY - TOLERANCE or self._waiting[host] > 0
        self._least_gap = min(self._least_gap, gap)
        self._requests += 1
        self._first, self._last = self._first or now, now
        self._after[host] = since
        self._waiting[host] += 1

    def answered(self, host: str) -> None:
        """A request is answered now."""
        self._waiting[host] -= 1

    def seen(self) -> Seen:
        """All of it."""
        counts = len(self.found), self._requests, self.connections
        return Seen(*counts, self._first, self._last, self._early, self._least_gap)


class Site:
    """All hosts: their pages, and who visits them."""

    def __init__(self, pages: int, latency: float) -> None:
        self.latency = latency
        self.visit = Visit()
        self._pages = pages

    def answer(self, host: str, path: str) -> bytes:
        """The answer, when its time has come."""
        self.visit.answered(host)
        name = path[1:].removesuffix(".html")
        if not name.isdecimal() or int(name) >= self._pages:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        self.visit.found.add((host, path))
        return _http("text/html; charset=utf-8", self._page(host, int(name)))

    def report(self) -> bytes:
        """The visit so far; another one begins."""
        visit, self.visit = self.visit, Visit()
        return _http("application/json", msgspec.json.encode(visit.seen()))

    def _page(self, host: str, number: int) -> bytes:
        """A page of ``SIZE`` bytes, with links to the next pages and to those around it."""
        near = range(max(0, number - 3), min(self._pages, number + _NEXT + 1))
        links = "".join(f'<li><a href="/{one}.html">Page {one}</a></li>' for one in near)
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


class Looks(selectors.DefaultSelector):
    """Knows when the event loop has looked for what has come.

    What a look shows has come after the look before it, however long this process had to wait
    for a core in between.
    """

    _ACCEPTING = 6
    """Looks from one that does not show a new connection yet to the one that shows its request:
    asyncio takes three rounds until it reads from a connection."""

    def __init__(self) -> None:
        super().__init__()
        self._times = deque([0.0] * self._ACCEPTING, self._ACCEPTING)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As every selector does."""
        found = super().select(timeout)
        self._times.append(time.time())
        return found

    def before(self, *, accepting: bool) -> float:
        """When what the last look shows had not come yet; ``accepting`` when it is the first
        that comes over a connection."""
        return self._times[0 if accepting else -2]


class Connection(asyncio.Protocol):
    """One connection; the address that it was made to says which host is asked."""

    def __init__(self, site: Site, looks: Looks) -> None:
        self._site = site
        self._looks = looks
        self._is_new = True
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the host."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host: str = transport.get_extra_info("sockname")[0]
        if self._host != "127.0.0.1":
            self._site.visit.connections += 1

    def data_received(self, data: bytes) -> None:
        """Answer each whole request after the latency."""
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode("ascii", "replace")
            if self._host == "127.0.0.1":
                self._transport.write(self._site.report())
                continue
            since = self._looks.before(accepting=self._is_new)
            self._is_new = False
            self._site.visit.asked(self._host, since, time.time())
            asyncio.get_running_loop().call_later(self._site.latency, self._answer, path)

    def _answer(self, path: str) -> None:
        body = self._site.answer(self._host, path)
        if not self._transport.is_closing():
            self._transport.write(body)


async def _serve(site: Site, looks: Looks) -> None:
    loop = asyncio.get_running_loop()
    control = await loop.create_server(lambda: Connection(site, looks), "127.0.0.1", 0)
    port = control.sockets[0].getsockname()[1]
    hosts = [address(number) for number in range(HOSTS)]
    async with await loop.create_server(lambda: Connection(site, looks), hosts, port, backlog=1000):
        print(port, flush=True)
        await control.serve_forever()


def main() -> None:
    """Serve until the process is ended; the port is printed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.broad", description=__doc__)
    parser.add_argument("pages", type=int, nargs="?", default=PAGES, help="of each host")
    parser.add_argument("--latency", type=float, default=LATENCY, help="seconds")
    options = parser.parse_args()
    looks = Looks()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(looks)) as runner:
        runner.run(_serve(Site(options.pages, options.latency), looks))


if __name__ == "__main__":
    main()
