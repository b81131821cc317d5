"""The scheduler: which request goes next, and when. The clock is a number."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crawler.records import Delivery, Key, QueuedRequest
from crawler.scheduling import host_queue as hostqueue
from crawler.scheduling import scheduler
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import (
    PREFETCH,
    Assignment,
    HostQueue,
    PageAssignment,
    ProbeAssignment,
    RobotsAssignment,
)
from crawler.scheduling.politeness import HostClock
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.session_registry import SessionRegistry
from crawler.settings import Settings
from crawler.store.protocols import Store


def a_host(
    id: int = 1,
    *,
    delay: float = 0.0,
    crawl_delay: float | None = None,
    **fields: Any,
) -> HostQueue:
    clock = HostClock(delay, crawl_delay)
    return HostQueue(id, f"https://{id}.example", f"site:{id}", clock, **fields)


def queued(id: int, rank: int = 0) -> QueuedRequest:
    return QueuedRequest(rank, id, b"request %d" % id)


def a_scheduler(
    *hosts: HostQueue, concurrency: int = 4, each: int = 100, **fields: Any
) -> Scheduler:
    """A scheduler with ``hosts`` at work, ``each`` with so many requests."""
    made = Scheduler(concurrency=concurrency, **fields)
    for host in hosts:
        made.add_host(host, 0.0)
        for id in range(1, each + 1):
            push(made, host, queued(id), 0.0)
    return made


def push(made: Scheduler, host: HostQueue, new: QueuedRequest, now: float) -> None:
    """Let a request that was just committed enter."""
    made.push(host, [(host.id, *new.key, new.delivery, new.request)], now)


def quarantined(made: Scheduler) -> int:
    """The number of requests that will be tried alone."""
    return len(made._quarantine)


def sent(made: Scheduler, now: float = 0.0) -> list[Assignment]:
    """Everything that goes out at ``now``."""
    return list(made.take_ready(now))


def page(assignment: Assignment) -> QueuedRequest:
    """The request of an assignment that is no robots.txt."""
    assert isinstance(assignment, PageAssignment)
    return assignment.queued


def is_isolated(assignment: Assignment) -> bool:
    return isinstance(assignment, PageAssignment) and assignment.isolated


def is_alone(assignment: Assignment) -> bool:
    return isinstance(assignment, PageAssignment) and assignment.alone


def ids(assignments: Iterable[Assignment]) -> list[int | None]:
    return [page(one).key.id if isinstance(one, PageAssignment) else None for one in assignments]


def done(made: Scheduler, assignment: Assignment, now: float) -> None:
    """Finish a request and commit its outcome."""
    assert made.finish(assignment.id, now) is assignment
    if isinstance(assignment, PageAssignment):
        made.committed(assignment)


def worked_off(made: Scheduler, took: float = 0.0) -> Iterator[tuple[float, Assignment]]:
    """Every request with the time when it went out, when each takes ``took`` seconds."""
    now = 0.0
    running: list[tuple[float, Assignment]] = []
    while True:
        for assignment in made.take_ready(now):
            yield now, assignment
            running.append((now + took, assignment))
        ends = [end for end, _ in running]
        turn = made.next_at()
        if turn is not None:
            ends.append(turn)
        if not ends:
            return
        now = max(now, min(ends))
        for end, assignment in [one for one in running if one[0] <= now]:
            done(made, assignment, end)
            running.remove((end, assignment))


# Politeness


@pytest.mark.parametrize("took", [0.0, 0.3, 1.0, 2.5])
def test_a_host_with_a_delay_gets_one_request_at_a_time(took: float) -> None:
    made = a_scheduler(a_host(delay=1.0), each=20)
    times = [now for now, _ in worked_off(made, took)]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps == pytest.approx([max(1.0, took)] * 19)


def test_a_longer_crawl_delay_wins_and_a_shorter_one_does_not() -> None:
    for crawl_delay, least in ((5.0, 5.0), (0.1, 2.0), (None, 2.0)):
        made = a_scheduler(a_host(delay=2.0, crawl_delay=crawl_delay), each=3)
        assert [now for now, _ in worked_off(made)] == [0.0, least, 2 * least]


def test_a_crawl_delay_that_becomes_known_holds_from_then_on() -> None:
    host = a_host()
    made = a_scheduler(host, each=100)
    for assignment in sent(made):
        made.finish(assignment.id, 0.0)
    host.clock.set_crawl_delay(3.0)
    host.clock.asked(0.0)
    assert sent(made, 2.9) == []
    assert len(sent(made, 3.0)) == 1


def test_retry_after_makes_a_listed_host_wait() -> None:
    host = a_host(delay=1.0)
    made = a_scheduler(host)
    (first,) = sent(made)
    host.clock.retry_after(60.0, 0.5)
    done(made, first, 0.5)
    made.reschedule(host, 0.5)
    assert sent(made, 60.4) == []
    assert len(sent(made, 60.5)) == 1


def test_a_turn_that_was_listed_before_retry_after_came_is_not_taken() -> None:
    host = a_host(delay=1.0, concurrency=2)
    made = a_scheduler(host)
    (first,) = sent(made)
    assert made.next_at() == 1.0
    host.clock.retry_after(60.0, 0.5)
    assert sent(made, 59.0) == []
    assert made.next_at() == 60.5
    done(made, first, 59.0)
    assert len(sent(made, 60.5)) == 1


def test_a_clock_that_is_set_back_brings_the_turn_forward() -> None:
    host = a_host(delay=10.0, concurrency=2)
    made = a_scheduler(host)
    (first,) = sent(made)
    made.finish(first.id, 0.0)
    made.requeue(host, page(first), 0.0)
    host.clock.ready_at, host.clock.granted = first.clock_before
    made.reschedule(host, 0.0)
    assert ids(sent(made)) == [1]


# How many may be out


def test_a_host_without_delay_gets_more_than_may_be_under_way() -> None:
    made = a_scheduler(a_host(concurrency=2))
    assert len(sent(made)) == 2 + PREFETCH


@pytest.mark.parametrize("delivery", [Delivery.AT_MOST_ONCE, Delivery.MAYBE_SENT])
def test_what_must_not_be_sent_twice_is_not_sent_ahead(delivery: Delivery) -> None:
    host = a_host(concurrency=2)
    made = a_scheduler(host, each=0)
    for id in range(1, 10):
        push(made, host, queued(id)._replace(delivery=delivery), 0.0)
    assert ids(sent(made)) == [1, 2]


def test_what_goes_before_a_request_that_must_not_be_sent_twice_is_sent_ahead() -> None:
    host = a_host()
    made = a_scheduler(host, each=3)
    push(made, host, QueuedRequest(1, 4, b"once", Delivery.AT_MOST_ONCE), 0.0)
    push(made, host, QueuedRequest(1, 5, b"plain"), 0.0)
    assert ids(sent(made)) == [1, 2, 3]


def test_an_account_with_a_quota_gets_nothing_ahead() -> None:
    assert len(sent(a_scheduler(a_host(concurrency=2, has_quota=True)))) == 2


def test_hosts_with_a_delay_get_no_more_than_may_be_under_way() -> None:
    """What waited elsewhere for room would go out without its delay."""
    hosts = [a_host(id, delay=1.0, concurrency=3) for id in range(6)]
    made = a_scheduler(*hosts)
    out = sent(made)
    assert [one.host.id for one in out] == [0, 1, 2, 3]
    assert sent(made, 5.0) == []
    done(made, out[0], 5.0)
    assert [one.host.id for one in sent(made, 5.0)] == [4], "the one that waits longest"


def test_what_was_sent_ahead_takes_no_room_from_another_host() -> None:
    fast, polite = a_host(1, concurrency=3), a_host(2, delay=1.0)
    made = a_scheduler(fast, polite)
    assert Counter(one.host.id for one in sent(made)) == {1: 3 + PREFETCH, 2: 1}


def test_as_much_may_be_sent_ahead_as_under_way() -> None:
    hosts = [a_host(id) for id in range(20)]
    made = a_scheduler(*hosts, concurrency=10)
    out = sent(made)
    assert len(out) == 10 + 10 + PREFETCH
    assert len({one.host.id for one in out}) == 10
    for one in out:
        done(made, one, 0.0)
    assert {one.host.id for one in sent(made)} == set(range(10, 20)), "the others have waited"


@pytest.mark.parametrize("way", ["suspended", "asked to wait", "empty"])
def test_room_that_a_waiting_host_does_not_take_goes_to_the_next(way: str) -> None:
    hosts = [a_host(id, delay=9.0) for id in range(1, 9)]
    made = a_scheduler(*hosts, concurrency=1)
    (out,) = sent(made)
    for host in hosts[1:7]:
        host.suspended = way == "suspended"
        if way == "asked to wait":
            host.clock.retry_after(60.0, 0.0)
        elif way == "empty":
            host.heap.clear()
    done(made, out, 0.0)
    assert [one.host.id for one in sent(made)] == [8]


def test_a_host_that_is_ready_is_not_waited_for() -> None:
    made = a_scheduler(a_host(delay=5.0), each=1)
    assert made.next_at() == 0.0


# Order and fairness


def test_the_best_request_of_a_host_goes_first_and_equals_keep_their_order() -> None:
    host = a_host(delay=1.0)
    made = a_scheduler(host, each=0)
    for id, rank in enumerate([0, 0, -5, 3, -5, 0], start=1):
        push(made, host, queued(id, rank), 0.0)
    assert ids(a for _, a in worked_off(made)) == [3, 5, 1, 2, 6, 4]


def test_hosts_take_turns() -> None:
    hosts = [a_host(id, delay=1.0) for id in range(5)]
    made = a_scheduler(*hosts, each=4)
    order = [(now, assignment.host.id) for now, assignment in worked_off(made)]
    assert order == [(float(now), id) for now in range(4) for id in range(5)]


def test_hosts_without_delay_take_turns_too() -> None:
    hosts = [a_host(id) for id in range(3)]
    made = a_scheduler(*hosts, each=10, concurrency=16)
    assert [assignment.host.id for assignment in sent(made)][:9] == [0, 1, 2] * 3


def test_a_host_with_a_long_queue_does_not_starve_another(monkeypatch: pytest.MonkeyPatch) -> None:
    long, late = a_host(1), a_host(2)
    made = a_scheduler(long, each=400)
    made.add_host(late, 0.0)
    out = sent(made)
    push(made, late, queued(1), 0.0)
    before_late = 0
    while not any(assignment.host is late for assignment in out):
        done(made, out.pop(0), 0.0)
        out += sent(made)
        before_late += 1
    assert before_late <= 2


# A host that finds no room waits for it, and must get it


def test_hosts_that_found_no_room_get_it_whatever_else_was_pushed_meanwhile() -> None:
    first, second, third, last = hosts = [a_host(id) for id in (1, 2, 3, 4)]
    made = a_scheduler(*hosts, concurrency=1, each=0)
    for host in (first, second):
        for id in range(1, 101):
            push(made, host, queued(id), 0.0)
    out = sent(made)
    assert made.next_at() is None
    for id in range(1, 400):  # each time it is listed, finds no room, and waits
        push(made, third, queued(id), 0.0)
        assert sent(made) == []
    push(made, last, queued(1), 0.0)
    assert sent(made) == []
    seen = set()
    for _ in range(1000):
        if not out:
            break
        assignment = out.pop(0)
        seen.add(assignment.host.id)
        done(made, assignment, 0.0)
        out += sent(made)
    assert seen == {1, 2, 3, 4}


def test_waiting_for_room_takes_no_more_memory_with_time() -> None:
    hosts = [a_host(id) for id in range(20)]
    made = a_scheduler(*hosts, concurrency=1, each=30)
    sent(made)
    for id in range(31, 131):
        for host in hosts:
            push(made, host, queued(id), 0.0)
        sent(made)
    assert len(made._full) <= len(hosts)


# Processes that die


def test_what_a_dead_fetching_process_had_can_go_out_again_one_at_a_time() -> None:
    host = a_host(concurrency=4)
    made = a_scheduler(host, each=4)
    assert len(sent(made)) == 4
    for lost in made.fetcher_died(0.0):
        made.quarantine(host, page(lost))
    assert (len(made.assigned), quarantined(made)) == (0, 4)
    tried = []
    while out := sent(made):
        (alone,) = out
        assert is_alone(alone)
        assert is_isolated(alone)
        tried.append(alone)
        done(made, alone, 0.0)
    assert ids(tried) == [1, 2, 3, 4]
    assert quarantined(made) == 0


def test_nothing_goes_out_beside_a_request_that_must_be_alone() -> None:
    suspected, other = a_host(1), a_host(2)
    made = a_scheduler(suspected, other, each=60)
    sent(made)
    (lost, *more) = made.fetcher_died(0.0)
    for assignment in more[:-1]:
        made.requeue(assignment.host, page(assignment), 0.0)
    beside = more[-1].host
    made.isolate(beside, page(more[-1]), 0.0)
    out = sent(made)
    assert len(out) > 2
    assert [one.host for one in out if is_isolated(one)] == [beside]
    made.quarantine(lost.host, page(lost))
    for assignment in out:
        assert sent(made) == []
        assert made.next_at() is None
        done(made, assignment, 0.0)
    (alone,) = sent(made)
    assert page(alone) == page(lost)
    assert is_alone(alone)
    assert (sent(made), made.next_at()) == ([], None)
    done(made, alone, 0.0)
    assert len(sent(made)) > 2


def test_a_request_that_must_be_alone_keeps_to_the_delay_of_its_host() -> None:
    host, other = a_host(1, delay=1.0), a_host(2, delay=0.4)
    made = a_scheduler(host, other, each=1)
    sent(made)
    lost = made.fetcher_died(0.1)
    for assignment in lost:
        made.quarantine(assignment.host, page(assignment))
    assert sent(made, 0.3) == []
    assert made.next_at() == 0.4
    (second,) = sent(made, 0.4)
    assert second.host is other
    done(made, second, 0.5)
    assert sent(made, 0.9) == []
    assert made.next_at() == 1.0
    assert [one.host for one in sent(made, 1.0)] == [host]


def test_a_suspect_keeps_to_the_delay_of_its_host_and_goes_first() -> None:
    host = a_host(delay=1.0)
    made = a_scheduler(host)
    (first,) = sent(made)
    (lost,) = made.fetcher_died(0.1)
    made.isolate(host, page(lost), 0.1)
    assert sent(made, 0.9) == []
    (again,) = sent(made, 1.0)
    assert ids([again]) == ids([first])
    assert is_isolated(again)
    assert not is_alone(again)


def test_a_suspect_waits_while_its_host_answers_another_request() -> None:
    host = a_host(delay=1.0, concurrency=1)
    made = a_scheduler(host, each=3)
    (first,) = sent(made)
    made.finish(first.id, 0.0)
    (second,) = sent(made, 1.0)
    made.isolate(host, page(first), 1.0)
    assert sent(made, 5.0) == [], "two requests in flight at a host with a delay"
    done(made, second, 5.0)
    assert ids(sent(made, 5.0)) == [1]


def test_the_only_request_of_a_host_goes_out_again_as_a_suspect() -> None:
    host = a_host()
    made = a_scheduler(host, each=1)
    (first,) = sent(made)
    made.finish(first.id, 0.0)
    made.isolate(host, page(first), 0.0)
    (again,) = sent(made)
    assert ids([again]) == [1]
    assert is_isolated(again)


def test_a_suspect_that_must_not_be_sent_twice_is_not_sent_ahead() -> None:
    host = a_host()
    made = a_scheduler(host, each=2)
    first, second = sent(made)
    made.finish(first.id, 0.0)
    push(made, host, queued(3), 0.0)
    made.isolate(host, QueuedRequest(0, 1, b"once", Delivery.MAYBE_SENT), 0.0)
    assert sent(made) == [], "it would wait in the fetching process behind the other one"
    done(made, second, 0.0)
    assert ids(sent(made)) == [1, 3]


# Turns that come later, and probe pages


def test_hosts_that_wait_are_asked_in_the_order_of_their_turns() -> None:
    delays = {1: 40.0, 2: 10.0, 3: 30.0, 4: 20.0}
    hosts = [a_host(id, delay=delay) for id, delay in delays.items()]
    made = a_scheduler(*hosts)
    for assignment in sent(made):
        done(made, assignment, 0.0)
    turns = [(now, one.host.id) for now in (10.0, 20.0, 30.0) for one in sent(made, now)]
    assert turns == [(10.0, 2), (20.0, 4), (30.0, 3)]


def test_a_probe_page_keeps_to_the_clock_of_its_host() -> None:
    rests, ready = a_host(1, delay=50.0), a_host(2, delay=10.0)
    made = a_scheduler(rests, ready, each=1)
    for assignment in sent(made):
        done(made, assignment, 0.0)
    for host in (rests, ready, rests):
        made.request_probe(host)
    assert sent(made, 9.0) == []
    assert made.next_at() == 10.0
    (probe,) = sent(made, 10.0)
    assert isinstance(probe, ProbeAssignment)
    assert probe.host is ready
    assert made.next_at() == 50.0
    rests.clock.retry_after(30.0, 50.0)
    assert sent(made, 50.0) == [], "its clock has moved meanwhile"
    (probe,) = sent(made, 80.0)
    assert probe.host is rests
    done(made, probe, 80.0)
    assert sent(made, 200.0) == [], "it was asked for once"
    made.request_probe(rests)
    assert [one.host for one in sent(made, 200.0)] == [rests], "it is asked for once more"


# Idle, queued, active: without a look at each host


def test_hosts_are_counted_as_they_change() -> None:
    host, other = a_host(1), a_host(2)
    made = a_scheduler(host, other, each=1)
    assert (list(made.idle), made.active_hosts, made.has_queued) == ([], 2, True)
    one, two = sent(made)
    assert (list(made.idle), made.active_hosts, made.has_queued) == ([], 2, False)
    done(made, one, 0.0)
    assert (list(made.idle), made.active_hosts) == ([1], 1)
    assert made.has_work({1})
    assert not made.has_work({2})
    other.suspended = True
    made.classify(other)
    assert (list(made.idle), made.active_hosts) == ([1], 0)
    done(made, two, 0.0)
    assert list(made.idle) == [1, 2]
    push(made, host, queued(3), 0.0)
    assert (list(made.idle), made.active_hosts, made.has_queued) == ([2], 1, True)
    made.remove_host(other)
    assert list(made.idle) == []


# Budget, robots.txt, holding


def test_no_more_requests_go_out_than_may_still_end() -> None:
    made = a_scheduler(a_host(), remaining=3)
    out = sent(made)
    assert len(out) == 3
    done(made, out[0], 0.0)
    assert made.remaining == 3
    assert len(sent(made)) == 1, "it did not end, so another may go out in its place"
    made.remaining = 2
    done(made, out[1], 0.0)
    assert sent(made) == []
    made.remaining = 0
    for assignment in list(made.assigned.values()):
        done(made, assignment, 0.0)
    assert sent(made) == []


def test_robots_txt_is_requested_first_and_alone() -> None:
    host = a_host(knows_robots=False, concurrency=8)
    made = a_scheduler(host)
    (robots,) = sent(made)
    assert isinstance(robots, RobotsAssignment)
    done(made, robots, 1.0)
    host.knows_robots = True
    made.reschedule(host, 1.0)
    assert ids(sent(made, 1.0))[:3] == [1, 2, 3]


def test_robots_txt_counts_as_a_request() -> None:
    host = a_host(knows_robots=False, delay=1.0)
    made = a_scheduler(host)
    (robots,) = sent(made)
    done(made, robots, 0.2)
    host.knows_robots = True
    made.reschedule(host, 0.2)
    assert sent(made, 0.9) == []
    assert ids(sent(made, 1.0)) == [1]


def test_outdated_rules_are_requested_again() -> None:
    host = a_host(robots_until=100.0, delay=1.0)
    made = a_scheduler(host)
    (first,) = sent(made, 0.0)
    done(made, first, 0.0)
    (robots,) = sent(made, 100.0)
    assert isinstance(robots, RobotsAssignment)
    assert sent(made, 101.0) == []


def test_robots_txt_is_requested_beside_no_more_pages_than_may_be_under_way() -> None:
    host = a_host(robots_until=5.0)
    made = a_scheduler(host)
    pages = sent(made)
    made.finish(pages.pop().id, 6.0)
    (robots,) = sent(made, 6.0)
    assert isinstance(robots, RobotsAssignment)
    made.finish(robots.id, 7.0)
    assert not host.knows_robots
    assert sent(made, 7.0) == [], "pages are under way, and no rules are known"
    for assignment in pages:
        made.finish(assignment.id, 8.0)
    (again,) = sent(made, 8.0)
    assert isinstance(again, RobotsAssignment)


def test_an_evicted_host_gets_no_request_for_robots_txt() -> None:
    host = a_host(knows_robots=False)
    made = a_scheduler(host)
    made.remove_host(host)
    assert sent(made) == []


def test_a_host_that_is_held_sends_nothing() -> None:
    host = a_host()
    made = a_scheduler(host)
    host.suspended = True
    assert sent(made) == []


def test_answers_to_nothing_that_is_in_flight_are_ignored() -> None:
    made = a_scheduler(a_host())
    (first, *_) = sent(made)
    assert made.finish(first.id, 0.0) is first
    assert made.finish(first.id, 0.0) is None
    assert made.finish(12345, 0.0) is None


# Any sequence of events against a simple model


class FakeStore:
    """The requests of the store: committed, pending and not delayed."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[Key, bytes]] = {}
        self.queue = self

    def next_requests(self, host: int, after: Key | None, limit: int) -> list[QueuedRequest]:
        keys = sorted(key for key in self.rows[host] if after is None or key > after)
        return [QueuedRequest(*key, self.rows[host][key]) for key in keys[:limit]]


