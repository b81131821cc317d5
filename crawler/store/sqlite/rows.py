"""Rows: what the store's tables hold becomes what the crawler speaks of, and back."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from crawler.records import Cookie, HostRow, LoginState, RobotsFile, SessionRecord, Usage

AT_ONCE = 100
"""Rows of one statement; with a statement for each, all would take half as long again."""

_cookies = msgspec.msgpack.Decoder(list[Cookie]).decode
_login = msgspec.msgpack.Decoder(LoginState).decode
_usage = msgspec.msgpack.Decoder(Usage).decode
_robots = msgspec.msgpack.Decoder(RobotsFile).decode


def many(insert: str, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str, list[Any]]]:
    """``insert``, which ends with the places of one row, for many rows each, with their values."""
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        places = f", ({', '.join('?' * len(some[0]))})"
        yield insert + places * (len(some) - 1), list(itertools.chain.from_iterable(some))


def host_of(row: Sequence[Any]) -> HostRow:
    """The host of a row of ``hosts``."""
    id, origin, next_at, granted, robots, robots_at, account, seeded, requests = row
    rules = robots and _robots(robots)
    return HostRow(id, origin, next_at, granted, rules, robots_at, account, bool(seeded), requests)


def session_of(row: Sequence[Any]) -> SessionRecord:
    """The session of a row of ``sessions``."""
    key, cookies, login, usage = row
    return SessionRecord(key, _cookies(cookies), _login(login), _usage(usage))


def robots_of(host: HostRow) -> bytes | None:
    """A host's robots.txt as it is kept."""
    return None if host.robots is None else msgspec.msgpack.encode(host.robots)


def set_back(db: sqlite3.Connection, seconds: float) -> None:
    """Every time at which something may go on, as the wall clock was set back."""
    db.execute("UPDATE hosts SET next_at = next_at - ?1, robots_at = robots_at - ?1", (seconds,))
    db.execute("UPDATE pending SET due = due - ? WHERE due IS NOT NULL", (seconds,))
