"""The timer of callbacks: one that hangs is logged and ended.

A callback in an endless loop would block its worker, with all pages that the worker has. Python
cannot end a thread; but a worker is a process, which can end.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from crawler import urls

log = logging.getLogger(__name__)

HUNG = 70
"""Exit status of a worker whose callback hangs; EX_SOFTWARE of sysexits.h."""
_CHECK_EVERY = 5.0
"""The longest time, in seconds, between two checks of the running callback."""


class CallbackTimer:
    """Limits the time of a callback, which runs in a block of ``of(url)``."""

    def __init__(self, timeout: float | None = None) -> None:
        """``timeout`` is in seconds, None for no limit. It is enforced only after ``watch()``."""
        self._timeout = timeout
        self._running: tuple[float, int, str] | None = None
        self._closed = threading.Event()

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()

    @contextmanager
    def of(self, url: str) -> Iterator[None]:
        """Run the callback for ``url`` in this block; note when it began."""
        self._running = (time.monotonic(), threading.get_ident(), url)
        try:
            yield
        finally:
            self._running = None

    def watch(self, log_path: str | None, *, may_exit: bool) -> None:
        """Start a thread that logs a callback that takes too long.

        With ``may_exit`` it also ends this process; a hang in C code then writes a traceback to
        ``log_path``.
        """
        if self._timeout is not None:
            arguments = (self._timeout, log_path, may_exit)
            threading.Thread(target=self._watch, args=arguments, name="hangs", daemon=True).start()

    def _watch(self, timeout: float, log_path: str | None, may_exit: bool) -> None:
        logged = None
        every = min(_CHECK_EVERY, timeout / 4)
        file = Path(log_path or os.devnull).open("ab") if may_exit else None  # noqa: SIM115
        _arm(timeout + every, file)
        while not self._closed.wait(every):
            _arm(timeout + every, file)
            running = self._running
            if running is None or running is logged or time.monotonic() < running[0] + timeout:
                continue
            logged = running
            _log_hang(running, timeout)
            if may_exit:
                os._exit(HUNG)


def _arm(seconds: float, file: IO[bytes] | None) -> None:
    """End this process after ``seconds``, with a traceback, unless called again before.

    While C code holds the interpreter's lock, as a regular expression may, the watching thread
    cannot run. faulthandler needs no lock.
    """
    if file is not None:
        faulthandler.dump_traceback_later(seconds, exit=True, file=file)


def _log_hang(running: tuple[float, int, str], timeout: float) -> None:
    _, thread, url = running
    frame = sys._current_frames().get(thread)
    where = "".join(traceback.format_stack(frame)) if frame else ""
    log.error(
        "%s: its callback takes longer than callback_timeout (%g s); it hangs here:\n%s",
        urls.redacted(url),
        timeout,
        where,
    )
