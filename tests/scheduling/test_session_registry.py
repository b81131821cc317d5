"""``scheduling.session_registry``: the sessions, and the workers' copies of them and of hosts."""

from __future__ import annotations

from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crawler.http.cookie_jar import ChangeTrackingCookieJar
from crawler.messages import SessionChange, TaskBatch
from crawler.records import Cookie, LoginState, RobotsFile, SessionRecord, Usage
from crawler.scheduling.host_queue import HostQueue
from crawler.scheduling.politeness import HostClock
from crawler.scheduling.session_registry import SessionRegistry, WorkerSync
from tests.memory_store import MemoryStore

SITE = "site:example"


def a_host(id: int = 1, session: str = SITE, workers: int = 2) -> HostQueue:
    host = HostQueue(id, f"https://{id}.example", session, HostClock())
    host.in_flight = [0] * workers
    host.assign_workers(workers)
    return host


class Sync(WorkerSync):
    """A worker sync with a registry of its own; hosts come to work as the frontier brings them."""

    def __init__(self, *hosts: HostQueue, workers: int = 2) -> None:
        self.sessions = SessionRegistry()
        super().__init__(self.sessions, workers)
        for host in hosts:
            self.activate(host)

    def activate(self, host: HostQueue, record: SessionRecord | None = None) -> None:
        if host.session not in self.sessions:
            self.sessions.load(record or SessionRecord(host.session, []))
        self.sessions.acquire(host.session)

    def evict(self, host: HostQueue) -> None:
        self.forget_host(host.id)
        self.sessions.release(host.session)

    def saved(self) -> list[SessionRecord]:
        """The sessions that a commit saves."""
        store = MemoryStore()
        with store.transaction():
            self.saved_logins = self.sessions.save(store.sessions)
        return store.sessions.all()

    def updates(self, worker: int, *hosts: HostQueue) -> TaskBatch:
        batch = TaskBatch([])
        for host in hosts:
            self.add_updates(batch, worker, host)
        return batch


def cookie(name: str, value: str | None) -> Cookie:
    return Cookie(name, value, "example", "/")


def change(name: str, value: str | None, at: float | None = None) -> SessionChange:
    return SessionChange(SITE, [cookie(name, value)], None if at is None else LoginState(at))


# Hosts and rules


def test_each_worker_gets_a_host_once() -> None:
    host = a_host()
    sync = Sync(host)
    for worker in (0, 1):
        (one,) = sync.updates(worker, host).hosts
        assert (one.id, one.origin, one.session, one.robots) == (1, "https://1.example", SITE, None)
        assert sync.updates(worker, host).hosts == []


def test_all_workers_get_new_rules() -> None:
    host, other = a_host(1), a_host(2)
    sync = Sync(host, other)
    for worker in (0, 1):
        sync.updates(worker, host, other)
    rules = host.robots = RobotsFile(b"User-agent: *")
    host.version += 1
    for worker in (0, 1):
        (one,) = sync.updates(worker, host, other).hosts
        assert one.robots == rules
        assert sync.updates(worker, host, other).hosts == []


def test_workers_forget_an_evicted_host_and_get_it_anew() -> None:
    host, other = a_host(1), a_host(2)
    sync = Sync(host, other)
    sync.updates(0, host, other)
    sync.evict(host)
    sync.activate(host)
    for worker, forgotten in ((0, [1]), (1, [])):
        feed = sync.updates(worker, host)
        assert feed.forget == forgotten
        assert [one.id for one in feed.hosts] == [1]
    assert sync.updates(0, host).forget == []


def test_a_new_worker_in_the_place_of_a_dead_one_gets_everything() -> None:
    host = a_host()
    sync = Sync(host)
    sync.extend_scope("b.example")
    sync.updates(0, host)
    sync.receive(0, change("a", "1"))
    sync.reset(0)
    feed = sync.updates(0, host)
    assert [one.id for one in feed.hosts] == [1]
    assert feed.scope == ["b.example"]
    assert feed.forget == []
    (session,) = feed.sessions
    assert session.cookies == [cookie("a", "1")]
    assert session.acked == 0, "the new one has reported nothing"


