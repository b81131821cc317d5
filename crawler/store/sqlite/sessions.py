"""The sessions, failures, skipped links and the job's own values in SQLite: simple tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from crawler.records import (
    Cookie,
    FailedRequest,
    FailureReport,
    LoginState,
    SessionRecord,
    SkippedLink,
    SkippedShape,
    Usage,
)
from crawler.store.encryption import SessionEncryption
from crawler.store.protocols import (
    MOST_SHAPES,
    OTHER_SHAPES,
    FailureStore,
    MetaStore,
    SessionStore,
    SkippedStore,
)

GET = "SELECT value FROM job WHERE name = ?"
SET = "INSERT INTO job VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
ADD_FAILURE = (
    "INSERT INTO failed (at, url, cause, message, traceback, request) VALUES (?, ?, ?, ?, ?, ?)"
)
LATEST = "SELECT url, cause, message, traceback, at FROM failed ORDER BY id DESC LIMIT ?"
BY_CAUSE = "SELECT cause, count(*) AS n FROM failed GROUP BY cause ORDER BY n DESC, cause"
ADD_SKIPPED = "INSERT OR IGNORE INTO skipped VALUES (?)"
HAS_SHAPE = (
    "SELECT EXISTS (SELECT 1 FROM skipped_shapes WHERE shape = ?)"
    " OR (SELECT count(*) FROM skipped_shapes) < ?"
)
COUNT_SHAPE = (
    "INSERT INTO skipped_shapes VALUES (?, 1, ?, ?, ?) ON CONFLICT DO UPDATE SET links = links + 1"
)
SHAPES = "SELECT shape, links, effect, sign, example FROM skipped_shapes ORDER BY links DESC, shape"
SESSION = "SELECT key, cookies, login, usage FROM sessions"
SAVE_SESSION = (
    "INSERT INTO sessions VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
    " SET cookies = excluded.cookies, login = excluded.login, usage = excluded.usage"
)

_cookies = msgspec.msgpack.Decoder(list[Cookie]).decode
_login = msgspec.msgpack.Decoder(LoginState).decode
_usage = msgspec.msgpack.Decoder(Usage).decode


class SQLiteMeta(MetaStore):
    """The table ``job``: names and JSON values."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def get(self, name: str, default: Any = None) -> Any:
        row = self._db.execute(GET, (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def set(self, name: str, value: Any) -> None:
        self._db.execute(SET, (name, json.dumps(value)))

    def update(self, values: Mapping[str, Any]) -> None:
        rows = [(name, json.dumps(value)) for name, value in values.items()]
        self._db.executemany(SET, rows)


class SQLiteFailures(FailureStore):
    """The table ``failed``."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, report: FailureReport, request: bytes, at: float) -> None:
        row = (at, report.url, report.cause, report.message, report.traceback, request)
        self._db.execute(ADD_FAILURE, row)

    def latest(self, limit: int = 100) -> list[FailedRequest]:
        rows = self._db.execute(LATEST, (limit,))
        return [FailedRequest(FailureReport(*row[:4]), row[4]) for row in rows]

    def by_cause(self) -> dict[str, int]:
        return dict(self._db.execute(BY_CAUSE).fetchall())


class SQLiteSkipped(SkippedStore):
    """The tables ``skipped`` and ``skipped_shapes``."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, links: Iterable[SkippedLink]) -> int:
        return sum(map(self._add, links))

    def _add(self, link: SkippedLink) -> bool:
        if not self._db.execute(ADD_SKIPPED, (link.fingerprint,)).rowcount:
            return False
        (has_room,) = self._db.execute(HAS_SHAPE, (link.shape, MOST_SHAPES)).fetchone()
        shape = link.shape if has_room else OTHER_SHAPES
        self._db.execute(COUNT_SHAPE, (shape, link.effect, link.sign, link.example))
        return True

    def shapes(self) -> list[SkippedShape]:
        return [SkippedShape(*row) for row in self._db.execute(SHAPES)]


class SQLiteSessions(SessionStore):
    """The table ``sessions``, encrypted if there is a key."""

    def __init__(self, db: sqlite3.Connection, encryption: SessionEncryption) -> None:
        self._db = db
        self._encryption = encryption

    def get(self, key: str) -> SessionRecord | None:
        row = self._db.execute(f"{SESSION} WHERE key = ?", (key,)).fetchone()
        return None if row is None else _record(self._encryption.decrypt(row))

    def save(self, session: SessionRecord) -> None:
        row = (session.key, *map(msgspec.msgpack.encode, session[1:]))
        self._db.execute(SAVE_SESSION, self._encryption.encrypt(row))

    def all(self) -> list[SessionRecord]:
        return [_record(self._encryption.decrypt(row)) for row in self._db.execute(SESSION)]


def _record(row: Sequence[Any]) -> SessionRecord:
    """Return the record of a row of ``sessions``."""
    key, cookies, login, usage = row
    return SessionRecord(key, _cookies(cookies), _login(login), _usage(usage))
