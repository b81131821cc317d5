"""The `crawl` command as a victim: spiders for it, and instants at which it kills itself.

``KILL=commit.stored:2 python tests/victims.py run …`` sends SIGKILL to its own process the second
time that it comes to that point; the points are in tests/faults/points.py.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawler import Request, Spider
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


class Cores(Follow):
    """Its items are the cores that its worker may run on."""

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"cores": sorted(os.sched_getaffinity(0))}


class Holding(Follow):
    """The callback of /hold writes the id of its process, and then holds the interpreter."""

    pids = ""

    def parse(self, response: Any) -> Iterator[Any]:
        if "/hold" in response.url:
            Path(self.pids).write_text(str(os.getpid()))
            re.match("(a+)+$", "a" * 60 + "b")  # takes longer than anything waits
        yield {"url": response.url}


class Deaf(Follow):
    """Its fetching process stops before it reads anything."""

    obey_robots = False
    origin = ""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        if multiprocessing.current_process().name == "fetcher":
            os.kill(os.getpid(), signal.SIGSTOP)

    def start(self) -> Iterator[Any]:
        yield Request(self.origin, method="POST", data={"text": "x" * 1_000_000})


class Calling(Follow):
    """Its callback calls its session until the site answers."""

    def parse(self, response: Any) -> Iterator[Any]:
        session = response.session
        while True:
            try:
                session.get(response.url + "api").raise_for_status()
                session.get(response.url + "again")
            except Exception:  # as careless callbacks do
                continue
            break
        yield {"url": response.url}


class Stillborn(Follow):
    """The processes named in ``STILLBORN`` die before they can do anything."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        name = os.environ.get("STILLBORN")
        if name and multiprocessing.current_process().name.startswith(name):
            os._exit(5)


class Unprepared(Follow):
    """Its fetching process comes up, and dies as soon as it is given anything."""

    def prepare(self, session: Any) -> None:
        if multiprocessing.current_process().name == "fetcher":
            os._exit(6)


if __name__ in {"__main__", "__mp_main__"}:  # the latter is what spawned workers call it
    arm(is_main=__name__ == "__main__")

if __name__ == "__main__":
    from crawler.cli.main import main

    sys.argv[0] = "crawl"
    main()
