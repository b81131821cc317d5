"""The frontier at work: hosts and the heads of their queues between store and scheduler."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from crawler.messages import Done, Failed, FetchStats, Outcome, Result, Retry, Returned, TaskBatch
from crawler.parsing.robots import MAX_AGE
from crawler.records import (
    Cookie,
    FailureReport,
    HostRow,
    Key,
    NewRequest,
    PendingRow,
    QueuedRequest,
    RobotsFile,
    SessionRecord,
)
from crawler.scheduling import admission, frontier, scheduler
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import (
    Assignment,
    HostQueue,
    PageAssignment,
    RobotsAssignment,
)
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.session_registry import SessionRegistry
from crawler.settings import Settings
from crawler.store.protocols import Store
from tests.memory_store import MemoryStore

A, B = "https://a.example", "https://b.example"


class Bench:
    """A store and a frontier on it; ``now`` is the monotonic clock, ``wall`` the other one."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = store
        self.now, self.wall = 100.0, 1_700_000_000.0
        monkeypatch.setattr(time, "time", lambda: self.wall)
        self.ids = itertools.count(1)
        self.start()

    def start(self, *, was_killed: bool = False, account: bool = False, **settings: Any) -> None:
        """Start as a new process does, from the store."""
        self.scheduler = Scheduler(concurrency=4)
        self.sessions = SessionRegistry(lambda: self.wall)
        limits = {"retries": 3, "robots_wait": 0.0}
        settings = {"obey_robots": False, "delay": 0.0, **limits, **settings}
        self.frontier = Frontier(
            self.store,
            self.scheduler,
            Settings(**settings),
            self.sessions,
            logs_in=account,
            wall=lambda: self.wall,
        )
        self.frontier.load(self.now, was_killed=was_killed)

    def add(self, origin: str, count: int = 1, rank: int = 0) -> list[PendingRow]:
        """Commit new requests; the scheduler has not seen them yet."""
        new = []
        with self.store.transaction():
            host = self.frontier.admission.host_id(origin)
            for id in itertools.islice(self.ids, count):
                request = msgspec.Raw(msgspec.msgpack.encode(id))
                found = NewRequest(b"%016d" % id, origin, rank, "parse", request)
                new += self.store.queue.add([(host, found)], id)
        assert len(new) == count
        return new

    def host(self, origin: str) -> HostQueue:
        row = self.store.hosts.find(origin)
        assert row is not None
        host = self.scheduler.hosts.get(row.id)
        assert host is not None
        return host

    def sent(self) -> Iterator[PageAssignment]:
        """Everything that goes out now, as a run feeds it."""
        for assignment in self.frontier.take_ready(self.now):
            assert isinstance(assignment, PageAssignment)
            yield assignment

    def robots_sent(self) -> RobotsAssignment:
        """The request for a robots.txt, if that alone goes out now."""
        (assignment,) = self.frontier.take_ready(self.now)
        assert isinstance(assignment, RobotsAssignment)
        return assignment

    def ids_sent(self) -> list[int]:
        return [one.queued.key.id for one in self.sent()]

    def work_off(self) -> list[int]:
        """Send everything, each done as soon as it is out."""
        ids: list[int] = []
        while True:
            batch = list(self.sent())
            if not batch:
                return ids
            with self.store.transaction():
                for one in batch:
                    ids.append(one.queued.key.id)
                    self.store.queue.mark_done([(one.host.id, *one.queued.key)])
            for one in batch:
                self.finish(one)
            self.frontier.after_commit(batch, [], [], self.now)

    def finish(self, assignment: Assignment, result: Result | None = None) -> None:
        """The request has come back from its worker, which had sent it."""
        outcome = Outcome(assignment.id, result or Done(), FetchStats(started=self.now))
        assert self.frontier.finish(outcome, self.now) is assignment

    def push(self, rows: list[PendingRow]) -> None:
        """New requests are committed."""
        self.frontier.after_commit([], [], rows, self.now)

    def save(self) -> None:
        with self.store.transaction():
            self.frontier.save_hosts(self.now)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(MemoryStore(), monkeypatch)


