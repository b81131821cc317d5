"""Stopping: Ctrl-C and SIGTERM as something that the loop can look at and wait for."""

from __future__ import annotations

import contextlib
import math
import signal
import socket
from collections.abc import Iterator
from types import FrameType
from typing import Any


class StopSignal:
    """Ctrl-C and SIGTERM as a level: 0 go on, 1 finish what is in flight, 2 stop at once.

    Nothing looks at the level before the first seed is read, so until then a signal raises
    KeyboardInterrupt, as it does without us: at a prompt, or while a spider is imported.
    """

    def __init__(self) -> None:
        self.level = 0
        self._raises_at: float = 1
        self.waker, self._wake = socket.socketpair()
        self._before: dict[int, Any] = {}

    def stop(self) -> None:
        """Stop as if Ctrl-C had been pressed once more."""
        self.level += 1
        with contextlib.suppress(OSError):
            self._wake.send(b"!")

    @contextlib.contextmanager
    def user_code(self) -> Iterator[None]:
        """Around what may never come to an end: within it a second signal raises KeyboardInterrupt.

        What comes after it looks at the level.
        """
        self._raises_at = max(2, self.level + 1)
        try:
            yield
        finally:
            self._raises_at = math.inf

    def __enter__(self) -> StopSignal:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self.close()

    def close(self) -> None:
        """Release the sockets."""
        self.waker.close()
        self._wake.close()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.stop()
        if self.level >= self._raises_at:
            raise KeyboardInterrupt


def ignore_from_now_on() -> None:
    """The process is ending: one more Ctrl-C must not change the status that it ends with."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
