"""What a store does; every store must pass this."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crawler.errors import JobError
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
)
from crawler.store.protocols import Store
from crawler.store.sqlite import tombstones as finished
from crawler.store.sqlite.row_counts import counted
from crawler.store.sqlite.schema import MIGRATIONS
from crawler.store.sqlite.store import SQLiteStore

A, B = "https://a.example", "https://b.example"
NOW = 1_700_000_000.0

Opened = Callable[[], Store]


@pytest.fixture(params=["sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Opens the same store, as often as wanted: each time as a new process would."""
    stores: list[Store] = []

    def open_store() -> Store:
        assert request.param == "sqlite"
        stores.append(SQLiteStore(tmp_path / "job.db"))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Opened) -> Store:
    return opened()


def found(
    name: str, *, origin: str = A, rank: int = 0, callback: str = "parse", **more: Any
) -> NewRequest:
    request = msgspec.Raw(msgspec.msgpack.encode(name))
    return NewRequest(name.encode().ljust(16), origin, rank, callback, request, **more)


def pending(store: Store) -> int:
    return len(list(store.queue.requests()))


def request(name: str) -> bytes:
    return bytes(msgspec.msgpack.encode(name))


def queued(id: int, name: str, rank: int = 0) -> QueuedRequest:
    return QueuedRequest(rank, id, request(name))


def with_host(store: Store, origin: str = A) -> int:
    with store.transaction():
        return store.hosts.add(origin).id


def add(store: Store, host: int, id: int, one: NewRequest) -> bool:
    """Add a single request; True when it was new."""
    return bool(store.queue.add([(host, one)], id))


# The job's own record


def test_values_are_kept_by_name(store: Store) -> None:
    assert store.meta.get("pages") is None
    assert store.meta.get("pages", 7) == 7
    with store.transaction():
        store.meta.set("pages", 1)
        store.meta.set("other", {"a": [1, None, "ö", 1.5]})
        store.meta.set("pages", 2)
        store.meta.set("none", None)
    assert store.meta.get("pages", 7) == 2
    assert store.meta.get("other") == {"a": [1, None, "ö", 1.5]}
    assert store.meta.get("none", 7) is None


# Hosts


def test_hosts_are_made_once_and_found_again(store: Store) -> None:
    assert store.hosts.find(A) is None
    a, b = with_host(store, A), with_host(store, B)
    assert a != b
    assert with_host(store, A) == a
    assert store.hosts.find(A) == store.hosts.get(a) == HostRow(a, A)
    assert sorted(store.hosts.origins()) == [A, B]
    assert store.hosts.count() == 2


@pytest.mark.parametrize(
    "robots",
    [
        None,
        RobotsFile(b""),
        RobotsFile(b"User-agent: *\n\xff", 2.5),
        RobotsFile(b"", None, "dns", "no"),
    ],
)
def test_a_host_keeps_its_clock_and_rules(opened: Opened, robots: RobotsFile | None) -> None:
    store = opened()
    host = HostRow(with_host(store), A, NOW + 0.25, 30.5, robots, NOW)
    with store.transaction():
        store.hosts.save([host])
    store.close()
    assert opened().hosts.find(A) == host


def test_saving_one_host_leaves_the_others(store: Store) -> None:
    a, b = with_host(store, A), with_host(store, B)
    with store.transaction():
        store.hosts.save([HostRow(a, A, NOW)])
    assert store.hosts.get(b) == HostRow(b, B)


def test_hosts_with_work_come_in_the_order_in_which_they_may_be_asked(store: Store) -> None:
    ids = [with_host(store, f"https://{number}.example") for number in range(5)]
    with store.transaction():
        for number, id in enumerate(ids):
            store.hosts.save([HostRow(id, f"https://{number}.example", NOW - number)])
            if number != 2:
                add(store, id, number + 1, found(str(number)))
    in_order = [ids[4], ids[3], ids[1], ids[0]]
    assert [host.id for host in store.hosts.with_work(10)] == in_order
    assert [host.id for host in store.hosts.with_work(2)] == in_order[:2]
    assert [host.id for host in store.hosts.with_work(2, without=[ids[3]])] == [ids[4], ids[1]]
    assert store.hosts.with_work(0) == []


def test_a_host_whose_requests_all_wait_has_work(store: Store) -> None:
    host = with_host(store)
    with store.transaction():
        add(store, host, 1, found("a"))
        store.queue.replace(host, Key(0, 1), request("a"), NOW)
    assert [one.id for one in store.hosts.with_work(1)] == [host]