# Requests come in


@pytest.mark.parametrize("number", [1, 8, 9, 16, 17, 100])
def test_a_queue_longer_than_its_head_comes_in_bit_by_bit_and_in_order(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(scheduler, "HEAD_TOTAL", 1)  # heads of 8
    bench.add(A, number)
    bench.start()
    assert len(bench.host(A).heap) == min(8, number)
    assert bench.work_off() == list(range(1, number + 1))
    assert bench.host(A).is_idle


def test_new_requests_enter_the_scheduler(bench: Bench) -> None:
    bench.push([*bench.add(A, 3), *bench.add(B, 2), *bench.add(A, 1)])
    assert sorted(bench.work_off()) == [1, 2, 3, 4, 5, 6]
    bench.push(bench.add(A, 1))
    assert bench.work_off() == [7]


def test_the_number_of_a_host_is_always_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MOST_KNOWN", 3)
    origins = [f"https://{number}.example" for number in range(10)]
    with bench.store.transaction():
        first = [bench.frontier.admission.host_id(origin) for origin in origins]
        assert [bench.frontier.admission.host_id(origin) for origin in origins] == first
    assert len(bench.frontier.admission._ids) <= 3


def test_more_hosts_than_fit_into_memory_get_their_turn(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "MOST_HOSTS", 5)
    monkeypatch.setattr(frontier, "MOST_IDLE", 2)
    for number in range(23):
        bench.add(f"https://{number}.example", 2)
    bench.start()
    done: list[int] = []
    for _ in range(30):
        assert len(bench.scheduler.hosts) <= 5
        done += bench.work_off()
        bench.frontier.evict_idle_hosts(bench.now)
    assert sorted(done) == list(range(1, 47))


def test_the_first_request_does_not_wait_for_all_hosts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "AT_ONCE", 2)
    origins = [f"https://{number}.example" for number in range(5)]
    for origin in origins:
        bench.add(origin, 2)
    bench.start()
    assert len(bench.scheduler.hosts) == 2
    at = bench.frontier.next_release_at()
    assert at is not None
    assert at < bench.now, "the loop must not wait for anything else"
    bench.push(bench.add(origins[4]))
    assert len(bench.scheduler.hosts) == 3, "one that is wanted comes at once"
    done: list[int] = []
    while bench.frontier.is_loading:
        done += bench.work_off()
        bench.frontier.release_due(bench.now)
    assert sorted([*done, *bench.work_off()]) == list(range(1, 12))
    assert bench.frontier.next_release_at() is None


def test_idle_hosts_leave_while_others_are_on_their_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "AT_ONCE", 2)
    monkeypatch.setattr(frontier, "MOST_IDLE", 1)
    for number in range(9):
        bench.add(f"https://{number}.example")
    bench.start()
    done = []
    while bench.frontier.is_loading:
        bench.frontier.release_due(bench.now)
        done += bench.work_off()
        bench.frontier.evict_idle_hosts(bench.now)
        assert not bench.scheduler.idle
    assert sorted(done) == list(range(1, 10))


def test_hosts_found_when_memory_is_full_are_not_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "MOST_HOSTS", 2)
    monkeypatch.setattr(frontier, "MOST_IDLE", 0)
    for number in range(6):
        bench.push(bench.add(f"https://{number}.example"))
    done = []
    for _ in range(6):
        done += bench.work_off()
        bench.frontier.evict_idle_hosts(bench.now)
    assert sorted(done) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("result", "remaining"),
    [
        (Done(), 2),
        (Failed(FailureReport(A, "timeout", "too slow")), 2),
        (Returned(), 3),
        (Retry(None, 5.0), 3),
    ],
)
def test_only_pages_that_have_ended_count_for_max_pages(
    bench: Bench, result: Result, remaining: int
) -> None:
    bench.add(A)
    bench.start()
    bench.frontier.remaining = 3
    (only,) = bench.sent()
    bench.finish(only, result)
    assert bench.frontier.remaining == remaining


