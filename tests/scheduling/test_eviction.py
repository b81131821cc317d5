"""Which hosts leave memory, while there is no room for all."""

from __future__ import annotations

import math

import msgspec

from crawler.records import NewRequest, QueuedRequest
from crawler.scheduling.eviction import LEAST_REST, LOOK_EVERY, MOST_TURNS, Eviction
from crawler.scheduling.host_queue import HostQueue
from crawler.scheduling.politeness import HostClock
from crawler.scheduling.robots_retry import UnreachableRobots
from crawler.scheduling.scheduler import Scheduler
from tests.memory_store import MemoryStore

NOW, WALL = 100.0, 1_700_000_000.0


class Bench:
    """Hosts in memory, each with a request, and hosts that are in the store alone."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.scheduler = Scheduler(concurrency=4)
        self.unreachable = UnreachableRobots(retries=0, limit=0.0)
        self.eviction = Eviction(self.store, self.scheduler, self.unreachable, lambda: WALL)

    def stored(self, number: int, due_in: float | None = None) -> int:
        """Add a host with work to the store; return its id."""
        origin = f"https://{number}.example"
        request = msgspec.Raw(msgspec.msgpack.encode(number))
        new = NewRequest(b"%016d" % number, origin, 0, "parse", request)
        with self.store.transaction():
            host_id = self.store.hosts.add(origin).id
            self.store.queue.add([(host_id, new)], number)
            due = None if due_in is None else WALL + due_in
            self.store.hosts.set_due([(host_id, due)])
        return host_id

    def in_memory(self, number: int, rest: float, turns: int = 0) -> HostQueue:
        """Bring a host with work into memory, which rests for so many seconds from now on."""
        host_id = self.stored(number)
        host = HostQueue(host_id, f"https://{number}.example", f"site:{number}", HostClock())
        host.clock.retry_after(rest, NOW)
        host.heap, host.turns = [QueuedRequest(0, number, b"")], turns
        self.scheduler.add_host(host, NOW)
        return host

    def choose(self, now: float = NOW) -> list[tuple[HostQueue, float | None]]:
        return self.eviction.choose(self.scheduler.hosts, now)


def test_hosts_that_rest_longest_leave_for_as_many_as_are_due() -> None:
    bench = Bench()
    for number, rest in enumerate((60.0, 3600.0, LEAST_REST / 2, 600.0)):
        bench.in_memory(number, rest)
    assert bench.choose() == [], "no other host has work"
    bench.stored(10)
    bench.stored(11)
    hosts = bench.scheduler.hosts
    assert bench.choose() == [(hosts[2], WALL + 3600.0), (hosts[4], WALL + 600.0)]
    for number in range(12, 20):
        bench.stored(number)
    assert [host.id for host, _ in bench.choose()] == [2, 4, 1], "and none that rests briefly"


def test_a_host_leaves_after_many_turns_and_is_due_at_once() -> None:
    bench = Bench()
    bench.in_memory(1, 0.5, MOST_TURNS - 1)
    busy = bench.in_memory(2, 0.5, MOST_TURNS)
    bench.stored(10)
    bench.stored(11)
    assert bench.choose(NOW + 2.0) == [(busy, WALL)]


def test_a_host_with_a_request_out_stays() -> None:
    bench = Bench()
    bench.in_memory(1, 3600.0).running = 1
    bench.in_memory(2, 3600.0).sent.add(2)
    bench.in_memory(3, 3600.0).probing = True
    bench.stored(10)
    assert bench.choose() == []


def test_hosts_that_send_nothing_in_this_run_leave_first() -> None:
    bench = Bench()
    bench.in_memory(1, 3600.0)
    suspended, refused = bench.in_memory(2, 0.0), bench.in_memory(3, 0.0)
    suspended.suspended = True
    bench.scheduler.classify(suspended)
    bench.unreachable.has_network = True
    for host in (suspended, refused):
        bench.unreachable.failed(host.id, host.origin, "http 503", NOW, NOW + 60.0)
    bench.stored(10)
    assert bench.choose() == [(suspended, math.inf), (refused, math.inf)]


def test_others_are_looked_for_each_second_while_some_are_due() -> None:
    bench = Bench()
    assert (bench.eviction.has_more, bench.eviction.look_at) == (False, -math.inf)
    bench.in_memory(1, 0.0)
    bench.stored(10)
    bench.eviction.add_waiting()
    assert bench.eviction.look_at == -math.inf
    bench.choose()
    assert bench.eviction.has_more
    assert bench.eviction.look_at == NOW + LOOK_EVERY


def test_others_are_not_looked_for_before_the_first_of_them_is_due() -> None:
    bench = Bench()
    bench.in_memory(1, 0.0)
    bench.stored(10, due_in=50.0)
    bench.stored(11, due_in=20.0)
    bench.choose()
    assert bench.eviction.has_more
    assert bench.eviction.look_at == NOW + 20.0
    bench.eviction.add_waiting()
    assert bench.eviction.look_at == NOW + LOOK_EVERY, "unless one comes that may be due"
    bench.stored(12, due_in=LOOK_EVERY / 4)
    bench.choose(NOW + 5.0)
    assert bench.eviction.look_at == NOW + 5.0 + LOOK_EVERY


def test_nothing_is_looked_for_once_no_other_host_has_work() -> None:
    bench = Bench()
    bench.in_memory(1, 3600.0)
    bench.eviction.add_waiting()
    bench.choose()
    assert not bench.eviction.has_more
    assert bench.eviction.look_at >= NOW + LOOK_EVERY
