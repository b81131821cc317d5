"""The adapter by which requests sends through libcurl, and bodies: decoded, up to a limit."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers, prepend_scheme_if_needed, select_proxy
from urllib3 import HTTPHeaderDict

from crawler import urls
from crawler.errors import CrawlerError, FetchError
from crawler.http import exchange_log
from crawler.http.address_policy import AddressPolicy
from crawler.http.cookie_jar import ChangeTrackingCookieJar
from crawler.http.curl import failures
from crawler.http.curl.pool import CurlPool
from crawler.http.curl.transfer import Head, Limits, Message, Route, Transfer
from crawler.http.deadline import FetchContext, of_thread
from crawler.http.decoding import CutShortError, DecodingError, decoded, decoded_or_text

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_BLOCK = 64 * 1024

_ERRORS: dict[str, type[requests.RequestException]] = {
    "connect timeout": requests.exceptions.ConnectTimeout,
    "timeout": requests.exceptions.ReadTimeout,
    "tls": requests.exceptions.SSLError,
    "proxy": requests.exceptions.ProxyError,
    "truncated": requests.exceptions.ChunkedEncodingError,
    "decoding": requests.exceptions.ContentDecodingError,
    "bad url": requests.exceptions.InvalidURL,
    "request": requests.exceptions.InvalidURL,
    "dns": requests.exceptions.ConnectionError,
    "refused": requests.exceptions.ConnectionError,
    "connection": requests.exceptions.ConnectionError,
}
"""The exceptions of requests by our causes. Any other cause is raised as it is."""


class CurlAdapter(BaseAdapter):
    """Sends requests of a session by libcurl, and keeps connections open for the next ones.

    New connections go where ``addresses`` allows it, by default anywhere.
    """

    def __init__(self, addresses: AddressPolicy | None = None, *, is_shared: bool = False) -> None:
        """``is_shared`` says that ``close`` must not close connections that others use."""
        super().__init__()
        self._is_shared = is_shared
        self.addresses = addresses or AddressPolicy(anywhere=True)
        self.pool = CurlPool(self.addresses)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send ``request``; the body of the response is still to be read.

        Raises the exceptions of requests, and FetchError for what it has none for.
        """
        message = _message(request)
        route = self.route(message.url, verify, cert, proxies)
        context = of_thread() or FetchContext()
        if not context.is_repeatable:
            message = message._replace(is_repeatable=False)
        transfer = Transfer(message, route, limits_of(timeout, context))
        try:
            head = self.exchange(transfer, context)
        except FetchError as error:
            raise_as_requests_do(error, request)
        return self.build_response(request, Body(transfer, head, context))

    def exchange(self, transfer: Transfer, context: FetchContext) -> Head:
        """Send ``transfer`` and wait for its head, and for its body unless it is streamed."""
        self.pool.submit(transfer)
        try:
            return transfer.wait()
        finally:
            context.sent_at = max(context.sent_at, transfer.sent_at)
            context.is_late = context.is_late or transfer.is_late
            if exchange_log.log.isEnabledFor(logging.DEBUG):
                exchange_log.log_exchange(transfer)

    def route(self, url: str, verify: Any, cert: Any, proxies: Any) -> Route:
        """Return the way to ``url``. Raises FetchError for a local address by a proxy."""
        proxy = select_proxy(url, proxies) if proxies else None
        if proxy:
            self.addresses.check(url)
            proxy = prepend_scheme_if_needed(proxy, "http")  # type: ignore[no-untyped-call]
        verify = verify if isinstance(verify, bool) else True if verify is None else str(verify)
        if isinstance(cert, (tuple, list)):
            cert = (str(cert[0]), str(cert[1]))
        return Route(
            proxy or "", verify, cert if cert is None or isinstance(cert, tuple) else str(cert)
        )

    def build_response(self, request: requests.PreparedRequest, body: Body) -> requests.Response:
        """Return what requests gives its users."""
        response = requests.Response()
        response.status_code = body.status
        response.headers = CaseInsensitiveDict(body.head.joined())
        response.encoding = get_encoding_from_headers(response.headers)
        response.raw = body
        response.reason = body.reason
        response.url = request.url or ""
        response.request = request
        response.connection = self  # type: ignore[assignment]
        response.cookies = jar = ChangeTrackingCookieJar()
        requests.cookies.extract_cookies_to_jar(jar, request, body)  # type: ignore[no-untyped-call]
        return response

    def close(self) -> None:
        """Close the connections; responses that are being read are read to their end.

        Those of a shared adapter stay open.
        """
        if not self._is_shared:
            self.pool.close()


def raise_as_requests_do(error: FetchError, request: Any = None) -> NoReturn:
    """Raise the exception that users of requests expect for ``error``."""
    kind = _ERRORS.get(error.cause)
    if kind is None:
        raise error
    raise kind(str(error), request=request) from error


