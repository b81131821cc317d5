"""The `crawl` command as a victim: spiders for it, and instants at which it kills itself.

``KILL=commit.stored:2 python tests/victims.py run …`` sends SIGKILL to its own process the second
time that it comes to that point; the points are in tests/faults/points.py.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from crawler import Spider
from tests.faults.traps import arm


class Follow(Spider):
    """Follows every link; two items a page, long enough to be torn."""

    delay = 0
    retry_wait = 0.01
    commit_interval = 0.01

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url, "text": "x" * 500}
        yield {"url": response.url + "#second", "text": "x" * 500}
        yield from response.follow_all()


class Member(Follow):
    """Logs in at ``origin``."""

    origin = ""

    def login(self, session: Any) -> None:
        session.submit(session.open(f"{self.origin}/login").form("form"), password="sesame")


class Dying(Follow):
    """Some of its pages kill their worker."""

    def parse(self, response: Any) -> Iterator[Any]:
        if "/exit" in response.url:
            os._exit(7)
        if "/abort" in response.url:
            os.abort()
        if "/kill" in response.url:
            os.kill(os.getpid(), signal.SIGKILL)
        yield from super().parse(response)


class Stillborn(Follow):
    """Its workers die before they can do anything."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        if _is_worker():
            os._exit(5)


class Unprepared(Follow):
    """Its workers come up, and die as soon as they are given anything."""

    def prepare(self, session: Any) -> None:
        if _is_worker():
            os._exit(6)


def _is_worker() -> bool:
    return "MAIN" in os.environ and os.environ["MAIN"] != str(os.getpid())


if __name__ in {"__main__", "__mp_main__"}:  # the latter is what spawned workers call it
    arm(is_main=__name__ == "__main__")

if __name__ == "__main__":
    from crawler.cli.main import main

    sys.argv[0] = "crawl"
    main()
