"""Connections of urllib3 that check addresses, can be cut by a deadline, and read strictly."""

from __future__ import annotations

import http.client
import re
import socket
import sys
import time
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.util.connection import allowed_gai_family

from crawler.http.address_policy import AddressPolicy
from crawler.http.deadline import FetchContext, of_thread

MAX_TRAILERS = 64 * 1024
"""Bytes of the trailer section after the last chunk of a body."""
_MAX_SIZE_LINE = 4096
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}[ \t]*")


class _WholeLines:
    """Reads the headers of a response. The end of the connection does not end them."""

    def __init__(self, fp: Any) -> None:
        self._fp = fp
        self.close = fp.close

    def readline(self, limit: int) -> bytes:
        """Return the next line. Raises RemoteDisconnected if it is not whole."""
        line: bytes = self._fp.readline(limit)
        if len(line) < limit and not line.endswith(b"\n"):
            raise http.client.RemoteDisconnected("the connection ended before the headers did")
        return line


class StrictHTTPResponse(http.client.HTTPResponse):
    """A response that reads chunks by RFC 9112, section 7.1.

    Its base class accepts ``-1`` as the size of a chunk, and would read into memory without end;
    and it reads trailers without end.
    """

    def begin(self) -> None:
        """Read up to the body. Raises HTTPException, also for headers that end early."""
        lines: Any = _WholeLines(self.fp)
        self.fp, fp = lines, self.fp
        try:
            super().begin()
        finally:
            if self.fp is lines:
                self.fp = fp

    def _read_next_chunk_size(self) -> int:
        line = self.fp.readline(_MAX_SIZE_LINE + 1)
        size = line.partition(b";")[0].rstrip(b"\r\n")
        if not line.endswith(b"\n") or not _SIZE.fullmatch(size):  # 1 may be the beginning of 10
            self.close()
            raise ValueError("the size of a chunk is no number")
        return int(size, 16)

    def _read_and_discard_trailer(self) -> None:
        left = MAX_TRAILERS
        while (line := self.fp.readline(left + 1)) not in (b"\r\n", b"\n", b""):
            left -= len(line)
            if left <= 0:
                raise http.client.LineTooLong("trailer")


class _GuardedConnection:
    """Goes to addresses that ``addresses`` allows, and lets the deadline of its fetch cut it.

    A connection to a proxy goes where the user wants it; the proxy's own are not checked here.
    """

    response_class: Any = StrictHTTPResponse

    def __init__(self, *args: Any, addresses: AddressPolicy | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._addresses = addresses
        self._context: FetchContext | None = None

    def connect_in(self, context: FetchContext) -> None:
        """Connect for the fetch of ``context``."""
        self._context = context
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._context = None

    def _current_context(self) -> FetchContext:
        return self._context or of_thread() or FetchContext()

    def _new_conn(self) -> socket.socket:
        context = self._current_context()
        context.track(self)
        this: Any = self
        host, timeout = this._dns_host, this.timeout
        try:
            host.encode("idna")
        except UnicodeError:
            raise LocationParseError(f"{host!r}, label empty or too long") from None
        try:
            addresses = socket.getaddrinfo(
                host.strip("[]"), this.port, allowed_gai_family(), socket.SOCK_STREAM
            )
        except socket.gaierror as error:
            raise NameResolutionError(this.host, this, error) from error
        if self._addresses is not None and this.proxy is None:
            addresses = self._addresses.choose(this.host.strip("[]"), this.port, addresses)
        try:
            times = [limit for limit in (timeout, context.time_left()) if limit is not None]
            end = time.monotonic() + min(times) if times else None
            sock = _connected(addresses, end, timeout, this.socket_options, this.source_address)
        except TimeoutError as error:
            message = f"Connection to {this.host} timed out. (connect timeout={timeout})"
            raise ConnectTimeoutError(this, message) from error
        except OSError as error:
            message = f"Failed to establish a new connection: {error}"
            raise NewConnectionError(this, message) from error
        sys.audit("http.client.connect", self, this.host, this.port)
        return sock

    def request(self, *args: Any, **kwargs: Any) -> Any:
        self._current_context().track(self)
        return super().request(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self, *args: Any, **kwargs: Any) -> Any:
        context = self._current_context()
        context.mark_sent()
        context.track(self)
        return super().getresponse(*args, **kwargs)  # type: ignore[misc]


def _connected(
    addresses: list[Any], end: float | None, timeout: float | None, options: Any, source: Any
) -> socket.socket:
    """Return a socket connected to the first address that answers before ``end``.

    That is the time for all of them, however many addresses a name server gives. ``timeout`` is
    that of the socket afterwards.
    """
    failure: OSError = OSError("the name has no address")
    for number, (family, kind, proto, _, address) in enumerate(addresses):
        share = None if end is None else (end - time.monotonic()) / (len(addresses) - number)
        if share is not None and share <= 0:
            raise TimeoutError
        sock = socket.socket(family, kind, proto)
        try:
            for option in options or ():
                sock.setsockopt(*option)
            sock.settimeout(share)
            if source:
                sock.bind(source)
            sock.connect(address)
            sock.settimeout(timeout)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    try:
        raise failure
    finally:
        del failure  # its traceback refers to this frame


class GuardedHTTPConnection(_GuardedConnection, HTTPConnection):
    """An HTTP connection that a deadline can cut."""


class GuardedHTTPSConnection(_GuardedConnection, HTTPSConnection):
    """An HTTPS connection that a deadline can cut."""


class GuardedHTTPConnectionPool(HTTPConnectionPool):
    """Pools connections that a deadline can cut."""

    ConnectionCls = GuardedHTTPConnection


class GuardedHTTPSConnectionPool(HTTPSConnectionPool):
    """Pools TLS connections that a deadline can cut."""

    ConnectionCls = GuardedHTTPSConnection


def pools(addresses: AddressPolicy) -> dict[str, Any]:
    """Return urllib3's pools by scheme, whose connections keep to ``addresses``."""

    def plain(host: str, port: int | None = None, **options: Any) -> HTTPConnectionPool:
        return GuardedHTTPConnectionPool(host, port, addresses=addresses, **options)

    def secure(host: str, port: int | None = None, **options: Any) -> HTTPConnectionPool:
        return GuardedHTTPSConnectionPool(host, port, addresses=addresses, **options)

    return {"http": plain, "https": secure}
