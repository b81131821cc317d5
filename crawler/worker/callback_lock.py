"""The callbacks' lock: one runs at a time, and one that hangs is told, and ended where it can be.

A callback that loops for ever would keep its worker, and all pages that the worker has, for ever.
Python cannot end a thread, but a worker is a process.
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
"""Exit status of a worker that a callback has kept for too long; EX_SOFTWARE of sysexits.h."""
_LOOK_EVERY = 5.0


class CallbackLock:
    """Use it as a lock, or with ``of(url)`` where it matters how long that takes."""

    def __init__(self, timeout: float | None = None) -> None:
        """``timeout`` is in seconds, None for no limit. It is enforced only after ``watch()``."""
        self._timeout = timeout
        self._lock = threading.Lock()
        self._running: tuple[float, int, str] | None = None
        self._closed = threading.Event()

    def close(self) -> None:
        """Look no longer."""
        self._closed.set()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self._lock.release()

    @contextmanager
    def of(self, url: str) -> Iterator[None]:
        """Hold the lock while the callback for ``url`` runs, and note when it began."""
        with self._lock:
            self._running = (time.monotonic(), threading.get_ident(), url)
            try:
                yield
            finally:
                self._running = None

    def watch(self, kept: str | None, *, may_exit: bool) -> None:
        """From now on tell the log of a callback that takes too long, and end this process.

        ``kept`` is the log file's path. With ``may_exit`` the process is ended; without it the
        hang is only logged.
        """
        if self._timeout is not None:
            what = (self._timeout, kept, may_exit)
            threading.Thread(target=self._watch, args=what, name="hangs", daemon=True).start()

    def _watch(self, timeout: float, kept: str | None, may_exit: bool) -> None:
        told = None
        every = min(_LOOK_EVERY, timeout / 4)
        last_words = Path(kept or os.devnull).open("ab") if may_exit else None  # noqa: SIM115
        _arm(timeout + every, last_words)
        while not self._closed.wait(every):
            _arm(timeout + every, last_words)
            running = self._running
            if running is None or running is told or time.monotonic() < running[0] + timeout:
                continue
            told = running
            _tell(running, timeout)
            if may_exit:
                os._exit(HUNG)


def _arm(seconds: float, last_words: IO[bytes] | None) -> None:
    """End this process, with a traceback, unless it is armed again before.

    Where C code holds the interpreter's lock, as a regular expression may, the thread that looks
    cannot; this needs no lock.
    """
    if last_words is not None:
        faulthandler.dump_traceback_later(seconds, exit=True, file=last_words)


def _tell(running: tuple[float, int, str], timeout: float) -> None:
    _, thread, url = running
    frame = sys._current_frames().get(thread)
    where = "".join(traceback.format_stack(frame)) if frame else ""
    log.error(
        "%s: its callback takes longer than callback_timeout, %g s; it is here:\n%s",
        urls.redacted(url),
        timeout,
        where,
    )
