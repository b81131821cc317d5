"""Random sequences of all changes, in SQLite and in memory side by side.

Each step is a transaction of several changes. It is committed, rolled back by an error, or cut off:
then the files that a kill would leave are copied and opened. Every method must return the same from
both stores, and after each step both must have the same content.
"""

from __future__ import annotations

import itertools
import math
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
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
    Delivery,
    FailureReport,
    HostRow,
    Key,
    LoginState,
    NewRequest,
    RobotsFile,
    SessionRecord,
    Usage,
)
from crawler.store import encryption
from crawler.store.protocols import AT_WORK, Store
from crawler.store.sqlite import queue
from crawler.store.sqlite.queue import count_rows
from crawler.store.sqlite.store import SQLiteStore
from tests.memory_store import MemoryStore

ORIGINS = ("https://a.example", "https://b.example:8443", "http://c.example")
ACCOUNTS = ("", "anna", "Björn ✓")
NAMES = tuple("abcdefgh")
CALLBACKS = ("parse", "other")
CAUSES = ("404", "timeout", "ValueError in parse()")
SESSIONS = ("site:a.example", "account:anna")
TIMES = st.sampled_from([0.0, 0.5, 1.0, 2.5, 1_700_000_000.25])

Draw = Callable[[Any], Any]


class RefusedError(Exception):
    """Ends a transaction that is to be rolled back."""


def new_request(draw: Draw, **fields: Any) -> NewRequest:
    """A request of one of few names, so that many are equal."""
    name = draw(st.sampled_from(NAMES))
    request = msgspec.Raw(msgspec.msgpack.encode([name, draw(st.integers(0, 3))]))
    callback = draw(st.sampled_from(CALLBACKS))
    rank = draw(st.sampled_from([-(2**40), -1, 0, 1, 7]))
    return NewRequest(name.encode().ljust(16), ORIGINS[0], rank, callback, request, **fields)