# The frontier


def test_a_fingerprint_is_taken_once(store: Store) -> None:
    a, b = with_host(store, A), with_host(store, B)
    with store.transaction():
        assert add(store, a, 1, found("page"))
        assert not add(store, a, 2, found("page"))
        assert not add(store, b, 2, found("page", callback="other"))
        assert add(store, a, 2, found("page2"))
    assert pending(store) == 2
    assert store.queue.next_requests(a, None, 10) == [queued(1, "page"), queued(2, "page2")]
    with store.transaction():
        store.queue.mark_done([(a, 0, 1)])
        assert not add(store, a, 3, found("page")), "what is done stays known"
    assert pending(store) == 1


def test_many_are_added_at_once_each_with_its_number(store: Store) -> None:
    """More than one statement takes, some known from before, all of them twice in one call."""
    a, b = with_host(store, A), with_host(store, B)
    requests = [(b if number % 3 else a, found(f"page {number}")) for number in range(1000)]
    known = requests[::10]
    unfiltered = (b, found("page 1", dont_filter=True))
    with store.transaction():
        assert len(store.queue.add(known, 1)) == 100
        entries = store.queue.add([*requests, unfiltered, *requests], 101)
    new = [one for number, one in enumerate(requests) if number % 10]
    assert entries == [
        (host, 0, id, 0, bytes(one.request))
        for id, (host, one) in enumerate([*new, unfiltered], start=101)
    ]
    for host in (a, b):
        kept = [(one.key.id, one.request) for one in store.queue.next_requests(host, None, 2000)]
        before = [(id, bytes(one.request)) for id, (at, one) in enumerate(known, 1) if at == host]
        assert kept == before + [(entry[2], entry[4]) for entry in entries if entry[0] == host]


def test_many_are_finished_at_once(store: Store) -> None:
    a, b = with_host(store, A), with_host(store, B)
    with store.transaction():
        store.queue.add([(host, found(f"{host} {n}")) for n in range(3) for host in (a, b)], 1)
        store.queue.mark_done([(a, 0, 1), (b, 0, 4), (a, 0, 5)])
    assert [
        [one.key.id for one in store.queue.next_requests(host, None, 9)] for host in (a, b)
    ] == [
        [3],
        [2, 6],
    ]


def adds_up(store: Store, folder: Path) -> bool:
    """True when the store has as many rows as it says."""
    with closing(sqlite3.connect(folder / "job.db")) as db:
        return tuple(store.meta.get("tally")) == counted(db).kept


@pytest.mark.parametrize("known", [(), (0,), (150,), (99, 100, 249), range(250)])
@pytest.mark.parametrize("twice", [(), (3,), (120, 249)])
def test_of_many_only_what_is_new_is_added(
    store: Store, tmp_path: Path, known: Sequence[int], twice: Sequence[int]
) -> None:
    host = with_host(store)
    with store.transaction():
        before = store.queue.add([(host, found(f"{n}")) for n in known], 1)
    names = [*range(250), *twice]
    with store.transaction():
        new = store.queue.add([(host, found(f"{n}")) for n in names], 1 + len(before))
    expected = [n for n in range(250) if n not in known]
    assert [entry[4] for entry in new] == [request(f"{n}") for n in expected]
    assert [entry[2] for entry in new] == [1 + len(before) + n for n in range(len(expected))]
    assert pending(store) == 250
    assert adds_up(store, tmp_path)