def test_a_page_that_is_asked_again_does_not_count_for_max_pages(bench: Bench) -> None:
    bench.frontier.count_finished()
    bench.frontier.uncount_finished()
    assert bench.frontier.remaining is None
    bench.frontier.remaining = 3
    bench.frontier.count_finished()
    assert bench.frontier.remaining == 2
    bench.frontier.uncount_finished()
    assert bench.frontier.remaining == 3


def test_a_page_that_came_back_unsent_goes_out_again_and_robots_txt_by_itself(
    bench: Bench,
) -> None:
    bench.add(A)
    bench.start(obey_robots=True)
    robots = bench.robots_sent()
    bench.finish(robots)
    bench.frontier.requeue(robots, bench.now)
    robots = bench.robots_sent()
    bench.finish(robots)
    bench.frontier.robots_fetched(robots.host, RobotsFile(b""), bench.now)
    (page,) = bench.sent()
    bench.finish(page, Returned())
    bench.frontier.requeue(page, bench.now)
    assert bench.ids_sent() == [1]


def test_after_the_death_of_the_fetching_process_hosts_rest_for_their_delay(
    bench: Bench,
) -> None:
    bench.add(A)
    bench.start(delay=10.0)
    (page,) = bench.sent()
    bench.pass_time(9.0)
    assert bench.frontier.fetcher_died(bench.now) == [page]
    bench.frontier.requeue_maybe_sent(page, bench.now)
    assert bench.ids_sent() == []
    assert bench.frontier.next_at() == bench.now + 10.0
    bench.pass_time(10.0)
    assert bench.ids_sent() == [1]


def test_a_frontier_is_exhausted_when_no_request_may_go_out(bench: Bench) -> None:
    bench.add(A, 2)
    bench.start()
    assert not bench.frontier.is_exhausted(stopping=False)
    assert bench.frontier.is_exhausted(stopping=True)
    bench.frontier.remaining = 1
    (only,) = bench.sent()
    assert not bench.frontier.is_exhausted(stopping=True), "a request is in flight"
    bench.finish(only, Done())
    assert bench.frontier.has_work
    assert bench.frontier.is_exhausted(stopping=False), "max_pages is reached"


# Waiting for another try


def wait(bench: Bench, assignment: PageAssignment, seconds: float) -> None:
    """Postpone a request, as the commit does."""
    host, key = assignment.host, assignment.queued.key
    bench.finish(assignment)
    with bench.store.transaction():
        bench.store.queue.replace(host.id, key, b"again", bench.wall + seconds)
    retry = (assignment, b"again", bench.now + seconds)
    bench.frontier.after_commit([assignment], [retry], [], bench.now)


def test_a_request_waits_until_it_is_due_and_others_go_on(bench: Bench) -> None:
    bench.add(A, 3)
    bench.start()
    first, second, third = bench.sent()
    wait(bench, second, 60.0)
    wait(bench, first, 30.0)
    assert bench.frontier.next_release_at() == bench.now + 30.0
    bench.frontier.release_due(bench.now + 29.9)
    assert bench.ids_sent() == []
    bench.pass_time(31.0)
    bench.frontier.release_due(bench.now)
    (again,) = bench.sent()
    assert again.queued == QueuedRequest(0, 1, b"again")
    assert not first.host.is_idle
    bench.pass_time(60.0)
    bench.frontier.release_due(bench.now)
    assert bench.ids_sent() == [2]
    assert bench.frontier.next_release_at() is None
    del third


def test_a_host_whose_only_request_waits_has_something_to_do(bench: Bench) -> None:
    bench.add(A)
    bench.start()
    (only,) = bench.sent()
    wait(bench, only, 60.0)
    assert not only.host.is_idle
    assert bench.frontier.has_work
    assert bench.frontier.busy_hosts == 1
    assert not bench.frontier.is_exhausted(stopping=False)
    bench.pass_time(61.0)
    assert bench.ids_sent() == [1]


