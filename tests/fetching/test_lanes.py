"""Lanes: hosts take turns, and none has more requests under way than it may."""

from __future__ import annotations

from collections import Counter, deque

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetching.lanes import PLENTY, Lanes, RequestLimiter
from crawler.messages import Task


def task(number: int, host: int) -> Task:
    return Task(number, host, msgspec.Raw(b"\xc0"))


def lanes_of(slots: int, *tasks: tuple[int, int]) -> Lanes:
    """Tasks as pairs of their number and their host."""
    lanes = Lanes()
    for host in dict.fromkeys(host for _, host in tasks):
        lanes.set_limits(host, slots, 0.0)
    for number, host in tasks:
        lanes.push(task(number, host))
    return lanes


def popped(lanes: Lanes) -> list[int]:
    """Return the numbers of all tasks that may be sent now."""
    numbers: list[int] = []
    while (next_task := lanes.pop(0.0)) is not None:
        numbers.append(next_task.id)
    return numbers


def test_hosts_take_turns() -> None:
    lanes = lanes_of(9, (1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3))
    assert popped(lanes) == [1, 4, 6, 2, 5, 3]


def test_no_more_than_slots_of_a_host_are_under_way() -> None:
    lanes = lanes_of(2, *((number, 1) for number in range(5)), (9, 2))
    assert popped(lanes) == [0, 9, 1]
    lanes.finish(1)
    assert popped(lanes) == [2]
    lanes.finish(1)
    lanes.finish(1)
    assert popped(lanes) == [3, 4]


def test_a_closed_lane_takes_no_task_until_it_is_opened_again() -> None:
    lanes = lanes_of(3, (1, 1), (2, 2))
    lanes.close(1)
    lanes.close(7)
    assert [one.id for one in lanes.take_queued(1)] == [1]
    assert not lanes.push(task(3, 1))
    assert lanes.push(task(4, 2))
    assert popped(lanes) == [2, 4]
    lanes.reopen(1)
    assert lanes.push(task(5, 1))
    assert popped(lanes) == [5]


def test_slots_may_change() -> None:
    lanes = lanes_of(1, *((number, 1) for number in range(6)))
    assert popped(lanes) == [0]
    lanes.set_limits(1, 3, 0.0)
    assert popped(lanes) == [1, 2]
    lanes.set_limits(1, 1, 0.0)
    lanes.finish(1)
    lanes.finish(1)
    assert popped(lanes) == []
    lanes.finish(1)
    assert popped(lanes) == [3]


def test_what_is_not_sent_is_taken_back_and_not_sent_later() -> None:
    lanes = lanes_of(1, (1, 1), (2, 1), (3, 1), (4, 2), (5, 2))
    assert popped(lanes) == [1, 4]
    assert [each.id for each in lanes.take_queued(1)] == [2, 3]
    lanes.finish(1)
    assert popped(lanes) == []
    lanes.push(task(6, 1))
    assert [each.id for each in lanes.take_queued(None)] == [6, 5]
    assert [each.id for each in lanes.take_queued(7)] == [], "an unknown host has none"


def test_a_host_that_was_forgotten_begins_anew() -> None:
    lanes = lanes_of(1, (1, 1))
    assert popped(lanes) == [1]
    lanes.remove(1)
    lanes.finish(1)  # of the task that was under way
    lanes.set_limits(1, 1, 0.0)
    lanes.push(task(2, 1))
    lanes.push(task(3, 1))
    assert popped(lanes) == [2]


def test_a_host_that_was_forgotten_has_no_tasks_left() -> None:
    lanes = lanes_of(1, (1, 1), (2, 1))
    lanes.remove(1)
    lanes.remove(7)
    assert list(lanes.take_queued(None)) == []


@given(
    slots=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    steps=st.lists(st.tuples(st.sampled_from(["push", "pop", "finish"]), st.integers(0, 3))),
)
def test_each_task_is_sent_once_in_the_order_of_its_host(
    slots: list[int], steps: list[tuple[str, int]]
) -> None:
    lanes = Lanes()
    for host, count in enumerate(slots):
        lanes.set_limits(host, count, 0.0)
    queues: list[deque[int]] = [deque() for _ in slots]
    running: Counter[int] = Counter()
    for number, (step, draw) in enumerate(steps):
        host = draw % len(slots)
        if step == "push":
            lanes.push(task(number, host))
            queues[host].append(number)
        elif step == "finish" and running[host]:
            lanes.finish(host)
            running[host] -= 1
        elif step == "pop":
            may_start = any(
                queue and running[each] < slots[each] for each, queue in enumerate(queues)
            )
            next_task = lanes.pop(0.0)
            assert (next_task is not None) == may_start
            if next_task is not None:
                assert next_task.id == queues[next_task.host].popleft()
                running[next_task.host] += 1
                assert running[next_task.host] <= slots[next_task.host]


def test_tasks_of_a_host_with_a_delay_are_kept_apart() -> None:
    lanes = Lanes()
    lanes.set_limits(1, 8, 1.0)
    lanes.set_limits(2, 8, 0.0)
    tasks = [Task(number, host, msgspec.Raw(b"\xc0")) for number, host in ((1, 1), (2, 1), (3, 2))]
    assert all(map(lanes.push, tasks))
    assert [next_id(lanes, now=10.0) for _ in range(3)] == [1, 3, None]
    assert lanes.next_at == 11.0
    assert next_id(lanes, now=10.9) is None
    assert next_id(lanes, now=11.0) == 2
    assert lanes.next_at is None


def test_a_delay_outlasts_the_queue() -> None:
    lanes = Lanes()
    lanes.set_limits(1, 8, 1.0)
    lanes.push(Task(1, 1, msgspec.Raw(b"\xc0")))
    assert next_id(lanes, now=10.0) == 1
    lanes.push(Task(2, 1, msgspec.Raw(b"\xc0")))
    assert next_id(lanes, now=10.5) is None
    assert next_id(lanes, now=11.5) == 2


