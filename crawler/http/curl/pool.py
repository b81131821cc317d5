"""The pool: transfers from any thread, and the connections that are kept for the next ones.

``CurlPool.submit`` returns at once. The loop's thread starts with the first transfer, and once more
in a process that was forked since.
"""

from __future__ import annotations

import os
import threading
from time import monotonic

from crawler.http.address_policy import AddressPolicy
from crawler.http.curl import failures
from crawler.http.curl.loop import LEAST_IDLE, Loop
from crawler.http.curl.transfer import Transfer
from crawler.system_errors import most_handles

MAX_IDLE_CONNECTIONS = 16_384
"""Connections that stay open for the next request, if this process may have so many handles."""
_SPARE_HANDLES = 96


class CurlPool:
    """Sends transfers, as many at once as come, and keeps connections for the next ones.

    New connections go where ``addresses`` allows it. Beyond ``max_idle`` idle connections, the one
    that was used least recently is closed.
    """

    def __init__(self, addresses: AddressPolicy, max_idle: int | None = None) -> None:
        self.addresses = addresses
        self._max_idle = (
            min(MAX_IDLE_CONNECTIONS, _most_connections()) if max_idle is None else max_idle
        )
        self._lock = threading.Lock()
        self._loop: Loop | None = None
        self._is_stopped = False

    def submit(self, transfer: Transfer) -> None:
        """Begin ``transfer``; its methods say when it ends."""
        transfer.started = monotonic()
        if self._is_stopped:
            transfer.fail_as(failures.CONNECTION, "the session was closed")
            transfer.finish()
            return
        while not self._running().submit(transfer):
            pass  # that loop has just ended

    @property
    def loop(self) -> Loop:
        """The loop of this process, which is started if there is none."""
        return self._running()

    def clear(self) -> None:
        """Let half as many connections stay open: this process has no handle left."""
        if (loop := self._loop) is not None and loop.pid == os.getpid():
            loop.call(loop.clear)

    def close(self) -> None:
        """Close all connections, those in use at the end; the next transfer opens new ones."""
        if (loop := self._taken()) is not None:
            loop.retire()

    def stop(self) -> None:
        """End all transfers, and close all connections. Any further transfer fails."""
        self._is_stopped = True
        if (loop := self._taken()) is not None:
            loop.stop()

    def _taken(self) -> Loop | None:
        with self._lock:
            loop, self._loop = self._loop, None
        return None if loop is None or loop.pid != os.getpid() else loop

    def _running(self) -> Loop:
        loop = self._loop
        if loop is None or loop.pid != os.getpid():
            with self._lock:
                if self._loop is None or self._loop.pid != os.getpid():
                    most = max(self._max_idle, _most_connections())
                    self._loop = Loop(self.addresses, self._max_idle, most)
                loop = self._loop
        return loop


def _most_connections() -> int:
    """Return how many connections this process may have."""
    handles = most_handles()
    if handles is None:
        return 2 * MAX_IDLE_CONNECTIONS
    return max(LEAST_IDLE, handles - _SPARE_HANDLES)
