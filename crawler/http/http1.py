"""Exchange: bytes go out over a pooled connection, and a reply comes back, its body to be read.

``http.client`` reads headers as if they were those of a mail; here they are read for what they
are. Bodies it reads well, in one piece or in chunks, and ``urllib3`` decodes them.
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

MOST_HEADERS = 256 * 1024
"""Bytes of all headers of a response; browsers stop there too."""


class Body(Protocol):
    """The rest of a response, still to be read; ``urllib3.HTTPResponse`` is one."""

    def read(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:
        """At most ``amt`` bytes of it; none are left when there are none."""

    def close(self) -> None:
        """It is not wanted, and its connection is of no more use."""

    def release_conn(self) -> None:
        """It has been read: the connection is free for the next request."""


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
    """Send ``message`` and read up to the body. Raises what a connection and ``http.client`` raise.

    ``timeout`` is that to connect and that for each piece to come, seconds.
    """
    connection = pool._get_conn()
    answer = None
    try:
        context.track(connection)
        if connection.sock is None:
            connection.timeout = timeout[0]
            connection.connect_in(context)
            context.track(connection)
        connection.sock.settimeout(timeout[1])
        connection.sock.sendall(message)
        context.mark_sent()
        answer = _ResponseHead(connection.sock, url)
        answer.begin()
    except BaseException:
        if answer is not None:
            answer.close()
        connection.close()
        pool._put_conn(connection)
        raise
    headers = answer.fields
    body: Body
    if "content-encoding" in headers:
        body = HTTPResponse(
            body=answer,
            headers=HTTPHeaderDict(headers.items()),
            status=answer.status,
            preload_content=False,
            original_response=answer,
            pool=pool,
            connection=connection,
            request_method="GET",
        )
        if answer.will_close:
            connection.close()  # what has come stays readable
    else:
        body = _IdentityBody(answer, connection, pool)
    return RawResponse(url, answer.status, headers, body, answer.set_cookies)


class _IdentityBody:
    """A body as it came, without content-encoding."""

    __slots__ = ("_connection", "_pool", "_response")

    def __init__(self, answer: _ResponseHead, connection: Any, pool: Any) -> None:
        self._response = answer
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
        self._give_back()

    def release_conn(self) -> None:
        if self._response.will_close:
            self._connection.close()
        self._give_back()

    def _give_back(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool._put_conn(self._connection)


class _ResponseHead(StrictHTTPResponse):
    """A response whose headers are read in a tenth of the time; bodies are read as by its base.

    The base class reads headers as those of a mail, and stops at the first that is not well made.
    """

    def __init__(self, sock: Any, url: str) -> None:
        super().__init__(sock, method="GET")
        self._url = urls.redacted(url)

    fields: CaseInsensitiveDict[str]
    length: int | None
    set_cookies: list[str]

    def begin(self) -> None:
        """Read up to the body. Raises HTTPException for what is no HTTP."""
        self._room = MOST_HEADERS
        while True:
            major, self.status = self._first_line()
            self.fields = self._read_fields()
            if not 100 <= self.status < 200:  # RFC 9110, section 15.2: more is to come
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
        stays = "close" not in options if major == 11 else "keep-alive" in options
        self.will_close = not stays or (not self.chunked and self.length is None)

    def _first_line(self) -> tuple[int, int]:
        line = self._line()
        version, _, rest = line.decode("latin-1").partition(" ")
        status = rest.strip()[:3]
        is_status = len(status) == 3 and status.isdecimal() and status >= "100"
        if not version.startswith("HTTP/1.") or not is_status:
            raise http.client.BadStatusLine(version[:40])
        return (10 if version == "HTTP/1.0" else 11), int(status)

    def _read_fields(self) -> CaseInsensitiveDict[str]:
        """Headers; those of one name put together, as ``requests`` has them."""
        fields: CaseInsensitiveDict[str] = CaseInsensitiveDict()
        self.set_cookies = []
        name = ""
        while (line := self._line()) not in _BLANK:
            text = line.decode("latin-1").rstrip("\r\n")
            if text.startswith((" ", "\t")) and name:  # RFC 9112, section 5.2: a value goes on
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
        line: bytes = self.fp.readline(self._room)
        self._room -= len(line)
        if self._room <= 0:
            raise FetchError(
                "headers too large",
                f"{self._url}: the headers are longer than {MOST_HEADERS:,} bytes",
            )
        if not line.endswith(b"\n"):
            raise http.client.RemoteDisconnected("the connection ended before the headers did")
        return line


_BLANK = (b"\r\n", b"\n")
