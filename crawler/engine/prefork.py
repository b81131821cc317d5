"""Fork the fetching process early, so that it need not start up (prefork).

A process that is spawned imports everything again, which takes longer than to fetch a hundred
pages. A fork has it all. But a process may only be forked while it has one thread and no database
or lock open. So the pool is made before anything else, and later processes are spawned.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
from collections.abc import Callable
from typing import Any, Self

from crawler.fetching.processes import may_fork
from crawler.gc_tuning import freeze
from crawler.worker.channel import Channel
from crawler.worker.process import end_with_parent, signals_blocked


class PreforkPool:
    """Processes that wait to be used; closing ends those that were not taken."""

    def __init__(self, count: int) -> None:
        """Fork ``count`` processes, or none if this process may not be forked."""
        self._waiting: list[tuple[Channel, Any]] = []
        if count:
            freeze()
        atexit.register(self.close)  # or multiprocessing would wait for them at the end
        for _ in range(count if may_fork() else 0):
            self._fork("fetcher")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, main: Callable[..., None], *arguments: Any) -> tuple[Channel, Any] | None:
        """Let a process run ``main(channel, *arguments)``; return our end and the process.

        Returns None if no process waits.
        """
        while self._waiting:
            channel, process = self._waiting.pop(0)
            try:
                channel.send(pickle.dumps((main, arguments)))
            except OSError:  # it was killed while it waited
                channel.close()
                process.join()
            else:
                return channel, process
        return None

    def close(self) -> None:
        """End the processes that were not taken."""
        atexit.unregister(self.close)
        for channel, process in self._waiting:
            channel.close()
            process.join()
        self._waiting.clear()

    def _fork(self, name: str) -> None:
        context = multiprocessing.get_context("fork")
        ours, theirs = Channel.pair()
        # A process ends when our end of its connection is closed, so no other process may hold it.
        ends = [ours, *(channel for channel, _ in self._waiting)]
        process = context.Process(target=_wait, args=(theirs, ends), name=name)
        with signals_blocked():
            process.start()
        theirs.close()
        self._waiting.append((ours, process))


def _wait(channel: Channel, ends: list[Channel]) -> None:
    for end in ends:
        end.close()
    end_with_parent()
    try:
        main, arguments = pickle.loads(channel.receive())
    except EOFError:
        os._exit(0)
    main(channel, *arguments)