HEAD = 8


def test_a_refill_that_brings_only_what_is_out_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faster pages than commits, then many that overtake: the head starts before what is out."""
    monkeypatch.setattr(scheduler, "HEAD_TOTAL", HEAD)
    store, host = FakeStore(), a_host(concurrency=4)
    made = a_scheduler(host, each=0)
    frontier = Frontier(cast(Store, store), made, Settings(), SessionRegistry(), logs_in=False)
    late = [queued(id) for id in range(1, 3 * HEAD)]
    store.rows[host.id] = {one.key: one.request for one in late}
    made.refill(host, store.next_requests(host.id, None, 2 * HEAD), more=True, now=0.0)
    out = sent(made)
    assert ids(out) == list(range(1, 2 * HEAD + 1))
    for assignment in out:
        made.finish(assignment.id, 0.0)  # not committed yet, so the store still has them
    soon = [queued(id, -1) for id in range(100, 100 + 5 * HEAD)]
    store.rows[host.id] |= {one.key: one.request for one in soon}
    for one in soon:
        push(made, host, one, 0.0)
    seen = []
    for one_more in made.take_ready(0.0):
        seen.append(one_more)
        made.finish(one_more.id, 0.0)
        if host.more and not host.heap:
            frontier.refill(host, 0.0)
    assert ids(seen) == [one.key.id for one in [*soon, *late[2 * HEAD :]]]


class Crawl(RuleBasedStateMachine):
    """The scheduler as a run drives it, with small heads so that queues are always longer."""

    @initialize(
        total=st.integers(1, 3),
        hosts=st.lists(
            st.tuples(st.sampled_from([0.0, 0.0, 1.0]), st.integers(1, 3), st.booleans()),
            min_size=1,
            max_size=4,
        ),
    )
    def begin(self, total: int, hosts: list[tuple[float, int, bool]]) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(scheduler, "HEAD_TOTAL", HEAD)
        self.patch.setattr(scheduler, "PREFETCH", 2)
        self.patch.setattr(hostqueue, "PREFETCH", 2)
        self.now = 0.0
        self.store = FakeStore()
        self.total = total
        self.scheduler = Scheduler(concurrency=total)
        self.frontier = Frontier(
            cast(Store, self.store), self.scheduler, Settings(), SessionRegistry(), logs_in=False
        )
        self.hosts = {}
        for id, (delay, concurrency, knows_robots) in enumerate(hosts):
            host = a_host(id, delay=delay, concurrency=concurrency, knows_robots=knows_robots)
            self.hosts[id] = host
            self.store.rows[id] = {}
            self.scheduler.add_host(host, 0.0)
        self.sequence = 0
        self.out: dict[int, Assignment] = {}
        self.sent_at: dict[int, float] = {}
        self.waiting: dict[tuple[int, Key], bytes] = {}
        self.gathered: list[tuple[Assignment, str]] = []
        self.suspected: set[tuple[int, Key]] = set()
        self.ended: Counter[tuple[int, Key]] = Counter()

    # What happens

    @rule(
        data=st.data(),
        ranks=st.lists(st.integers(-2, 2), min_size=1, max_size=25)
        | st.integers(-2, 2).map(lambda rank: [rank] * 5 * HEAD),
    )
    def found(self, data: st.DataObject, ranks: list[int]) -> None:
        host = data.draw(st.sampled_from(list(self.hosts.values())))
        new = []
        for rank in ranks:
            self.sequence += 1
            new.append(queued(self.sequence, rank))
            self.store.rows[host.id][new[-1].key] = new[-1].request
        for one in new:
            push(self.scheduler, host, one, self.now)

    @rule()
    def feed(self) -> None:
        for assignment in self.frontier.take_ready(self.now):
            self.check(assignment)
            self.out[assignment.id] = assignment

    def check(self, assignment: Assignment) -> None:
        host = assignment.host
        running = [one for one in self.out.values() if one.host is host]
        if isinstance(assignment, RobotsAssignment):
            assert not host.knows_robots
        else:
            assert host.knows_robots
            key = page(assignment).key
            assert key not in [page(one).key for one in running if isinstance(one, PageAssignment)]
            assert (host.id, key) not in self.waiting
            assert key in self.store.rows[host.id]
            self.suspected.discard((host.id, key))
        if host.clock.effective_delay:
            assert len(running) < host.concurrency
            since = self.now - self.sent_at.get(host.id, -1e9)
            assert since >= host.clock.effective_delay
        else:
            assert len(running) < host.concurrency + 2
        assert not any(map(is_alone, self.out.values()))
        assert not (is_alone(assignment) and self.out)
        number = Counter(one.host for one in [*self.out.values(), assignment])
        under_way = sum(min(number[host], host.concurrency) for host in number)
        assert under_way <= self.total
        assert len(self.out) < 2 * self.total + 2
        self.sent_at[host.id] = self.now

    @rule(data=st.data(), what=st.sampled_from(["done", "done", "again", "later", "returned"]))
    def answered(self, data: st.DataObject, what: str) -> None:
        if not self.out:
            return
        id = data.draw(st.sampled_from(list(self.out)))
        assignment = self.out.pop(id)
        assert self.scheduler.finish(id, self.now) is assignment
        host = assignment.host
        if isinstance(assignment, RobotsAssignment):
            host.knows_robots = True
            self.scheduler.reschedule(host, self.now)
        elif what == "returned":
            self.scheduler.requeue(host, page(assignment), self.now)
        else:
            self.gathered.append((assignment, what))

    @rule(times=st.integers(1, 5))
    def workers_are_fast(self, times: int) -> None:
        """Faster than the commits, so that much is done that the store still has."""
        for _ in range(times):
            self.feed()
            for id, assignment in list(self.out.items()):
                if isinstance(assignment, PageAssignment):
                    self.scheduler.finish(id, self.now)
                    self.gathered.append((self.out.pop(id), "done"))

    @rule()
    def commit(self) -> None:
        gathered, self.gathered = self.gathered, []
        for assignment, what in gathered:
            key, request = page(assignment).key, page(assignment).request
            rows = self.store.rows[assignment.host.id]
            if what == "done":
                self.ended[assignment.host.id, key] += 1
                del rows[key]
            elif what == "later":
                del rows[key]
                self.waiting[assignment.host.id, key] = request
        for assignment, _ in gathered:
            assert isinstance(assignment, PageAssignment)
            self.scheduler.committed(assignment)
        for assignment, what in gathered:
            if what == "again":
                self.scheduler.requeue(assignment.host, page(assignment), self.now)

    @rule()
    def wake(self) -> None:
        waiting, self.waiting = self.waiting, {}
        for (id, key), request in waiting.items():
            self.store.rows[id][key] = request
        for (id, key), request in waiting.items():
            self.scheduler.requeue(self.hosts[id], QueuedRequest(*key, request), self.now)

    @rule(data=st.data())
    def worker_dies(self, data: st.DataObject) -> None:
        for id, assignment in list(self.out.items()):
            if isinstance(assignment, PageAssignment) and data.draw(st.booleans()):
                del self.out[id]
                self.scheduler.finish(id, self.now)
                self.scheduler.isolate(assignment.host, page(assignment), self.now)
                self.suspected.add((assignment.host.id, page(assignment).key))

    @rule(data=st.data())
    def fetcher_dies(self, data: st.DataObject) -> None:
        for assignment in self.scheduler.fetcher_died(self.now):
            del self.out[assignment.id]
            if not isinstance(assignment, PageAssignment):
                continue
            if data.draw(st.booleans()):
                self.scheduler.quarantine(assignment.host, page(assignment))
                self.suspected.add((assignment.host.id, page(assignment).key))
            else:
                self.scheduler.requeue(assignment.host, page(assignment), self.now)

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # What must hold all the time

    @invariant()
    def memory_is_bounded(self) -> None:
        for host in self.hosts.values():
            assert len(host.heap) <= 4 * HEAD + 1
        assert len(self.scheduler._full) <= len(self.hosts)

    @invariant()
    def hosts_are_classified(self) -> None:
        hosts = self.hosts.values()
        idle = {host.id for host in hosts if host.is_idle}
        assert set(self.scheduler.idle) == idle
        assert self.scheduler._active == set(self.hosts) - idle
        assert self.scheduler.has_queued == any(host.heap for host in hosts)

    @invariant()
    def a_request_is_in_one_place(self) -> None:
        for host in self.hosts.values():
            ids = [one.id for one in host.heap]
            assert len(ids) == len(set(ids))
            assert not host.sent & set(ids)

    def teardown(self) -> None:
        """Whatever happened before: if all goes well from now on, every request is done."""
        for _ in range(2000):
            if not (any(self.store.rows.values()) or self.waiting or self.gathered or self.out):
                break
            self.feed()
            for id in list(self.out):
                assignment = self.out.pop(id)
                self.scheduler.finish(id, self.now)
                if isinstance(assignment, RobotsAssignment):
                    assignment.host.knows_robots = True
                    self.scheduler.reschedule(assignment.host, self.now)
                else:
                    self.gathered.append((assignment, "done"))
            self.commit()
            self.wake()
            self.now += 1.0
        self.patch.undo()
        assert sorted(self.ended) == sorted(
            (id, key) for id, key in self.ended if self.ended[id, key] == 1
        )
        assert len(self.ended) == self.sequence, "some requests never go out"
        assert all(host.is_idle for host in self.hosts.values())


Crawl.TestCase.settings = hypothesis_settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
TestCrawl = Crawl.TestCase
