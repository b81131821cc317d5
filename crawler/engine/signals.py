"""Stop signals: Ctrl-C and SIGTERM as a level that the loop reads, and a socket to wait for."""

from __future__ import annotations

import contextlib
import math
import signal
import socket
from collections.abc import Iterator
from types import FrameType
from typing import Any


class StopSignal:
    """Ctrl-C and SIGTERM as a level: 0 continue, 1 finish the requests in flight, 2 stop at once.

    The level is not read before the first seed is, so until then a signal raises KeyboardInterrupt,
    as Python does by itself: at a prompt, or while a spider is imported.
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
        """Run code that may never end: within it a second signal raises KeyboardInterrupt.

        After it the level alone counts.
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
    """Ignore the signals while the process ends, so that they cannot change its exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