class Machine(RuleBasedStateMachine):
    """SQLite's store and the store in memory."""

    @initialize(
        key=st.sampled_from([None, None, None, "a key"]),
        most=st.sampled_from([1, 4, queue.MOST_TOMBSTONES]),
    )
    def begin(self, key: str | None, most: int) -> None:
        """With few tombstones allowed, done requests are often deleted in mid-course."""
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(queue, "MOST_TOMBSTONES", most)
        self.patch.setattr(encryption, "SCRYPT_COST", 2)  # hundreds of stores are opened
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "job.db"
        self.key = key
        self.store: Store = SQLiteStore(self.path, key=key)
        self.model = MemoryStore()
        self.copies = itertools.count()
        self.last = 0
        """The number of the last request."""

    # Whole steps

    @rule(data=st.data(), length=st.integers(1, 10), synced=st.booleans())
    def commit(self, data: st.DataObject, length: int, synced: bool) -> None:
        with self.store.transaction(synced=synced), self.model.transaction(synced=synced):
            self.change(data.draw, length)

    @rule(data=st.data(), length=st.integers(1, 10))
    def roll_back(self, data: st.DataObject, length: int) -> None:
        with suppress(RefusedError), self.store.transaction(), self.model.transaction():
            self.change(data.draw, length)
            raise RefusedError

    @rule(data=st.data(), length=st.integers(1, 10))
    def cut_off(self, data: st.DataObject, length: int) -> None:
        """A kill in the middle: the disk holds the last commit, and the job continues from it."""
        folder = self.path.parent / f"copy-{next(self.copies)}"
        with suppress(RefusedError), self.store.transaction(), self.model.transaction():
            self.change(data.draw, length)
            folder.mkdir()
            for path in self.path.parent.glob("job.db*"):
                if not path.name.endswith("-shm"):
                    shutil.copy(path, folder)
            raise RefusedError
        self.store.close()
        self.path = folder / "job.db"
        self.store = SQLiteStore(self.path, key=self.key)

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = SQLiteStore(self.path, key=self.key)

    @rule(data=st.data())
    def read_meanwhile(self, data: st.DataObject) -> None:
        """A reader sees the last commit, and does not disturb the writer."""
        with self.store.transaction(), self.model.transaction():
            self.change(data.draw, 3)
            committed = MemoryStore(self.model.disk)
            reader = SQLiteStore(self.path, read_only=True, key=self.key)
            with closing(reader):
                assert sorted(reader.queue.requests()) == sorted(committed.queue.requests())
                assert reader.hosts.count() == committed.hosts.count()
                assert sorted(reader.sessions.all()) == sorted(committed.sessions.all())

    # Changes, each in both stores

    def both(self, method: Callable[[Store], Callable[..., Any]], *values: Any, **more: Any) -> Any:
        """Call a method of both stores; return the result, which must be the same."""
        result = method(self.store)(*values, **more)
        assert method(self.model)(*values, **more) == result
        return result

    def both_in_any_order(
        self, method: Callable[[Store], Callable[..., Any]], *values: Any
    ) -> None:
        """Call a method of both stores whose results have no order."""
        assert sorted(method(self.store)(*values)) == sorted(method(self.model)(*values))

    def change(self, draw: Draw, times: int) -> None:
        changes = [
            *(self.add, self.add, self.mark_done, self.release_due),
            *(self.replace, self.replace, self.move, self.move),
            *(self.set_delivery, self.set_delivery, self.add_seen, self.add_final),
            *(self.add_final, self.mark_failed),
            *(self.add_failure, self.set_value, self.save_host, self.mark_seeded),
            *(self.set_due, self.reset_dues),
            *(
                self.save_session,
                self.update_session,
                self.reassign,
                self.a_host,
                self.compact,
                self.shift_times,
            ),
        ]
        for _ in range(times):
            draw(st.sampled_from(changes))(draw)

    def a_host(self, draw: Draw) -> int:
        origin, account = draw(st.sampled_from(ORIGINS)), draw(st.sampled_from(ACCOUNTS))
        host: HostRow = self.both(lambda store: store.hosts.add, origin, account)
        return host.id

    def a_request(self, draw: Draw) -> tuple[int, Key] | None:
        """One of a few pending requests, so that several things happen to each."""
        places = sorted(self.model.tables.pending, key=lambda place: place[1])[:4]
        return draw(st.sampled_from(places)) if places else None

    def add(self, draw: Draw) -> None:
        flags = st.booleans()
        number = draw(st.sampled_from([1, 2, 5, 120]))  # more than go into one statement
        batch = [
            (self.a_host(draw), new_request(draw, once=draw(flags), dont_filter=draw(flags)))
            for _ in range(min(number, 5))
        ] * (number // 5 or 1)
        first = self.last + 1
        self.last += len(self.both(lambda store: store.queue.add, batch, first))

    def mark_done(self, draw: Draw) -> None:
        places = sorted(self.model.tables.pending)
        done = draw(st.lists(st.sampled_from(places), max_size=4, unique=True)) if places else []
        rows = [(host_id, *key) for host_id, key in done]
        self.both(lambda store: store.queue.mark_done, rows)

    def compact(self, draw: Draw) -> None:
        self.both(lambda store: store.compact)

    def replace(self, draw: Draw) -> None:
        if (place := self.a_request(draw)) is not None:
            request, due = draw(st.binary(max_size=8)), draw(st.none() | TIMES)
            self.both(lambda store: store.queue.replace, *place, request, due)

    def move(self, draw: Draw) -> None:
        if (place := self.a_request(draw)) is not None:
            target, once = self.a_host(draw), draw(st.booleans())
            request = draw(st.binary(max_size=8))
            self.both(lambda store: store.queue.move, *place, target, request, once=once)

    def set_delivery(self, draw: Draw) -> None:
        if (place := self.a_request(draw)) is not None:
            delivery = draw(st.sampled_from([*Delivery, Delivery.MAYBE_SENT]))
            self.both(lambda store: store.queue.set_delivery, *place, delivery)

    def release_due(self, draw: Draw) -> None:
        host_id, now = self.a_host(draw), draw(TIMES)
        self.both_in_any_order(lambda store: store.queue.release_due, host_id, now)

    def add_seen(self, draw: Draw) -> None:
        request = new_request(draw)
        self.both(lambda store: store.seen.add, request)

    def add_final(self, draw: Draw) -> None:
        request, length = new_request(draw), draw(st.integers(0, 8))

        def add(store: Store) -> Callable[[], bool]:
            def find(number: int) -> int | None:
                return store.queue.find(ORIGINS[0], number, lambda data: len(data) > length)

            return lambda: store.seen.add_final(request, find)

        self.both(add)

    def mark_failed(self, draw: Draw) -> None:
        request, number = new_request(draw), draw(st.integers(1, 20))
        self.both(lambda store: store.seen.mark_failed, request.fingerprint, number)

    def add_failure(self, draw: Draw) -> None:
        text = draw(st.text(max_size=5).filter(_is_encodable))
        report = FailureReport(f"{ORIGINS[0]}/{text}", draw(st.sampled_from(CAUSES)), text)
        at, request = draw(TIMES), draw(st.binary(max_size=4))
        self.both(lambda store: store.failures.add, report, request, at)

    def set_value(self, draw: Draw) -> None:
        plain = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
        name = draw(st.sampled_from(["one", "two"]))
        value = draw(plain | st.lists(plain, max_size=3) | st.dictionaries(st.text(), plain))
        self.both(lambda store: store.meta.set, name, value)

    def save_host(self, draw: Draw) -> None:
        rules = st.builds(RobotsFile, st.binary(max_size=5), st.none() | TIMES)
        row = self.model.hosts.get(self.a_host(draw))._replace(
            next_at=draw(TIMES),
            granted=draw(TIMES),
            robots=draw(st.none() | rules),
            robots_at=draw(TIMES),
            back_off=draw(TIMES),
        )
        self.both(lambda store: store.hosts.save, [row])

    def mark_seeded(self, draw: Draw) -> None:
        host_id = self.a_host(draw)
        self.both(lambda store: store.hosts.mark_seeded, [host_id])

    def set_due(self, draw: Draw) -> None:
        due = draw(st.none() | TIMES | st.sampled_from([math.inf, AT_WORK]))
        host_id = self.a_host(draw)
        self.both(lambda store: store.hosts.set_due, [(host_id, due)])

    def reset_dues(self, draw: Draw) -> None:
        self.both(lambda store: store.hosts.reset_dues)

    def save_session(self, draw: Draw) -> None:
        text = st.text(max_size=4).filter(_is_encodable)
        cookies = st.builds(Cookie, text, text, text, text, st.none() | TIMES)
        unique = st.lists(cookies, max_size=3, unique_by=lambda cookie: cookie.key)
        self.both(lambda store: store.sessions.save, self.a_session(draw, draw(unique)))

    def update_session(self, draw: Draw) -> None:
        value = st.none() | st.text(max_size=4).filter(_is_encodable)
        cookies = st.builds(Cookie, st.sampled_from("abc"), value, st.just("a"), st.just("/"))
        changes = st.lists(cookies, max_size=5)
        self.both(lambda store: store.sessions.update, self.a_session(draw, draw(changes)))

    def a_session(self, draw: Draw, cookies: list[Cookie]) -> SessionRecord:
        text = st.text(max_size=4).filter(_is_encodable)
        return SessionRecord(
            draw(st.sampled_from(SESSIONS)),
            cookies,
            LoginState(draw(st.none() | TIMES), {"X": draw(text)}, {"s": [1, draw(text)]}),
            Usage(draw(st.integers(0, 9)), draw(TIMES)),
        )

    def reassign(self, draw: Draw) -> None:
        old, new = draw(st.permutations(ACCOUNTS))[:2]
        self.both(lambda store: store.accounts.reassign, old, new)

    def shift_times(self, draw: Draw) -> None:
        seconds = draw(st.sampled_from([0.25, 4096.0]))  # exact in binary
        self.both(lambda store: store.shift_times, seconds)

    # The content of both

    @invariant()
    def the_queues_are_equal(self) -> None:
        for host_id in self.model.tables.hosts:
            requests = self.both(lambda store: store.queue.next_requests, host_id, None, 1000)
            self.both(lambda store: store.queue.next_requests, host_id, None, 2)
            for request in requests[:3]:
                self.both(lambda store: store.queue.next_requests, host_id, request.key, 1000)
            self.both(lambda store: store.queue.next_due, host_id)
        self.both_in_any_order(lambda store: store.queue.requests)

    @invariant()
    def the_row_counts_are_right(self) -> None:
        """Or the store of a killed job would be refused as corrupt."""
        with closing(sqlite3.connect(self.path)) as db:
            counts = count_rows(db)
        assert counts.pending == len(self.model.tables.pending)
        assert tuple(self.store.meta.get("tally", (0, 0, 0))) == counts

    @invariant()
    def the_hosts_are_equal(self) -> None:
        busy = self.both(lambda store: store.hosts.with_work, 100)
        self.both(lambda store: store.hosts.with_work, 1, [host.id for host in busy[:1]])
        self.both(lambda store: store.hosts.with_work, 100, (), 1.0)
        self.both(lambda store: store.hosts.next_due, 1.0)
        self.both(lambda store: store.accounts.with_work)
        self.both_in_any_order(lambda store: store.hosts.origins)
        self.both(lambda store: store.hosts.count)
        for origin, account in itertools.product(ORIGINS, ACCOUNTS):
            self.both(lambda store: store.hosts.find, origin, account)
        for host_id in self.model.tables.hosts:
            self.both(lambda store: store.hosts.get, host_id)

    @invariant()
    def the_fingerprints_are_equal(self) -> None:
        for name, callback in itertools.product(NAMES, CALLBACKS):
            fingerprint = name.encode().ljust(16)
            request = NewRequest(fingerprint, ORIGINS[0], 0, callback, msgspec.Raw(b"\xc0"))
            self.both(lambda store: store.seen.contains, request)
            self.both(lambda store: store.seen.contains_final, request)
        self.both(lambda store: store.seen.has_superseded)
        for number in range(30):
            self.both(lambda store: store.seen.is_superseded, number)

    @invariant()
    def all_else_is_equal(self) -> None:
        for name in ("one", "two"):
            self.both(lambda store: store.meta.get, name, "none")
        self.both(lambda store: store.failures.latest)
        self.both(lambda store: store.failures.latest, 1)
        self.both(lambda store: lambda: list(store.failures.by_cause().items()))
        self.both_in_any_order(lambda store: store.sessions.all)
        for key in SESSIONS:
            self.both(lambda store: store.sessions.get, key)

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
