"""One worker process: pages come over a channel, results go back, a batch at a time."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import Any, Protocol

from crawler.gc_tuning import configure_worker
from crawler.messages import (
    Call,
    CallResult,
    EndWorker,
    Examined,
    NewSecrets,
    Page,
    PageCommand,
    PageResult,
    Ready,
    ScopeUpdate,
    Verdict,
    decode_page_command,
    encode,
)
from crawler.worker.channel import Channel

BATCH = 4
"""Results that are sent together while more pages wait."""
LINGER = 0.02
"""The longest time, in seconds, that a result waits to be sent together with others."""


class Handler(Protocol):
    """Turns pages into results, as a Worker does."""

    def handle(self, page: Page) -> PageResult:
        """Return the result of a page; never raises."""

    def examine(self, page: Page) -> Examined:
        """Look at a page, and keep it until its verdict; never raises."""

    def take_verdict(self, verdict: Verdict) -> PageResult | None:
        """Handle a page that was kept, or drop it and return None."""

    def extend_scope(self, netlocs: list[str]) -> None:
        """Allow further hosts."""

    def mask_secrets(self, texts: list[str]) -> None:
        """Mask these texts from now on."""


class FetchingEndedError(BaseException):
    """The fetching process has ended, so this worker ends too. Not for a spider to catch."""


class WorkerLoop:
    """Handles the pages that come over ``channel``, one after the other."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._handler: Handler
        self._commands: deque[PageCommand] = deque()
        self._results: deque[bytes] = deque()
        self._has_results = threading.Event()
        self._sending = threading.Lock()
        self._calling = threading.Lock()
        self._page = -1
        self._is_over = False

    def run(self, handler: Handler) -> None:
        """Handle commands until EndWorker, or until the other end of the channel is closed."""
        self._handler = handler
        threading.Thread(target=self._send_late, name="sender", daemon=True).start()
        try:
            self._channel.send(encode(Ready()))
            while not isinstance(command := self._next(), EndWorker):
                self._handle_command(command)
            self._flush()
        except (EOFError, OSError, FetchingEndedError):  # there is nothing left to work for
            pass
        finally:
            self._is_over = True
            self._has_results.set()

    def call(self, session: str, call: bytes) -> bytes:
        """Let the fetching process make a call of a session; return its result, pickled."""
        with self._calling:  # a callback may have threads of its own
            try:
                with self._sending:
                    self._channel.send(encode(Call(self._page, session, call)))
                return self._result_of_call()
            except (EOFError, OSError):
                raise FetchingEndedError from None

    def _result_of_call(self) -> bytes:
        while True:
            waiting = len(self._commands)
            self._read()
            for number in range(waiting, len(self._commands)):
                command = self._commands[number]
                if isinstance(command, CallResult):
                    del self._commands[number]
                    return command.value

    def _next(self) -> PageCommand:
        while not self._commands:
            if self._results and self._channel.can_read():
                self._has_results.set()  # the next callback may take long
            elif self._results:
                self._flush()
            self._read()
        return self._commands.popleft()

    def _read(self) -> None:
        self._commands += map(decode_page_command, self._channel.read())

    def _handle_command(self, command: PageCommand) -> None:
        if isinstance(command, Page):
            self._page = command.id
            is_judged = command.query is None
            handle = self._handler.handle if is_judged else self._handler.examine
            self._report(handle(command))
        elif isinstance(command, Verdict):
            self._page = command.id
            if (result := self._handler.take_verdict(command)) is not None:
                self._report(result)
        elif isinstance(command, ScopeUpdate):
            self._handler.extend_scope(command.netlocs)
        elif isinstance(command, NewSecrets):
            self._handler.mask_secrets(command.texts)

    def _report(self, result: PageResult | Examined) -> None:
        self._results.append(encode(result))
        if len(self._results) >= BATCH:
            self._flush()
        elif self._commands:
            self._has_results.set()

    def _send_late(self) -> None:
        """Send the results that wait while a callback takes long."""
        while not self._is_over:
            self._has_results.wait()
            self._has_results.clear()
            time.sleep(LINGER)
            with contextlib.suppress(OSError):
                self._flush()

    def _flush(self) -> None:
        with self._sending:
            # Only this removes results, so one that is appended meanwhile stays.
            results = [self._results.popleft() for _ in range(len(self._results))]
            if results:
                self._channel.send(*results)


_PR_SET_PDEATHSIG = 1
_STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Start processes in this block with Ctrl-C and SIGTERM blocked, until they are configured."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_signals() -> None:
    """Leave the signals that stop a crawl to the engine."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)


def end_with_parent() -> None:
    """End this process as soon as its parent ends, even in the middle of a callback.

    The kernel does it on Linux, when the thread ends that has started this process. Elsewhere a
    thread of this process does it, as soon as the callback lets it run.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform != "linux":
        threading.Thread(target=_end_after, args=(parent,), name="parent", daemon=True).start()
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent.pid:  # it ended before
        os._exit(0)


def _end_after(parent: Any) -> None:
    wait([parent.sentinel])
    os._exit(0)


def configure_process() -> None:
    """Set up this process for one worker: its signals and its garbage collection.

    Pages leave so much short-lived garbage in cycles that the collector would run all the time at
    its default thresholds.
    """
    ignore_signals()
    configure_worker()
