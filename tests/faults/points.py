"""Instants at which a process of a crawl kills itself, by name.

``KILL=point:n`` in the environment makes the ``n``-th arrival of the scheduling process at
``point`` its last; with ``KILL=point:n:all`` its whole process group dies with it. The first
worker that comes to the point in ``KILL_WORKER=point:n:file`` makes ``file`` and dies; workers
that find the file there live on.

The output's writes and syncs are reached where ``crawler.sink`` calls the system, and the store's
where SQLite does, through the table of system calls that it has for the sake of its own tests
(``xSetSystemCall``). ``half`` is a write of which only the first half has come to pass. SQLite
syncs past that table, but what stands before a sync stands after the write before it: to a process
that is killed, and not its machine, a sync changes nothing.
"""

from __future__ import annotations

import _sqlite3
import contextlib
import ctypes
import itertools
import os
import signal
import sqlite3
import struct
from collections.abc import Callable, Iterator
from functools import wraps
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from crawler import opening, sink
from crawler.commit import Committer
from crawler.frontier import Frontier
from crawler.intake import Intake
from crawler.job import Job
from crawler.opening import Opening
from crawler.process import Workshop
from crawler.session import Session
from crawler.store.sqlite import SQLiteStore
from crawler.team import Team
from crawler.worker import Worker

_WRITES = ("write", "half", "written")
_STAGES = ("begun", "stored", "committed")


