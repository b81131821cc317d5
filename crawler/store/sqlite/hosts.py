"""The hosts of a job in SQLite, and the accounts whose requests they have."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterable, Sequence
from typing import Any

import msgspec

from crawler.records import HostRow, RobotsFile
from crawler.store.protocols import LAST_TIME, AccountStore, HostStore
from crawler.store.sqlite.queue import MAKE_DUE, NOT_DONE, SQLiteQueue

HOST = (
    "SELECT id, origin, next_at, granted, robots, robots_at, account, seeded, requests, back_off"
    " FROM hosts"
)
BY_ORIGIN = f"{HOST} WHERE origin = ? AND account = ?"
BY_ID = f"{HOST} WHERE id = ?"
ADD = "INSERT INTO hosts (origin, account) VALUES (?, ?) RETURNING id"
SEED = "UPDATE hosts SET seeded = 1 WHERE id = ?"
SAVE = (
    "UPDATE hosts SET next_at = ?, granted = ?, robots = ?, robots_at = ?, back_off = ?"
    " WHERE id = ?"
)
# One seek into ``pending`` for each host, so that the cost does not grow with the queues.
HAS_WORK = f"EXISTS (SELECT 1 FROM pending WHERE host = hosts.id AND {NOT_DONE})"
WITH_WORK = f"{HOST} WHERE id = ? AND {HAS_WORK}"
DUE = "SELECT id FROM hosts WHERE due > -9e999 AND due <= ? ORDER BY due, id"
NEXT_DUE = "SELECT min(due) FROM hosts WHERE due > ? AND due <= ?"
SET_DUE = "UPDATE hosts SET due = ? WHERE id = ?"
SET_IDLE = f"UPDATE hosts SET due = CASE WHEN {HAS_WORK} THEN next_at END WHERE id = ?"
RESET_DUES = "UPDATE hosts SET due = next_at WHERE due IN (-9e999, 9e999)"
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
        rows = [
            (h.next_at, h.granted, _encoded_robots(h), h.robots_at, h.back_off, h.id) for h in hosts
        ]
        self._db.executemany(SAVE, rows)

    def mark_seeded(self, host_ids: Iterable[int]) -> None:
        self._db.executemany(SEED, ((host_id,) for host_id in host_ids))

    def with_work(
        self, limit: int, without: Container[int] = (), due_by: float = LAST_TIME
    ) -> list[HostRow]:
        rows: list[HostRow] = []
        if limit > 0:
            for (host_id,) in self._db.execute(DUE, (due_by,)):
                if host_id in without:
                    continue
                row = self._db.execute(WITH_WORK, (host_id,)).fetchone()
                if row is not None:
                    rows.append(_record(row))
                if len(rows) == limit:
                    break
        return rows

    def next_due(self, after: float) -> float | None:
        (due,) = self._db.execute(NEXT_DUE, (after, LAST_TIME)).fetchone()
        return None if due is None else float(due)

    def set_due(self, dues: Iterable[tuple[int, float | None]]) -> None:
        for host_id, due in dues:
            if due is None:
                self._db.execute(SET_IDLE, (host_id,))
            else:
                self._db.execute(SET_DUE, (due, host_id))

    def reset_dues(self) -> None:
        self._db.execute(RESET_DUES)

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
            new_id = self._hosts.add(origin, new).id
            if self._db.execute(REASSIGN, (new_id, host_id)).rowcount:
                self._db.execute(MAKE_DUE, (new_id,))


def _record(row: Sequence[Any]) -> HostRow:
    """Return the record of a row of ``hosts``."""
    host_id, origin, next_at, granted, robots, robots_at, account, seeded, requests, back_off = row
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
        back_off,
    )


def _encoded_robots(host: HostRow) -> bytes | None:
    return None if host.robots is None else msgspec.msgpack.encode(host.robots)
