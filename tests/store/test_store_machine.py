"""Random sequences of everything that a store does, in SQLite and in plain Python side by side.

Each step is one transaction of several operations. It is committed, rolled back by an error, or
cut off: then what a kill would leave on the disk is copied and opened. After each step the two
must say the same of everything. What the store promises is in ``crawler.store.Store``; the model
here is those sentences as dicts and lists.
"""

from __future__ import annotations

import copy
import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from crawler.records import (
    Cookie,
    FailedRequest,
    FailureReport,
    HostRow,
    Key,
    LoginState,
    NewRequest,
    QueuedRequest,
    RobotsFile,
    SessionRecord,
    Usage,
)
from crawler.store.protocols import Store
from crawler.store.sqlite import queue
from crawler.store.sqlite import tombstones as finished
from crawler.store.sqlite.row_counts import counted
from crawler.store.sqlite.store import SQLiteStore

ORIGINS = ("https://a.example", "https://b.example:8443", "http://c.example")
ACCOUNTS = ("", "anna", "Björn ✓")
NAMES = tuple("abcdefgh")
CALLBACKS = ("parse", "other")
CAUSES = ("404", "timeout", "ValueError in parse()")
TIMES = st.sampled_from([0.0, 0.5, 1.0, 2.5, 1_700_000_000.25])


class RefusedError(Exception):
    """Ends a transaction that is not to be."""


@dataclass
class Row:
    """A pending request."""

    host: int
    request: bytes
    once: int
    due: float | None = None


@dataclass
class Model:
    """What a store holds, in plain Python."""

    values: dict[str, Any] = field(default_factory=dict)
    hosts: dict[int, HostRow] = field(default_factory=dict)
    rows: dict[Key, Row] = field(default_factory=dict)
    seen: dict[bytes, str] = field(default_factory=dict)
    arrived: dict[bytes, str] = field(default_factory=dict)
    failed: list[FailedRequest] = field(default_factory=list)
    sessions: dict[str, SessionRecord] = field(default_factory=dict)
    last: int = 0
    """The number of the last request."""

    def host(self, origin: str, account: str) -> HostRow | None:
        own = (h for h in self.hosts.values() if (h.origin, h.account) == (origin, account))
        return next(own, None)

    def queue(self, host: int) -> list[QueuedRequest]:
        """The ordinary pending requests of a host, in order."""
        return [
            QueuedRequest(*key, row.request, row.once)
            for key, row in sorted(self.rows.items())
            if row.host == host and row.due is None
        ]

    def next_due(self, host: int) -> float | None:
        times = [row.due for row in self.rows.values() if row.host == host and row.due is not None]
        return min(times, default=None)

    def with_work(self) -> list[HostRow]:
        busy = {row.host for row in self.rows.values()}
        return sorted(
            (host for host in self.hosts.values() if host.id in busy),
            key=lambda host: (host.next_at, host.id),
        )

    def count(self, id: int, requests: int) -> None:
        """So many more requests have been made pending at a host."""
        host = self.hosts[id]
        self.hosts[id] = host._replace(requests=host.requests + requests)


def found(draw: Callable[[Any], Any], **more: Any) -> NewRequest:
    """A request of one of few names, so that many are the same."""
    name = draw(st.sampled_from(NAMES))
    request = msgspec.Raw(msgspec.msgpack.encode([name, draw(st.integers(0, 3))]))
    callback = draw(st.sampled_from(CALLBACKS))
    rank = draw(st.sampled_from([-(2**40), -1, 0, 1, 7]))
    return NewRequest(name.encode().ljust(16), ORIGINS[0], rank, callback, request, **more)


