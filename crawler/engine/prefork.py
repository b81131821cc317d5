"""Fork worker processes early, so that they need not start up (prefork).

A process that is spawned imports everything again, which takes longer than to fetch a hundred
pages. A fork has it all. But a process may only be forked while it has one thread and no database
or lock open: so this comes first of all, and what takes a dead worker's place is spawned.
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
    """Processes that wait to become workers. Closed, those that nobody has taken are gone."""

    def __init__(self, count: int) -> None:
        """As many as ``count``; none where this process may not be forked."""
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
        """A process that runs ``main(connection, *arguments)``, with our end of its connection.

        None if no spare is left.
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
        """End those that nobody has taken."""
        for connection, process in self._waiting:
            connection.close()
            process.join()
        self._waiting.clear()

    def _fork(self, name: str) -> None:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        # A worker knows by the end of its connection that nobody needs it any more, so no other
        # process may hold our end of it.
        ends = [ours, *(connection for connection, _ in self._waiting)]
        process = context.Process(target=_wait, args=(theirs, ends), name=name, daemon=True)
        with signals_blocked():
            process.start()
        theirs.close()
        self._waiting.append((ours, process))


def _may_fork() -> bool:
    """True on Linux, with a single thread, those of C libraries included."""
    return sys.platform == "linux" and len(list(Path("/proc/self/task").iterdir())) == 1


def _wait(connection: Connection, ends: list[Connection]) -> None:
    for end in ends:
        end.close()
    try:
        main, arguments = connection.recv()
    except EOFError:
        os._exit(0)
    main(connection, *arguments)
