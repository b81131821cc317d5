"""A transfer: a request as libcurl sends it, and its response as the bytes of it arrive.

A transfer does no I/O. ``curl.CurlPool`` drives it from its own thread and calls the methods
``on_…``; a caller that needs the response waits by ``wait`` and ``blocks``, or passes ``on_done``.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from time import monotonic
from typing import Any, NamedTuple

from crawler import urls
from crawler.errors import CrawlerError, FetchError
from crawler.http.curl import failures
from crawler.http.decoding import CutShortError, DecodingError, decoded

MAX_HEADERS = 256 * 1024
"""Bytes of all headers of a response; browsers have the same limit."""
HIGH_WATER = 256 * 1024
"""Bytes of a streamed body that wait for their reader until the transfer pauses."""
_LONG = 256 * 1024
"""Bytes from which a compressed body is streamed, or looked at while it comes: it may be a bomb."""
LOW_WATER = HIGH_WATER // 4
"""Bytes that wait when it goes on."""

# A line whose name is no token is passed over, as in browsers (RFC 9110, section 5.1).
_FIELD = re.compile(r"^([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)$", re.M)
_DELIMITER = re.compile(rb"(content-length|transfer-encoding)[ \t]*:", re.I)
_IDENTITY = re.compile(rb"transfer-encoding:[ \t]*identity", re.I)
_BLANK = (b"\r\n", b"\n")
_MAX_LENGTH_DIGITS = 18
_FIRST_ONLY = frozenset({"location"})
"""Headers that have one value: where a server repeats them, the first counts."""


class Route(NamedTuple):
    """The way of a request to its server: libcurl's settings that few transfers change.

    ``cert`` is a file, or a certificate and its key. ``is_http1`` avoids HTTP/2, and ``is_mended``
    goes through a mender of heads.
    """

    proxy: str = ""
    verify: str | bool = True
    cert: str | tuple[str, str] | None = None
    is_http1: bool = False
    is_mended: bool = False


DIRECT = Route()


class Limits(NamedTuple):
    """Times in seconds: until connected, between two pieces of an answer, and when all must end.

    ``deadline`` is by the monotonic clock.
    """

    connect: float = math.inf
    read: float = math.inf
    deadline: float = math.inf


class Head(NamedTuple):
    """Status line and headers of a response. ``fields`` has them in the server's order."""

    version: int
    status: int
    reason: str
    fields: list[tuple[str, str]]

    def values(self, name: str) -> list[str]:
        """Return the values of all headers called ``name``, in lower case."""
        return [value for field, value in self.fields if field.lower() == name]

    def joined(self) -> dict[str, str]:
        """Return the headers by the names that came first, repeated ones joined with commas."""
        values: dict[str, str] = {}
        names: dict[str, str] = {}
        for name, value in self.fields:
            lower = name.lower()
            first = names.setdefault(lower, name)
            if first not in values:
                values[first] = value
            elif lower not in _FIRST_ONLY:
                values[first] += f", {value}"
        return values


def parse_head(lines: list[bytes]) -> Head:
    """Return the head that ``lines`` are, as libcurl hands them on: folded lines are joined."""
    version, _, rest = lines[0].decode("latin-1").rstrip("\r\n").partition(" ")
    status, _, reason = rest.strip().partition(" ")
    text = b"".join(lines[1:]).decode("latin-1")
    fields = [(name, value.strip(" \t\r")) for name, value in _FIELD.findall(text)]
    return Head(_VERSIONS.get(version.upper(), 11), int(status[:3]), reason, fields)


def last_head(lines: list[bytes]) -> list[bytes] | None:
    """Return the lines of the response's own head; None if it is not complete.

    Before it come those of interim responses, and of a proxy that opens a tunnel; trailers behind.
    """
    start, head = 0, None
    for number, line in enumerate(lines):
        if line in _BLANK:
            if number > start and lines[start][:5].upper() == b"HTTP/":
                head = lines[start:number]
            start = number + 1
    return head


_VERSIONS = {"HTTP/1.0": 10, "HTTP/1.1": 11, "HTTP/2": 20, "HTTP/3": 30}


class Message(NamedTuple):
    """A request. ``headers`` are lines in libcurl's form; ``body`` is None without one.

    ``is_repeatable`` says that the server may get it twice.
    """

    method: str
    url: str
    headers: list[bytes]
    body: bytes | None = None
    is_repeatable: bool = True