def test_a_request_is_asked_again_at_the_very_time_for_which_the_loop_wakes(
    bench: Bench,
) -> None:
    bench.add(A)
    bench.start()
    (only,) = bench.sent()
    wait(bench, only, 60.0)
    at = bench.frontier.next_at()
    assert at is not None
    bench.wall += at - bench.now
    bench.now = at
    assert bench.ids_sent() == [1]


def test_a_wait_survives_a_restart(bench: Bench) -> None:
    bench.add(A, 1)
    bench.start()
    (only,) = bench.sent()
    wait(bench, only, 60.0)
    bench.wall += 20.0
    bench.start()
    assert bench.ids_sent() == []
    at = bench.frontier.next_release_at()
    assert at == pytest.approx(bench.now + 40.0, abs=0.01)
    bench.pass_time(41.0)
    bench.frontier.release_due(bench.now)
    assert bench.ids_sent() == [1]


def test_a_wait_is_no_longer_than_was_granted_when_the_clock_is_set_back(bench: Bench) -> None:
    bench.add(A, 1)
    bench.start()
    (only,) = bench.sent()
    wait(bench, only, 60.0)
    bench.wall -= 10 * 365 * 86400
    bench.start(max_retry_wait=100.0)
    at = bench.frontier.next_release_at()
    assert at is not None
    assert at <= bench.now + 101.0


def test_many_that_are_due_at_once_do_not_fill_the_memory(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "HEAD_TOTAL", 1)
    new = bench.add(A, 200)
    with bench.store.transaction():
        for host, rank, id, _, request in new:
            bench.store.queue.replace(host, Key(rank, id), request, bench.wall + 5.0)
    bench.start()
    assert bench.ids_sent() == []
    bench.pass_time(6.0)
    bench.frontier.release_due(bench.now)
    assert len(bench.host(A).heap) <= 4 * 8 + 1
    assert bench.work_off() == list(range(1, 201))


# Clocks


def test_the_clock_of_a_host_survives_a_restart(bench: Bench) -> None:
    bench.add(A, 2)
    bench.start(delay=10.0)
    assert bench.ids_sent() == [1]
    bench.save()
    bench.wall += 4.0
    bench.start(delay=10.0)
    assert bench.ids_sent() == []
    assert bench.scheduler.next_at() == pytest.approx(bench.now + 6.0)


def test_a_retry_after_of_a_host_survives_a_restart(bench: Bench) -> None:
    bench.add(A, 2)
    bench.start()
    host = bench.host(A)
    bench.frontier.delay(host, 3600.0, bench.now)
    bench.save()
    bench.wall += 600.0
    bench.start()
    assert bench.ids_sent() == []
    assert bench.scheduler.next_at() == pytest.approx(bench.now + 3000.0)


def test_after_a_kill_each_host_rests_first(bench: Bench) -> None:
    """The store does not have the times of the last requests before a kill."""
    bench.add(A, 2)
    bench.start(delay=10.0, was_killed=True)
    assert bench.ids_sent() == []
    assert bench.scheduler.next_at() == pytest.approx(bench.now + 10.0)


def test_after_a_kill_hosts_that_come_in_later_rest_as_long(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "AT_ONCE", 1)
    bench.add(A)
    bench.add(B)
    bench.start(delay=10.0, was_killed=True)
    bench.pass_time(4.0)
    bench.frontier.release_due(bench.now)
    assert [host.clock.ready_at for host in bench.scheduler.hosts.values()] == [bench.now + 6.0] * 2


def test_a_kill_is_no_reason_for_new_hosts_to_rest(bench: Bench) -> None:
    bench.start(delay=10.0, was_killed=True)
    bench.push(bench.add(A, 1))
    assert bench.ids_sent() == [1]


