"""Mend heads that libcurl does not read: it stops where a browser passes over a line.

A line without a colon, a NUL or a bare carriage return in a head make libcurl give the response up.
So a first handle of libcurl only makes the connection, with its proxy and its TLS, and a thread
carries the bytes between it and a second one, which sends the request. The thread leaves such lines
and characters out of the head, and changes nothing else. Each connection serves once.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Any

import pycurl

from crawler.http.curl.handle import Handle
from crawler.http.curl.transfer import Transfer

REASONS = ("Header without colon", "NUL byte in header", "Carriage return found in header")
"""How libcurl names what can be mended."""
_BLOCK = 64 * 1024
_MAX_LINE = 300 * 1024
_IDLE = 300.0
"""Seconds after which a connection that nothing comes over is given up."""


def connect_and_mend(
    transfer: Transfer,
    handle: Handle,
    addresses: list[str] | None,
    on_connected: Callable[[int, str, int], None],
) -> socket.socket:
    """Return the near end of a connection for ``transfer``, which ``handle`` will send.

    A thread makes it, and calls ``on_connected`` with libcurl's code (0 if it is there), reason and
    ``errno``. If it breaks later, ``handle.broken`` says why before the near end sees its end.
    """
    connector = handle.connector(transfer, addresses)
    near, far = socket.socketpair()
    arguments = (connector, far, handle, on_connected)
    threading.Thread(target=_run, args=arguments, name="mender", daemon=True).start()
    return near


def _run(
    connector: Handle,
    near: socket.socket,
    handle: Handle,
    on_connected: Callable[[int, str, int], None],
) -> None:
    with near, contextlib.closing(connector):
        curl = connector.curl
        try:
            curl.perform()
        except pycurl.error as error:
            on_connected(error.args[0], error.args[1], curl.getinfo(pycurl.OS_ERRNO))
            return
        on_connected(0, "", 0)
        near.settimeout(_IDLE)
        try:
            _relay(near, curl, HeadMender())
        except pycurl.error as error:
            handle.broken = error.args[0], error.args[1]
        except OSError:  # the near end has closed
            pass


def _relay(near: socket.socket, curl: Any, mender: HeadMender) -> None:
    """Carry bytes both ways until either end closes."""
    server = curl.getinfo(pycurl.ACTIVESOCKET)
    while ready := _ready(selectors.EVENT_READ, near.fileno(), server):
        if near.fileno() in ready:
            data = near.recv(_BLOCK)
            if not data:
                return
            _send(curl, server, data)
        # TLS may hold bytes that the socket does not show.
        while (block := _received(curl)) is not None:
            near.sendall(mender.mend(block) if block else mender.end())
            if not block:
                near.shutdown(socket.SHUT_WR)
                while data := near.recv(_BLOCK):  # the response may come before the whole request
                    _send(curl, server, data)
                return


def _ready(event: int, *descriptors: int) -> set[int]:
    """Wait for an ``event``, and return the descriptors that have it; there may be thousands."""
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, event)
        return {key.fd for key, _ in selector.select(_IDLE)}


def _send(curl: Any, server: int, data: bytes) -> None:
    """Send ``data``, as much as the server takes: its response may follow all the same."""
    while data:
        try:
            data = data[curl.send(data) :]
        except BlockingIOError:
            _ready(selectors.EVENT_WRITE, server)
        except pycurl.error:
            return


def _received(curl: Any) -> bytes | None:
    """Return what has come: None if nothing has yet, no bytes at the end."""
    try:
        return bytes(curl.recv(_BLOCK))
    except BlockingIOError:
        return None


class HeadMender:
    """Mends the head in a stream of bytes. What follows it is passed on as it is."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_in_head = True
        self._lines = 0
        self._is_interim = False

    def mend(self, data: bytes) -> bytes:
        """Return what can be passed on by now."""
        if not self._is_in_head:
            return data
        data, self._rest = self._rest + data, b""
        lines: list[bytes] = []
        start = 0
        while self._is_in_head and (end := data.find(b"\n", start) + 1):
            lines.append(self._mended(data[start:end]))
            start = end
        if not self._is_in_head or len(data) - start > _MAX_LINE:
            self._is_in_head = False
            lines.append(data[start:])
        else:
            self._rest = data[start:]
        return b"".join(lines)

    def end(self) -> bytes:
        """Return what is left at the end of the stream."""
        return self._rest

    def _mended(self, line: bytes) -> bytes:
        self._lines += 1
        text = line.rstrip(b"\r\n")
        if self._lines == 1:
            self._is_interim = text.partition(b" ")[2].lstrip()[:1] == b"1"
            return line
        if not text:
            self._is_in_head = self._is_interim  # then another head follows
            self._lines = 0
            return line
        if b":" not in text and not (text[:1] in b" \t" and self._lines > 2):
            return b""
        if text[:11].lower() == b"set-cookie:":  # RFC 6265bis, section 5.6
            text = text.partition(b"\r")[0]
            return b"" if b"\0" in text else text + b"\r\n"
        return text.replace(b"\0", b"").replace(b"\r", b" ") + b"\r\n"