def limits_of(timeout: Any, context: FetchContext) -> Limits:
    """Return the limits of a transfer from the ``timeout`` of requests: a number, or two."""
    if isinstance(timeout, tuple):
        connect, read = timeout
    elif hasattr(timeout, "connect_timeout"):  # urllib3's
        connect, read = timeout.connect_timeout, timeout.read_timeout
    else:
        connect = read = timeout
    return Limits(
        math.inf if connect is None else connect,
        math.inf if read is None else read,
        context.deadline,
    )


def most_seconds(timeout: Any) -> float:
    """Return the time that ``timeout`` of requests allows to connect and for one pause, or 0."""
    limits = limits_of(timeout, FetchContext())
    return 0.0 if math.inf in limits[:2] else limits.connect + limits.read


# What is sent


def header_lines(fields: Iterable[tuple[Any, Any]]) -> list[bytes]:
    """Return headers in libcurl's form, without those that it would add by itself."""
    lines, names = [], set()
    for name, value in fields:
        if value is None:
            continue
        field, content = _latin1(name), _latin1(value)
        names.add(field.lower())
        lines.append(field + b": " + content if content.strip() else field + b";")
    if b"accept" not in names:
        lines.append(b"Accept:")
    return lines


def _latin1(text: Any) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode("latin-1", "replace")


def _message(request: requests.PreparedRequest) -> Message:
    method, body = request.method or "GET", _body(request.body)
    has_body = body is not None or method == "POST"
    own = ("content-length",) if has_body else ()
    lines = header_lines(
        (name, value)
        for name, value in request.headers.items()
        if _latin1(name).lower().decode("latin-1") not in own
    )
    if has_body:
        lines.append(b"Expect:")
        if "content-type" not in request.headers:
            lines.append(b"Content-Type:")
    return Message(method, without_userinfo(request.url or ""), lines, body, method in IDEMPOTENT)


def _body(body: Any) -> bytes | None:
    """Return the whole body: a file or an iterator is read in the thread that sends it."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, (bytearray, memoryview)):
        return bytes(body)
    if hasattr(body, "read"):
        data = body.read()
        return data.encode() if isinstance(data, str) else bytes(data)
    return b"".join(piece.encode() if isinstance(piece, str) else piece for piece in body)


def without_userinfo(url: str) -> str:
    """Return ``url`` without user and password, from which libcurl would make a header."""
    start = url.find("//") + 2
    end = min((at for at in (url.find(mark, start) for mark in "/?#") if at >= 0), default=len(url))
    at = url.rfind("@", start, end)
    return url if at < 0 else url[:start] + url[at + 1 :]


# What comes


class _SetCookies:
    """The Set-Cookie lines of a response, where requests looks for them."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self.msg = self

    def get_all(self, name: str, default: Any = None) -> Any:
        """Return all values of a header."""
        return self._head.values(name.lower()) or default

    def isclosed(self) -> bool:
        """Return True: there is no connection to close."""
        return True