class Machine(RuleBasedStateMachine):
    """The store and its model."""

    @initialize(
        key=st.sampled_from([None, None, None, "a key"]),
        most=st.sampled_from([1, 4, finished.MOST]),
    )
    def begin(self, key: str | None, most: int) -> None:
        """With few of what is ``finished``, all of it is often taken out in mid-course."""
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(finished, "MOST", most)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "job.db"
        self.key = key
        self.store: Store = SQLiteStore(self.path, key=key)
        self.model = Model()
        self.copies = itertools.count()

    # Whole steps

    @rule(data=st.data(), length=st.integers(1, 10), synced=st.booleans())
    def commit(self, data: st.DataObject, length: int, synced: bool) -> None:
        with self.store.transaction(synced=synced):
            self.operate(data.draw, length)

    @rule(data=st.data(), length=st.integers(1, 10))
    def roll_back(self, data: st.DataObject, length: int) -> None:
        before = copy.deepcopy(self.model)
        try:
            with self.store.transaction():
                self.operate(data.draw, length)
                raise RefusedError
        except RefusedError:
            self.model = before

    @rule(data=st.data(), length=st.integers(1, 10))
    def cut_off(self, data: st.DataObject, length: int) -> None:
        """A kill in the middle: the disk holds what was committed, and that can be gone on with."""
        before = copy.deepcopy(self.model)
        place = self.path.parent / f"copy-{next(self.copies)}"
        try:
            with self.store.transaction():
                self.operate(data.draw, length)
                place.mkdir()
                for path in self.path.parent.glob("job.db*"):
                    if not path.name.endswith("-shm"):
                        shutil.copy(path, place)
                raise RefusedError
        except RefusedError:
            self.model = before
        self.store.close()
        self.path = place / "job.db"
        self.store = SQLiteStore(self.path, key=self.key)

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = SQLiteStore(self.path, key=self.key)

    @rule(data=st.data())
    def look_meanwhile(self, data: st.DataObject) -> None:
        """Who only looks sees what was committed, and disturbs nobody."""
        committed = copy.deepcopy(self.model)
        with self.store.transaction():
            self.operate(data.draw, 3)
            reader = SQLiteStore(self.path, read_only=True, key=self.key)
            try:
                assert len(list(reader.queue.requests())) == len(committed.rows)
                assert reader.hosts.count() == len(committed.hosts)
                assert {one.key for one in reader.sessions.all()} == committed.sessions.keys()
            finally:
                reader.close()

    # Operations

    def operate(self, draw: Callable[[Any], Any], times: int) -> None:
        operations = [
            *(self.add, self.add, self.finish, self.due),
            *(self.replace, self.replace, self.move, self.move, self.mark, self.mark),
            *(self.see, self.arrive, self.fail, self.set, self.save_host, self.seed),
            *(self.save_session, self.hand_over, self.add_host, self.tidy),
        ]
        for _ in range(times):
            draw(st.sampled_from(operations))(draw)

    def a_host(self, draw: Callable[[Any], Any]) -> int:
        origin, account = draw(st.sampled_from(ORIGINS)), draw(st.sampled_from(ACCOUNTS))
        known = self.model.host(origin, account)
        host = self.store.hosts.add(origin, account)
        if known is None:
            assert host == HostRow(host.id, origin, account=account)
            assert host.id not in self.model.hosts
            self.model.hosts[host.id] = host
        else:
            assert host == known
        return host.id

    def a_key(self, draw: Callable[[Any], Any]) -> Key | None:
        """One of a few, so that several things happen to each."""
        return draw(st.sampled_from(sorted(self.model.rows)[:4])) if self.model.rows else None

    def add_host(self, draw: Callable[[Any], Any]) -> None:
        self.a_host(draw)

    def add(self, draw: Callable[[Any], Any]) -> None:
        flags = st.booleans()
        number = draw(st.sampled_from([1, 2, 5, 120]))  # more than go into one statement
        batch = [
            (self.a_host(draw), found(draw, once=draw(flags), dont_filter=draw(flags)))
            for _ in range(min(number, 5))
        ] * (number // 5 or 1)
        first = self.model.last + 1
        added = self.store.queue.add(batch, first)
        expected = []
        for host, one in batch:
            if not one.dont_filter:
                if one.fingerprint in self.model.seen:
                    continue
                self.model.seen[one.fingerprint] = one.callback
            self.model.last += 1
            self.model.count(host, 1)
            row = Row(host, bytes(one.request), int(one.once))
            self.model.rows[Key(one.rank, self.model.last)] = row
            expected.append((host, one.rank, self.model.last, one.once, bytes(one.request)))
        assert added == expected

    def finish(self, draw: Callable[[Any], Any]) -> None:
        keys = sorted(self.model.rows)
        done = draw(st.lists(st.sampled_from(keys), max_size=4, unique=True)) if keys else []
        self.store.queue.mark_done([(self.model.rows.pop(key).host, *key) for key in done])

    def tidy(self, draw: Callable[[Any], Any]) -> None:
        self.store.compact()

    def replace(self, draw: Callable[[Any], Any]) -> None:
        if (key := self.a_key(draw)) is not None:
            row = self.model.rows[key]
            row.request, row.due = draw(st.binary(max_size=8)), draw(st.none() | TIMES)
            row.once = min(row.once, 1)
            self.store.queue.replace(row.host, key, row.request, row.due)

    def move(self, draw: Callable[[Any], Any]) -> None:
        if (key := self.a_key(draw)) is not None:
            row, target = self.model.rows[key], self.a_host(draw)
            once, request = draw(st.booleans()), draw(st.binary(max_size=8))
            self.store.queue.move(row.host, key, target, request, once=once)
            if target != row.host:
                self.model.count(target, 1)
            self.model.rows[key] = Row(target, request, int(once))

    def mark(self, draw: Callable[[Any], Any]) -> None:
        if (key := self.a_key(draw)) is not None:
            row = self.model.rows[key]
            row.once = draw(st.sampled_from([0, 1, 2, 2]))
            self.store.queue.set_delivery(row.host, key, row.once)

    def due(self, draw: Callable[[Any], Any]) -> None:
        host, now = self.a_host(draw), draw(TIMES)
        woken = {}
        for key, row in self.model.rows.items():
            if row.host == host and row.due is not None and row.due <= now:
                row.due = None
                woken[key] = QueuedRequest(*key, row.request, row.once)
        assert {one.key: one for one in self.store.queue.release_due(host, now)} == woken

    def see(self, draw: Callable[[Any], Any]) -> None:
        one = found(draw)
        known = self.model.seen.setdefault(one.fingerprint, "")
        self.model.seen[one.fingerprint] = known or one.callback
        assert self.store.seen.add(one) is (known != one.callback)

    def arrive(self, draw: Callable[[Any], Any]) -> None:
        one = found(draw)
        self.model.arrived.setdefault(one.fingerprint, one.callback)
        known = self.model.seen.setdefault(one.fingerprint, "")
        self.model.seen[one.fingerprint] = known or one.callback
        assert self.store.seen.add_final(one) is (known != one.callback)

    def fail(self, draw: Callable[[Any], Any]) -> None:
        text = draw(st.text(max_size=5).filter(_is_encodable))
        report = FailureReport(f"{ORIGINS[0]}/{text}", draw(st.sampled_from(CAUSES)), text)
        at = draw(TIMES)
        self.store.failures.add(report, draw(st.binary(max_size=4)), at)
        self.model.failed.insert(0, FailedRequest(report, at))

    def set(self, draw: Callable[[Any], Any]) -> None:
        plain = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
        name = draw(st.sampled_from(["one", "two"]))
        value = draw(plain | st.lists(plain, max_size=3) | st.dictionaries(st.text(), plain))
        self.store.meta.set(name, value)
        self.model.values[name] = value

    def save_host(self, draw: Callable[[Any], Any]) -> None:
        id = self.a_host(draw)
        rules = st.builds(RobotsFile, st.binary(max_size=5), st.none() | TIMES)
        saved = self.model.hosts[id]._replace(
            next_at=draw(TIMES),
            granted=draw(TIMES),
            robots=draw(st.none() | rules),
            robots_at=draw(TIMES),
        )
        self.store.hosts.save([saved])
        self.model.hosts[id] = saved

    def seed(self, draw: Callable[[Any], Any]) -> None:
        id = self.a_host(draw)
        self.store.hosts.mark_seeded([id])
        self.model.hosts[id] = self.model.hosts[id]._replace(seeded=True)

    def save_session(self, draw: Callable[[Any], Any]) -> None:
        key = draw(st.sampled_from(["site:a.example", "account:anna"]))
        text = st.text(max_size=4).filter(_is_encodable)
        cookies = st.builds(Cookie, text, st.none() | text, text, text, st.none() | TIMES)
        saved = SessionRecord(
            key,
            draw(st.lists(cookies, max_size=3)),
            LoginState(draw(st.none() | TIMES), {"X": draw(text)}, {"s": [1, draw(text)]}),
            Usage(draw(st.integers(0, 9)), draw(TIMES)),
        )
        self.store.sessions.save(saved)
        self.model.sessions[key] = saved

    def hand_over(self, draw: Callable[[Any], Any]) -> None:
        old, new = draw(st.permutations(ACCOUNTS))[:2]
        self.store.accounts.reassign(old, new)
        for host in [host for host in self.model.hosts.values() if host.account == old]:
            heir = self.store.hosts.find(host.origin, new)
            assert heir is not None
            self.model.hosts.setdefault(heir.id, HostRow(heir.id, heir.origin, account=new))
            for row in self.model.rows.values():
                if row.host == host.id:
                    row.host = heir.id

    # Looking

    @invariant()
    def the_queues_are_the_same(self) -> None:
        for id in self.model.hosts:
            queue = self.model.queue(id)
            assert self.store.queue.next_requests(id, None, 1000) == queue
            assert self.store.queue.next_requests(id, None, 2) == queue[:2]
            for place, one in enumerate(queue[:3], 1):
                assert self.store.queue.next_requests(id, one.key, 1000) == queue[place:]
            assert self.store.queue.next_due(id) == self.model.next_due(id)
        pending = sorted(row.request for row in self.model.rows.values())
        assert sorted(self.store.queue.requests()) == pending

    @invariant()
    def the_tally_adds_up(self) -> None:
        """Or a killed job would be taken for a damaged one."""
        with closing(sqlite3.connect(self.path)) as db:
            there = counted(db)
        assert there.pending == len(self.model.rows)
        assert tuple(self.store.meta.get("tally", (0, 0, 0))) == there.kept

    @invariant()
    def the_hosts_are_the_same(self) -> None:
        busy = self.model.with_work()
        assert self.store.hosts.with_work(100) == busy
        assert self.store.hosts.with_work(1, [host.id for host in busy[:1]]) == busy[1:2]
        assert self.store.accounts.with_work() == sorted({host.account for host in busy})
        origins = {host.origin for host in self.model.hosts.values()}
        assert set(self.store.hosts.origins()) == origins
        assert self.store.hosts.count() == len(self.model.hosts)
        for origin, account in itertools.product(ORIGINS, ACCOUNTS):
            assert self.store.hosts.find(origin, account) == self.model.host(origin, account)
        for id, host in self.model.hosts.items():
            assert self.store.hosts.get(id) == host

    @invariant()
    def what_was_seen_is_the_same(self) -> None:
        for name, callback in itertools.product(NAMES, CALLBACKS):
            one = NewRequest(name.encode().ljust(16), ORIGINS[0], 0, callback, msgspec.Raw(b"\xc0"))
            assert self.store.seen.contains(one) is (one.fingerprint in self.model.seen)
            arrived = self.model.arrived.get(one.fingerprint) == callback
            assert self.store.seen.contains_final(one) is arrived

    @invariant()
    def all_else_is_the_same(self) -> None:
        for name in ("one", "two"):
            assert self.store.meta.get(name, "none") == self.model.values.get(name, "none")
        assert self.store.failures.latest() == self.model.failed[:100]
        assert self.store.failures.latest(1) == self.model.failed[:1]
        causes = [failed.report.cause for failed in self.model.failed]
        counts = {cause: causes.count(cause) for cause in causes}
        told = list(self.store.failures.by_cause().items())
        assert told == sorted(counts.items(), key=lambda found: (-found[1], found[0]))
        assert {one.key: one for one in self.store.sessions.all()} == self.model.sessions
        for key in ("site:a.example", "account:anna"):
            assert self.store.sessions.get(key) == self.model.sessions.get(key)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()
            self.patch.undo()


def _is_encodable(text: str) -> bool:
    """Messages are made so before they get here (``messages.encodable``)."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


TestStore = Machine.TestCase
TestStore.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize(
    ("statement", "flaw"),
    [
        ("HEAD", queue.HEAD.replace(" AND due IS NULL", "")),
        ("MOVE", queue.MOVE.replace("due = NULL", "due = due")),
    ],
)
def test_a_store_with_a_flaw_is_noticed(
    statement: str, flaw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, statement, flaw)
    look = settings(
        max_examples=600,
        stateful_step_count=25,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Machine, settings=look)