class Transfer:
    """One exchange of ``message`` for a response.

    Of a body, at most ``limit`` bytes are kept, and a longer one ends there; ``is_over`` tells so.
    Without ``limit`` the body is streamed: ``blocks`` yields it as it arrives, and the transfer
    pauses while nothing reads. ``on_done`` is called in the pool's thread at the end.
    """

    def __init__(
        self,
        message: Message,
        route: Route = DIRECT,
        limits: Limits = Limits(),  # noqa: B008 (it cannot change)
        *,
        limit: int | None = None,
        on_done: Callable[[Transfer], None] | None = None,
    ) -> None:
        self.message = message
        self.route = route
        self.limits = limits
        self.limit = limit
        self.on_done = on_done
        self.head: Head | None = None
        self.error: CrawlerError | None = None
        self.is_over = False
        self.is_late = False
        """The deadline has ended it."""
        self.is_retried = False
        self.is_resent = False
        """libcurl has sent it twice, as the first connection died or wanted HTTP/1.1."""
        self.is_paused = False
        self.sent_at = 0.0
        """When it began to be sent, by the monotonic clock; 0 before."""
        self.started = 0.0
        self.last = 0.0
        """When something was last heard of the server."""
        self.addresses: frozenset[str] = frozenset()
        """Addresses that the name of its host may lead to; empty for a numeric one."""
        self.pool: Any = None
        """What drives it; a streamed transfer calls its ``resume`` and ``cancel``."""
        self.lines: list[bytes] = []
        """The heads as they came. libcurl adds to those of a transfer that is not streamed."""
        self._lines_seen = self._lines_before = 0
        self._head_start = 0
        self._head_size = 0
        self._end_at: int | None = None
        """Bytes after which the body ends, where libcurl does not go by its length."""
        self._body: list[bytes] = []
        self._size = 0
        self._look_at = _LONG
        self._read = 0
        self._events: SimpleQueue[bytes | None] = SimpleQueue()

    # For the thread that wants the response

    def wait(self) -> Head:
        """Wait for the head, and for the body too if it is not streamed.

        Raises FetchError, or SystemResourceError when there is no file handle.
        """
        self._events.get()
        if self.error is not None and (self.limit is not None or self.head is None):
            raise self.error
        assert self.head is not None
        return self.head

    def blocks(self) -> Iterator[bytes]:
        """Yield the body as it came. Raises FetchError where a streamed one breaks off."""
        if self.limit is not None:
            yield from self._body
            return
        while (block := self._events.get()) is not None:
            self._read += len(block)
            if self.is_paused and self._waiting() < LOW_WATER:
                self.pool.resume(self)
            yield block
        self._events.put(None)  # for a caller that reads on
        if self.error is not None:
            raise self.error

    def _waiting(self) -> int:
        """Return the bytes of a streamed body that are still to be read."""
        return self._size - self._read

    # For the pool

    def due(self) -> float:
        """Return the time at which it has taken too long, if nothing happens before."""
        limits = self.limits
        if self.is_paused:
            return limits.deadline
        if self.sent_at:
            return min(limits.deadline, self.last + limits.read)
        return min(limits.deadline, self.started + limits.connect)

    def look_for_lines(self, now: float) -> None:
        """Note ``now`` as the last sign of the server if lines of the head have come since."""
        if len(self.lines) != self._lines_seen:
            self._lines_seen = len(self.lines)
            self.last = now

    def is_delimited(self) -> bool:
        """Return True if the head says where the body ends, False for the connection's end."""
        lines = last_head(self.lines) or []
        return any(_DELIMITER.match(line) for line in lines)

    def fail(self, error: CrawlerError) -> None:
        """Note the error that ends this transfer, unless there is one already."""
        self.error = self.error or error

    def fail_as(self, kind: failures.Kind, reason: str = "") -> None:
        """Note the error of a ``kind``, unless there is one already."""
        self.fail(failures.error_of(kind, urls.redacted(self.message.url), reason))

    def restart(self) -> None:
        """Begin anew: nothing has come of it, and it will be sent once more."""
        self.started, self.sent_at, self._lines_seen = monotonic(), 0.0, 0
        self._head_start = self._head_size = self._size = self._lines_before = 0
        self._end_at, self._look_at, self.is_over = None, _LONG, False
        self.lines.clear()
        self._body.clear()

    def on_sending(self, now: float) -> float:
        """Note that a connection is there, and the request is about to be sent; return ``due``."""
        self.sent_at = self.last = now
        self._lines_before = len(self.lines)
        return self.due()

    def first_line(self) -> bytes:
        """Return the first line that has come since it was sent; a proxy's came before."""
        return self.lines[self._lines_before] if len(self.lines) > self._lines_before else b""

    def on_header(self, line: bytes, now: float) -> bool:
        """Take a line of a streamed response's head; return False if the transfer must end."""
        self.last = now
        self.lines.append(line)
        self._head_size += len(line)
        if self._head_size > MAX_HEADERS:
            self._fail_as_too_large()
        elif line in _BLANK and self.head is None:
            if self.sent_at:
                self.head = self._own_head()
            if self.head is not None:
                self._events.put(b"")
            self._head_start = len(self.lines)
        return self.error is None

    def _own_head(self) -> Head | None:
        """Return the head of the response if it has come; note an error if it must not be."""
        start = self._head_start
        lines = last_head(self.lines[start:] if start else self.lines)
        if lines is None:
            return None
        if sum(map(len, lines)) > MAX_HEADERS:
            self._fail_as_too_large()
            return None
        try:
            head = parse_head(lines)
        except ValueError:  # the status is no number
            self.fail_as(failures.NO_HTTP)
            return None
        if head.status == 101 or _has_bad_length(head):
            self.fail_as(failures.NO_HTTP)
            return None
        # After an interim response, another head follows (RFC 9110, section 15.2).
        return head if head.status >= 200 else None

    def _fail_as_too_large(self) -> None:
        url = urls.redacted(self.message.url)
        message = f"{url}: the headers are longer than {MAX_HEADERS:,} bytes"
        self.fail(FetchError("headers too large", message))

    def on_data(self, data: bytes, now: float) -> bool | None:
        """Take a block of the body; return False if the transfer must end, None if it must wait."""
        self.last = now
        if not self._size:
            self._end_at = _end_of_identity(self.lines)
        if self._end_at is not None and self._size + len(data) >= self._end_at:
            data = data[: self._end_at - self._size]
            self.is_over = True
        if self.limit is None:
            if self._waiting() >= HIGH_WATER:
                self.is_paused = True
                if self._waiting() >= LOW_WATER:  # the reader has not emptied it meanwhile
                    return None
                self.is_paused = False
            self._events.put(data)
        elif self._size > self.limit:
            self.is_over = True
            return False
        else:
            self._body.append(data)
            if self._size > self._look_at and (coding := self._coding()):
                self._look_at *= 4
                if self.on_done is None:
                    self._become_streamed()
                elif self._is_bomb(coding, self.limit):
                    self.is_over = True
        self._size += len(data)
        return not self.is_over

    def _coding(self) -> str:
        packed = (line for line in self.lines if line[:17].lower() == b"content-encoding:")
        return ", ".join(line[17:].decode("latin-1").strip() for line in packed)

    def _is_bomb(self, coding: str, limit: int) -> bool:
        """Return True if the bytes that have come are more than ``limit`` when they are decoded."""
        size = 0
        with contextlib.suppress(DecodingError, CutShortError):
            for block in decoded(self._body, coding):
                size += len(block)
                if size > limit:
                    return True
        return False

    def _become_streamed(self) -> None:
        """Let a long body be decoded while it arrives."""
        self.head = self._own_head()
        if self.head is not None:
            self.limit = None
            for block in (b"", *self._body):
                self._events.put(block)

    def finish(self) -> None:
        """Hand on what there is: the response is complete, or ``error`` is set."""
        if self.head is None and self.error is None:
            self.head = self._own_head()
            if self.head is None:
                self.fail_as(failures.CONNECTION, "the connection ended before the headers did")
            elif self.limit is None:
                self._events.put(b"")
        elif self.limit is None and self.head is None:
            self._events.put(b"")
        self._events.put(None)
        if self.on_done is not None:
            self.on_done(self)


def _end_of_identity(lines: list[bytes]) -> int | None:
    """Return the length of a body whose transfer coding is ``identity``, or None.

    libcurl trusts no length beside a transfer coding, and would wait for the end of the connection.
    """
    if not any(line[:1] in b"Tt" and _IDENTITY.match(line) for line in lines):
        return None
    head = last_head(lines)
    fields = parse_head(head).fields if head else []
    codings = [value for name, value in fields if name.lower() == "transfer-encoding"]
    lengths = {value for name, value in fields if name.lower() == "content-length"}
    is_identity = all(coding.lower() == "identity" for coding in codings)
    return int(lengths.pop()) if is_identity and len(lengths) == 1 else None


def _has_bad_length(head: Head) -> bool:
    """Return True for a Content-Length that is beyond any body; libcurl would read to the end."""
    values = [value for name, value in head.fields if name.lower() == "content-length"]
    return any(len(value.strip()) > _MAX_LENGTH_DIGITS for value in ",".join(values).split(","))
