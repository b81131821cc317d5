"""``scheduling.session_registry``: the sessions, and what the fetching process lacks."""

from __future__ import annotations

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crawler.http.cookie_jar import ChangeTrackingCookieJar
from crawler.messages import SessionChange, TaskBatch
from crawler.records import Cookie, LoginState, RobotsFile, SessionRecord, Usage
from crawler.scheduling.host_queue import HostQueue
from crawler.scheduling.politeness import HostClock
from crawler.scheduling.session_registry import FetcherSync, SessionRegistry
from tests.memory_store import MemoryStore

SITE = "site:example"


def a_host(id: int = 1, session: str = SITE) -> HostQueue:
    return HostQueue(id, f"https://{id}.example", session, HostClock())


class Sync(FetcherSync):
    """With a registry of its own; hosts come to work as the frontier brings them."""

    def __init__(self, *hosts: HostQueue) -> None:
        self.sessions = SessionRegistry()
        self.store = MemoryStore()
        super().__init__(self.sessions)
        for host in hosts:
            self.activate(host)

    def activate(self, host: HostQueue, record: SessionRecord | None = None) -> None:
        if host.session not in self.sessions:
            stored = self.store.sessions.get(host.session)
            self.sessions.load(record or stored or SessionRecord(host.session, []))
        self.sessions.acquire(host.session, host.id)

    def evict(self, host: HostQueue) -> None:
        self.forget_host(host)
        self.sessions.release(host.session, host.id)

    def save(self) -> int:
        """Commit; return the number of logins."""
        with self.store.transaction():
            return self.sessions.save(self.store.sessions)

    def updates(self, *hosts: HostQueue) -> TaskBatch:
        batch = TaskBatch([])
        for host in hosts:
            self.add_updates(batch, host)
        return batch


def cookie(name: str, value: str | None) -> Cookie:
    return Cookie(name, value, "example", "/")


def change(name: str, value: str | None, at: float | None = None) -> SessionChange:
    return SessionChange(SITE, [cookie(name, value)], None if at is None else LoginState(at))


# Hosts and rules


def test_a_host_is_sent_once() -> None:
    host = a_host()
    sync = Sync(host)
    (update,) = sync.updates(host).hosts
    assert (update.id, update.origin, update.session) == (1, "https://1.example", SITE)
    assert update.robots is None
    assert sync.updates(host) == TaskBatch([])


def test_a_host_is_sent_again_when_it_has_changed() -> None:
    host, other = a_host(1), a_host(2)
    sync = Sync(host, other)
    sync.updates(host, other)
    rules = host.robots = RobotsFile(b"User-agent: *")
    host.version += 1
    (update,) = sync.updates(host, other).hosts
    assert (update.id, update.robots) == (1, rules)
    assert sync.updates(host, other) == TaskBatch([])


def test_an_evicted_host_is_forgotten_and_sent_anew() -> None:
    host, other, never_sent = a_host(1), a_host(2), a_host(3)
    sync = Sync(host, other, never_sent)
    sync.updates(host, other)
    sync.evict(host)
    sync.evict(never_sent)
    sync.activate(host)
    batch = sync.updates(host)
    assert batch.forget == [1]
    assert [update.id for update in batch.hosts] == [1]
    assert sync.updates(host, other) == TaskBatch([])


def test_a_new_process_in_the_place_of_a_dead_one_gets_everything() -> None:
    host, evicted = a_host(1), a_host(2)
    sync = Sync(host, evicted)
    sync.extend_scope("b.example")
    sync.updates(host, evicted)
    sync.sessions.apply(change("a", "1"))
    sync.evict(evicted)
    sync.reset()
    batch = sync.updates(host)
    assert [update.id for update in batch.hosts] == [1]
    assert "b.example" in sync.netlocs, "the new process starts with it"
    assert batch.scope == []
    assert batch.forget == []
    assert [record.cookies for record in batch.sessions] == [[cookie("a", "1")]]
    assert sync.updates(host) == TaskBatch([])


# Scope


def test_a_netloc_is_sent_once() -> None:
    host = a_host()
    sync = Sync(host)
    sync.extend_scope("a.example")
    assert sync.updates(host).scope == ["a.example"]
    sync.extend_scope("a.example")
    sync.extend_scope("b.example")
    assert sync.updates(host).scope == ["b.example"]


# Sessions


def test_a_session_is_sent_with_the_first_task() -> None:
    host = a_host()
    sync = Sync()
    sync.activate(host, SessionRecord(SITE, [cookie("a", "1")], LoginState(5.0)))
    (session,) = sync.updates(host).sessions
    assert (session.key, session.cookies, session.login.at) == (SITE, [cookie("a", "1")], 5.0)
    assert sync.updates(host).sessions == []


