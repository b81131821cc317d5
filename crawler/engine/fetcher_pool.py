"""The fetching process as the engine has it: start it, send commands, receive outcomes."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import selectors
import threading
from typing import Any, Protocol

import msgspec

from crawler.engine.prefork import PreforkPool
from crawler.errors import CrawlerError, SystemResourceError
from crawler.fetching.processes import ProcessSpec, run_fetching, run_in_threads
from crawler.fetching.workers import MOST_EARLY_DEATHS, NO_HANDLES
from crawler.messages import (
    Command,
    Outcome,
    PoolFailed,
    Shutdown,
    decode_outcomes,
    encode,
    readable_outcomes,
)
from crawler.system_errors import too_many_open_files
from crawler.worker.channel import Channel
from crawler.worker.process import signals_blocked

log = logging.getLogger(__name__)

LONGEST_END = 2.0
"""Seconds that the process has for its end."""


class FetcherPool(Protocol):
    """The fetching process, which has the workers."""

    exit_code: int | None
    """The exit code of the process that was replaced last; None if there was none."""

    def start(self, spec: ProcessSpec) -> None:
        """Start the process. It is ready when it first answers.

        One that replaces it starts with ``spec.netlocs`` as they are by then.
        """

    def send(self, command: Command) -> None:
        """Send a command; never wait for the process to read it.

        To a dead process it is lost; ``receive`` reports the death.
        """

    def receive(self, timeout: float, waker: Any = None) -> tuple[list[Outcome], bool]:
        """Wait at most ``timeout`` seconds; return outcomes, and True if the process has died.

        ``waker`` is a socket that ends the waiting too. Raises CrawlerError if workers keep dying,
        SystemResourceError if there is no file handle for one.
        """

    def replace(self, *, isolated: bool) -> None:
        """Start a process in the place of the dead one. Raises CrawlerError if they keep dying.

        ``isolated`` is True if it died with a single request. If the process had come up before,
        that request has killed it.
        """

    def stop(self) -> None:
        """End the process at once; the next run repeats what it has not reported."""


class LocalFetcherPool(FetcherPool):
    """A fetching process on this machine; without worker processes, threads of this one."""

    def __init__(self, workers: int, prefork: PreforkPool | None = None) -> None:
        """With 0 ``workers`` there are only threads. A process of ``prefork`` is taken first."""
        self._in_threads = workers == 0
        self._prefork = prefork
        self._context = multiprocessing.get_context("spawn")
        self._channel: Channel | None = None
        self._process: Any = None
        self._thread: threading.Thread | None = None
        self._early_deaths = 0
        self._has_come_up = False
        self.exit_code: int | None = None

    def start(self, spec: ProcessSpec) -> None:
        self._spec = spec
        atexit.register(self.stop)  # or multiprocessing would wait for it at the end
        self._start()
        self._prefork = None  # no process may be forked once there is more than one thread

    def send(self, command: Command) -> None:
        assert self._channel is not None
        self._channel.write(encode(command))  # ``receive`` sends what does not fit at present

    def receive(self, timeout: float, waker: Any = None) -> tuple[list[Outcome], bool]:
        received: list[Outcome] = []
        assert self._channel is not None
        if not self._is_ready(self._channel, timeout, waker):
            return received, False
        try:
            messages = self._channel.read()
        except EOFError:  # also if the process died in the middle of a message
            return received, True
        for message in messages:
            try:
                received += decode_outcomes(message)
            except msgspec.ValidationError:
                received += readable_outcomes(message)
            self._has_come_up = True
        _check_pool(received)
        if received:
            self._early_deaths = 0
        return received, False

    def _is_ready(self, channel: Channel, timeout: float, waker: Any) -> bool:
        """Wait; return True if the process has sent something, or has died."""
        to_write = selectors.EVENT_WRITE if channel.unsent else 0
        with selectors.DefaultSelector() as selector:
            selector.register(channel, selectors.EVENT_READ | to_write)
            if waker is not None:
                selector.register(waker, selectors.EVENT_READ)
            ready = {id(key.fileobj): events for key, events in selector.select(timeout)}
        events = ready.get(id(channel), 0)
        if events & selectors.EVENT_WRITE:
            channel.flush()
        return bool(events & selectors.EVENT_READ)

    def replace(self, *, isolated: bool) -> None:
        assert self._channel is not None
        self._channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self.exit_code = self._process.exitcode
        if not (isolated and self._has_come_up):
            self._early_deaths += 1
        self._has_come_up = False
        if self.exit_code == NO_HANDLES:
            raise too_many_open_files()
        if self._early_deaths > MOST_EARLY_DEATHS:
            raise CrawlerError(
                "the fetching processes die before they have handled a page "
                f"(last exit code {self.exit_code}); run.log may say why"
            )
        self._start()

    def stop(self) -> None:
        atexit.unregister(self.stop)
        if self._channel is not None:
            self.send(Shutdown())
            self._channel.close()
        if self._process is not None:
            self._process.join(LONGEST_END)
            self._process.kill()
            self._process.join()
        if self._thread is not None:
            self._thread.join(LONGEST_END)

    def _start(self) -> None:
        if self._in_threads:
            self._start_threads()
        else:
            forked = self._prefork.take(run_fetching, self._spec) if self._prefork else None
            self._channel, self._process = forked or self._spawn()
        assert self._channel is not None
        self._channel.set_blocking(False)

    def _spawn(self) -> tuple[Channel, Any]:
        ours, theirs = Channel.pair()
        process = self._context.Process(
            target=run_fetching, args=(theirs, self._spec), name="fetcher"
        )
        with signals_blocked():
            process.start()
        theirs.close()
        return ours, process

    def _start_threads(self) -> None:
        self._channel, theirs = Channel.pair()
        self._thread = threading.Thread(
            target=run_in_threads, args=(theirs, self._spec), name="fetcher", daemon=True
        )
        self._thread.start()


def _check_pool(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if isinstance(outcome.result, PoolFailed):
            kind = SystemResourceError if outcome.result.is_lack_of_resource else CrawlerError
            raise kind(outcome.result.message)
