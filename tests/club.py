"""A small fast site whose pages are for members only, in a process of its own.

It counts its connections, requests and logins. ``python -m tests.club [CERT KEY]`` serves until
its standard input ends, and says its port; ``Club`` is that as a context manager.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from tests.tls import Pair

PAGES = 1_000_000
FILL = "<p>Members read of herons, moles and lanterns here.</p>\n" * 30


class Counts(msgspec.Struct):
    """What the site has had; robots.txt and the question for these counts are left out."""

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
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.club", str(self.pages), *files],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
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


class _Connection(asyncio.Protocol):
    pages: int
    counts: Counts

    def __init__(self) -> None:
        self._data = b""
        self._is_counted = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:  # no request here has a body
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            self._transport.write(self._answer(head))

    def _answer(self, head: bytes) -> bytes:
        path = head.split(b" ", 2)[1].decode()
        if path == "/robots.txt":
            return _reply("404 Not Found", "")
        if not self._is_counted:
            self._is_counted = True
            self.counts.connections += 1
        if path == "/login":
            self.counts.logins += 1
            return _reply("200 OK", "in", "Set-Cookie: member=yes; Path=/; HttpOnly\r\n")
        if b"member=yes" not in head:
            self.counts.refused += 1
            return _reply("401 Unauthorized", "log in")
        self.counts.pages += 1
        number = int(path[1:])
        below = range(10 * number + 1, min(10 * number + 11, self.pages))
        links = "".join(f'<a href="/{n}">{n}</a>\n' for n in below)
        return _reply("200 OK", f"<title>{number}</title>\n{FILL}{links}")


def _reply(status: str, body: str, headers: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n{body}"
    ).encode()


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
