"""A time limit for a whole response, whatever the server does.

The timeouts of requests limit the connection and each pause; a server that sends a byte each second
never exceeds them. The pool ends a transfer at the deadline of its context.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator

from crawler.errors import FetchError


class FetchContext:
    """The state that a fetch shares with its transfers.

    ``deadline`` is their time limit, by the monotonic clock. ``sent_at`` is the time when its last
    request had been sent, by the same clock; 0 before. ``is_late`` says that the deadline has ended
    a transfer. ``is_repeatable`` is False for a request that must not be sent twice.
    """

    __slots__ = ("deadline", "is_late", "is_repeatable", "sent_at")

    def __init__(self) -> None:
        self.deadline = math.inf
        self.sent_at = 0.0
        self.is_late = False
        self.is_repeatable = True

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock while this thread waits for politeness."""
        left, self.deadline = self.deadline - time.monotonic(), math.inf
        try:
            yield
        finally:
            self.deadline = time.monotonic() + left

    @contextlib.contextmanager
    def limited(self, seconds: float, url: str) -> Iterator[None]:
        """End transfers within the block after ``seconds``, by a FetchError with ``url``."""
        self.deadline, self.is_late = time.monotonic() + seconds, False
        try:
            yield
        except Exception:
            if self.is_late:
                raise late_error(url, seconds) from None
            raise
        finally:
            self.deadline = math.inf


def late_error(url: str, seconds: float) -> FetchError:
    """Return the error for a response that took longer than ``seconds``."""
    message = f"{url}: the response took longer than timeout, {seconds:g} s"
    return FetchError("timeout", message, retryable=True)


# Through requests

_thread = threading.local()


@contextlib.contextmanager
def on_thread(context: FetchContext) -> Iterator[None]:
    """Let transfers that ``requests`` makes in this thread, within the block, find ``context``.

    Methods of requests lie between our call and the adapter, and pass nothing on. Code of ours that
    begins a transfer itself passes the context.
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
