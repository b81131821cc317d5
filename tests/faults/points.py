"""Instants at which a process of a crawl kills itself, by name, and how it does.

``half`` is a write of which only the first half has come to pass.
"""

from __future__ import annotations

import itertools
import os
import signal
from typing import NoReturn

WRITES = ("write", "half", "written")
"""Around a write."""
STAGES = ("begun", "stored", "committed")
"""Of a transaction: after its BEGIN, before its COMMIT, after it."""


def of(names: tuple[str, ...], stages: tuple[str, ...]) -> tuple[str, ...]:
    """Each stage of each name."""
    return tuple(f"{name}.{stage}" for name in names for stage in stages)


OPENING = (
    *("lock.taken", "open.begun", "open.stored", "open.committed", "items.opened"),
    *("rejected.opened", "folder.synced", *of(("begin", "seeds"), STAGES), "seeds.over"),
)
"""While a job is made, opened and seeded."""

OUTPUT = of(("items", "rejected"), (*WRITES, "sync", "synced"))
"""While lines are written."""

CUTTING = of(("items", "rejected"), ("keep", "kept", "cut", "was_cut"))
"""While a resumed job saves the bytes after the last commit in another file and truncates them."""

COMMIT = (*of(("commit",), STAGES), "commit.over")
"""Around the transaction; ``over`` is when the scheduler has learnt of it."""

BETWEEN = (
    *of(("mark",), STAGES),
    *of(("wake",), STAGES),
    *("order.send", "order.sent", "outcome.take", "outcome.taken"),
)
"""Sent once, tried again, given to workers, come from workers."""

STORE = of(("wal", "database"), WRITES)
"""While SQLite writes its log, and from there into its file."""

ENDING = (
    *(*of(("end",), STAGES), *of(("closing",), WRITES), "stamp.write", "stamp.written"),
    *("closing.over", "close.begun", "close.over"),
)
"""While a finished run is closed: the log is written into the store, which is then stamped."""

FETCHER = (
    *("fetcher.begin", "fetcher.begun", "fetcher.page", "fetcher.paged"),
    *("fetcher.result", "fetcher.call", "fetcher.called", "fetcher.logged_in"),
    *("fetcher.send", "fetcher.half_sent", "fetcher.sent"),
)
"""In the fetching process: around the start of a task and the handing out of a page, with a result,
around the call of a callback, after a login, around the sending of outcomes."""

WORKER = (
    *("worker.handle", "worker.handled", "worker.call", "worker.called"),
    *("worker.send", "worker.half_sent", "worker.sent"),
)
"""In a worker: around the handling of a page, a call of its session, the sending of results."""

CALLS = ("fetcher.call", "fetcher.called", "worker.call", "worker.called")
"""Those of callbacks that call their session."""

POINTS = (*OPENING, *OUTPUT, *CUTTING, *COMMIT, *BETWEEN, *STORE, *ENDING)
"""All of the scheduling process."""


class Trap:
    """Kills this process at the ``number``-th arrival at ``point``.

    With ``everyone`` the whole process group dies. Of several processes that have the trap, only
    the one dies that makes the file ``token``, and ``spared`` never does.
    """

    def __init__(
        self,
        point: str,
        number: int,
        *,
        everyone: bool = False,
        token: str = "",
        spared: int | None = None,
    ) -> None:
        if point not in POINTS + FETCHER + WORKER:
            raise ValueError(f"there is no point {point}")
        self.point = point
        self._number = number
        self._everyone = everyone
        self._token = token
        self._spared = spared
        self._arrivals = itertools.count(1)

    def fires(self, here: str) -> bool:
        """Return True for the one arrival that is meant; ``die`` has to follow."""
        if here != self.point or os.getpid() == self._spared:
            return False
        return next(self._arrivals) == self._number and self._claim()

    def arrive(self, here: str) -> None:
        """Die if this is the arrival that is meant."""
        if self.fires(here):
            self.die()

    def die(self) -> NoReturn:
        """SIGKILL, which nothing survives."""
        if self._everyone:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process went on")

    def _claim(self) -> bool:
        if not self._token:
            return True
        try:
            os.close(os.open(self._token, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True
