"""A store in memory: every promise of ``store.protocols``, in plain dicts and lists.

It passes the same contract as SQLite's (``tests/store/contract``), is compared with that step by
step (``tests/store/sqlite/test_random_steps.py``), and stands in for it in tests that are not about
files.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from crawler.records import (
    Delivery,
    FailedRequest,
    FailureReport,
    HostRow,
    Key,
    NewRequest,
    PendingRow,
    QueuedRequest,
    SessionRecord,
    SkippedLink,
    SkippedShape,
)
from crawler.store.protocols import (
    AT_WORK,
    LAST_TIME,
    MOST_SHAPES,
    OTHER_SHAPES,
    AccountStore,
    FailureStore,
    HostStore,
    MetaStore,
    QueueStore,
    SeenStore,
    SessionStore,
    SkippedStore,
    Store,
)

AT_ONCE = 1_000
"""Requests that are numbered together."""


class Pending(NamedTuple):
    """A pending request."""

    request: bytes
    delivery: int
    due: float | None = None


@dataclass
class Tables:
    """The content of a store at one instant. Values are replaced, never changed."""

    values: dict[str, str] = field(default_factory=dict)
    hosts: dict[int, HostRow] = field(default_factory=dict)
    dues: dict[int, float] = field(default_factory=dict)
    pending: dict[tuple[int, Key], Pending] = field(default_factory=dict)
    seen: dict[bytes, tuple[str, int | None]] = field(default_factory=dict)
    final: dict[bytes, tuple[str, int | None]] = field(default_factory=dict)
    failures: list[FailedRequest] = field(default_factory=list)
    skipped: set[bytes] = field(default_factory=set)
    shapes: dict[str, SkippedShape] = field(default_factory=dict)
    sessions: dict[str, SessionRecord] = field(default_factory=dict)

    def copy(self) -> Tables:
        return Tables(**{name: copy.copy(table) for name, table in vars(self).items()})


class Disk:
    """The tables as they were committed last; stores on one disk are those of several processes."""

    def __init__(self) -> None:
        self.tables = Tables()
        self._synced = self.tables

    def sync(self) -> None:
        """Keep the tables through a loss of power, as they are now."""
        self._synced = self.tables

    def lose_power(self) -> None:
        """Lose everything that need not have reached the disk."""
        self.tables = self._synced


class MemoryStore(Store):
    """The store on ``disk``. A change outside a transaction is an error of the caller."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self._changed: Tables | None = None
        self.meta = MemoryMeta(self)
        self.hosts = MemoryHosts(self)
        self.accounts = MemoryAccounts(self)
        self.queue = MemoryQueue(self)
        self.seen = MemorySeen(self)
        self.failures = MemoryFailures(self)
        self.skipped = MemorySkipped(self)
        self.sessions = MemorySessions(self)

    @property
    def tables(self) -> Tables:
        """The tables as this store sees them."""
        return self.disk.tables if self._changed is None else self._changed

    @property
    def changes(self) -> Tables:
        """The tables for a method that changes them."""
        assert self._changed is not None, "a store is changed inside a transaction"
        return self._changed

    @contextlib.contextmanager
    def transaction(self, *, synced: bool = False) -> Iterator[None]:
        assert self._changed is None, "transactions are not nested"
        self._changed = self.disk.tables.copy()
        try:
            yield
            self.disk.tables = self._changed
            if synced:
                self.disk.sync()
        finally:
            self._changed = None

    def compact(self) -> None:
        assert self.changes

    def shift_times(self, seconds: float) -> None:
        tables = self.changes
        for host in tables.hosts.values():
            next_at, robots_at = host.next_at - seconds, host.robots_at - seconds
            tables.hosts[host.id] = host._replace(next_at=next_at, robots_at=robots_at)
        for host_id in tables.dues:
            tables.dues[host_id] -= seconds
        for place, row in tables.pending.items():
            if row.due is not None:
                tables.pending[place] = row._replace(due=row.due - seconds)

    def drain(self) -> None:
        pass

    def close(self) -> None:
        pass