def test_only_clocks_that_have_moved_are_written(bench: Bench) -> None:
    bench.add(A)
    bench.add(B)
    bench.start(delay=10.0)
    bench.host(B).clock.retry_after(20.0, bench.now)  # behind the frontier's back
    bench.frontier.delay(bench.host(A), 20.0, bench.now)
    bench.save()
    assert bench.store.hosts.get(bench.host(A).id).next_at == bench.wall + 20.0
    assert bench.store.hosts.get(bench.host(B).id).next_at == 0.0


def test_a_clock_without_waiting_requests_is_not_written(bench: Bench) -> None:
    bench.add(A, 3)
    bench.start()
    (first, *_) = bench.sent()
    bench.save()
    assert bench.store.hosts.get(first.host.id).next_at == 0.0
    bench.frontier.delay(first.host, 60.0, bench.now)
    bench.save()
    assert bench.store.hosts.get(first.host.id).next_at == bench.wall + 60.0
    first.host.clock.ready_at, first.host.clock.granted = bench.now, 0.0
    bench.frontier.delay(first.host, 0.0, bench.now)
    bench.save()
    assert bench.store.hosts.get(first.host.id).next_at == bench.wall, "nor does anybody any more"


# robots.txt


def test_rules_are_requested_once_and_kept(bench: Bench) -> None:
    bench.add(A, 1)
    bench.start(obey_robots=True)
    robots = bench.robots_sent()
    bench.finish(robots)
    rules = RobotsFile(b"User-agent: *\nCrawl-delay: 7", 7.0)
    bench.frontier.robots_fetched(robots.host, rules, bench.now)
    assert robots.host.clock.effective_delay == 7.0
    bench.save()
    wanted = HostRow(robots.host.id, A, bench.wall, 0.0, rules, bench.wall, requests=1)
    assert bench.store.hosts.find(A) == wanted
    bench.pass_time(7.0)
    bench.start(obey_robots=True)
    host = bench.host(A)
    assert host.knows_robots
    assert host.clock.effective_delay == 7.0
    assert bench.ids_sent() == [1]
    feed = TaskBatch([])
    bench.frontier.sync.add_updates(feed, host)
    assert feed.hosts[0].robots == rules
    assert not bench.frontier.unreachable.failures


def test_old_rules_are_requested_again(bench: Bench) -> None:
    bench.add(A, 1)
    with bench.store.transaction():
        id = bench.frontier.admission.host_id(A)
        bench.store.hosts.save(
            [HostRow(id, A, robots=RobotsFile(b""), robots_at=bench.wall - MAX_AGE)]
        )
    bench.start(obey_robots=True)
    assert not bench.host(A).knows_robots
    bench.wall -= 10.0
    bench.start(obey_robots=True)
    host = bench.host(A)
    assert host.knows_robots
    assert host.robots_until == pytest.approx(bench.now + 10.0)


def test_rules_from_the_future_are_not_trusted(bench: Bench) -> None:
    bench.add(A, 1)
    with bench.store.transaction():
        id = bench.frontier.admission.host_id(A)
        bench.store.hosts.save([HostRow(id, A, robots=RobotsFile(b""), robots_at=bench.wall + 99)])
    bench.start(obey_robots=True)
    assert not bench.host(A).knows_robots


def test_a_robots_txt_that_was_unreachable_in_an_earlier_run_is_reported_at_once(
    bench: Bench,
) -> None:
    bench.add(A, 1)
    bench.start(obey_robots=True)
    robots = bench.robots_sent()
    bench.finish(robots)
    unavailable = RobotsFile(b"", None, "timeout", "too slow")
    bench.frontier.robots_unavailable(robots.host, unavailable, 60.0, bench.now)
    bench.save()
    bench.start(obey_robots=True)
    assert not bench.host(A).knows_robots
    assert bench.frontier.unreachable.description == f"{A} (timeout)"
    assert list(bench.sent()) == []
    bench.pass_time(60.0)
    assert bench.robots_sent().host is bench.host(A)


