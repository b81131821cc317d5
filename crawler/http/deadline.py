"""A time limit for a whole response, whatever the server does.

Socket timeouts bound the silence between two pieces; a server that drips one byte a second never
trips them. Here a watchdog thread shuts the socket of a fetch that is over its time, which makes
the blocked read return at once.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from urllib3.connection import HTTPConnection

from crawler.errors import FetchError


class Deadline:
    """One fetch's limit: the connection that it uses, and whether it was cut.

    ``sock`` is kept beside the connection, which forgets it as soon as the headers of an answer
    say that its end is the end of the connection; the body still comes through it.
    """

    __slots__ = ("at", "connection", "passed", "sock")

    def __init__(self, at: float) -> None:
        self.at = at
        self.connection: HTTPConnection | None = None
        self.sock: socket.socket | None = None
        self.passed = False

    def cut(self) -> None:
        """End the fetch: its blocked read sees the end of the stream."""
        self.passed = True
        sock = self.sock or getattr(self.connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class FetchContext:
    """A fetch, as its connection sees it: ``deadline`` is its limit, if any.

    ``sent_at`` is when its last request had gone out, whole, on the monotonic clock; 0 before.
    """

    __slots__ = ("deadline", "sent_at")

    def __init__(self) -> None:
        self.deadline: Deadline | None = None
        self.sent_at = 0.0

    def track(self, connection: Any) -> None:
        """Let the deadline cut ``connection``, and the socket that it has by now."""
        if self.deadline is not None:
            self.deadline.connection, self.deadline.sock = connection, connection.sock

    def mark_sent(self) -> None:
        """The request has gone out, whole."""
        self.sent_at = time.monotonic()

    def time_left(self) -> float | None:
        """Seconds until the deadline; None without one."""
        deadline = self.deadline
        return None if deadline is None else max(0.0, deadline.at - time.monotonic())

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock while this thread waits for politeness."""
        deadline = self.deadline
        if deadline is None:
            yield
            return
        left, deadline.at = deadline.at - time.monotonic(), math.inf
        try:
            yield
        finally:
            deadline.at = time.monotonic() + left


class Watchdog:
    """Cuts what is over its time. One for a worker process; looks twice a second."""

    def __init__(self, tick: float = 0.5) -> None:
        self._tick = tick
        self._running: dict[int, Deadline] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def limit(self, context: FetchContext, seconds: float) -> Iterator[Deadline]:
        """Cut what is fetched in ``context`` within the block after ``seconds``."""
        if self._thread is None:
            self._start()
        deadline = Deadline(time.monotonic() + seconds)
        key = id(deadline)
        self._running[key] = deadline
        context.deadline = deadline
        try:
            yield deadline
        finally:
            context.deadline = None
            del self._running[key]

    @contextlib.contextmanager
    def enforce(self, context: FetchContext, seconds: float, url: str) -> Iterator[None]:
        """As ``limit``. Raises FetchError when that was too short; ``url`` is for its message."""
        error = FetchError(
            "timeout",
            f"{url}: the response took longer than timeout, {seconds:g} s",
            retryable=True,
        )
        with self.limit(context, seconds) as deadline:
            try:
                yield
            except Exception:
                if deadline.passed:
                    raise error from None
                raise
            if deadline.passed:  # the cut looked like the end of the body
                raise error

    def close(self) -> None:
        """End the watchdog's thread, and with it what is still being fetched."""
        self._closed.set()
        for deadline in list(self._running.values()):
            deadline.cut()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._closed.wait(self._tick):
            now = time.monotonic()
            for deadline in list(self._running.values()):
                if now >= deadline.at:
                    deadline.cut()


# Through requests

_thread = threading.local()


@contextlib.contextmanager
def on_thread(context: FetchContext) -> Iterator[None]:
    """Let connections that ``requests`` uses in this thread, within the block, find ``context``.

    Between a call of ``requests`` and the connection lie methods of requests and urllib3 that pass
    nothing on. Where our own code calls a connection, it passes the context.
    """
    outer = of_thread()
    _thread.context = context
    try:
        yield
    finally:
        _thread.context = outer


def of_thread() -> FetchContext | None:
    """Return the context of the ``on_thread`` block that this thread is in."""
    return getattr(_thread, "context", None)
