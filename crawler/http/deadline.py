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

_current = threading.local()


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


class Watchdog:
    """Cuts what is over its time. One for a worker process; looks twice a second."""

    def __init__(self, tick: float = 0.5) -> None:
        self._tick = tick
        self._running: dict[int, Deadline] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[Deadline]:
        """What is fetched by this thread within the block is cut after ``seconds``."""
        if self._thread is None:
            self._start()
        deadline = Deadline(time.monotonic() + seconds)
        key = id(deadline)
        self._running[key] = deadline
        _current.deadline = deadline
        try:
            yield deadline
        finally:
            _current.deadline = None
            del self._running[key]

    @contextlib.contextmanager
    def enforce(self, seconds: float, url: str) -> Iterator[None]:
        """As ``limit``. Raises FetchError when that was too short; ``url`` is for its message."""
        error = FetchError(
            "timeout",
            f"{url}: the response took longer than timeout, {seconds:g} s",
            retryable=True,
        )
        with self.limit(seconds) as deadline:
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


def track(connection: Any) -> None:
    """Tell the deadline of this thread which connection it uses, and which socket by now."""
    deadline = getattr(_current, "deadline", None)
    if deadline is not None:
        deadline.connection, deadline.sock = connection, connection.sock


@contextlib.contextmanager
def uncounted() -> Iterator[None]:
    """What this thread waits for within the block, for politeness, is not a server's time."""
    deadline = getattr(_current, "deadline", None)
    if deadline is None:
        yield
        return
    left, deadline.at = deadline.at - time.monotonic(), math.inf
    try:
        yield
    finally:
        deadline.at = time.monotonic() + left


def note_sent() -> None:
    """The request of this thread has gone out, whole."""
    _current.sent_at = time.monotonic()


def sent_at() -> float:
    """When the last request of this thread had gone out, on the monotonic clock; 0 for none."""
    at: float = getattr(_current, "sent_at", 0.0)
    return at


def time_left() -> float | None:
    """Seconds until the deadline of this thread; None where it has none."""
    deadline = getattr(_current, "deadline", None)
    return None if deadline is None else max(0.0, deadline.at - time.monotonic())
