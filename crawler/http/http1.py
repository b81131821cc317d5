"""HTTP/1.1: send bytes over a pooled connection and read a response up to its body.

``http.client`` parses headers as those of a mail; here they are parsed as HTTP. It reads bodies
well, in a piece or in chunks, and ``urllib3`` decodes them.
"""

from __future__ import annotations

import http.client
from typing import Any, Protocol

import requests
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict, HTTPResponse

from crawler import urls
from crawler.errors import FetchError
from crawler.http.connections import StrictHTTPResponse
from crawler.http.deadline import FetchContext

MAX_HEADERS = 256 * 1024
"""Bytes of all headers of a response; browsers have the same limit."""


class Body(Protocol):
    """The rest of a response, still to be read; ``urllib3.HTTPResponse`` is one."""

    def read(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:
        """Return at most ``amt`` bytes; none at the end."""

    def close(self) -> None:
        """Close the connection, before the end of the body."""

    def release_conn(self) -> None:
        """Return the connection to its pool, after the end of the body."""


class RawResponse:
    """A response, as much like ``requests.Response`` as the crawler needs.

    ``set_cookies`` are the values of its Set-Cookie lines.
    """

    __slots__ = ("headers", "raw", "set_cookies", "status_code", "url")

    history: tuple[requests.Response, ...] = ()

    def __init__(
        self,
        url: str,
        status: int,
        headers: CaseInsensitiveDict[str],
        raw: Body,
        set_cookies: list[str],
    ) -> None:
        self.url = url
        self.status_code = status
        self.headers = headers
        self.raw = raw
        self.set_cookies = set_cookies


def exchange(
    pool: Any, message: bytes, url: str, timeout: tuple[float, float], context: FetchContext
) -> RawResponse:
    """Send ``message`` and read up to the body. Raises the errors of ``http.client`` and sockets.

    ``timeout`` is that to connect and that of each read, seconds.
    """
    connection = pool._get_conn()
    response = None
    try:
        context.track(connection)
        if connection.sock is None:
            connection.timeout = timeout[0]
            connection.connect_in(context)
            context.track(connection)
        connection.sock.settimeout(timeout[1])
        connection.sock.sendall(message)
        context.mark_sent()
        response = _ResponseHead(connection.sock, url)
        response.begin()
    except BaseException:
        if response is not None:
            response.close()
        connection.close()
        pool._put_conn(connection)
        raise
    headers = response.fields
    body: Body
    if "content-encoding" in headers:
        body = HTTPResponse(
            body=response,
            headers=HTTPHeaderDict(headers.items()),
            status=response.status,
            preload_content=False,
            original_response=response,
            pool=pool,
            connection=connection,
            request_method="GET",
        )
        if response.will_close:
            connection.close()  # the body stays readable
    else:
        body = _IdentityBody(response, connection, pool)
    return RawResponse(url, response.status, headers, body, response.set_cookies)


class _IdentityBody:
    """A body without content-encoding."""

    __slots__ = ("_connection", "_pool", "_response")

    def __init__(self, response: _ResponseHead, connection: Any, pool: Any) -> None:
        self._response = response
        self._connection = connection
        self._pool = pool

    def read(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:
        block = self._response.read(amt)
        if not block and self._response.length:
            raise http.client.IncompleteRead(b"", self._response.length)
        return block

    def close(self) -> None:
        self._response.close()
        self._connection.close()
        self._put_back()

    def release_conn(self) -> None:
        if self._response.will_close:
            self._connection.close()
        self._put_back()

    def _put_back(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool._put_conn(self._connection)


class _ResponseHead(StrictHTTPResponse):
    """A response whose headers are read in a tenth of the time of its base class.

    That one reads them as those of a mail, and stops at the first malformed one.
    """

    def __init__(self, sock: Any, url: str) -> None:
        super().__init__(sock, method="GET")
        self._url = urls.redacted(url)

    fields: CaseInsensitiveDict[str]
    length: int | None
    set_cookies: list[str]

    def begin(self) -> None:
        """Read up to the body. Raises HTTPException for anything but HTTP."""
        self._bytes_left = MAX_HEADERS
        while True:
            major, self.status = self._first_line()
            self.fields = self._read_fields()
            if not 100 <= self.status < 200:  # RFC 9110, section 15.2: another head follows
                break
        get = self.fields.get
        self.version = major
        self.chunked = get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        length = get("content-length", "").partition(",")[0].strip()
        self.length = int(length) if length.isdecimal() and not self.chunked else None
        if self.status in (204, 304):
            self.length = 0
        options = get("connection", "").lower()
        is_kept = "close" not in options if major == 11 else "keep-alive" in options
        self.will_close = not is_kept or (not self.chunked and self.length is None)

    def _first_line(self) -> tuple[int, int]:
        line = self._line()
        version, _, rest = line.decode("latin-1").partition(" ")
        status = rest.strip()[:3]
        is_status = len(status) == 3 and status.isdecimal() and status >= "100"
        if not version.startswith("HTTP/1.") or not is_status:
            raise http.client.BadStatusLine(version[:40])
        return (10 if version == "HTTP/1.0" else 11), int(status)

    def _read_fields(self) -> CaseInsensitiveDict[str]:
        """Read the headers and join those of the same name, as ``requests`` does."""
        fields: CaseInsensitiveDict[str] = CaseInsensitiveDict()
        self.set_cookies = []
        name = ""
        while (line := self._line()) not in _BLANK:
            text = line.decode("latin-1").rstrip("\r\n")
            if text.startswith((" ", "\t")) and name:  # RFC 9112, section 5.2: the value continues
                fields[name] += " " + text.strip()
                continue
            name, colon, value = text.partition(":")
            name, value = name.strip(), value.strip(" \t")
            if not colon or not name:
                name = ""
                continue
            if name.lower() == "set-cookie":
                self.set_cookies.append(value)
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        return fields

    def _line(self) -> bytes:
        line: bytes = self.fp.readline(self._bytes_left)
        self._bytes_left -= len(line)
        if self._bytes_left <= 0:
            raise FetchError(
                "headers too large",
                f"{self._url}: the headers are longer than {MAX_HEADERS:,} bytes",
            )
        if not line.endswith(b"\n"):
            raise http.client.RemoteDisconnected("the connection ended before the headers did")
        return line


_BLANK = (b"\r\n", b"\n")