def test_rules_do_not_count_when_they_are_not_obeyed(bench: Bench) -> None:
    bench.add(A, 1)
    with bench.store.transaction():
        id = bench.frontier.admission.host_id(A)
        rules = RobotsFile(b"User-agent: *\nDisallow: /", 7.0)
        bench.store.hosts.save([HostRow(id, A, robots=rules, robots_at=bench.wall)])
    bench.start(obey_robots=False)
    host = bench.host(A)
    assert host.clock.effective_delay == 0.0
    feed = TaskBatch([])
    bench.frontier.sync.add_updates(feed, host)
    assert feed.hosts[0].robots is None


# Sessions


def test_hosts_of_one_site_share_a_session_and_an_account_is_everywhere(bench: Bench) -> None:
    origins = ["https://www.a.example", "http://shop.a.example:8080", B]
    for origin in origins:
        bench.add(origin)
    bench.start()
    assert [bench.host(o).session for o in origins] == ["site:a.example"] * 2 + ["site:b.example"]
    assert not any(bench.host(o).logs_in for o in origins)
    bench.start(account=True)
    assert {bench.host(o).session for o in origins} == {"account"}
    assert all(bench.host(o).logs_in for o in origins)


def test_sessions_come_from_the_store(bench: Bench) -> None:
    bench.add(A)
    cookie = Cookie("id", "1", "a.example", "/")
    with bench.store.transaction():
        bench.store.sessions.save(SessionRecord("site:a.example", [cookie]))
    bench.start()
    feed = TaskBatch([])
    bench.frontier.sync.add_updates(feed, bench.host(A))
    (session,) = feed.sessions
    assert session.cookies == [cookie]


def test_idle_hosts_stay_in_memory_while_there_are_few(bench: Bench) -> None:
    bench.add(A)
    bench.start()
    bench.work_off()
    bench.frontier.evict_idle_hosts(bench.now)
    assert bench.host(A).is_idle


def test_the_clock_of_a_host_that_was_put_away_is_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "MOST_IDLE", 0)
    bench.add(A)
    bench.start(delay=10.0)
    bench.work_off()
    bench.save()
    bench.frontier.evict_idle_hosts(bench.now)
    assert bench.scheduler.hosts == {}
    bench.pass_time(4.0)
    bench.push(bench.add(A))
    assert bench.scheduler.next_at() == pytest.approx(bench.now + 6.0)


def test_the_fetching_process_forgets_a_host_that_left_memory(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "MOST_IDLE", 0)
    bench.push([*bench.add(A), *bench.add(B)])
    first, batch = bench.host(A), TaskBatch([])
    bench.frontier.sync.add_updates(batch, first)
    assert (len(batch.hosts), batch.forget) == (1, [])
    bench.work_off()
    bench.frontier.evict_idle_hosts(bench.now)
    bench.push(bench.add(A))
    again = TaskBatch([])
    bench.frontier.sync.add_updates(again, bench.host(A))
    assert (len(again.hosts), again.forget) == (1, [first.id])


def test_a_turn_looks_at_no_host_that_has_not_changed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(200):
        bench.add(f"https://{number}.example", 2)
    bench.start(delay=60.0, obey_robots=False)
    out = list(bench.frontier.take_ready(bench.now))
    assert len(out) > 3
    looks: list[int] = []
    is_idle = HostQueue.is_idle.fget  # type: ignore[attr-defined]

    def counted(host: HostQueue) -> bool:
        looks.append(host.id)
        result: bool = is_idle(host)
        return result

    monkeypatch.setattr(HostQueue, "is_idle", property(counted))
    for assignment in out[:3]:
        looks.clear()
        bench.finish(assignment)
        list(bench.frontier.take_ready(bench.now))
        assert bench.frontier.busy_hosts == 200
        assert bench.frontier.has_queued
        assert not bench.frontier.is_exhausted(stopping=False)
        assert bench.frontier.has_work
        bench.frontier.next_at()
        bench.frontier.evict_idle_hosts(bench.now)
        assert len(set(looks)) <= 3


