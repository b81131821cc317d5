"""Stopping: Ctrl-C and SIGTERM as something that the loop can look at and wait for."""

from __future__ import annotations

import contextlib
import signal
import socket
from types import FrameType
from typing import Any


class StopSignal:
    """Ctrl-C and SIGTERM as a level: 0 go on, 1 finish what is in flight, 2 stop at once."""

    def __init__(self) -> None:
        self.level = 0
        self.waker, self._wake = socket.socketpair()
        self._before: dict[int, Any] = {}

    def stop(self) -> None:
        """Stop as if Ctrl-C had been pressed once more."""
        self.level += 1
        with contextlib.suppress(OSError):
            self._wake.send(b"!")

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


def ignore_from_now_on() -> None:
    """The process is ending: one more Ctrl-C must not change the status that it ends with."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
