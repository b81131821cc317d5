"""A hostile web on loopback: each behaviour is a host with its own port."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from tests.sites import arrival, stamp_arrivals

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
BLOCK = b"x" * 65536


@dataclass
class Wire:
    """A request, and the socket for its answer."""

    sock: socket.socket
    path: str
    host: str
    web: Web
    secure: bool = False
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """The origin of the request."""
        return f"http://{self.host}"

    def send(self, data: bytes) -> bool:
        """Send bytes; return False if the client has closed the connection."""
        try:
            self.sock.sendall(data)
        except OSError:
            return False
        self.web.sent[self.path] += len(data)
        return not self.web.closing.is_set()

    def pause(self, seconds: float) -> bool:
        """Wait; return False if the web is closing."""
        return not self.web.closing.wait(seconds)

    def page(
        self,
        body: str | bytes,
        *headers: str,
        status: str = "200 OK",
        kind: str = "text/html; charset=utf-8",
    ) -> bool:
        """Send an ordinary page."""
        data = body.encode() if isinstance(body, str) else body
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *headers]
        if kind:
            lines.append(f"Content-Type: {kind}")
        return self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + data)

    def head(self, *headers: str, status: str = "200 OK") -> bool:
        """Send the head of a page without its body."""
        lines = [f"HTTP/1.1 {status}", "Content-Type: text/html; charset=utf-8", *headers, "", ""]
        return self.send("\r\n".join(lines).encode("latin-1"))

    def redirect(self, to: str, status: str = "302 Found") -> bool:
        """Send a redirect."""
        lines = [f"HTTP/1.1 {status}", f"Location: {to}", "Content-Length: 0", "", ""]
        return self.send("\r\n".join(lines).encode("utf-8"))

    def drip(self, data: Iterable[bytes], seconds: float = 1.0) -> None:
        """Send a piece every few seconds until the client closes the connection."""
        for piece in data:
            if not self.send(piece) or not self.pause(seconds):
                return

    def flood(self, data: Iterable[bytes]) -> None:
        """Send as fast as possible until the client closes the connection."""
        for piece in data:
            if not self.send(piece):
                return

    def is_closed_within(self, seconds: float) -> bool:
        """Wait for the client to close the connection; return True if it has."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.sock, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def reset(self) -> None:
        """Reset the connection, as after a crash."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Serve = Callable[[Wire], Any]


def no_rules(wire: Wire) -> bool:
    """Answer that there is no robots.txt."""
    return wire.send(NOT_FOUND)


@dataclass(frozen=True)
class Behaviour:
    """A hostile behaviour of a site, and the expected reaction of the crawler.

    ``cause`` is the cause for which the first page fails; empty if it succeeds. ``names`` are the
    addresses of names during the crawl. The crawl begins at ``start``, a path or a URL in which
    ``{port}`` is the port of the host, and ``{vault}`` that of a host that must get no request.
    """

    name: str
    description: str
    reaction: str
    serve: Serve
    cause: str = ""
    robots: Serve = no_rules
    start: str = "/"
    settings: dict[str, Any] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    waits: bool = False
    """True if nothing fails: robots.txt is unavailable for ``cause``, requests stay pending."""
    tls: str = ""
    """The certificate of a host with TLS: good, expired, wrong or unknown."""
    tries: int = 0
    """The number of requests for the first page; 0 if any number is right."""


class Web:
    """The servers of all behaviours, as a context manager."""

    def __init__(self, behaviours: Iterable[Behaviour], contexts: Any = None) -> None:
        """``contexts`` returns the TLS context of a certificate by its name."""
        self.behaviours = list(behaviours)
        self.contexts = contexts
        self.closing = threading.Event()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.times: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.sent: Counter[str] = Counter()
        """Bytes sent, by the requested path."""
        self.intruders = 0
        self.leaked: list[str] = []
        self._open: set[socket.socket] = set()
        self._listeners: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        self.vault = self._listen(None)
        self.ports = {behaviour.name: self._listen(behaviour) for behaviour in self.behaviours}
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.closing.set()
        self._thread.join()
        for sock in (*self._listeners, *list(self._open)):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._selector.close()

    def url(self, behaviour: Behaviour) -> str:
        """Return the URL at which the crawl begins."""
        port = self.ports[behaviour.name]
        start = behaviour.start.replace("{port}", str(port)).replace("{vault}", str(self.vault))
        scheme = "https" if behaviour.tls else "http"
        return start if "://" in start else f"{scheme}://127.0.0.1:{port}{start}"

    def _listen(self, behaviour: Behaviour | None) -> int:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        stamp_arrivals(listener)
        self._listeners.append(listener)
        self._selector.register(listener, selectors.EVENT_READ, behaviour)
        port: int = listener.getsockname()[1]
        return port

    def _accept(self) -> None:
        while not self.closing.is_set():
            for key, _ in self._selector.select(0.05):
                listener: Any = key.fileobj
                with contextlib.suppress(OSError):
                    sock, _ = listener.accept()
                    self._open.add(sock)
                    threading.Thread(target=self._talk, args=(sock, key.data), daemon=True).start()

    def _talk(self, sock: socket.socket, behaviour: Behaviour | None) -> None:
        with contextlib.suppress(OSError, ValueError), contextlib.closing(sock):
            if behaviour is None:
                self.intruders += 1
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secure = sock.recv(1, socket.MSG_PEEK) == b"\x16"
            if secure and not behaviour.tls:
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                return
            if secure:
                self._open.discard(sock)
                sock = self.contexts(behaviour.tls).wrap_socket(sock, server_side=True)
                self._open.add(sock)
            with contextlib.closing(sock), sock.makefile("rb") as lines:
                while self._answer(sock, lines, behaviour, secure):
                    pass
        self._open.discard(sock)

    def _answer(self, sock: socket.socket, lines: Any, behaviour: Behaviour, secure: bool) -> bool:
        arrived = arrival(sock)
        request = lines.readline().decode("latin-1").split(" ")
        if len(request) < 2:
            return False
        fields: dict[str, str] = {}
        while (line := lines.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            fields[name.lower()] = value.strip()
        wire = Wire(sock, request[1], fields.get("host", ""), self, secure, fields)
        self.asked[behaviour.name, wire.path] += 1
        self.times[behaviour.name, wire.path].append(arrived or time.monotonic())
        serve = behaviour.robots if wire.path == "/robots.txt" else behaviour.serve
        return serve(wire) is True


def links(*targets: str) -> str:
    """Return a page with links."""
    anchors = "".join(f'<a href="{target}">x</a>\n' for target in targets)
    return f"<html><body>\n{anchors}</body></html>"