def test_a_host_with_a_request_out_is_not_evicted_for_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evicted, it would forget that the page is out, and send it again."""
    monkeypatch.setattr(frontier, "MOST_HOSTS", 1)
    bench.add(A)
    bench.start(obey_robots=True, concurrency_per_host=2)
    bench.push(bench.add(B))
    robots = bench.robots_sent()
    bench.finish(robots)
    no_rules = RobotsFile(b"", cause="tls", message="no certificate")
    bench.frontier.robots_fetched(robots.host, no_rules, bench.now)
    (page,) = bench.sent()
    bench.push(bench.add(A))
    bench.pass_time(MAX_AGE)
    bench.frontier.unreachable.has_network = True
    for _ in range(3 + 1):
        robots = bench.robots_sent()
        bench.frontier.evict_idle_hosts(bench.now)
        assert bench.host(A).running == 2
        bench.finish(robots)
        bench.frontier.robots_unavailable(robots.host, no_rules, 1.0, bench.now)
        bench.pass_time(2.0)
    assert bench.frontier.unreachable.evictable() == [page.host.id]

    def hosts_in_memory() -> list[HostQueue]:
        bench.pass_time(2.0)  # hosts are not looked at more often than each second
        bench.frontier.evict_idle_hosts(bench.now)
        return list(bench.scheduler.hosts.values())

    assert hosts_in_memory() == [page.host], "its page is out"
    bench.finish(page)
    assert hosts_in_memory() == [page.host], "what became of the page is not committed"
    with bench.store.transaction():
        bench.store.queue.mark_done([(page.host.id, *page.queued.key)])
    bench.frontier.after_commit([page], [], [], bench.now)
    robots = bench.robots_sent()
    assert hosts_in_memory() == [page.host], "its robots.txt is asked for"
    bench.finish(robots)
    bench.frontier.robots_unavailable(robots.host, no_rules, 1.0, bench.now)
    assert hosts_in_memory() == [bench.host(B)]


def test_a_run_has_no_work_once_it_no_longer_waits_for_a_robots_txt(bench: Bench) -> None:
    bench.add(A)
    bench.start(obey_robots=True)
    unavailable = RobotsFile(b"", cause="http 503", message="no rules")
    for _ in range(3 + 1):
        assert bench.frontier.has_work
        robots = bench.robots_sent()
        bench.finish(robots)
        bench.frontier.robots_unavailable(robots.host, unavailable, 60.0, bench.now)
        bench.pass_time(60.0)
    assert not bench.frontier.has_work
    assert bench.frontier.is_exhausted(stopping=False)
    bench.push(bench.add(B))
    assert bench.frontier.has_work


def test_of_idle_and_resting_hosts_the_idle_ones_leave(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "MOST_HOSTS", 2)
    bench.push([*bench.add(A, 2), *bench.add(B)])
    for assignment in list(bench.sent()):
        bench.finish(assignment)
        if assignment.queued.id != 2:
            with bench.store.transaction():
                bench.store.queue.mark_done([(assignment.host.id, *assignment.queued.key)])
        else:
            bench.frontier.requeue(assignment, bench.now)
        bench.frontier.after_commit([assignment], [], [], bench.now)
    rests = bench.host(A)
    bench.frontier.delay(rests, 3600.0, bench.now)
    bench.push(bench.add("https://c.example"))
    bench.pass_time(2.0)
    bench.frontier.evict_idle_hosts(bench.now)
    assert list(bench.scheduler.hosts.values()) == [rests, bench.host("https://c.example")]
    bench.push(bench.add(B))
    done = bench.work_off()
    bench.frontier.evict_idle_hosts(bench.now)
    assert [*done, *bench.work_off()] == [4, 5], "one that left comes back with new work"