def test_what_was_not_sent_costs_no_delay() -> None:
    lanes = Lanes()
    lanes.set_limits(1, 8, 50.0)
    for number in (1, 2, 3):
        lanes.push(Task(number, 1, msgspec.Raw(b"\xc0")))
    assert next_id(lanes, now=10.0) == 1
    assert next_id(lanes, now=10.0) is None
    lanes.end_delay(1)
    assert next_id(lanes, now=10.0) == 2
    assert next_id(lanes, now=59.0) is None


def test_hosts_whose_delay_is_over_are_asked_in_the_order_of_its_end() -> None:
    lanes = Lanes()
    for host, delay in ((1, 50.0), (2, 10.0), (3, 30.0)):
        lanes.set_limits(host, 8, delay)
        for number in (1, 2):
            lanes.push(task(10 * host + number, host))
    assert [next_id(lanes, now=0.0) for _ in range(4)] == [11, 21, 31, None]
    assert lanes.next_at == 10.0
    assert [next_id(lanes, now=20.0) for _ in range(2)] == [22, None], "the others go on waiting"
    assert lanes.next_at == 30.0
    assert [next_id(lanes, now=50.0) for _ in range(3)] == [32, 12, None]


def test_all_hosts_whose_delay_is_over_go_at_once() -> None:
    lanes = Lanes()
    for host in (1, 2, 3):
        lanes.set_limits(host, 8, 0.1)
        for number in (1, 2):
            lanes.push(task(10 * host + number, host))
    assert [next_id(lanes, now=0.0) for _ in range(4)] == [11, 21, 31, None]
    assert [next_id(lanes, now=0.5) for _ in range(4)] == [12, 22, 32, None]


def test_the_end_of_a_delay_lets_its_own_host_go_alone() -> None:
    lanes = Lanes()
    for host in range(1, 8):
        lanes.set_limits(host, 8, 10.0 * host)
        for number in (1, 2):
            lanes.push(task(10 * host + number, host))
    assert [next_id(lanes, now=0.0) for _ in range(8)] == [11, 21, 31, 41, 51, 61, 71, None]
    lanes.end_delay(1)
    assert lanes.next_at == 20.0
    assert [next_id(lanes, now=0.5) for _ in range(2)] == [12, None]
    ids = [next_id(lanes, now=now) for now in (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0)]
    assert ids == [None, 22, 32, 42, 52, 62, 72]


def test_a_delay_that_has_ended_early_does_not_come_back() -> None:
    """Also if the last task had been the only one, so that its host was not listed."""
    lanes = Lanes()
    lanes.set_limits(1, 8, 50.0)
    lanes.push(task(1, 1))
    assert next_id(lanes, now=0.0) == 1
    lanes.end_delay(1)
    lanes.push(task(2, 1))
    assert next_id(lanes, now=0.5) == 2
    assert next_id(lanes, now=0.5) is None
    assert list(lanes.take_queued(1)) == []


def test_requests_are_let_through_one_by_one_as_others_end() -> None:
    limiter = RequestLimiter()
    limiter.ended(PLENTY // 2 - 1)
    assert limiter.may_begin(PLENTY, 0)
    limiter.begun()
    assert limiter.may_begin(PLENTY, 0), "two for one"
    limiter.begun()
    assert not limiter.may_begin(PLENTY, 0)
    limiter.ended(PLENTY // 2)
    assert not limiter.may_begin(PLENTY, 0), "one for two, as many pages wait"
    limiter.ended(PLENTY // 2)
    limiter.begun()
    assert not limiter.may_begin(PLENTY, 0)


def next_id(lanes: Lanes, *, now: float) -> int | None:
    """Return the number of the next task."""
    task = lanes.pop(now)
    return None if task is None else task.id


# RequestLimiter


def crawl(latency: int, seconds: int, most: int = 10_000) -> tuple[list[int], list[int], int]:
    """Send what may be sent of endless requests; workers handle a page each millisecond.

    Return the requests and the handled pages of each second, and the most pages that have waited.
    """
    limiter = RequestLimiter()
    arrivals: deque[int] = deque()
    waiting = longest = 0
    sent, handled = [0] * seconds, [0] * seconds
    for now in range(1000 * seconds):
        while arrivals and arrivals[0] <= now:
            arrivals.popleft()
            waiting += 1
        longest = max(longest, waiting)
        if waiting:
            waiting -= 1
            handled[now // 1000] += 1
            limiter.ended(waiting)
        while len(arrivals) < most and limiter.may_begin(len(arrivals), waiting):
            limiter.begun()
            arrivals.append(now + 1000 * latency)
            sent[now // 1000] += 1
    return sent, handled, longest


def test_thousands_of_requests_neither_pile_up_nor_come_in_bursts() -> None:
    sent, handled, longest = crawl(latency=1, seconds=30)
    assert longest <= PLENTY
    assert set(handled[1:]) == {1000}
    assert all(500 <= count <= 2000 for count in sent[2:])


def test_slow_hosts_get_as_many_requests_as_keep_the_workers_busy() -> None:
    _, handled, longest = crawl(latency=10, seconds=80)
    assert longest <= PLENTY + 1000
    assert sum(handled[40:]) > 0.9 * 40_000


def test_few_requests_are_never_held_back() -> None:
    limiter = RequestLimiter()
    assert all(limiter.may_begin(under_way, PLENTY - 1 - under_way) for under_way in range(PLENTY))
    assert not limiter.may_begin(PLENTY, 0)
    limiter.ended(0)
    assert limiter.may_begin(PLENTY, 0)
