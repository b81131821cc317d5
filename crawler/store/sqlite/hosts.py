"""The hosts of a job in SQLite, and the accounts whose requests they have."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from crawler.records import HostRow, RobotsFile
from crawler.store.protocols import AccountStore, HostStore
from crawler.store.sqlite.queue import NOT_DONE, SQLiteQueue

HOST = (
    "SELECT id, origin, next_at, granted, robots, robots_at, account, seeded, requests FROM hosts"
)
BY_ORIGIN = f"{HOST} WHERE origin = ? AND account = ?"
BY_ID = f"{HOST} WHERE id = ?"
ADD = "INSERT INTO hosts (origin, account) VALUES (?, ?) RETURNING id"
SEED = "UPDATE hosts SET seeded = 1 WHERE id = ?"
SAVE = "UPDATE hosts SET next_at = ?, granted = ?, robots = ?, robots_at = ? WHERE id = ?"
# One seek into ``pending`` for each host, so that the cost does not grow with the queues.
HAS_WORK = f"EXISTS (SELECT 1 FROM pending WHERE host = hosts.id AND {NOT_DONE})"
WITH_WORK = f"{HOST} WHERE {HAS_WORK} ORDER BY next_at, id"
ACCOUNTS = f"SELECT DISTINCT account FROM hosts WHERE {HAS_WORK} ORDER BY account"
OF_ACCOUNT = "SELECT id, origin FROM hosts WHERE account = ? ORDER BY id"
REASSIGN = "UPDATE pending SET host = ? WHERE host = ?"

_robots = msgspec.msgpack.Decoder(RobotsFile).decode


class SQLiteHosts(HostStore):
    """The table ``hosts``."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def find(self, origin: str, account: str = "") -> HostRow | None:
        row = self._db.execute(BY_ORIGIN, (origin, account)).fetchone()
        return None if row is None else _record(row)

    def get(self, host_id: int) -> HostRow:
        return _record(self._db.execute(BY_ID, (host_id,)).fetchone())

    def add(self, origin: str, account: str = "") -> HostRow:
        host_row = self.find(origin, account)
        if host_row is not None:
            return host_row
        (host_id,) = self._db.execute(ADD, (origin, account)).fetchone()
        return HostRow(host_id, origin, account=account)

    def save(self, hosts: Iterable[HostRow]) -> None:
        rows = [(h.next_at, h.granted, _encoded_robots(h), h.robots_at, h.id) for h in hosts]
        self._db.executemany(SAVE, rows)

    def mark_seeded(self, host_ids: Iterable[int]) -> None:
        self._db.executemany(SEED, ((host_id,) for host_id in host_ids))

    def with_work(self, limit: int, without: Iterable[int] = ()) -> list[HostRow]:
        excluded = set(without)
        rows = (row for row in self._db.execute(WITH_WORK) if row[0] not in excluded)
        return [_record(row) for row in itertools.islice(rows, limit)]

    def origins(self) -> Iterable[str]:
        return (origin for (origin,) in self._db.execute("SELECT DISTINCT origin FROM hosts"))

    def count(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM hosts").fetchone()[0])


class SQLiteAccounts(AccountStore):
    """The accounts, as a column of ``hosts``."""

    def __init__(self, db: sqlite3.Connection, hosts: HostStore, queue: SQLiteQueue) -> None:
        self._db = db
        self._hosts = hosts
        self._queue = queue

    def with_work(self) -> list[str]:
        return [account for (account,) in self._db.execute(ACCOUNTS)]

    def reassign(self, old: str, new: str) -> None:
        self._queue.delete_done()
        for host_id, origin in self._db.execute(OF_ACCOUNT, (old,)).fetchall():
            self._db.execute(REASSIGN, (self._hosts.add(origin, new).id, host_id))


def _record(row: Sequence[Any]) -> HostRow:
    """Return the record of a row of ``hosts``."""
    host_id, origin, next_at, granted, robots, robots_at, account, seeded, requests = row
    return HostRow(
        host_id,
        origin,
        next_at,
        granted,
        robots and _robots(robots),
        robots_at,
        account,
        bool(seeded),
        requests,
    )


def _encoded_robots(host: HostRow) -> bytes | None:
    return None if host.robots is None else msgspec.msgpack.encode(host.robots)
