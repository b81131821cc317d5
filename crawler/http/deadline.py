"""A time limit for a whole response, whatever the server does.

A socket's timeout limits each read; a server that sends a byte each second never exceeds it. Here a
watchdog thread shuts down the socket of a fetch that takes too long, so that a blocked read returns
at once.
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
    """The limit of a fetch: its time, the connection to cut, and whether it was cut.

    ``sock`` is stored beside the connection, which drops it when the headers say that the body ends
    with the connection; the body is still read from it.
    """

    __slots__ = ("at", "connection", "passed", "sock")

    def __init__(self, at: float) -> None:
        self.at = at
        self.connection: HTTPConnection | None = None
        self.sock: socket.socket | None = None
        self.passed = False

    def cut(self) -> None:
        """End the fetch: a blocked read gets the end of the stream."""
        self.passed = True
        sock = self.sock or getattr(self.connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class FetchContext:
    """The state that a fetch shares with its connection: ``deadline`` is its limit, if any.

    ``sent_at`` is the time when its last request had been sent completely, by the monotonic clock;
    0 before.
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
        """Record that the request has been sent completely."""
        self.sent_at = time.monotonic()

    def time_left(self) -> float | None:
        """Return seconds until the deadline; None without a deadline."""
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
    """Cuts fetches that take too long; a worker process has one. It checks twice a second."""

    def __init__(self, tick: float = 0.5) -> None:
        self._tick = tick
        self._running: dict[int, Deadline] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def limit(self, context: FetchContext, seconds: float) -> Iterator[Deadline]:
        """Cut a fetch of ``context`` within the block after ``seconds``."""
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
        """Limit as ``limit``, and raise FetchError after a cut; ``url`` is for its message."""
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
        """End the watchdog's thread, and cut all fetches."""
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

    Methods of requests and urllib3 lie between our call and the connection, and pass nothing on.
    Code of ours that calls a connection itself passes the context.
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
