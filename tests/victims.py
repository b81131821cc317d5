"""The `crawl` command as a victim: spiders for it, and instants at which it kills itself.

``KILL=point:n python tests/victims.py run …`` sends SIGKILL to its own process the ``n``-th time
that it comes to ``point``:

``append``      before items are written
``half``        when half of their bytes are written
``synced``      when they are written and synced
``commit``      when the transaction has everything in it, before its COMMIT
``committed``   right after the COMMIT
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from crawler import Spider
from crawler.sink import JSONLines
from crawler.store.sqlite import SQLiteStore


class Follow(Spider):
    """Follows every link; two items a page, long enough to be torn."""

    delay = 0
    retry_wait = 0.01
    commit_interval = 0.01

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url, "text": "x" * 500}
        yield {"url": response.url + "#second", "text": "x" * 500}
        yield from response.follow_all()


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


def die_at(point: str, number: int) -> None:
    """Arrange for the ``number``-th arrival at ``point`` to be the last."""
    left = [number]

    def arrive(here: str) -> None:
        if here == point:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    setattr(JSONLines, "append", _dying_append(JSONLines.append, arrive))  # noqa: B010
    setattr(SQLiteStore, "transaction", _dying_transaction(SQLiteStore.transaction, arrive))  # noqa: B010


def _dying_append(
    append: Callable[[JSONLines, bytes], None], arrive: Callable[[str], None]
) -> Callable[[JSONLines, bytes], None]:
    def dying(self: JSONLines, lines: bytes) -> None:
        if lines:
            arrive("append")
            os.write(self._file, lines[: len(lines) // 2])
            arrive("half")
            os.ftruncate(self._file, self.length)  # it lives: as if nothing had been written
        append(self, lines)
        if lines:
            arrive("synced")

    return dying


def _dying_transaction(transaction: Callable[..., Any], arrive: Callable[[str], None]) -> Any:
    @contextlib.contextmanager
    def dying(self: SQLiteStore) -> Iterator[None]:
        with transaction(self):
            yield
            arrive("commit")
        arrive("committed")

    return dying


if __name__ == "__main__":
    from crawler.cli import main

    if "KILL" in os.environ:
        point, _, number = os.environ["KILL"].partition(":")
        die_at(point, int(number))
    sys.argv[0] = "crawl"
    main()
