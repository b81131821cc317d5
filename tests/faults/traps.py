"""The places of the points: traps in the sink, the store, the channels and their callers.

``KILL=point:n`` in the environment makes the ``n``-th arrival of the scheduling process at
``point`` its last; with ``KILL=point:n:all`` its whole process group dies with it. The first
fetching process or worker that comes to the point in ``KILL_CHILD=point:n:file`` makes ``file`` and
dies; those that find the file there live on.

The output's writes and syncs are reached where ``crawler.output.jsonlines`` and
``crawler.store.syncing`` call the system, and the store's writes where SQLite does
(sqlitecalls.py). ``half`` is a write of which only the first half has come to pass. SQLite's syncs
are not reached, but what stands before a sync stands after the write before it: to a process that
is killed, a sync changes nothing. What it changes for a machine that dies, machine.py shows.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial, wraps
from pathlib import Path
from typing import Any, NoReturn

from crawler.engine import seeding as opening
from crawler.engine.committer import Committer
from crawler.engine.fetcher_pool import LocalFetcherPool
from crawler.engine.outcomes import OutcomeHandler
from crawler.engine.seeding import Seeder
from crawler.fetching import process as fetching
from crawler.fetching.fetcher import Fetcher
from crawler.fetching.process import FetchProcess
from crawler.fetching.workers import Workers
from crawler.job.job import Job
from crawler.output import jsonlines as sink
from crawler.scheduling.frontier import Frontier
from crawler.session.session import Session
from crawler.store import syncing
from crawler.store.sqlite import checkpoints, queue
from crawler.store.sqlite.integrity import StoreIntegrity
from crawler.store.sqlite.store import SQLiteStore
from crawler.worker.channel import Channel, _framed
from crawler.worker.process import WorkerLoop
from crawler.worker.worker import Worker
from tests.faults.points import WRITES, Trap, of
from tests.faults.sqlitecalls import Pwrite, replace_pwrite


def arm(*, is_main: bool) -> None:
    """Set the traps that the environment asks for. Workers that are forked inherit those of the
    process that they come from; spawned ones have to set them again."""
    if "KILL_CHILD" in os.environ:
        point, number, token = os.environ["KILL_CHILD"].split(":", 2)
        spared = os.getpid() if is_main else None
        trap = Trap(point, int(number), token=token, spared=spared)
        _watch_fetcher(trap)
        _watch_worker(trap)
    if is_main and "KILL" in os.environ:
        point, number, *everyone = os.environ["KILL"].split(":")
        _watch_main(Trap(point, int(number), everyone=bool(everyone)))


def _watch_main(trap: Trap) -> None:
    places: list[str] = []
    system = _SinkSystem(trap)
    for module in (sink, syncing):
        _replace(module, "os", system)
        _replace(module, "sync", system.fsync)
    if trap.point.startswith("seeds"):
        _replace(opening, "AT_ONCE", 2)  # seeds in several transactions
    _replace(queue, "MOST_TOMBSTONES", 20)  # so that small crawls delete too, several times
    if not trap.point.startswith("closing"):  # which must find something left to copy
        _replace(checkpoints, "ROWS", 20)  # and copy the log beside what they do
    for owner, method, place in (
        (Committer, "commit", "commit"),
        (Committer, "mark_sent", "mark"),
        (Frontier, "release_due", "wake"),
        (Seeder, "add_seeds", "seeds"),
        (Job, "begin", "begin"),
        (Job, "end", "end"),
        (StoreIntegrity, "stamp", "closing"),
    ):
        _replace(owner, method, _placed(getattr(owner, method), place, places, trap))
    transaction = _watched_transaction(SQLiteStore.transaction, places, trap)
    _replace(SQLiteStore, "transaction", transaction)
    _replace(SQLiteStore, "__init__", _around(SQLiteStore.__init__, trap, before="lock.taken"))
    _replace(SQLiteStore, "close", _around(SQLiteStore.close, trap, "close.begun", "close.over"))
    _replace(StoreIntegrity, "_write", _watched_stamp(StoreIntegrity._write, places, trap))
    _replace(
        LocalFetcherPool, "send", _around(LocalFetcherPool.send, trap, "order.send", "order.sent")
    )
    _replace(
        OutcomeHandler,
        "handle",
        _around(OutcomeHandler.handle, trap, "outcome.take", "outcome.taken"),
    )
    if trap.point in of(("wal", "database", "closing"), WRITES):
        _watch_sqlite(trap, places)


def _watch_fetcher(trap: Trap) -> None:
    for owner, method, before, after in (
        (Fetcher, "begin", "fetcher.begin", "fetcher.begun"),
        (Workers, "_give", "fetcher.page", "fetcher.paged"),
        (FetchProcess, "take_result", "fetcher.result", ""),
        (fetching, "answer_call", "fetcher.call", "fetcher.called"),
        (Session, "submit", "", "fetcher.logged_in"),
    ):
        _replace(owner, method, _around(getattr(owner, method), trap, before, after))
    send = FetchProcess._send

    def dying_send(self: Any, message: bytes) -> None:
        trap.arrive("fetcher.send")
        if trap.fires("fetcher.half_sent"):
            _send_half(self._channel, [message], trap)
        send(self, message)
        trap.arrive("fetcher.sent")

    _replace(FetchProcess, "_send", dying_send)


def _watch_worker(trap: Trap) -> None:
    flush = WorkerLoop._flush

    def dying_flush(self: Any) -> None:
        if self._results:
            trap.arrive("worker.send")
            if trap.fires("worker.half_sent"):
                _send_half(self._channel, [*self._results], trap)
        flush(self)
        trap.arrive("worker.sent")

    _replace(WorkerLoop, "_flush", dying_flush)
    _replace(WorkerLoop, "call", _around(WorkerLoop.call, trap, "worker.call", "worker.called"))
    _replace(Worker, "handle", _around(Worker.handle, trap, "worker.handle", "worker.handled"))


def _send_half(channel: Channel, messages: list[bytes], trap: Trap) -> NoReturn:
    """Send half of the bytes, behind what still waits to be sent, and die."""
    channel.set_blocking(True)
    while not channel.flush():
        pass
    whole = b"".join(_framed(messages))
    channel._socket.sendall(whole[: len(whole) // 2])
    trap.die()


# The parts that are watched


class _SinkSystem:
    """Stands for the module ``os`` where the output is written and synced."""

    def __init__(self, trap: Trap) -> None:
        self._trap = trap
        self._names: dict[int, str] = {}
        self._kept: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, *mode: int) -> int:
        if path.suffix == sink.CUT:
            return self._open_kept(path, flags, *mode)
        file = os.open(path, flags, *mode)
        self._names[file] = path.stem if path.suffix else "folder"
        self._trap.arrive(f"{self._names[file]}.opened")
        return file

    def _open_kept(self, path: Path, flags: int, *mode: int) -> int:
        """Treat the next write there as the tail of the output."""
        name = Path(path.stem).stem
        self._trap.arrive(f"{name}.keep")
        file = os.open(path, flags, *mode)
        self._kept[file] = name
        return file

    def close(self, file: int) -> None:
        os.close(file)
        if file in self._kept:
            self._trap.arrive(f"{self._kept.pop(file)}.kept")

    def write(self, file: int, data: memoryview) -> int:
        if file in self._kept:
            return os.write(file, data)
        name = self._names[file]
        self._trap.arrive(f"{name}.write")
        if self._trap.fires(f"{name}.half"):
            os.write(file, data[: len(data) // 2])
            self._trap.die()
        written = os.write(file, data)
        self._trap.arrive(f"{name}.written")
        return written

    def fsync(self, file: int) -> None:
        name = self._names.get(file, "") if file not in self._kept else ""
        self._trap.arrive(f"{name}.sync")
        os.fsync(file)
        self._trap.arrive(f"{name}.synced")

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


def _watched_stamp(write: Callable[..., Any], places: list[str], trap: Trap) -> Any:
    """Only of a job that ends; one that begins leaves a stamp as well."""

    @wraps(write)
    def watched(*args: Any) -> Any:
        is_closing = places[-1:] == ["closing"]
        trap.arrive("stamp.write" if is_closing else "")
        result = write(*args)
        trap.arrive("stamp.written" if is_closing else "")
        return result

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


_OFTEN = 10
"""Pages of the log after which it is written into the file, instead of some thousand."""


def _watch_sqlite(trap: Trap, places: list[str]) -> None:
    def pwrite(real: Pwrite, file: int, data: int, size: int, place: int) -> int:
        what = "closing" if places[-1:] == ["closing"] else _what(file)
        trap.arrive(f"{what}.write")
        if trap.fires(f"{what}.half"):
            real(file, data, size // 2, place)
            trap.die()
        written = real(file, data, size, place)
        trap.arrive(f"{what}.written")
        return written

    replace_pwrite(pwrite)
    if trap.point.startswith("database"):
        _replace(sqlite3, "connect", partial(sqlite3.connect, factory=_Checkpointing))


def _what(file: int) -> str:
    name = Path(f"/proc/self/fd/{file}").readlink().name
    return "wal" if name.endswith("-wal") else "database" if name.endswith(".db") else "other"


class _Checkpointing(sqlite3.Connection):
    """Writes its log into the file often, whatever the store says of it."""

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if "wal_autocheckpoint" in sql:
            sql = f"PRAGMA wal_autocheckpoint = {_OFTEN}"
        return super().execute(sql, parameters)