def _of(names: tuple[str, ...], stages: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{name}.{stage}" for name in names for stage in stages)


OPENING = (
    *("lock.taken", "open.begun", "open.stored", "open.committed", "items.opened"),
    *("rejected.opened", "folder.synced", *_of(("begin", "seeds"), _STAGES), "seeds.over"),
)
"""While a job is made, opened and seeded."""

OUTPUT = _of(("items", "rejected"), (*_WRITES, "sync", "synced"))
"""While lines are written."""

CUTTING = _of(("items", "rejected"), ("cut", "was_cut"))
"""While a resumed job cuts off what stands behind the last commit."""

COMMIT = (*_of(("commit",), _STAGES), "commit.over")
"""Around the transaction; ``over`` is when the scheduler has learnt of it."""

BETWEEN = (
    *_of(("mark",), _STAGES),
    *_of(("wake",), _STAGES),
    *("order.send", "order.sent", "outcome.take", "outcome.taken"),
)
"""Sent once, tried again, given to workers, come from workers."""

STORE = _of(("wal", "database"), _WRITES)
"""While SQLite writes its log, and from there into its file."""

ENDING = (*_of(("end",), _STAGES), "close.begun", *_of(("closing",), _WRITES), "close.over")
"""While a finished run is closed."""

WORKER = (
    *("worker.send", "worker.half_sent", "worker.sent"),
    *("worker.handle", "worker.handled", "worker.logged_in"),
)
"""In a worker: around the sending of outcomes, the handling of a page, after a login."""

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
        if point not in POINTS + WORKER:
            raise ValueError(f"there is no point {point}")
        self.point = point
        self._number = number
        self._everyone = everyone
        self._token = token
        self._spared = spared
        self._arrivals = itertools.count(1)

    def fires(self, here: str) -> bool:
        """True for the one arrival that is meant; ``die`` has to follow."""
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


def arm(*, is_main: bool) -> None:
    """Set the traps that the environment asks for. Workers that are forked inherit those of the
    process that they come from; spawned ones have to set them again."""
    if "KILL_WORKER" in os.environ:
        point, number, token = os.environ["KILL_WORKER"].split(":", 2)
        spared = os.getpid() if is_main else None
        _watch_worker(Trap(point, int(number), token=token, spared=spared))
    if is_main and "KILL" in os.environ:
        point, number, *everyone = os.environ["KILL"].split(":")
        _watch_main(Trap(point, int(number), everyone=bool(everyone)))


def _watch_main(trap: Trap) -> None:
    places: list[str] = []
    _replace(sink, "os", _SinkSystem(trap))
    if trap.point.startswith("seeds"):
        _replace(opening, "AT_ONCE", 2)  # seeds in several transactions
    for owner, method, place in (
        (Committer, "commit", "commit"),
        (Committer, "mark_sent", "mark"),
        (Frontier, "wake", "wake"),
        (Opening, "add_seeds", "seeds"),
        (Job, "begin", "begin"),
        (Job, "end", "end"),
    ):
        _replace(owner, method, _placed(getattr(owner, method), place, places, trap))
    transaction = _watched_transaction(SQLiteStore.transaction, places, trap)
    _replace(SQLiteStore, "transaction", transaction)
    _replace(SQLiteStore, "__init__", _around(SQLiteStore.__init__, trap, before="lock.taken"))
    _replace(SQLiteStore, "close", _watched_close(SQLiteStore.close, places, trap))
    _replace(Team, "send", _around(Team.send, trap, "order.send", "order.sent"))
    _replace(Intake, "take", _around(Intake.take, trap, "outcome.take", "outcome.taken"))
    if trap.point in _of(("wal", "database", "closing"), _WRITES):
        _watch_sqlite(trap, places)


def _watch_worker(trap: Trap) -> None:
    send = Connection.send_bytes

    def dying_send(self: Any, message: Any, *more: Any) -> None:
        trap.arrive("worker.send")
        if trap.fires("worker.half_sent"):
            whole = struct.pack("!i", len(message)) + bytes(message)
            os.write(self.fileno(), whole[: len(whole) // 2])
            trap.die()
        send(self, message, *more)
        trap.arrive("worker.sent")

    def only_here(self: Any) -> None:
        """The pipe is watched from when the workshop opens, not while Python makes the process."""
        _replace(Connection, "send_bytes", dying_send)
        run(self)

    run = Workshop.run
    _replace(Workshop, "run", only_here)
    _replace(Worker, "handle", _around(Worker.handle, trap, "worker.handle", "worker.handled"))
    _replace(Session, "submit", _around(Session.submit, trap, after="worker.logged_in"))


# The parts that are watched


class _SinkSystem:
    """Stands for the module ``os`` in ``crawler.sink``."""

    def __init__(self, trap: Trap) -> None:
        self._trap = trap
        self._names: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, *mode: int) -> int:
        file = os.open(path, flags, *mode)
        self._names[file] = path.stem if path.suffix else "folder"
        self._trap.arrive(f"{self._names[file]}.opened")
        return file

    def write(self, file: int, data: memoryview) -> int:
        name = self._names[file]
        self._trap.arrive(f"{name}.write")
        if self._trap.fires(f"{name}.half"):
            os.write(file, data[: len(data) // 2])
            self._trap.die()
        written = os.write(file, data)
        self._trap.arrive(f"{name}.written")
        return written

    def fsync(self, file: int) -> None:
        self._trap.arrive(f"{self._names[file]}.sync")
        os.fsync(file)
        self._trap.arrive(f"{self._names[file]}.synced")

    def ftruncate(self, file: int, length: int) -> None:
        self._trap.arrive(f"{self._names[file]}.cut")
        os.ftruncate(file, length)
        self._trap.arrive(f"{self._names[file]}.was_cut")


def _placed(method: Callable[..., Any], place: str, places: list[str], trap: Trap) -> Any:
    """Transactions within ``method`` are those of ``place``."""

    @wraps(method)
    def placed(*args: Any, **kwargs: Any) -> Any:
        places.append(place)
        try:
            result = method(*args, **kwargs)
        finally:
            places.pop()
        trap.arrive(f"{place}.over")
        return result

    return placed


def _watched_transaction(transaction: Callable[..., Any], places: list[str], trap: Trap) -> Any:
    @contextlib.contextmanager
    def watched(self: SQLiteStore, **how: Any) -> Iterator[None]:
        place = places[-1] if places else "open"
        with transaction(self, **how):
            trap.arrive(f"{place}.begun")
            yield
            trap.arrive(f"{place}.stored")
        trap.arrive(f"{place}.committed")

    return watched


def _watched_close(close: Callable[..., None], places: list[str], trap: Trap) -> Any:
    def watched(self: SQLiteStore) -> None:
        trap.arrive("close.begun")
        places.append("closing")
        try:
            close(self)
        finally:
            places.pop()
        trap.arrive("close.over")

    return watched


def _around(method: Callable[..., Any], trap: Trap, before: str = "", after: str = "") -> Any:
    @wraps(method)
    def watched(*args: Any, **kwargs: Any) -> Any:
        trap.arrive(before)
        result = method(*args, **kwargs)
        trap.arrive(after)
        return result

    return watched


def _replace(owner: Any, name: str, new: Any) -> None:
    """Put ``new`` in the place of something that must be there, or a point would be void."""
    getattr(owner, name)
    setattr(owner, name, new)


# SQLite's own writes


class _VFS(ctypes.Structure):
    """``sqlite3_vfs``, version 3; pointers to functions that are not needed are left plain."""

    _fields_ = [
        *(("version", ctypes.c_int), ("file_size", ctypes.c_int), ("longest_path", ctypes.c_int)),
        *((name, ctypes.c_void_p) for name in ("next", "name", "data")),
        *((f"method_{number}", ctypes.c_void_p) for number in range(13)),
        *((name, ctypes.c_void_p) for name in ("set_system_call", "get_system_call", "following")),
    ]


_SET = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_GET = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_PWRITE = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
)
_OFTEN = 10
"""Pages of the log after which it is written into the file, instead of a thousand."""


def _watch_sqlite(trap: Trap, places: list[str]) -> None:
    library = ctypes.CDLL(_sqlite3.__file__)
    find = library.sqlite3_vfs_find
    find.restype, find.argtypes = ctypes.POINTER(_VFS), [ctypes.c_char_p]
    vfs = find(None)
    name = next(name for name in (b"pwrite64", b"pwrite") if _get(vfs)(vfs, name))
    real = _PWRITE(_get(vfs)(vfs, name))

    def pwrite(file: int, data: int, size: int, place: int) -> int:
        what = "closing" if places[-1:] == ["closing"] else _what(file)
        trap.arrive(f"{what}.write")
        if trap.fires(f"{what}.half"):
            real(file, data, size // 2, place)
            trap.die()
        written: int = real(file, data, size, place)
        trap.arrive(f"{what}.written")
        return written

    _CALLBACKS.append(_PWRITE(pwrite))
    _SET(vfs.contents.set_system_call)(vfs, name, ctypes.cast(_CALLBACKS[-1], ctypes.c_void_p))
    if trap.point.startswith("database"):
        _replace(sqlite3, "connect", _checkpointing(sqlite3.connect))


_CALLBACKS: list[Any] = []
"""SQLite calls these until the process ends, and holds no reference."""


def _get(vfs: Any) -> Any:
    return _GET(vfs.contents.get_system_call)


def _what(file: int) -> str:
    name = Path(f"/proc/self/fd/{file}").readlink().name
    return "wal" if name.endswith("-wal") else "database" if name.endswith(".db") else "other"


def _checkpointing(connect: Callable[..., sqlite3.Connection]) -> Any:
    def connected(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        db = connect(*args, **kwargs)
        db.execute(f"PRAGMA wal_autocheckpoint = {_OFTEN}")
        return db

    return connected
