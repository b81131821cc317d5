"""The pace of a login: its pages keep the delay between them, as those of any visit do."""

from __future__ import annotations

import time


class Throttle:
    """Waits between two requests; the page that comes after a login waits for the last one too."""

    def __init__(self, delay: float) -> None:
        """``delay`` is in seconds."""
        self._delay = delay
        self._asked_at = 0.0

    def wait(self) -> None:
        """Wait until the delay has passed since the last call."""
        wait = self._asked_at + self._delay - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        self._asked_at = time.monotonic()