# Scope


def test_each_worker_gets_a_netloc_once() -> None:
    host = a_host()
    sync = Sync(host)
    sync.extend_scope("a.example")
    assert sync.updates(0, host).scope == ["a.example"]
    sync.extend_scope("a.example")
    sync.extend_scope("b.example")
    assert sync.updates(0, host).scope == ["b.example"]
    assert sync.updates(1, host).scope == ["a.example", "b.example"]


# Sessions


def test_a_session_comes_with_the_first_task() -> None:
    host = a_host()
    sync = Sync()
    sync.activate(host, SessionRecord(SITE, [cookie("a", "1")], LoginState(5.0)))
    (session,) = sync.updates(0, host).sessions
    assert (session.key, session.cookies, session.login.at) == (SITE, [cookie("a", "1")], 5.0)
    assert sync.updates(0, host).sessions == []


def test_hosts_of_one_site_share_their_session_which_comes_once() -> None:
    one, two, other = a_host(1), a_host(2), a_host(3, "site:other")
    sync = Sync(one, two, other)
    assert [session.key for session in sync.updates(0, one, two, other).sessions] == [
        SITE,
        "site:other",
    ]


def test_a_worker_does_not_get_back_its_own_changes() -> None:
    host = a_host()
    sync = Sync(host)
    sync.updates(0, host)
    sync.receive(0, change("a", "1", 7.0))
    assert sync.updates(0, host).sessions == []
    (session,) = sync.updates(1, host).sessions
    assert session.cookies == [cookie("a", "1")]
    assert session.login.at == 7.0
    assert session.acked == 0


def test_changes_of_two_workers_reach_both() -> None:
    host = a_host()
    sync = Sync(host)
    for worker in (0, 1):
        sync.updates(worker, host)
    sync.receive(0, change("a", "1"))
    sync.receive(1, change("b", "2"))
    sync.receive(0, change("a", None))
    for worker, heard in ((0, 2), (1, 1)):
        (session,) = sync.updates(worker, host).sessions
        assert session.cookies == [cookie("b", "2")]
        assert session.acked == heard
        assert sync.updates(worker, host).sessions == []


def test_a_changed_session_is_saved_once() -> None:
    host = a_host()
    sync = Sync(host)
    assert sync.saved() == []
    sync.receive(0, change("a", "1", 7.0))
    sync.receive(0, change("b", "2", 8.0))
    assert sync.saved() == [
        SessionRecord(SITE, [cookie("a", "1"), cookie("b", "2")], LoginState(8.0), Usage(logins=2))
    ]
    assert sync.saved_logins == 2
    assert sync.saved() == []
    assert sync.saved_logins == 0


def test_a_session_without_hosts_leaves_memory() -> None:
    one, two = a_host(1), a_host(2)
    sync = Sync(one, two)
    sync.evict(one)
    assert SITE in sync.sessions
    sync.evict(two)
    assert SITE not in sync.sessions


def test_a_session_that_is_not_in_the_store_yet_stays() -> None:
    host = a_host()
    sync = Sync(host)
    sync.receive(0, change("a", "1"))
    sync.evict(host)
    assert [record.key for record in sync.saved()] == [SITE]


# A request sees at least the cookies of the page that it was found on


