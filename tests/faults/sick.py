"""Spiders for sick machines. What the environment says happens to each process that imports this.

``LIMIT_SIZE``    no file may be longer than this many bytes (RLIMIT_FSIZE)
``LIMIT_FILES``   no more open files and sockets than this (RLIMIT_NOFILE)
``CLOCK``         a file with the seconds by which the wall clock is wrong, at any moment
"""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from crawler import Spider

for _name, _limit in (
    ("LIMIT_SIZE", resource.RLIMIT_FSIZE),
    ("LIMIT_FILES", resource.RLIMIT_NOFILE),
):
    if _name in os.environ:
        _most = int(os.environ[_name])
        resource.setrlimit(_limit, (_most, _most))

if "CLOCK" in os.environ:
    _right, _clock = time.time, Path(os.environ["CLOCK"])
    time.time = lambda: _right() + float(_clock.read_text())


class Follow(Spider):
    """Follows every link; an item a page, which may be a long one."""

    delay = 0
    retry_wait = 0.01
    commit_interval = 0.01

    def __init__(self, size: str = "10", **arguments: Any) -> None:
        super().__init__(**arguments)
        self.size = int(size)

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url, "text": "x" * self.size}
        yield from response.follow_all()


class Member(Follow):
    """Logs in on the same host, and is logged out where a page says 401."""

    def login(self, session: Any) -> None:
        session.post(self.home + "/login")

    def __init__(self, home: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.home = home


class Checked(Follow):
    """Rejects all its items but one."""

    item_type = dict[str, int]


HOARD: list[bytes] = []
HOARD_OF_FILES: list[Any] = []


class Leaky(Follow):
    """Keeps 4 MB of each page, and logs in."""

    host: str

    def login(self, session: Any) -> None:
        session.post("http://" + self.host + "/login")

    def parse(self, response: Any) -> Iterator[Any]:
        HOARD.append(os.urandom(4_000_000))
        yield {"url": response.url, "pid": os.getpid(), "cookies": dict(response.session.cookies)}
        yield from response.follow_all()

    def is_logged_out(self, response: Any) -> bool:
        return bool(response.status == 401)


class Hanging(Follow):
    """Never comes to an end with some pages: in Python, or where it holds the interpreter."""

    def parse(self, response: Any) -> Iterator[Any]:
        while "/loop" in response.url:
            pass
        if "/regex" in response.url:
            re.match(r"(a*)*b", "a" * 60)
        yield from super().parse(response)


class Hoarding(Follow):
    """Opens files as long as it may, where that is not for ever, and keeps them."""

    def prepare(self, session: Any) -> None:
        hoard()


class HoardingCallback(Follow):
    """Does so where it parses."""

    def parse(self, response: Any) -> Iterator[Any]:
        hoard()
        yield from super().parse(response)


class HoardingLogin(Follow):
    """Does so before it logs in."""

    host: str

    def login(self, session: Any) -> None:
        hoard()
        session.get("http://" + self.host + "/login")


def hoard() -> None:
    with suppress(OSError):
        while "LIMIT_FILES" in os.environ:
            HOARD_OF_FILES.append(Path(os.devnull).open("rb"))  # noqa: SIM115
