"""A real forward proxy on loopback: plain requests and CONNECT, with or without a password."""

from __future__ import annotations

import base64
import contextlib
import http.client
import select
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

_OF_THE_CONNECTION = {"connection", "keep-alive", "proxy-connection", "proxy-authorization",
                      "transfer-encoding"}  # fmt: skip


@dataclass(eq=False)
class Proxy:
    """A proxy, as a context manager. ``log`` has its requests: method, target, user."""

    user: str = ""
    password: str = ""
    log: list[tuple[str, str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def place(self) -> str:
        """Address and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The URL for clients, credentials included."""
        who = f"{self.user}:{self.password}@" if self.user else ""
        return f"http://{who}{self.place}"

    @property
    def methods(self) -> set[str]:
        """The methods of the accepted requests."""
        return {method for method, _, _ in self.log}

    def lets_in(self, header: str | None) -> str | None:
        """Return the user in ``Proxy-Authorization``, or None for a wrong one."""
        kind, _, value = (header or "").partition(" ")
        given = base64.b64decode(value).decode() if kind == "Basic" else ""
        return self.user if given == (f"{self.user}:{self.password}" if self.user else "") else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are nothing special."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the proxy keeps its own log."""

    def _is_let_in(self) -> bool:
        user = self.proxy.lets_in(self.headers["Proxy-Authorization"])
        if user is None:
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False
        self.proxy.log.append((self.command, self.path, user))
        return True

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self._is_let_in():
            return
        parts = urlsplit(self.path)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _OF_THE_CONNECTION}
        with contextlib.closing(http.client.HTTPConnection(parts.netloc, timeout=10)) as origin:
            target = parts._replace(scheme="", netloc="").geturl() or "/"
            origin.request(self.command, target, body, headers)
            answer = origin.getresponse()
            content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_THE_CONNECTION | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_HEAD = _forward  # noqa: N815

    def do_CONNECT(self) -> None:
        self.close_connection = True
        if not self._is_let_in():
            return
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as origin:
            self.send_response(200)
            self.end_headers()
            _pump(self.connection, origin)


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    ways = {one: other, other: one}
    while True:
        for ready in select.select(list(ways), [], [], 30)[0]:
            data = ready.recv(65536)
            if not data:
                return
            ways[ready].sendall(data)
