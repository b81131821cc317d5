"""Threads for what blocks: logins, fetches of a session that logs in, calls of callbacks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

log = logging.getLogger(__name__)


class ThreadPool:
    """Runs functions in up to ``most`` threads, which are started as they are needed.

    They are daemons, so that none is waited for at the end of the process, unlike those of
    ``concurrent.futures``.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads = 0
        self._idle = 0
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, function: Callable[[], None]) -> None:
        """Run ``function``, which must not raise, as soon as a thread is free."""
        with self._lock:
            if self._idle:
                self._idle -= 1  # for this function; the thread counts itself again after it
            elif self._threads < self._most:
                self._threads += 1
                threading.Thread(
                    target=self._work, name=f"fetch-{self._threads}", daemon=True
                ).start()
        self._queue.put(function)

    def close(self) -> None:
        """Let the threads end, each after the function that it runs."""
        for _ in range(self._threads):
            self._queue.put(None)

    def _work(self) -> None:
        while (function := self._queue.get()) is not None:
            try:
                function()
            except BaseException:  # a task of it may wait for ever, but the others go on
                log.exception("a thread of the fetching process has failed")
            with self._lock:
                self._idle += 1