class Body(io.RawIOBase):
    """The body of a response, and its head in the attributes of ``urllib3.HTTPResponse``.

    Errors are those of requests.
    """

    def __init__(self, transfer: Transfer, head: Head, context: FetchContext) -> None:
        super().__init__()
        self.head = head
        self.status = head.status
        self.reason = head.reason
        self.version = head.version
        self._transfer = transfer
        self._context = context
        self._coding = ", ".join(head.values("content-encoding"))
        self._raw = self._counted()
        self._source: Iterator[bytes] | None = None
        self._rest = b""
        self._has_bytes = False
        self._is_complete = transfer.limit is not None  # else the body is still to come
        self._original_response = _SetCookies(head)

    @property
    def headers(self) -> HTTPHeaderDict:
        """All headers, as ``urllib3`` has them."""
        headers = HTTPHeaderDict()
        for name, value in self.head.fields:
            headers.add(name, value)
        return headers

    def readable(self) -> bool:
        """Return True."""
        return True

    def blocks(self, *, may_be_text: bool = False) -> Iterator[bytes]:
        """Yield the decoded body, which ``may_be_text`` in no coding. Raises FetchError."""
        decode = decoded_or_text if may_be_text else decoded
        try:
            yield from decode(self._raw, self._coding) if self._coding else self._raw
        except DecodingError as error:
            raise self._error(failures.DECODING, str(error)) from None
        except CutShortError:
            raise self._error(failures.TRUNCATED, "") from None

    def _counted(self) -> Iterator[bytes]:
        try:
            yield from self._transfer.blocks()
        except CrawlerError:
            self._context.is_late = self._context.is_late or self._transfer.is_late
            raise
        self._is_complete = True

    def _error(self, kind: failures.Kind, reason: str) -> FetchError:
        return failures.error_of(kind, urls.redacted(self._transfer.message.url), reason)

    def read(self, amt: int | None = -1, decode_content: bool | None = None) -> bytes:
        """Return ``amt`` bytes, or all; fewer at the end. They are decoded if asked for."""
        if self.closed:
            return b""
        if self._source is None:
            self._source = self.blocks() if decode_content else self._raw
        wanted = math.inf if amt is None or amt < 0 else amt
        pieces, size = [self._rest], len(self._rest)
        try:
            while size < wanted and (block := next(self._source, None)) is not None:
                pieces.append(block)
                size += len(block)
        except FetchError as error:
            raise_as_requests_do(error)
        data = b"".join(pieces)
        if size <= wanted:
            self._rest = b""
            return data
        self._rest = data[int(wanted) :]
        return data[: int(wanted)]

    def stream(self, amt: int = _BLOCK, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield the rest, in pieces of ``amt`` bytes."""
        while data := self.read(amt, decode_content):
            yield data

    def release_conn(self) -> None:
        """Do nothing: the connection is free for others after the end of the body."""

    def close(self) -> None:
        """End the transfer; before the end of the body, the connection is of no further use."""
        if not self._is_complete and self._transfer.pool is not None:
            self._is_complete = True
            self._transfer.pool.cancel(self._transfer)
        super().close()


class RawResponse:
    """A response, as much like ``requests.Response`` as the crawler needs.

    ``set_cookies`` are the values of its Set-Cookie lines.
    """

    __slots__ = ("headers", "raw", "set_cookies", "status_code", "url")

    history: tuple[requests.Response, ...] = ()

    def __init__(self, url: str, head: Head, raw: Body) -> None:
        self.url = url
        self.status_code = head.status
        self.headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(head.joined())
        self.raw = raw
        self.set_cookies = head.values("set-cookie")


# Reading a body


def read_body(
    raw: requests.Response | RawResponse,
    url: str,
    limit: int,
    *,
    cut: bool = False,
    may_be_text: bool = False,
) -> bytes:
    """Return the decoded body; at most ``limit`` bytes and a block are in memory.

    A longer body is ``cut`` there, or an error. After the end of the body the connection can serve
    another request; before, it is closed. Raises FetchError, and what an adapter of the user's
    raises. ``may_be_text`` is that of ``decoded_body``. ``url`` is for messages.
    """
    blocks: list[bytes] = []
    size = 0
    body: Any = raw.raw
    is_ours = isinstance(body, Body)
    try:
        for block in body.blocks(may_be_text=may_be_text) if is_ours else _blocks(body):
            size += len(block)
            blocks.append(block)
            if size > limit:
                if cut:
                    break
                raise too_large(url, limit)
        if size <= limit and not is_ours and _is_cut_short(body):
            raise FetchError(
                "truncated", f"{url}: the compressed body ended before its end", retryable=True
            )
    except BaseException:
        body.close()
        raise
    if size > limit:
        body.close()
    else:
        body.release_conn()
    return (blocks[0] if len(blocks) == 1 else b"".join(blocks))[:limit]


def decoded_body(
    raw: bytes, coding: str, url: str, limit: int, *, cut: bool = False, may_be_text: bool = False
) -> bytes:
    """Return a body decoded; ``coding`` is the value of its Content-Encoding.

    More than ``limit`` bytes are ``cut`` there, or an error. One that ``may_be_text`` is returned
    as it is if it is text in no coding. Raises FetchError. ``url`` is for messages.
    """
    decode = decoded_or_text if may_be_text else decoded
    blocks: list[bytes] = []
    size = 0
    try:
        for block in decode([raw], coding) if coding else [raw]:
            blocks.append(block)
            size += len(block)
            if size > limit:
                break
    except DecodingError as error:
        raise failures.error_of(failures.DECODING, url, str(error)) from None
    except CutShortError:
        raise failures.error_of(failures.TRUNCATED, url) from None
    if size > limit and not cut:
        raise too_large(url, limit)
    return (blocks[0] if len(blocks) == 1 else b"".join(blocks))[:limit]


def too_large(url: str, limit: int) -> FetchError:
    """Return the error for a body longer than ``limit`` bytes."""
    return FetchError(
        "body too large", f"{url}: the body is longer than {limit:,} bytes (max_body)"
    )


def _blocks(body: Any) -> Iterator[bytes]:
    """Yield the decoded body that an adapter of the user's has brought."""
    while block := body.read(_BLOCK, decode_content=True):
        yield block


def _is_cut_short(raw: Any) -> bool:
    """Return True if a compressed body has ended early, which urllib3 does not notice.

    Each of its decoders has that of a library in ``_obj``, which knows whether it has seen the end.
    A decoder without ``_obj`` is assumed to have.
    """
    decoder = getattr(raw, "_decoder", None)
    if decoder is None or not raw.tell():  # an empty body is complete, and usual for a redirect
        return False
    decoders = getattr(decoder, "_decoders", (decoder,))
    return not all(_is_at_end(getattr(decoder, "_obj", None)) for decoder in decoders)


def _is_at_end(decompressor: Any) -> bool:
    if hasattr(decompressor, "is_finished"):  # brotli
        return bool(decompressor.is_finished())
    return bool(getattr(decompressor, "eof", True))
