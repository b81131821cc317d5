"""The sessions, failures, skipped links and the job's own values in SQLite: simple tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
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
SESSION = "SELECT key, old_cookies, login, usage FROM sessions"
SAVE_SESSION = (
    "INSERT INTO sessions (key, old_cookies, login, usage) VALUES (?, x'', ?, ?) ON CONFLICT DO"
    " UPDATE SET old_cookies = x'', login = excluded.login, usage = excluded.usage"
)
COOKIES = "SELECT cookie FROM cookies WHERE session = ? ORDER BY id"
SAVE_COOKIE = (
    "INSERT INTO cookies (session, key, cookie) VALUES (?, ?, ?) ON CONFLICT (session, key) DO"
    " UPDATE SET cookie = excluded.cookie"
)
DELETE_COOKIE = "DELETE FROM cookies WHERE session = ? AND key = ?"
DELETE_COOKIES = "DELETE FROM cookies WHERE session = ?"

_cookie = msgspec.msgpack.Decoder(Cookie).decode
_old_cookies = msgspec.msgpack.Decoder(list[Cookie]).decode
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
    """The tables ``sessions`` and ``cookies``, encrypted if there is a key."""

    def __init__(self, db: sqlite3.Connection, encryption: SessionEncryption) -> None:
        self._db = db
        self._encryption = encryption

    def get(self, key: str) -> SessionRecord | None:
        row = self._db.execute(f"{SESSION} WHERE key = ?", (key,)).fetchone()
        return None if row is None else self._record(row)

    def save(self, session: SessionRecord) -> None:
        self._db.execute(DELETE_COOKIES, (session.key,))
        self.update(session)

    def update(self, changed: SessionRecord) -> None:
        encode, encrypt = msgspec.msgpack.encode, self._encryption.encrypt
        row = (changed.key, encrypt(encode(changed.login)), encode(changed.usage))
        self._db.execute(SAVE_SESSION, row)
        for cookie in changed.cookies:
            place = (changed.key, _digest(cookie))
            if cookie.value is None:
                self._db.execute(DELETE_COOKIE, place)
            else:
                self._db.execute(SAVE_COOKIE, (*place, encrypt(encode(cookie))))

    def all(self) -> list[SessionRecord]:
        return [self._record(row) for row in self._db.execute(SESSION).fetchall()]

    def of_older_version(self) -> list[SessionRecord]:
        """Return the sessions whose cookies have no rows yet; ``save`` makes these."""
        rows = self._db.execute(f"{SESSION} WHERE old_cookies <> x''").fetchall()
        return [self._record(row) for row in rows]

    def _record(self, row: Sequence[Any]) -> SessionRecord:
        """Return the record of a row of ``sessions``."""
        key, old_cookies, login, usage = row
        decrypt = self._encryption.decrypt
        cookies = _old_cookies(decrypt(old_cookies)) if old_cookies else []
        cookies += [_cookie(decrypt(cookie)) for (cookie,) in self._db.execute(COOKIES, (key,))]
        return SessionRecord(key, cookies, _login(decrypt(login)), _usage(usage))


def _digest(cookie: Cookie) -> bytes:
    """Return a name for the row of a cookie; it says nothing where cookies are encrypted."""
    return blake2b("\n".join(cookie.key).encode("utf-8", "surrogatepass"), digest_size=16).digest()