class Causality(RuleBasedStateMachine):
    """Pages, whose answers may set or delete a cookie, and whose children go to any worker.

    What two pages set at the same time has no order, so each worker has cookies of its own, whose
    values are numbers that only grow; the cookie ``shared`` is set by all and never deleted.
    Messages between the process and a worker keep their order, and may take their time.
    """

    @initialize(workers=st.integers(1, 3))
    def begin(self, workers: int) -> None:
        self.host = a_host(workers=workers)
        self.sync = Sync(self.host, workers=workers)
        self.jars = [ChangeTrackingCookieJar() for _ in range(workers)]
        self.to_worker: list[list[Any]] = [[] for _ in range(workers)]
        self.to_process: list[list[Any]] = [[] for _ in range(workers)]
        self.pending: list[dict[str, int]] = [{}]
        """Requests that may go out, each with the cookies that it must see."""
        self.deleted: dict[str, int] = {}
        """The time at which each cookie was last deleted."""
        self.number = 0

    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        if not self.pending:
            self.pending.append({})
        request = self.pending.pop(data.draw(st.integers(0, len(self.pending) - 1)))
        worker = data.draw(st.integers(0, len(self.jars) - 1))
        feed = self.sync.updates(worker, self.host)
        self.to_worker[worker].append((feed, request))

    @rule(
        data=st.data(),
        what=st.sampled_from(["nothing", "set", "set", "share", "delete"]),
        children=st.integers(1, 2),
    )
    def fetch(self, data: st.DataObject, what: str, children: int) -> None:
        busy = [number for number, messages in enumerate(self.to_worker) if messages]
        if not busy:
            return
        worker = data.draw(st.sampled_from(busy))
        feed, must_see = self.to_worker[worker].pop(0)
        jar = self.jars[worker]
        for session in feed.sessions:
            jar.load(session.cookies, session.acked)
        self.check(must_see, self.values(jar))
        self.number += 1
        name = "shared" if what == "share" else f"of {worker}"
        if what in {"set", "share"}:
            jar.set(name, str(self.number), domain="example", path="/")
        must_go = what == "delete" and name in self.values(jar)
        if must_go:
            jar.clear("example", "/", name)
            self.deleted[name] = self.number
        child = {**must_see, **self.values(jar)}
        if "shared" in child:
            child["shared"] = 0  # any value will do
        if must_go:
            child[name] = self.number
        self.to_process[worker].append((jar.pop_changes(), [child] * children))

    def check(self, must_see: dict[str, int], seen: dict[str, int]) -> None:
        for name, least in must_see.items():
            if name in seen:
                assert seen[name] >= least, "a child has an older cookie than its parent"
            else:
                assert self.deleted.get(name, -1) >= least, "a child lacks its parent's cookie"

    @staticmethod
    def values(jar: ChangeTrackingCookieJar) -> dict[str, int]:
        return {one.name: int(one.value) for one in jar}

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        talking = [number for number, messages in enumerate(self.to_process) if messages]
        if not talking:
            return
        worker = data.draw(st.sampled_from(talking))
        changes, children = self.to_process[worker].pop(0)
        if changes:
            self.sync.receive(worker, SessionChange(SITE, changes))
        self.pending += children

    @rule(data=st.data())
    def worker_dies(self, data: st.DataObject) -> None:
        worker = data.draw(st.integers(0, len(self.jars) - 1))
        lost = [request for _, request in self.to_worker[worker]]
        while self.to_process[worker]:  # what it had sent is read before its end is seen
            changes, children = self.to_process[worker].pop(0)
            if changes:
                self.sync.receive(worker, SessionChange(SITE, changes))
            self.pending += children
        self.jars[worker] = ChangeTrackingCookieJar()
        self.to_worker[worker] = []
        self.sync.reset(worker)
        self.pending += lost

    @invariant()
    def when_nothing_is_in_flight_current_copies_are_the_same(self) -> None:
        if any(self.to_worker) or any(self.to_process):
            return
        known = self.sync.sessions.get(SITE)
        kept = {one.name: one.value for one in known.cookies.values()}
        for worker, jar in enumerate(self.jars):
            if known.copies and known.copies[worker].version == known.version:
                assert {one.name: one.value for one in jar} == kept


Causality.TestCase.settings = hypothesis_settings(deadline=None, stateful_step_count=40)
TestCausality = Causality.TestCase
