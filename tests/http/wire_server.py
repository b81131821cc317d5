"""Servers that answer with given bytes, a port for each answer, and proxies of raw bytes."""

from __future__ import annotations

import contextlib
import itertools
import re
import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from tests.sites import PATIENCE

AFTER = b"<title>after</title>"
FORM = b'<title>form</title><form method="post" action="%s"><input name="a" value="1"></form>'
_LENGTH = re.compile(rb"^content-length: *(\d+)", re.I | re.M)


@dataclass(frozen=True)
class Row:
    """An answer, and what is right. ``then`` follows its bytes: keep, close, reset or stall.

    Of the ``headers`` that are right, None is one that must be missing. ``cause`` is that of the
    failure; ``goes_to`` is where a redirect leads. ``kind`` and ``encoding`` are those of the page.
    ``seconds`` is the time limit of a pause, and ``limit`` that of the whole; ``pause`` is between
    two blocks of the answer.
    """

    name: str
    answer: bytes | Iterable[bytes]
    status: int = 200
    body: bytes = b""
    headers: dict[str, str | None] = field(default_factory=dict)
    cause: str = ""
    then: str = "keep"
    goes_to: str = ""
    seconds: float = 0.0
    limit: float = 0.0
    pause: float = 0.0
    kind: str = ""
    encoding: str = ""
    reason: str = ""


@dataclass
class Asked:
    """A request as it came. ``connection`` counts those of its host."""

    line: str
    head: bytes
    body: bytes
    connection: int

    @property
    def target(self) -> str:
        """The second word of the request."""
        return self.line.split(" ")[1]


