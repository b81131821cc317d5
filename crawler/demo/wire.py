"""HTTP/1.1 with persistent connections: read an ``Ask``, write an ``Answer``."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl

from crawler.demo.site import Answer, Ask

COOKIE = "shop_session"
MAX_FORM = 64 * 1024  # bytes


class WireServer(ThreadingHTTPServer):
    """A server that listens on ``address`` and answers with ``respond(ask, connection)``.

    Connections count from 1. ``respond`` is called in the connection's own thread.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], respond: Callable[[Ask, int], Answer]) -> None:
        self.respond = respond
        self.connections = 0
        self._open: dict[socket.socket, int] = {}
        self._changed = threading.Condition()
        super().__init__(address, _Handler)

    def start(self) -> None:
        """Answer from now on, in threads of this process."""
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening, close every connection and wait for their threads."""
        self.shutdown()
        self.server_close()
        with self._changed:
            for connection in self._open:
                with suppress(OSError):  # the other side has just closed it
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, timeout=5.0)

    def number_of(self, connection: socket.socket) -> int:
        """Return the number of a connection, in the order of their start."""
        return self._open[connection]

    def server_bind(self) -> None:
        # Without HTTPServer's own server_bind, which asks the DNS for the host's name.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        # Here and not in the connection's thread, so that stop() cannot miss a new one.
        with self._changed:
            self.connections += 1
            self._open[request] = self.connections
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._open.pop(request, None)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A crawler that is killed in the middle of an answer is no error here.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """A connection: reads its requests one after another."""

    server: WireServer
    protocol_version = "HTTP/1.1"
    server_version = "PaperLantern/1.0"
    disable_nagle_algorithm = True  # or answers wait up to 40 ms for the other side's ACK
    wbufsize = -1  # head and body leave in one piece

    def do_GET(self) -> None:
        self._handle("GET")

    def do_HEAD(self) -> None:
        self._handle("GET", body_wanted=False)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_FORM:
            # The rest of the body would be read as the next request: answer, then hang up.
            self.send_error(413 if length.isdecimal() else 411)
            return
        self._handle("POST", dict(parse_qsl(self.rfile.read(int(length)).decode(errors="replace"))))

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: DemoServer keeps the log."""

    def _handle(self, method: str, form: Mapping[str, str] = {}, body_wanted: bool = True) -> None:
        ask = Ask(method=method, target=self.path, form=form, token=self._token())
        answer = self.server.respond(ask, self.server.number_of(self.request))
        body = answer.body.encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.token is not None:
            self.send_header("Set-Cookie", _cookie(answer.token))
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body_wanted:
            self.wfile.write(body)

    def _token(self) -> str | None:
        for pair in self.headers.get("Cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == COOKIE:
                return value
        return None


def _cookie(token: str) -> str:
    cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax"
    return cookie if token else f"{cookie}; Max-Age=0"