def test_what_is_finished_is_taken_out_when_it_is_much(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then nobody sees it, and whoever opens the store next neither."""
    monkeypatch.setattr(finished, "MOST", 4)
    store = opened()
    a = with_host(store, A)

    def rows() -> list[int]:
        with closing(sqlite3.connect(tmp_path / "job.db")) as db:
            tables = ("pending", "finished")
            return [db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables]

    with store.transaction():
        store.queue.add([(a, found(f"{n}")) for n in range(10)], 1)
        store.queue.mark_done([(a, 0, 1), (a, 0, 2)])
    with store.transaction():
        store.queue.mark_done([(a, 0, 3)])
    assert rows() == [10, 3]
    store = opened()
    assert [one.key.id for one in store.queue.next_requests(a, None, 2)] == [4, 5]
    with store.transaction():
        store.queue.mark_done([(a, 0, 4)])
    assert rows() == [6, 0]
    with store.transaction():
        store.queue.mark_done([(a, 0, 5)])
        store.compact()
    assert rows() == [5, 0]


def test_what_is_finished_twice_or_never_was_there_does_not_upset_the_tally(
    store: Store, tmp_path: Path
) -> None:
    host = with_host(store, A)
    with store.transaction():
        store.queue.add([(host, found(f"{n}")) for n in range(3)], 1)
        store.queue.mark_done([(host, 0, 1)])
    for done in ([(host, 0, 1), (host, 0, 2)], [(host, 0, 77)]):
        with store.transaction():
            store.queue.mark_done(done)
        assert adds_up(store, tmp_path)
    with store.transaction():
        store.compact()
    assert adds_up(store, tmp_path)
    assert pending(store) == 1


@pytest.mark.parametrize("due", [None, NOW])
def test_nobody_sees_what_is_finished(store: Store, due: float | None) -> None:
    """It still stands in the queue, and may even have waited for another try."""
    host = with_host(store, A)
    with store.transaction():
        store.queue.add([(host, found("page"))], 1)
        store.queue.replace(host, Key(0, 1), request("page"), due)
        store.queue.mark_done([(host, 0, 1)])
        assert store.queue.release_due(host, NOW + 1) == []
    assert store.queue.next_requests(host, None, 9) == []
    assert store.queue.next_due(host) is None
    assert not store.hosts.with_work(9)
    assert not store.accounts.with_work()
    assert pending(store) == 0


def test_dont_filter_is_always_taken_and_leaves_no_trace(store: Store) -> None:
    host = with_host(store)
    with store.transaction():
        assert add(store, host, 1, found("page", dont_filter=True))
        assert add(store, host, 2, found("page", dont_filter=True))
        assert add(store, host, 3, found("page"))
        assert add(store, host, 4, found("page", dont_filter=True))
    assert pending(store) == 4


def test_of_two_equal_requests_at_two_hosts_the_first_found_counts(store: Store) -> None:
    """Two accounts may find one page in one commit, each at a host row of its own."""
    anna, bert = with_host(store), with_host(store, B)
    with store.transaction():
        batch = [(bert, found("page", origin=B)), (anna, found("page", callback="other"))]
        assert [row[0] for row in store.queue.add(batch, 1)] == [bert]
        assert not store.seen.add(found("page")), "the callback is that of the first"
        assert store.seen.add(found("page", callback="other"))


def test_a_redirect_s_target_is_seen_once_by_each_callback(store: Store) -> None:
    host = with_host(store)
    with store.transaction():
        assert store.seen.add(found("target"))
        assert not store.seen.add(found("target"))
        assert store.seen.add(found("target", callback="other"))
        assert not add(store, host, 1, found("target"))
        assert add(store, host, 1, found("page", callback="other"))
        assert not store.seen.add(found("page", callback="other"))
        assert store.seen.add(found("page"))


def test_the_head_comes_in_order_behind_a_key(store: Store) -> None:
    host, other = with_host(store, A), with_host(store, B)
    ranks = {1: 0, 2: -5, 3: 7, 4: 0, 5: -(2**62)}
    with store.transaction():
        for id, rank in ranks.items():
            add(store, host, id, found(str(id), rank=rank))
        add(store, other, 6, found("6", origin=B))
    order = [queued(id, str(id), ranks[id]) for id in (5, 2, 1, 4, 3)]
    assert store.queue.next_requests(host, None, 10) == order
    assert store.queue.next_requests(host, None, 2) == order[:2]
    for number, one in enumerate(order):
        assert store.queue.next_requests(host, one.key, 10) == order[number + 1 :]
    assert store.queue.next_requests(host, Key(-1, 10**9), 10) == order[2:]


def test_what_waits_is_left_out_until_it_is_due(store: Store) -> None:
    host, other = with_host(store, A), with_host(store, B)
    with store.transaction():
        for id in (1, 2, 3):
            add(store, host, id, found(str(id)))
        add(store, other, 4, found("4", origin=B))
        store.queue.replace(host, Key(0, 1), request("one"), NOW + 10)
        store.queue.replace(host, Key(0, 2), request("two"), NOW + 5)
        store.queue.replace(other, Key(0, 4), request("four"), NOW)
    assert store.queue.next_requests(host, None, 10) == [queued(3, "3")]
    assert store.queue.next_due(host) == NOW + 5
    assert pending(store) == 4
    with store.transaction():
        assert store.queue.release_due(host, NOW + 4.9) == []
        assert store.queue.release_due(host, NOW + 5) == [queued(2, "two")]
        assert store.queue.release_due(host, NOW + 5) == []
    assert store.queue.next_requests(host, None, 10) == [queued(2, "two"), queued(3, "3")]
    assert store.queue.next_due(host) == NOW + 10
    assert store.queue.next_due(other) == NOW
    with store.transaction():
        assert store.queue.release_due(host, NOW + 99) == [queued(1, "one")]
    assert store.queue.next_due(host) is None


def test_a_request_that_changed_may_go_on_at_once(store: Store) -> None:
    host = with_host(store)
    with store.transaction():
        add(store, host, 1, found("a"))
        store.queue.replace(host, Key(0, 1), request("b"), NOW)
        store.queue.replace(host, Key(0, 1), request("c"))
    assert store.queue.next_due(host) is None
    assert store.queue.next_requests(host, None, 10) == [queued(1, "c")]


def test_a_request_moves_to_another_host_with_its_place(store: Store) -> None:
    a, b = with_host(store, A), with_host(store, B)
    with store.transaction():
        add(store, a, 1, found("a", rank=-3))
        add(store, b, 2, found("b", origin=B))
        store.queue.replace(a, Key(-3, 1), request("a"), NOW)
        store.queue.move(a, Key(-3, 1), b, request("moved"))
    assert store.queue.next_requests(a, None, 10) == []
    assert store.queue.next_requests(b, None, 10) == [queued(1, "moved", -3), queued(2, "b")]
    assert store.queue.next_due(b) is None
    with store.transaction():
        store.queue.move(b, Key(-3, 1), b, request("here"))
    assert store.queue.next_requests(b, None, 1) == [queued(1, "here", -3)]


# Failures


def test_failures_are_kept_the_newest_first(store: Store) -> None:
    reports = [
        FailureReport(f"https://a.example/{n}", cause, f"message {n}", "trace" * n)
        for n, cause in enumerate(["timeout", "http 404", "http 404", "dns"])
    ]
    with store.transaction():
        for n, report in enumerate(reports):
            store.failures.add(report, b"request", NOW + n)
    kept = [FailedRequest(report, NOW + n) for n, report in enumerate(reports)]
    assert store.failures.latest() == kept[::-1]
    assert store.failures.latest(2) == kept[:1:-1]
    assert list(store.failures.by_cause().items()) == [("http 404", 2), ("dns", 1), ("timeout", 1)]


# Sessions


def test_sessions_are_kept(opened: Opened) -> None:
    store = opened()
    assert store.sessions.get("a") is None
    cookies = [
        Cookie("id", "ö=1", ".a.example", "/x", NOW, secure=True, http_only=True, host_only=False),
        Cookie("b", "", "a.example", "/"),
    ]
    one, other = SessionRecord("a", cookies, LoginState(NOW)), SessionRecord("b", [])
    with store.transaction():
        store.sessions.save(SessionRecord("a", []))
        store.sessions.save(one)
        store.sessions.save(other)
    store.close()
    store = opened()
    assert store.sessions.get("a") == one
    assert sorted(store.sessions.all()) == [one, other]


# Transactions


def do_a_bit_of_everything(store: Store, host: int) -> None:
    store.meta.set("name", "value")
    store.hosts.add(B)
    store.hosts.save([HostRow(host, A, NOW)])
    add(store, host, 2, found("new"))
    store.seen.add(found("seen"))
    store.queue.mark_done([(host, 0, 1)])
    store.failures.add(FailureReport(A, "dns", "no"), b"", NOW)
    store.sessions.save(SessionRecord("a", [], LoginState(NOW)))


def contents(store: Store) -> Any:
    hosts = sorted(store.hosts.with_work(100))
    queues = [store.queue.next_requests(host.id, None, 100) for host in hosts]
    return (
        store.meta.get("name"),
        sorted(store.hosts.origins()),
        hosts,
        queues,
        store.failures.latest(),
        store.sessions.all(),
        pending(store),
    )


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_transaction_that_fails_leaves_nothing(
    opened: Opened, error: type[BaseException]
) -> None:
    store = opened()
    host = with_host(store)
    with store.transaction():
        add(store, host, 1, found("old"))
    before = contents(store)

    def fail() -> None:
        with store.transaction():
            do_a_bit_of_everything(store, host)
            assert contents(store) != before
            raise error

    with pytest.raises(error):
        fail()
    assert contents(store) == before
    with store.transaction():
        assert add(store, host, 2, found("new"))
        assert store.seen.add(found("seen"))
    store.close()
    assert pending(opened()) == 2


def test_what_is_not_committed_is_not_there_for_others(opened: Opened) -> None:
    store = opened()
    host = with_host(store)
    with store.transaction():
        add(store, host, 1, found("a"))
        assert pending(opened()) == 0
    assert pending(opened()) == 1


# Any sequence of changes against plain Python

NAMES = st.sampled_from([f"page {number}" for number in range(8)])
ORIGINS = st.sampled_from([A, B])


class Model(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "job.db"
        self.store: Store = SQLiteStore(self.path)
        self.hosts: dict[str, int] = {}
        self.rows: dict[Key, tuple[int, bytes, float | None]] = {}
        self.seen: dict[bytes, str] = {}
        self.id = 0

    def host(self, origin: str) -> int:
        self.hosts[origin] = self.store.hosts.add(origin).id
        return self.hosts[origin]

    @rule(
        name=NAMES,
        origin=ORIGINS,
        rank=st.integers(-2, 2),
        callback=st.sampled_from(["parse", "other"]),
        dont_filter=st.booleans(),
    )
    def add(self, name: str, origin: str, rank: int, callback: str, dont_filter: bool) -> None:
        one = found(name, origin=origin, rank=rank, callback=callback, dont_filter=dont_filter)
        self.id += 1
        with self.store.transaction():
            host = self.host(origin)
            added = add(self.store, host, self.id, one)
        assert added is (dont_filter or one.fingerprint not in self.seen)
        if added:
            self.rows[Key(rank, self.id)] = (host, bytes(one.request), None)
            if not dont_filter:
                self.seen[one.fingerprint] = callback

    @rule(name=NAMES, callback=st.sampled_from(["parse", "other"]))
    def mark_seen(self, name: str, callback: str) -> None:
        one = found(name, callback=callback)
        with self.store.transaction():
            new = self.store.seen.add(one)
        assert new is (self.seen.setdefault(one.fingerprint, "") != callback)
        self.seen[one.fingerprint] = self.seen[one.fingerprint] or callback

    @rule(data=st.data(), what=st.sampled_from(["finish", "replace", "wait", "move"]), name=NAMES)
    def change(self, data: st.DataObject, what: str, name: str) -> None:
        if not self.rows:
            return
        key = data.draw(st.sampled_from(sorted(self.rows)))
        host, _, _ = self.rows[key]
        due = data.draw(st.floats(0, 10)) if what == "wait" else None
        target = data.draw(ORIGINS)
        with self.store.transaction():
            if what == "finish":
                self.store.queue.mark_done([(host, *key)])
                del self.rows[key]
            elif what == "move":
                new_host = self.host(target)
                self.store.queue.move(host, key, new_host, request(name))
                self.rows[key] = (new_host, request(name), None)
            else:
                self.store.queue.replace(host, key, request(name), due)
                self.rows[key] = (host, request(name), due)

    @rule(origin=ORIGINS, now=st.floats(0, 10))
    def due(self, origin: str, now: float) -> None:
        with self.store.transaction():
            host = self.host(origin)
            woken = self.store.queue.release_due(host, now)
        expected = {}
        for key, (at, what, due) in self.rows.items():
            if at == host and due is not None and due <= now:
                expected[key] = what
                self.rows[key] = (at, what, None)
        assert {one.key: one.request for one in woken} == expected

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = SQLiteStore(self.path)

    @rule(name=NAMES, origin=ORIGINS)
    def roll_back(self, name: str, origin: str) -> None:
        with contextlib.suppress(ZeroDivisionError), self.store.transaction():
            host = self.store.hosts.add(origin).id
            add(self.store, host, self.id + 1, found(name))
            for key, (at, _, _) in self.rows.items():
                self.store.queue.mark_done([(at, *key)])
            raise ZeroDivisionError

    @invariant()
    def both_have_the_same(self) -> None:
        assert pending(self.store) == len(self.rows)
        with_work = {host.id for host in self.store.hosts.with_work(10)}
        assert with_work == {host for host, _, _ in self.rows.values()}
        for host in self.hosts.values():
            mine = {key: row for key, row in self.rows.items() if row[0] == host}
            ready = [QueuedRequest(*k, row[1]) for k, row in sorted(mine.items()) if row[2] is None]
            assert self.store.queue.next_requests(host, None, 100) == ready
            dues = [row[2] for row in mine.values() if row[2] is not None]
            assert self.store.queue.next_due(host) == min(dues, default=None)

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


Model.TestCase.settings = hypothesis_settings(
    deadline=None, max_examples=40, stateful_step_count=25
)
TestModel = Model.TestCase


# SQLite's own promises


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.db"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_may_read_the_files(path: Path, umask: int) -> None:
    """They hold cookies."""
    before = os.umask(umask)
    try:
        with closing(SQLiteStore(path)) as store, store.transaction():
            store.meta.set("a", 1)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"job.db": 0o600, "job.db-wal": 0o600, "job.db-shm": 0o600}


def test_a_kill_loses_nothing_that_was_committed(path: Path) -> None:
    """The file as another process sees it while the first one has not closed it."""
    with closing(SQLiteStore(path)) as store:
        with store.transaction():
            store.meta.set("a", 1)
        with closing(SQLiteStore(path)) as other:
            assert other.meta.get("a") == 1


def test_a_reader_changes_nothing(path: Path) -> None:
    with closing(SQLiteStore(path)) as store, store.transaction():
        store.meta.set("a", 1)
    with closing(SQLiteStore(path, read_only=True)) as reader:
        assert reader.meta.get("a") == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"), reader.transaction():
            reader.meta.set("a", 2)


def test_a_reader_does_not_make_a_store(path: Path) -> None:
    with pytest.raises(JobError):
        SQLiteStore(path, read_only=True)
    assert not path.exists()


def test_a_reader_reads_while_another_process_writes(path: Path) -> None:
    with closing(SQLiteStore(path)) as store, store.transaction():
        store.meta.set("a", 1)
        with closing(SQLiteStore(path, read_only=True)) as reader:
            assert reader.meta.get("a") is None


def with_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_store_is_refused_with_both_versions(path: Path, read_only: bool) -> None:
    SQLiteStore(path).close()
    newer = len(MIGRATIONS) + 7
    with_version(path, newer)
    before = path.read_bytes()
    with pytest.raises(
        JobError, match=rf"version {newer}, but this crawler knows version {len(MIGRATIONS)};"
    ):
        SQLiteStore(path, read_only=read_only)
    assert path.read_bytes() == before


def test_migrations_are_applied_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SQLiteStore(path).close()
    more = (*MIGRATIONS, "CREATE TABLE extra (id INTEGER)", "INSERT INTO extra VALUES (1)")
    monkeypatch.setattr("crawler.store.sqlite.schema.MIGRATIONS", more)
    for _ in range(2):
        SQLiteStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT id FROM extra").fetchall() == [(1,)]


def test_a_migration_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SQLiteStore(path).close()
    broken = (*MIGRATIONS, "CREATE TABLE extra (id INTEGER); INSERT INTO nowhere VALUES (1)")
    with monkeypatch.context() as patch:
        patch.setattr("crawler.store.sqlite.schema.MIGRATIONS", broken)
        with pytest.raises(JobError, match="no such table: nowhere"):
            SQLiteStore(path)
    with closing(SQLiteStore(path)) as store:
        assert store.meta.get("a") is None


@pytest.mark.parametrize("read_only", [True, False])
def test_what_is_no_database_is_refused_and_left_as_it_is(path: Path, read_only: bool) -> None:
    path.write_bytes(b"This is a text, and a long one. " * 200)
    before = path.read_bytes()
    with pytest.raises(JobError, match=rf"{path} cannot be used.*not a database.*--fresh"):
        SQLiteStore(path, read_only=read_only)
    assert path.read_bytes() == before


@pytest.mark.parametrize("read_only", [True, False])
def test_a_folder_is_no_store(path: Path, read_only: bool) -> None:
    path.mkdir()
    with pytest.raises(JobError, match=rf"{path} cannot be used"):
        SQLiteStore(path, read_only=read_only)


def test_a_database_that_is_damaged_is_refused(path: Path) -> None:
    with closing(SQLiteStore(path)) as store, store.transaction():
        store.meta.set("a", 1)
    data = bytearray(path.read_bytes())
    data[100:200] = os.urandom(100)
    path.write_bytes(data)
    with pytest.raises(JobError, match="cannot be used"):
        SQLiteStore(path)