def test_hosts_of_one_site_share_their_session_which_is_sent_once() -> None:
    one, two, other = a_host(1), a_host(2), a_host(3, "site:other")
    sync = Sync()
    sync.activate(one, SessionRecord(SITE, [cookie("a", "1")]))
    sync.activate(two)
    sync.activate(other, SessionRecord("site:other", [cookie("a", "1")]))
    sessions = sync.updates(one, two, other).sessions
    assert [session.key for session in sessions] == [SITE, "site:other"]


def test_an_empty_session_is_not_sent() -> None:
    host = a_host()
    assert Sync(host).updates(host).sessions == []


def test_what_the_fetching_process_reports_is_not_sent_back() -> None:
    host, other = a_host(1), a_host(2)
    sync = Sync(host, other)
    sync.updates(host)
    sync.sessions.apply(change("a", "1", 7.0))
    assert sync.updates(host, other).sessions == []


def test_a_session_is_sent_again_once_its_last_host_was_forgotten() -> None:
    one, two = a_host(1), a_host(2)
    sync = Sync(one, two)
    sync.updates(one, two)
    sync.sessions.apply(change("a", "1"))
    sync.save()
    sync.evict(one)
    sync.activate(one)
    assert sync.updates(one).sessions == [], "the other host still has it"
    sync.evict(one)
    sync.evict(two)
    sync.activate(two)
    batch = sync.updates(two)
    assert batch.forget == [1, 2]
    assert [record.cookies for record in batch.sessions] == [[cookie("a", "1")]]


def test_a_changed_session_is_saved_once() -> None:
    host = a_host()
    sync = Sync(host)
    assert sync.save() == 0
    assert sync.store.sessions.all() == []
    sync.sessions.apply(change("a", "1", 7.0))
    sync.sessions.apply(change("b", "2", 8.0))
    assert sync.save() == 2
    cookies = [cookie("a", "1"), cookie("b", "2")]
    record = SessionRecord(SITE, cookies, LoginState(8.0), Usage(logins=2))
    assert sync.store.sessions.all() == [record]
    with sync.store.transaction():
        sync.store.sessions.save(SessionRecord(SITE, []))
    assert sync.save() == 0
    assert sync.store.sessions.all() == [SessionRecord(SITE, [])], "it was not saved again"


def test_only_the_cookies_that_have_changed_are_saved() -> None:
    host = a_host()
    sync = Sync()
    sync.activate(host, SessionRecord(SITE, [cookie("a", "1"), cookie("b", "1"), cookie("c", "1")]))
    for name, value in [("a", "1"), ("b", "2"), ("c", None), ("d", "1"), ("d", None), ("c", "2")]:
        sync.sessions.apply(change(name, value))
    session = sync.sessions.get(SITE)
    assert [one.value for one in session.cookies.values()] == ["1", "2", "2"]
    changes = session.take_changes().cookies
    pairs = [(one.name, one.value) for one in changes]
    assert pairs == [("c", None), ("d", None), ("b", "2"), ("c", "2")]
    assert session.take_changes().cookies == []


def test_a_session_without_hosts_leaves_memory() -> None:
    one, two = a_host(1), a_host(2)
    sync = Sync(one, two)
    assert set(sync.sessions.hosts(SITE)) == {1, 2}
    sync.evict(one)
    assert set(sync.sessions.hosts(SITE)) == {2}
    sync.evict(two)
    assert SITE not in sync.sessions


def test_a_session_that_is_not_in_the_store_yet_stays() -> None:
    host = a_host()
    sync = Sync(host)
    sync.sessions.apply(change("a", "1"))
    sync.evict(host)
    assert SITE in sync.sessions
    sync.save()
    assert [record.key for record in sync.store.sessions.all()] == [SITE]
    assert SITE not in sync.sessions


# A request sees at least the cookies of the page that it was found on