class Group:
    """A group of methods of one store."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store


class MemoryMeta(Group, MetaStore):
    def get(self, name: str, default: Any = None) -> Any:
        text = self._store.tables.values.get(name)
        return default if text is None else json.loads(text)

    def set(self, name: str, value: Any) -> None:
        self._store.changes.values[name] = json.dumps(value)

    def update(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            self.set(name, value)


class MemoryHosts(Group, HostStore):
    def find(self, origin: str, account: str = "") -> HostRow | None:
        rows = self._store.tables.hosts.values()
        return next((row for row in rows if (row.origin, row.account) == (origin, account)), None)

    def get(self, host_id: int) -> HostRow:
        return self._store.tables.hosts[host_id]

    def add(self, origin: str, account: str = "") -> HostRow:
        row = self.find(origin, account)
        if row is None:
            hosts = self._store.changes.hosts
            row = HostRow(max(hosts, default=0) + 1, origin, account=account)
            hosts[row.id] = row
        return row

    def save(self, hosts: Iterable[HostRow]) -> None:
        for row in hosts:
            self._replace(
                row.id,
                next_at=row.next_at,
                granted=row.granted,
                robots=copy.copy(row.robots),
                robots_at=row.robots_at,
                back_off=row.back_off,
            )

    def mark_seeded(self, host_ids: Iterable[int]) -> None:
        for host_id in host_ids:
            self._replace(host_id, seeded=True)

    def with_work(
        self, limit: int, without: Container[int] = (), due_by: float = LAST_TIME
    ) -> list[HostRow]:
        dues = self._store.tables.dues
        host_ids = {host_id for host_id, _ in self._store.tables.pending}
        due = [id for id in host_ids if id not in without and AT_WORK < dues[id] <= due_by]
        return [self.get(id) for id in sorted(due, key=lambda id: (dues[id], id))[:limit]]

    def next_due(self, after: float) -> float | None:
        dues = self._store.tables.dues.values()
        return min((due for due in dues if after < due <= LAST_TIME), default=None)

    def set_due(self, dues: Iterable[tuple[int, float | None]]) -> None:
        tables = self._store.changes
        for host_id, due in dues:
            if due is not None:
                tables.dues[host_id] = due
            elif any(id == host_id for id, _ in tables.pending):
                tables.dues[host_id] = tables.hosts[host_id].next_at
            else:
                tables.dues.pop(host_id, None)

    def reset_dues(self) -> None:
        tables = self._store.changes
        for host_id, due in tables.dues.items():
            if due in (AT_WORK, math.inf):
                tables.dues[host_id] = tables.hosts[host_id].next_at

    def make_due(self, host_id: int) -> None:
        """Let a host be due that has a new request; only the queue does so."""
        tables = self._store.changes
        due, next_at = tables.dues.get(host_id), tables.hosts[host_id].next_at
        if due is None or next_at < due <= LAST_TIME:
            tables.dues[host_id] = next_at

    def origins(self) -> Iterable[str]:
        return {row.origin for row in self._store.tables.hosts.values()}

    def count(self) -> int:
        return len(self._store.tables.hosts)

    def count_requests(self, host_id: int, requests: int) -> None:
        """Count new requests of a host; only the queue does so."""
        self._replace(host_id, requests=self.get(host_id).requests + requests)

    def _replace(self, host_id: int, **values: Any) -> None:
        hosts = self._store.changes.hosts
        hosts[host_id] = hosts[host_id]._replace(**values)


class MemoryAccounts(Group, AccountStore):
    def with_work(self) -> list[str]:
        tables = self._store.tables
        return sorted({tables.hosts[host_id].account for host_id, _ in tables.pending})

    def reassign(self, old: str, new: str) -> None:
        tables = self._store.changes
        for host in [host for host in tables.hosts.values() if host.account == old]:
            new_id = self._store.hosts.add(host.origin, new).id
            for host_id, key in [place for place in tables.pending if place[0] == host.id]:
                tables.pending[new_id, key] = tables.pending.pop((host_id, key))
                self._store.hosts.make_due(new_id)


class MemoryQueue(Group, QueueStore):
    def add(self, requests: Sequence[tuple[int, NewRequest]], first: int) -> list[PendingRow]:
        tables = self._store.changes
        rows: list[PendingRow] = []
        before = 0
        for index, (host_id, request) in enumerate(requests):
            if index % AT_ONCE == 0:
                before = first + len(rows)
            if not request.dont_filter:
                if request.fingerprint in tables.seen:
                    continue
                tables.seen[request.fingerprint] = request.callback, before + index % AT_ONCE
            key, encoded = Key(request.rank, first + len(rows)), bytes(request.request)
            tables.pending[host_id, key] = Pending(encoded, int(request.once))
            rows.append((host_id, *key, request.once, encoded))
        for host_id, count in Counter(row[0] for row in rows).items():
            self._store.hosts.count_requests(host_id, count)
            self._store.hosts.make_due(host_id)
        return rows

    def next_requests(self, host_id: int, after: Key | None, limit: int) -> list[QueuedRequest]:
        rows = [
            QueuedRequest(*key, row.request, row.delivery)
            for key, row in self._of(host_id)
            if row.due is None and (after is None or key > after)
        ]
        return rows[:limit]

    def mark_done(self, rows: Sequence[tuple[int, int, int]]) -> None:
        for host_id, *key in rows:
            self._store.changes.pending.pop((host_id, Key(*key)), None)

    def replace(self, host_id: int, key: Key, request: bytes, due: float | None = None) -> None:
        row = self._store.tables.pending[host_id, key]
        delivery = min(row.delivery, Delivery.AT_MOST_ONCE)
        self._store.changes.pending[host_id, key] = Pending(request, delivery, due)

    def move(
        self, host_id: int, key: Key, new_host_id: int, request: bytes, *, once: bool = False
    ) -> None:
        pending = self._store.changes.pending
        del pending[host_id, key]
        pending[new_host_id, key] = Pending(request, int(once))
        if new_host_id != host_id:
            self._store.hosts.count_requests(new_host_id, 1)
            self._store.hosts.make_due(new_host_id)

    def set_delivery(self, host_id: int, key: Key, once: int) -> None:
        pending = self._store.changes.pending
        pending[host_id, key] = pending[host_id, key]._replace(delivery=once)

    def release_due(self, host_id: int, now: float) -> list[QueuedRequest]:
        released = []
        for key, row in self._of(host_id):
            if row.due is not None and row.due <= now:
                self._store.changes.pending[host_id, key] = row._replace(due=None)
                released.append(QueuedRequest(*key, row.request, row.delivery))
        return released

    def next_due(self, host_id: int) -> float | None:
        dues = (row.due for _, row in self._of(host_id) if row.due is not None)
        return min(dues, default=None)

    def find(self, origin: str, number: int, is_wanted: Callable[[bytes], bool]) -> int | None:
        tables = self._store.tables
        ids = (
            key.id
            for (host_id, key), row in tables.pending.items()
            if tables.hosts[host_id].origin == origin
            and number - AT_ONCE <= key.id <= number
            and is_wanted(row.request)
        )
        return max(ids, default=None)

    def requests(self) -> Iterable[bytes]:
        return [row.request for row in self._store.tables.pending.values()]

    def _of(self, host_id: int) -> list[tuple[Key, Pending]]:
        """The rows of a host in order."""
        pending = self._store.tables.pending
        return sorted((key, row) for (row_host, key), row in pending.items() if row_host == host_id)


class MemorySeen(Group, SeenStore):
    def contains(self, request: NewRequest) -> bool:
        return request.fingerprint in self._store.tables.seen

    def add(self, request: NewRequest) -> bool:
        if not self.contains(request):
            self._store.changes.seen[request.fingerprint] = request.callback, None
            return True
        return self._store.tables.seen[request.fingerprint][0] != request.callback

    def add_final(self, request: NewRequest, open_id: Callable[[int], int | None]) -> bool:
        tables, page = self._store.changes, request.fingerprint
        _, number = tables.seen.get(page, ("", None))
        is_new, superseded = self.add(request), None
        if not is_new and page not in tables.final and number is not None:
            superseded = open_id(number) if number else None
            is_new = not number or superseded is not None
        tables.final.setdefault(page, (request.callback, superseded))
        return is_new

    def mark_failed(self, fingerprint: bytes, number: int) -> None:
        tables = self._store.changes
        callback, known = tables.seen.get(fingerprint, ("", None))
        if known is not None and number <= known <= number + AT_ONCE:
            tables.seen[fingerprint] = callback, 0

    def has_superseded(self) -> bool:
        return any(number is not None for _, number in self._store.tables.final.values())

    def is_superseded(self, number: int) -> bool:
        return any(number == known for _, known in self._store.tables.final.values())

    def contains_final(self, request: NewRequest) -> bool:
        known = self._store.tables.final.get(request.fingerprint)
        return known is not None and known[0] == request.callback


class MemoryFailures(Group, FailureStore):
    def add(self, report: FailureReport, request: bytes, at: float) -> None:
        self._store.changes.failures.append(FailedRequest(report, at))

    def latest(self, limit: int = 100) -> list[FailedRequest]:
        return self._store.tables.failures[::-1][:limit]

    def by_cause(self) -> dict[str, int]:
        counts = Counter(failed.report.cause for failed in self._store.tables.failures)
        return dict(sorted(counts.items(), key=lambda count: (-count[1], count[0])))


class MemorySkipped(Group, SkippedStore):
    def add(self, links: Iterable[SkippedLink]) -> int:
        tables = self._store.changes
        new = 0
        for link in links:
            if link.fingerprint in tables.skipped:
                continue
            tables.skipped.add(link.fingerprint)
            new += 1
            has_room = link.shape in tables.shapes or len(tables.shapes) < MOST_SHAPES
            shape = link.shape if has_room else OTHER_SHAPES
            first = SkippedShape(shape, 0, link.effect, link.sign, link.example)
            row = tables.shapes.get(shape, first)
            tables.shapes[shape] = row._replace(links=row.links + 1)
        return new

    def shapes(self) -> list[SkippedShape]:
        return sorted(self._store.tables.shapes.values(), key=lambda row: (-row.links, row.shape))


class MemorySessions(Group, SessionStore):
    def get(self, key: str) -> SessionRecord | None:
        return copy.deepcopy(self._store.tables.sessions.get(key))

    def save(self, session: SessionRecord) -> None:
        self._store.changes.sessions[session.key] = copy.deepcopy(session)

    def update(self, changed: SessionRecord) -> None:
        old = self._store.changes.sessions.get(changed.key)
        cookies = {} if old is None else {cookie.key: cookie for cookie in old.cookies}
        for cookie in changed.cookies:
            if cookie.value is None:
                cookies.pop(cookie.key, None)
            else:
                cookies[cookie.key] = cookie
        self.save(changed._replace(cookies=list(cookies.values())))

    def all(self) -> list[SessionRecord]:
        return copy.deepcopy(list(self._store.tables.sessions.values()))
