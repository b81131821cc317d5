"""A host that speaks HTTP/2 by TLS, well or badly, and HTTP/1.1 if it is asked to."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any

from tests.http.wire_server import Host, Row, ok, read_request
from tests.sites import PATIENCE

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_STATUS_200 = b"\x88"
_CONTENT_TYPE = b"\x5f"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame of HTTP/2."""
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


def head(stream: int) -> bytes:
    """Return the head of a response with an HTML page."""
    content_type = b"text/html; charset=utf-8"
    block = _STATUS_200 + _CONTENT_TYPE + bytes([len(content_type)]) + content_type
    return frame(_HEADERS, _END_HEADERS, stream, block)


def page(stream: int, body: bytes) -> bytes:
    """Return a response with an HTML page."""
    return head(stream) + frame(_DATA, _END_STREAM, stream, body)


class Http2Host(Host):
    """Answers everything with ``body``; by HTTP/2 as ``fault`` says.

    ``only_http2`` offers nothing else. ``by_http2`` counts the requests that came by HTTP/2.
    """

    def __init__(
        self, context: ssl.SSLContext, body: bytes, fault: str = "", *, only_http2: bool = False
    ) -> None:
        super().__init__(Row("http2", ok(body)), context)
        context.set_alpn_protocols(["h2"] if only_http2 else ["h2", "http/1.1"])
        self.body = body
        self.fault = fault
        self.only_http2 = only_http2
        self.by_http2 = 0
        self.is_spoken = 0
        """Connections by HTTP/2."""

    def serve(self, connection: socket.socket) -> None:
        """Answer what comes over ``connection``."""
        connection.settimeout(PATIENCE)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            assert self.context is not None
            secure = stack.enter_context(self.context.wrap_socket(connection, server_side=True))
            if secure.selected_alpn_protocol() == "h2":
                self.is_spoken += 1
                self._serve_http2(secure, stack.enter_context(secure.makefile("rb")))
            elif not self.only_http2:
                self.connections += 1
                self._serve_http1(secure, stack)

    def _serve_http2(self, connection: ssl.SSLSocket, reader: Any) -> None:
        assert reader.read(len(_PREFACE)) == _PREFACE
        if self.fault == "closed at once":
            return
        if self.fault == "HTTP/1.1 over HTTP/2":
            connection.sendall(ok(self.body))
            return
        if self.fault == "rubbish":
            connection.sendall(b"\xff" * 200)
            return
        connection.sendall(frame(_SETTINGS, 0, 0))
        while start := reader.read(9):
            size, kind, flags = int.from_bytes(start[:3], "big"), start[3], start[4]
            stream = int.from_bytes(start[5:], "big")
            payload = reader.read(size)
            if kind == _SETTINGS and not flags & _ACK:
                connection.sendall(frame(_SETTINGS, _ACK, 0))
            elif kind == _PING and not flags & _ACK:
                connection.sendall(frame(_PING, _ACK, 0, payload))
            elif kind in (_HEADERS, _DATA) and flags & _END_STREAM:
                self.by_http2 += 1
                connection.sendall(self._answer_http2(stream))
                if self.fault in ("closed", "closed in the body", "a broken head"):
                    return

    def _answer_http2(self, stream: int) -> bytes:
        half = frame(_DATA, 0, stream, self.body[: len(self.body) // 2])
        internal_error, http11_required = (2).to_bytes(4, "big"), (13).to_bytes(4, "big")
        faults = {
            "": page(stream, self.body),
            "closed": b"",
            "silence": b"",
            "a reset stream": frame(_RST_STREAM, 0, stream, internal_error),
            "HTTP/1.1 required": frame(_RST_STREAM, 0, stream, http11_required),
            "goaway": frame(_GOAWAY, 0, 0, bytes(4) + internal_error),
            "a broken head": frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, b"\xff" * 20),
            "a frame too large": frame(_DATA, 0, stream, bytes(60_000)),
            "closed in the body": head(stream) + half,
            "a reset in the body": head(stream)
            + half
            + frame(_RST_STREAM, 0, stream, internal_error),
        }
        return faults[self.fault]

    def _serve_http1(self, connection: ssl.SSLSocket, stack: contextlib.ExitStack) -> None:
        reader = stack.enter_context(connection.makefile("rb"))
        while asked := read_request(reader, self.connections):
            self.asked.append(asked)
            connection.sendall(ok(self.body))
