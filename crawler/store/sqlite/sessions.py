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
from crawler.store.encryption import StoreEncryption
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
ENCRYPTED = "encrypted"
"""The name in a value of ``job`` for the parts of it that are encrypted, together."""
PRIVATE: dict[str, tuple[str, ...]] = {
    "record": ("seeds", "arguments"),
    "seeds": ("identity",),
    "shapes": ("shapes",),
}
"""The parts of values in ``job`` that may have a secret: URLs, and what the user has typed."""
FAILURES = "SELECT id, url, message, traceback, request FROM failed"
ENCRYPT_FAILURE = "UPDATE failed SET url = ?, message = ?, traceback = ?, request = ? WHERE id = ?"
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
    """The table ``job``: names and JSON values, of which a key encrypts the private parts."""

    def __init__(self, db: sqlite3.Connection, encryption: StoreEncryption) -> None:
        self._db = db
        self._encryption = encryption

    def get(self, name: str, default: Any = None) -> Any:
        row = self._db.execute(GET, (name,)).fetchone()
        if row is None:
            return default
        value = json.loads(row[0])
        if name in PRIVATE and isinstance(value, dict) and value.get(ENCRYPTED):
            return self._decrypted(value)
        return value

    def set(self, name: str, value: Any) -> None:
        self.update({name: value})

    def update(self, values: Mapping[str, Any]) -> None:
        rows = [(name, json.dumps(self._stored(name, value))) for name, value in values.items()]
        self._db.executemany(SET, rows)

    def encrypt_all(self) -> None:
        """Encrypt the private parts of values that were stored without a key."""
        for name in PRIVATE:
            if (value := self.get(name)) is not None:
                self.set(name, value)

    def _stored(self, name: str, value: Any) -> Any:
        if name not in PRIVATE or not self._encryption.is_used or not isinstance(value, dict):
            return value
        private = {part: value[part] for part in PRIVATE[name] if part in value}
        encrypted = self._encryption.encrypt(json.dumps(private).encode()).decode()
        return {**value, **dict.fromkeys(private), ENCRYPTED: encrypted}

    def _decrypted(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return a value whole; without the key, only the parts that are no secret."""
        if self._encryption.is_locked:
            return {part: content for part, content in value.items() if content is not None}
        private = json.loads(self._encryption.decrypt(value.pop(ENCRYPTED).encode()))
        return {**value, **private}


class SQLiteFailures(FailureStore):
    """The table ``failed``. With a key, only the causes and times are not encrypted."""

    def __init__(self, db: sqlite3.Connection, encryption: StoreEncryption) -> None:
        self._db = db
        self._encryption = encryption

    def add(self, report: FailureReport, request: bytes, at: float) -> None:
        parts = (report.url, report.message, report.traceback, request)
        url, *others = [self._stored(part) for part in parts]
        self._db.execute(ADD_FAILURE, (at, url, report.cause, *others))

    def latest(self, limit: int = 100) -> list[FailedRequest]:
        rows = self._db.execute(LATEST, (limit,)).fetchall()
        return [FailedRequest(FailureReport(*map(self._text, row[:4])), row[4]) for row in rows]

    def encrypt_all(self) -> None:
        """Encrypt the reports that were stored without a key."""
        for number, *parts in self._db.execute(FAILURES).fetchall():
            self._db.execute(ENCRYPT_FAILURE, (*map(self._stored, parts), number))

    def _stored(self, part: str | bytes) -> str | bytes:
        if not self._encryption.is_used:
            return part
        return self._encryption.encrypt(part.encode() if isinstance(part, str) else part)

    def _text(self, stored: str | bytes) -> str:
        """Return a text of a report; encrypted ones are stored as bytes."""
        return stored if isinstance(stored, str) else self._encryption.decrypt(stored).decode()

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

    def __init__(self, db: sqlite3.Connection, encryption: StoreEncryption) -> None:
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
