"""The site of the crash machine: many webs on one port of several addresses, in its own process.

``python -m tests.faults.site FILE`` serves until its standard input ends, and says its port. A line
with a web's name is answered with what that web has had. How many requests each crawl has made so
far stands in ``FILE``, where it can be read at any time without asking.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import random
import re
import struct
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from tests import wire
from tests.faults.visits import ADDRESSES, Had, State, Visit, origin
from tests.faults.web import Web

MOST_CRAWLS = 4096
"""Crawls that one site can count."""

_COUNT = struct.Struct("q")
_COOKIE = re.compile(rb"\r\ncookie:[^\r]*?\b(sid|key)=([^;\r\s]+)", re.IGNORECASE)


@dataclass
class Site:
    """The server, as a context manager; ``folder`` takes the file of its counts."""

    folder: Path

    def __enter__(self) -> Self:
        file = self.folder / "counts"
        file.write_bytes(bytes(_COUNT.size * MOST_CRAWLS))
        self._process, self.port = wire.start("tests.faults.site", str(file))
        self._counts = _mapped(file)
        self._asking = threading.Lock()
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate(timeout=20)
        self._counts.close()

    def origin(self, host: int) -> str:
        """The origin of a host, by its number."""
        return origin(host, self.port)

    def requests(self, web: Web) -> int:
        """The number of requests that a crawl has made so far."""
        return int(_COUNT.unpack_from(self._counts, _COUNT.size * web.crawl)[0])

    def had(self, web: Web) -> Had:
        """Return the requests to a web, and clear them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._asking:
            self._process.stdin.write(f"{web.name}\n")
            self._process.stdin.flush()
            return msgspec.json.decode(self._process.stdout.readline(), type=Had)


def _mapped(file: Path) -> mmap.mmap:
    with file.open("r+b") as opened:
        return mmap.mmap(opened.fileno(), 0)


class _Server:
    def __init__(self, counts: mmap.mmap) -> None:
        self.port = 0
        self._counts = counts
        self._states: dict[str, State] = {}

    def state(self, name: str) -> State | None:
        if name not in self._states:
            try:
                self._states[name] = State(Web.named(name))
            except ValueError:
                return None
        return self._states[name]

    def count(self, state: State) -> None:
        state.had.requests += 1
        _COUNT.pack_into(self._counts, _COUNT.size * state.web.crawl, state.had.requests)

    def forget(self, name: str) -> Had:
        state = self._states.pop(name, None)
        return Had() if state is None else state.had


class _Connection(wire.Conversation):
    server: _Server

    def answer(self, method: str, path: str, head: bytes, body: bytes) -> None:
        _, name, *rest = path.partition("?")[0].split("/")
        state = self.server.state(name)
        if state is None or len(rest) not in {1, 2}:
            self.transport.write(wire.reply("404 Not Found"))
            return
        self.server.count(state)
        host = ADDRESSES.index(self.transport.get_extra_info("sockname")[0])
        cookies = dict(_COOKIE.findall(head))
        visit = Visit(self.transport, self.server.port, state, host, method, cookies, head)
        # `p` may come as `%70`, which is the same.
        visit.answer(rest[0].replace("%70", "p"), rest[1] if rest[1:] else "", body)


async def _serve(file: Path) -> None:
    server = _Connection.server = _Server(_mapped(file))
    loop = asyncio.get_running_loop()
    while not server.port:
        port = random.randint(20_000, 32_000)  # below those that clients get
        listening: list[asyncio.Server] = []
        try:
            for address in ADDRESSES:
                one = await loop.create_server(_Connection, address, port, backlog=256)
                listening.append(one)
            server.port = port
        except OSError:  # somebody has it at one of the addresses
            for one in listening:
                one.close()
    print(server.port, flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        had = server.forget(line.strip())
        print(msgspec.json.encode(had).decode(), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Path(sys.argv[1])))