def ok(body: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a normal answer."""
    head = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *lines]
    if not any(line.lower().startswith(b"content-type") for line in lines):
        head.append(b"Content-Type: text/html; charset=utf-8")
    return b"\r\n".join([*head, b"", body])


class Host:
    """A port at which ``/row`` is answered as ``row`` says, and other paths normally.

    ``/digest`` asks for Digest authentication first. ``/form`` has a form for ``/row``. With
    ``is_robots``, its robots.txt is answered as ``row`` says too.
    """

    def __init__(
        self,
        row: Row,
        context: ssl.SSLContext | None = None,
        address: str = "127.0.0.1",
        *,
        is_robots: bool = False,
    ) -> None:
        self.is_robots = is_robots
        self.row = row
        self.context = context
        self.asked: list[Asked] = []
        self.connections = 0
        self.listener = socket.create_server((address, 0), backlog=64)
        scheme = "https" if context else "http"
        self.url = f"{scheme}://{address}:{self.listener.getsockname()[1]}"

    def targets(self) -> list[str]:
        """Return the targets of the requests, without robots.txt."""
        return [asked.target for asked in self.asked if asked.target != "/robots.txt"]

    def serve(self, connection: socket.socket) -> None:
        """Answer what comes over ``connection``."""
        self.connections += 1
        number = self.connections
        connection.settimeout(PATIENCE)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
                stack.enter_context(connection)
            reader = stack.enter_context(connection.makefile("rb"))
            while asked := read_request(reader, number):
                self.asked.append(asked)
                if not self._answer(connection, asked):
                    return

    def _answer(self, connection: socket.socket, asked: Asked) -> bool:
        """Answer a request; return False if the connection is to be closed."""
        path = re.sub(r"^https?://[^/]*", "", asked.target)
        if path == "/digest" and b"authorization: digest" not in asked.head.lower():
            challenge = b'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'
            connection.sendall(ok(b"", challenge, status=b"401 Unauthorized"))
        elif path.startswith(("/row", "/digest")) or (self.is_robots and path == "/robots.txt"):
            return self._answer_row(connection)
        elif path == "/form":
            connection.sendall(ok(FORM % b"/row"))
        elif path == "/robots.txt":
            connection.sendall(ok(b"", status=b"404 Not Found"))
        else:
            connection.sendall(ok(AFTER))
        return True

    def _answer_row(self, connection: socket.socket) -> bool:
        answer, then = self.row.answer, self.row.then
        for block in (answer,) if isinstance(answer, bytes) else answer:
            connection.sendall(block)
            time.sleep(self.row.pause)
        if then == "stall":
            connection.recv(1)  # until the client gives up
        elif then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return then == "keep"


def read_request(reader: Any, number: int) -> Asked | None:
    """Return the next request; None at the end of the connection."""
    lines = list(itertools.takewhile(lambda line: line.strip(), iter(reader.readline, b"")))
    if not lines:
        return None
    head = b"".join(lines)
    length = _LENGTH.search(head)
    body = reader.read(int(length[1])) if length else b""
    return Asked(lines[0].decode("latin-1").strip(), head, body, number)


class Wire:
    """Hosts that listen, as a context manager; ``serve`` is called in a thread a connection."""

    def __init__(self, *hosts: Any) -> None:
        self._hosts = hosts
        self._selector = selectors.DefaultSelector()
        self._open: set[socket.socket] = set()
        self._near, self._far = socket.socketpair()

    def __enter__(self) -> Self:
        for host in self._hosts:
            self._selector.register(host.listener, selectors.EVENT_READ, host)
        self._selector.register(self._far, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._near.close()
        self._thread.join()
        self._far.close()
        self._selector.close()
        for host in self._hosts:
            host.listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                connection, _ = key.fileobj.accept()  # type: ignore[union-attr]
                self._open.add(connection)
                threading.Thread(target=self._serve, args=(key.data, connection)).start()

    def _serve(self, host: Any, connection: socket.socket) -> None:
        try:
            host.serve(connection)
        finally:
            self._open.discard(connection)
            connection.close()


class RawProxy:
    """A proxy that passes the bytes of an answer on as they are.

    ``kind`` is http (absolute targets and CONNECT) or socks5h. ``targets`` are those that it was
    asked to connect to.
    """

    def __init__(self, kind: str = "http") -> None:
        self.kind = kind
        self.targets: list[tuple[str, int]] = []
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"{kind}://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self, connection: socket.socket) -> None:
        """Connect ``connection`` to where its first bytes say."""
        self.connections += 1
        connection.settimeout(PATIENCE)
        with contextlib.suppress(OSError):
            if self.kind == "http":
                host, port, first = self._http(connection)
            else:
                host, port, first = self._socks(connection)
            self.targets.append((host, port))
            with socket.create_connection((host, port)) as server:
                if not first and self.kind == "http":
                    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                server.sendall(first)
                pump(connection, server)

    def _http(self, connection: socket.socket) -> tuple[str, int, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        method, target, rest = data.split(b" ", 2)
        if method == b"CONNECT":
            host, _, port = target.decode().rpartition(":")
            return host, int(port), b""
        place, slash, path = target.removeprefix(b"http://").partition(b"/")
        host, _, port = place.decode().partition(":")
        return host, int(port or 80), b" ".join([method, slash + path, rest])

    def _socks(self, connection: socket.socket) -> tuple[str, int, bytes]:
        _, count = connection.recv(2)
        connection.recv(count)
        connection.sendall(b"\x05\x00")
        kind = connection.recv(4)[3]
        if kind == 3:
            host = connection.recv(connection.recv(1)[0]).decode()
        else:
            host = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6,
                                    connection.recv(4 if kind == 1 else 16))  # fmt: skip
        port = int.from_bytes(connection.recv(2), "big")
        connection.sendall(b"\x05\x00\x00\x01\0\0\0\0\0\0")
        return host, port, b""


def pump(client: socket.socket, server: socket.socket) -> None:
    """Carry bytes both ways until either side ends; a reset is passed on."""
    ways = {client: server, server: client}
    with selectors.DefaultSelector() as selector:
        for way in ways:
            selector.register(way, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select(PATIENCE):
                source: Any = key.fileobj
                try:
                    data = source.recv(65536)
                except ConnectionResetError:
                    linger = struct.pack("ii", 1, 0)
                    ways[source].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return
                if not data:
                    return
                ways[source].sendall(data)


@contextlib.contextmanager
def hosts_of(
    rows: Iterable[Row], context: ssl.SSLContext | None = None, *, is_robots: bool = False
) -> Iterator[list[Host]]:
    """Serve ``rows``, each at an address of its own."""
    hosts = [
        Host(row, context, f"127.0.{1 + n // 250}.{1 + n % 250}", is_robots=is_robots)
        for n, row in enumerate(rows)
    ]
    with Wire(*hosts):
        yield hosts
