"""Turn rows of the tables into records, and back."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from crawler.records import Cookie, HostRow, LoginState, RobotsFile, SessionRecord, Usage

ROWS_PER_STATEMENT = 100
"""With a statement for each row, inserting would take half as long again."""

_cookies = msgspec.msgpack.Decoder(list[Cookie]).decode
_login = msgspec.msgpack.Decoder(LoginState).decode
_usage = msgspec.msgpack.Decoder(Usage).decode
_robots = msgspec.msgpack.Decoder(RobotsFile).decode


def statements(insert: str, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield statements for many rows each, with their values.

    ``insert`` is the statement for one row, which ends with its placeholders.
    """
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        batch = rows[start : start + ROWS_PER_STATEMENT]
        placeholders = f", ({', '.join('?' * len(batch[0]))})"
        yield insert + placeholders * (len(batch) - 1), list(itertools.chain.from_iterable(batch))


def host_of(row: Sequence[Any]) -> HostRow:
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


def session_of(row: Sequence[Any]) -> SessionRecord:
    """Return the record of a row of ``sessions``."""
    key, cookies, login, usage = row
    return SessionRecord(key, _cookies(cookies), _login(login), _usage(usage))


def robots_of(host: HostRow) -> bytes | None:
    """Return a host's robots.txt as it is stored."""
    return None if host.robots is None else msgspec.msgpack.encode(host.robots)


def shift_times(db: sqlite3.Connection, seconds: float) -> None:
    """Move all stored future times back; part of a transaction."""
    db.execute("UPDATE hosts SET next_at = next_at - ?1, robots_at = robots_at - ?1", (seconds,))
    db.execute("UPDATE pending SET due = due - ? WHERE due IS NOT NULL", (seconds,))