class Causality(RuleBasedStateMachine):
    """Pages, whose answers may set or delete a cookie, and whose links go out later.

    Hosts come and go, and the fetching process may die. The values of cookies only grow. Messages
    keep their order, and may take their time.
    """

    @initialize()
    def begin(self) -> None:
        self.hosts = {id: a_host(id) for id in (1, 2)}
        self.sync = Sync(*self.hosts.values())
        self.at_work = set(self.hosts)
        self.batches: list[tuple[TaskBatch, int, dict[str, int]]] = []
        """Sent and not read yet: each with its host, and the cookies that its request must see."""
        self.answers: list[tuple[int, list[Cookie], list[dict[str, int]]]] = []
        """On the way back: the host, the changes, and the requests that were found."""
        self.pending: list[dict[str, int]] = []
        self.number = 0
        self.deleted: dict[str, int] = {}
        """The time at which each cookie was last deleted."""
        self.start_process()

    def start_process(self) -> None:
        self.jar: ChangeTrackingCookieJar | None = None
        self.users: set[int] = set()

    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        request = self.pending.pop() if self.pending else {}
        id = data.draw(st.sampled_from(list(self.hosts)))
        if id not in self.at_work:
            self.sync.activate(self.hosts[id])
            self.at_work.add(id)
        self.batches.append((self.sync.updates(self.hosts[id]), id, request))

    @rule(
        change=st.sampled_from(["nothing", "set", "delete"]),
        name=st.sampled_from("ab"),
        children=st.integers(1, 2),
    )
    def fetch(self, change: str, name: str, children: int) -> None:
        if not self.batches:
            return
        batch, id, must_see = self.batches.pop(0)
        self.learn(batch)
        assert id in self.users
        jar = self.jar = self.jar or ChangeTrackingCookieJar()
        for cookie_name, least in must_see.items():
            newest = self.values(jar).get(cookie_name, self.deleted.get(cookie_name, -1))
            assert newest >= least, "an older cookie, or none"
        self.number += 1
        if change == "set":
            jar.set(name, str(self.number), domain="example", path="/")
        elif change == "delete" and name in self.values(jar):
            jar.clear("example", "/", name)
            self.deleted[name] = self.number
        self.answers.append((id, jar.pop_changes(), [self.values(jar)] * children))

    def learn(self, batch: TaskBatch) -> None:
        """Do as the fetching process does."""
        self.users -= set(batch.forget)
        if not self.users:
            self.jar = None
        self.users |= {update.id for update in batch.hosts}
        for record in batch.sessions:
            assert self.jar is None, "the session is there already"
            self.jar = ChangeTrackingCookieJar()
            self.jar.load(record.cookies)

    @staticmethod
    def values(jar: ChangeTrackingCookieJar) -> dict[str, int]:
        return {cookie.name: int(cookie.value) for cookie in jar}

    @rule()
    def answer(self) -> None:
        if self.answers:
            _, changes, children = self.answers.pop(0)
            if changes:
                self.sync.sessions.apply(SessionChange(SITE, changes))
            self.pending += children

    @rule()
    def commit_and_evict(self) -> None:
        self.sync.save()
        busy = {id for _, id, _ in self.batches} | {id for id, _, _ in self.answers}
        for id in self.at_work - busy:
            self.sync.evict(self.hosts[id])
        self.at_work &= busy

    @rule()
    def process_dies(self) -> None:
        while self.answers:  # what it had sent is read before its end is seen
            self.answer()
        self.pending += [request for _, _, request in self.batches]
        self.batches = []
        self.start_process()
        self.sync.reset()

    @invariant()
    def when_nothing_is_in_flight_both_have_the_same(self) -> None:
        if self.batches or self.answers or not self.at_work or self.jar is None:
            return
        cookies = self.sync.sessions.get(SITE).cookies.values()
        assert {one.name: int(one.value or "") for one in cookies} == self.values(self.jar)


Causality.TestCase.settings = hypothesis_settings(deadline=None, stateful_step_count=40)
TestCausality = Causality.TestCase


def test_logins_and_ends_of_a_session_are_counted() -> None:
    wall = 100.0
    sessions, store = SessionRegistry(lambda: wall), MemoryStore()
    sessions.load(SessionRecord(SITE, []))
    sessions.acquire(SITE, 1)

    def login(at: float | None) -> tuple[int, float | None, int]:
        sessions.apply(SessionChange(SITE, [], LoginState(at)))
        usage = sessions.get(SITE).usage
        with store.transaction():
            return usage.logins, usage.logged_out_at, sessions.save(store.sessions)

    never = Usage().logged_out_at
    assert login(None) == (0, never, 0), "it was not logged in before"
    assert login(5.0) == (1, never, 1)
    assert login(5.0) == (1, never, 0), "the same login"
    assert login(7.0) == (2, never, 1), "one that has replaced it"
    assert login(None) == (2, 100.0, 0)
    wall = 200.0
    assert login(None) == (2, 100.0, 0), "it has ended before"
    assert login(8.0) == (3, 100.0, 1)
