"""The store of a single machine: one SQLite file in the job's folder.

Write-ahead logging with ``synchronous=NORMAL``: a killed process loses nothing that it had
committed. A machine that loses power may lose the last commits, but whole ones and from the end,
so the store is never ahead of the output, which is synced before each commit.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from crawler.records import (
    Failed,
    FailureReport,
    HostRow,
    Key,
    NewRequest,
    PendingRow,
    QueuedRequest,
    SessionRecord,
)
from crawler.store.encryption import SessionEncryption
from crawler.store.sqlite import seen
from crawler.store.sqlite.checkpoints import Checkpoints
from crawler.store.sqlite.row_counts import RowCounts
from crawler.store.sqlite.rows import host_of, many, robots_of, session_of, set_back
from crawler.store.sqlite.schema import TUNING, check_version, migrate
from crawler.store.sqlite.tombstones import STILL, note, take_out
from crawler.system_errors import UNREADABLE, corrupt_store, to_crawler_error

GET = "SELECT value FROM job WHERE name = ?"
SET = "INSERT INTO job VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
HOST = (
    "SELECT id, origin, next_at, granted, robots, robots_at, account, seeded, requests FROM hosts"
)
HOST_BY_ORIGIN = f"{HOST} WHERE origin = ? AND account = ?"
HOST_BY_ID = f"{HOST} WHERE id = ?"
ADD_HOST = "INSERT INTO hosts (origin, account) VALUES (?, ?) RETURNING id"
SEED = "UPDATE hosts SET seeded = 1 WHERE id = ?"
COUNT_REQUESTS = "UPDATE hosts SET requests = requests + ? WHERE id = ?"
SAVE_HOST = "UPDATE hosts SET next_at = ?, granted = ?, robots = ?, robots_at = ? WHERE id = ?"
# One seek into ``pending`` for each host, so that the cost does not grow with the queues.
HAS_WORK = f"EXISTS (SELECT 1 FROM pending WHERE host = hosts.id AND {STILL})"
HOSTS_WITH_WORK = f"{HOST} WHERE {HAS_WORK} ORDER BY next_at, id"
ACCOUNTS_WITH_WORK = f"SELECT DISTINCT account FROM hosts WHERE {HAS_WORK} ORDER BY account"
HAND_OVER = "UPDATE pending SET host = ? WHERE host = ?"
PUSH = "INSERT INTO pending (host, rank, id, once, request) VALUES (?, ?, ?, ?, ?)"
HEAD = (
    "SELECT rank, id, request, once FROM pending WHERE host = ? AND (rank, id) > (?, ?)"
    f" AND due IS NULL AND {STILL} ORDER BY rank, id LIMIT ?"
)
ONE = "WHERE host = ? AND rank = ? AND id = ?"
REPLACE = f"UPDATE pending SET request = ?, due = ?, once = min(once, 1) {ONE}"
MOVE = f"UPDATE pending SET host = ?, request = ?, due = NULL, once = ? {ONE}"
MARK = f"UPDATE pending SET once = ? {ONE}"
DUE = (
    f"UPDATE pending SET due = NULL WHERE host = ? AND due IS NOT NULL AND due <= ? AND {STILL}"
    " RETURNING rank, id, request, once"
)
REQUESTS = f"SELECT request FROM pending WHERE {STILL}"
NEXT_DUE = f"SELECT min(due) FROM pending WHERE host = ? AND due IS NOT NULL AND {STILL}"
FAIL = "INSERT INTO failed (at, url, cause, message, traceback, request) VALUES (?, ?, ?, ?, ?, ?)"
FAILURES = "SELECT url, cause, message, traceback, at FROM failed ORDER BY id DESC LIMIT ?"
BY_CAUSE = "SELECT cause, count(*) AS n FROM failed GROUP BY cause ORDER BY n DESC, cause"
SESSION = "SELECT key, cookies, login, usage FROM sessions"
SAVE_SESSION = (
    "INSERT INTO sessions VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
    " SET cookies = excluded.cookies, login = excluded.login, usage = excluded.usage"
)

_host_id = itemgetter(0)
_fingerprint = itemgetter(0)
_FIRST = Key(-(2**63), -1)


class SQLiteStore:
    """A job's state in one file, made with mode 0600. Raises JobError for a file it cannot use."""

    def __init__(self, path: Path, *, read_only: bool = False, key: str | None = None) -> None:
        """With ``key`` what sessions consist of is encrypted, from now on if it was not."""
        self._path = path
        self._seal = SessionEncryption(path)
        self._checkpoints = Checkpoints(path)
        with contextlib.ExitStack() as opened:
            try:
                self._db = self._connect(read_only)
                opened.callback(self._db.close)
                self._db.execute("PRAGMA busy_timeout = 10000")
                if not read_only:
                    for pragma in TUNING:
                        self._db.execute(f"PRAGMA {pragma}")
                    migrate(self._db)
                check_version(self._db, path)
                self._tally = RowCounts.of(self._db, (0, 0, 0) if read_only else self.get("tally"))
                if self._seal.unlock(self, key, read_only=read_only):
                    self._wipe()
            except (sqlite3.DatabaseError, OSError, *UNREADABLE) as error:
                raise to_crawler_error(error, path) or corrupt_store(path, str(error)) from None
            opened.pop_all()

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        if read_only:
            return sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)

    def _wipe(self) -> None:
        """What was overwritten would stay in the file, or in its log, until the room is used."""
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with self.transaction():
            self.set("is_wiped", True)

    @contextlib.contextmanager
    def transaction(self, *, synced: bool = False) -> Iterator[None]:
        self._db.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        before = self._tally.kept
        try:
            yield
            if self._tally.is_new:
                self.set("tally", self._tally.kept)
            self._db.execute("COMMIT")
        except BaseException:
            self._tally = RowCounts(*before)
            if self._db.in_transaction:  # a full disk has rolled it back already
                self._db.execute("ROLLBACK")
            raise
        self._tally.is_new = False
        self._checkpoints.committed(self._db.total_changes)

    def drain(self) -> None:
        self._checkpoints.close()

    def close(self) -> None:
        self.drain()
        self._db.close()

    # The job's own record

    def get(self, name: str, default: Any = None) -> Any:
        row = self._db.execute(GET, (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def set(self, name: str, value: Any) -> None:
        self._db.execute(SET, (name, json.dumps(value)))

    # Hosts

    def host(self, origin: str, account: str = "") -> HostRow | None:
        row = self._db.execute(HOST_BY_ORIGIN, (origin, account)).fetchone()
        return None if row is None else host_of(row)

    def host_by_id(self, id: int) -> HostRow:
        return host_of(self._db.execute(HOST_BY_ID, (id,)).fetchone())

    def origins(self) -> Iterable[str]:
        return (origin for (origin,) in self._db.execute("SELECT DISTINCT origin FROM hosts"))

    def add_host(self, origin: str, account: str = "") -> HostRow:
        known = self.host(origin, account)
        if known is not None:
            return known
        (id,) = self._db.execute(ADD_HOST, (origin, account)).fetchone()
        return HostRow(id, origin, account=account)

    def accounts_with_work(self) -> list[str]:
        return [account for (account,) in self._db.execute(ACCOUNTS_WITH_WORK)]

    def reassign(self, old: str, new: str) -> None:
        self.compact()
        rows = self._db.execute("SELECT id, origin FROM hosts WHERE account = ?", (old,)).fetchall()
        for id, origin in rows:
            self._db.execute(HAND_OVER, (self.add_host(origin, new).id, id))

    def mark_seeded(self, hosts: Iterable[int]) -> None:
        self._db.executemany(SEED, ((id,) for id in hosts))

    def save_hosts(self, hosts: Iterable[HostRow]) -> None:
        rows = [(h.next_at, h.granted, robots_of(h), h.robots_at, h.id) for h in hosts]
        self._db.executemany(SAVE_HOST, rows)

    def hosts_with_work(self, limit: int, without: Iterable[int] = ()) -> list[HostRow]:
        known = set(without)
        rows = (row for row in self._db.execute(HOSTS_WITH_WORK) if row[0] not in known)
        return [host_of(row) for row in itertools.islice(rows, limit)]

    def host_count(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM hosts").fetchone()[0])

    # The frontier

    def add(self, requests: Sequence[tuple[int, NewRequest]], first: int) -> list[PendingRow]:
        rows = [seen.row_of(found) for _, found in requests if not found.dont_filter]
        # A fingerprint begins with its host's, whose rows stand side by side. The sort is stable:
        # of two that are the same, the first in ``requests`` is kept here and below.
        rows.sort(key=_fingerprint)
        new = seen.see(self._db, rows)
        fresh = len(rows) if new is None else len(new)
        if new is not None:
            requests = list(seen.only(new, requests))
        entries: list[PendingRow] = [
            (host, found.rank, id, found.once, bytes(found.request))
            for id, (host, found) in enumerate(requests, first)
        ]
        for query, values in many(PUSH, sorted(entries, key=_host_id)):
            self._db.execute(query, values)
        self._tally.add(entries, fresh)
        counts = Counter(map(_host_id, entries))
        self._db.executemany(COUNT_REQUESTS, ((n, host) for host, n in counts.items()))
        return entries

    def has_seen(self, found: NewRequest) -> bool:
        return seen.is_seen(self._db, found)

    def mark_seen(self, found: NewRequest) -> bool:
        if seen.see(self._db, [seen.row_of(found)]) is None:
            self._tally.add((), 1)
            return True
        return seen.is_of_another(self._db, found)

    def mark_final(self, found: NewRequest) -> bool:
        seen.arrive(self._db, found)
        return self.mark_seen(found)

    def is_final(self, found: NewRequest) -> bool:
        return seen.has_arrived(self._db, found)

    def next_requests(self, host: int, after: Key | None, limit: int) -> list[QueuedRequest]:
        rows = self._db.execute(HEAD, (host, *(after or _FIRST), limit))
        return list(map(QueuedRequest._make, rows))

    def mark_done(self, done: Sequence[tuple[int, int, int]]) -> None:
        note(self._db, done, self._tally)

    def compact(self) -> None:
        take_out(self._db, self._tally)

    def replace(self, host: int, key: Key, request: bytes, due: float | None = None) -> None:
        self._db.execute(REPLACE, (request, due, host, *key))

    def move(self, host: int, key: Key, new_host: int, request: bytes, once: bool = False) -> None:
        self._db.execute(MOVE, (new_host, request, once, host, *key))
        if new_host != host:
            self._db.execute(COUNT_REQUESTS, (1, new_host))

    def set_delivery(self, host: int, key: Key, once: int) -> None:
        self._db.execute(MARK, (once, host, *key))

    def due(self, host: int, now: float) -> list[QueuedRequest]:
        return list(map(QueuedRequest._make, self._db.execute(DUE, (host, now))))

    def next_due(self, host: int) -> float | None:
        (due,) = self._db.execute(NEXT_DUE, (host,)).fetchone()
        return None if due is None else float(due)

    def shift_times(self, seconds: float) -> None:
        set_back(self._db, seconds)

    def requests(self) -> Iterable[bytes]:
        return (request for (request,) in self._db.execute(REQUESTS))

    # Failures

    def fail(self, report: FailureReport, request: bytes, at: float) -> None:
        row = (at, report.url, report.cause, report.message, report.traceback, request)
        self._db.execute(FAIL, row)

    def failures(self, limit: int = 100) -> list[Failed]:
        rows = self._db.execute(FAILURES, (limit,))
        return [Failed(FailureReport(*row[:4]), row[4]) for row in rows]

    def failures_by_cause(self) -> dict[str, int]:
        return dict(self._db.execute(BY_CAUSE).fetchall())

    # Sessions

    def session(self, key: str) -> SessionRecord | None:
        row = self._db.execute(f"{SESSION} WHERE key = ?", (key,)).fetchone()
        return None if row is None else session_of(self._seal.open(row))

    def save_session(self, session: SessionRecord) -> None:
        row = (session.key, *map(msgspec.msgpack.encode, session[1:]))
        self._db.execute(SAVE_SESSION, self._seal.close(row))

    def sessions(self) -> list[SessionRecord]:
        rows = self._db.execute(SESSION)
        return [session_of(self._seal.open(row)) for row in rows]
