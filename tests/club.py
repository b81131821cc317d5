"""A small fast site whose pages are for members only, in a process of its own.

It counts its connections, requests and logins. ``python -m tests.club [CERT KEY]`` serves until
its standard input ends, and says its port; ``Club`` is that as a context manager.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from dataclasses import dataclass
from typing import Self

import msgspec

from tests import wire
from tests.tls import Pair

PAGES = 1_000_000
FILL = "<p>Members read of herons, moles and lanterns here.</p>\n" * 30


class Counts(msgspec.Struct):
    """The requests of the site, without robots.txt and requests for these counts."""

    connections: int = 0
    """Over which at least one page or login was asked for."""
    pages: int = 0
    logins: int = 0
    refused: int = 0


@dataclass
class Club:
    """The site, with ``pages`` pages in a tree below ``/0``; over HTTPS with a ``pair``."""

    pages: int = PAGES
    pair: Pair | None = None

    def __enter__(self) -> Self:
        files = [str(self.pair.cert), str(self.pair.key)] if self.pair else []
        self._process, self.port = wire.start("tests.club", str(self.pages), *files)
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate(timeout=20)

    @property
    def url(self) -> str:
        """The origin."""
        return f"{'https' if self.pair else 'http'}://127.0.0.1:{self.port}"

    @property
    def counts(self) -> Counts:
        """Ask for the counts, and set them back."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=Counts)


class _Connection(wire.Conversation):
    pages: int
    counts: Counts
    _is_counted = False

    def answer(self, method: str, path: str, head: bytes, body: bytes) -> None:
        self.transport.write(self._page(path, head))

    def _page(self, path: str, head: bytes) -> bytes:
        if path == "/robots.txt":
            return wire.reply("404 Not Found")
        if not self._is_counted:
            self._is_counted = True
            self.counts.connections += 1
        if path == "/login":
            self.counts.logins += 1
            return wire.reply("200 OK", "in", "Set-Cookie: member=yes; Path=/; HttpOnly")
        if b"member=yes" not in head:
            self.counts.refused += 1
            return wire.reply("401 Unauthorized", "log in")
        self.counts.pages += 1
        number = int(path[1:])
        below = range(10 * number + 1, min(10 * number + 11, self.pages))
        links = "".join(f'<a href="/{n}">{n}</a>\n' for n in below)
        return wire.reply("200 OK", f"<title>{number}</title>\n{FILL}{links}")


async def _serve(pages: int, cert: str = "", key: str = "") -> None:
    _Connection.pages, _Connection.counts = pages, Counts()
    context = None
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, ssl=context, backlog=128)
    print(server.sockets[0].getsockname()[1], flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        counts = msgspec.structs.asdict(_Connection.counts)
        _Connection.counts = Counts()
        print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), *sys.argv[2:]))
