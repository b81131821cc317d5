"""Fork worker processes early, so that they need not start up (prefork).

A process that is spawned imports everything again, which takes longer than to fetch a hundred
pages. A fork has it all. But a process may only be forked while it has one thread and no database
or lock open. So the pool is made before anything else, and later workers are spawned.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from crawler.gc_tuning import freeze
from crawler.worker.executor import signals_blocked


class PreforkPool:
    """Processes that wait to become workers; closing ends those that were not taken."""

    def __init__(self, count: int) -> None:
        """Fork ``count`` processes, or none if this process may not be forked."""
        self._waiting: list[tuple[Connection, Any]] = []
        if count:
            freeze()
        for number in range(count if _may_fork() else 0):
            self._fork(f"worker-{number + 1}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, main: Callable[..., None], *arguments: Any) -> tuple[Connection, Any] | None:
        """Let a process run ``main(connection, *arguments)``; return our end and the process.

        Returns None if no process waits.
        """
        while self._waiting:
            connection, process = self._waiting.pop(0)
            try:
                connection.send((main, arguments))
            except OSError:  # it was killed while it waited
                connection.close()
                process.join()
            else:
                return connection, process
        return None

    def close(self) -> None:
        """End the processes that were not taken."""
        for connection, process in self._waiting:
            connection.close()
            process.join()
        self._waiting.clear()

    def _fork(self, name: str) -> None:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        # A process ends when our end of its connection is closed, so no other process may hold it.
        ends = [ours, *(connection for connection, _ in self._waiting)]
        process = context.Process(target=_wait, args=(theirs, ends), name=name, daemon=True)
        with signals_blocked():
            process.start()
        theirs.close()
        self._waiting.append((ours, process))


def _may_fork() -> bool:
    """Return True on Linux, with a single thread, those of C libraries included."""
    return sys.platform == "linux" and len(list(Path("/proc/self/task").iterdir())) == 1


def _wait(connection: Connection, ends: list[Connection]) -> None:
    for end in ends:
        end.close()
    try:
        main, arguments = connection.recv()
    except EOFError:
        os._exit(0)
    main(connection, *arguments)
