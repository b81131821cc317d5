"""Assignments on their way to the fetching process, and a process that dies."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from crawler.clock import WallClock
from crawler.engine.committer import Committer
from crawler.engine.dispatcher import CRASHES, KILLS, Dispatcher, given_up
from crawler.job.job import Job
from crawler.messages import Command, Failed, ReturnTasks, TaskBatch, encode
from crawler.records import Delivery, NewRequest, QueuedRequest
from crawler.request import Request
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import HostQueue, PageAssignment
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.session_registry import SessionRegistry
from crawler.settings import Settings
from crawler.stats import Counters
from crawler.worker.callback_timer import HUNG
from tests.memory_store import MemoryStore
from tests.pools import FakeFetcherPool

NOW = 1000.0
A = "https://a.example"


class Desk:
    """A dispatcher with all that it works on, and ``pages`` of one host in the store."""

    def __init__(self, pages: int = 2, *, once: bool = False, obey_robots: bool = False) -> None:
        store = self.store = MemoryStore()
        self.scheduler, sessions = Scheduler(concurrency=10), SessionRegistry()
        settings = Settings(delay=0.0, obey_robots=obey_robots)
        self.frontier = Frontier(store, self.scheduler, settings, sessions, logs_in=False)
        with store.transaction():
            host_id = store.hosts.add(A).id
            for number in range(1, pages + 1):
                request = Request(f"{A}/{number}", replay=not once)
                raw = msgspec.Raw(encode(request))
                new = NewRequest(b"%016d" % number, A, 0, "parse", raw, once=once)
                store.queue.add([(host_id, new)], number)
        self.frontier.load(NOW, was_killed=False)
        job = cast(Job, SimpleNamespace(store=store, counters=Counters(), clock=WallClock()))
        self.committer = Committer(job, self.frontier, sessions)
        self.pool = FakeFetcherPool()
        self.dispatcher = Dispatcher(self.pool, self.frontier, self.committer)

    @property
    def host(self) -> HostQueue:
        (host,) = self.scheduler.hosts.values()
        return host

    def dispatch(self, now: float = NOW) -> list[TaskBatch]:
        """Send what is ready; return what the fetching process gets."""
        self.pool.commands.clear()
        self.dispatcher.dispatch(self.frontier.take_ready(now))
        return cast(list[TaskBatch], list(self.pool.commands))

    def die(self, code: int) -> None:
        """Let the fetching process die."""
        self.pool.is_dead, self.pool.exit_code = True, code
        assert list(self.dispatcher.receive(0.0)) == []

    def sent_again(self) -> list[tuple[int, bool]]:
        """Send again what a dead process had: the request of each page, and if it is alone."""
        self.dispatch(NOW + 1e9)
        pages = cast(list[PageAssignment], list(self.scheduler.assigned.values()))
        return [(page.queued.id, page.alone) for page in pages]

    @property
    def failures(self) -> list[str]:
        results = [result for _, result in self.committer._pages]
        return [result.report.cause for result in results if isinstance(result, Failed)]


def test_all_assignments_go_out_together_with_what_they_need() -> None:
    desk = Desk(3)
    (batch,) = desk.dispatch()
    assert [msgspec.msgpack.decode(task.request, type=Request).url for task in batch.tasks] == [
        f"{A}/1",
        f"{A}/2",
        f"{A}/3",
    ]
    assert [host.id for host in batch.hosts] == [desk.host.id]
    assert not any(task.robots or task.probe or task.isolated or task.sent for task in batch.tasks)
    assert desk.dispatch() == [], "nothing is sent if nothing is ready"


def test_what_must_not_be_sent_twice_is_marked_before_it_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(1, once=True)
    marked: list[QueuedRequest] = []
    send = desk.pool.send

    def look_and_send(command: Command) -> None:
        marked.extend(desk.store.queue.next_requests(desk.host.id, None, 9))
        send(command)

    monkeypatch.setattr(desk.pool, "send", look_and_send)
    (batch,) = desk.dispatch()
    assert [queued.delivery for queued in marked] == [Delivery.MAYBE_SENT]
    assert not batch.tasks[0].sent, "this time it may be sent"


def test_what_may_have_been_sent_is_said_to_the_fetching_process() -> None:
    desk = Desk(1, once=True)
    desk.dispatch()
    desk.die(-9)
    (batch,) = desk.dispatch(NOW + 1e9)
    assert batch.tasks[0].sent


def test_robots_txt_and_a_probe_are_tasks_of_their_own() -> None:
    desk = Desk(1, obey_robots=True)
    desk.frontier.unreachable.failed(desk.host.id, A, "timeout", NOW, NOW)
    (batch,) = desk.dispatch()
    (task,) = batch.tasks
    request = msgspec.msgpack.decode(task.request, type=Request)
    assert (task.robots, task.probe, request.url, request.tries) == (
        True,
        False,
        f"{A}/robots.txt",
        1,
    )
    desk = Desk(1)
    desk.frontier.request_probe(desk.host)
    (batch,) = desk.dispatch()
    probe = batch.tasks[0]
    request = msgspec.msgpack.decode(probe.request, type=Request)
    assert (probe.robots, probe.probe, request.url) == (False, True, f"{A}/")


def test_tasks_are_recalled_of_one_host_or_of_all() -> None:
    desk = Desk()
    desk.dispatcher.recall(7)
    desk.dispatcher.recall()
    assert desk.pool.commands == [ReturnTasks(7), ReturnTasks(None)]


# A fetching process that dies


def test_what_a_process_had_twice_when_it_died_goes_out_alone() -> None:
    desk = Desk(3)
    desk.dispatch()
    desk.die(-11)
    assert desk.pool.replaced == [False]
    assert desk.sent_again() == [(1, False), (2, False), (3, False)]
    desk.die(-11)
    assert desk.sent_again() == [(1, True)]
    assert desk.failures == []


@pytest.mark.parametrize(("code", "deaths"), [(-11, CRASHES), (1, CRASHES), (-9, KILLS), (HUNG, 1)])
def test_a_request_with_which_alone_processes_die_is_given_up(code: int, deaths: int) -> None:
    desk = Desk(1)
    desk.frontier.remaining = 10
    desk.dispatch()
    desk.die(code)
    desk.sent_again()
    desk.die(code)
    for _ in range(deaths):
        assert desk.failures == []
        assert desk.sent_again() == [(1, True)]
        desk.die(code)
    cause = "callback timeout" if code == HUNG else "worker died"
    assert desk.failures == [cause]
    assert desk.frontier.remaining == 9
    assert desk.pool.replaced == [False, False] + [True] * deaths
    assert desk.sent_again() == []


def test_robots_txt_of_a_dead_process_is_asked_for_anew() -> None:
    desk = Desk(1, obey_robots=True)
    desk.dispatch()
    desk.die(-11)
    (batch,) = desk.dispatch(NOW + 1e9)
    assert [task.robots for task in batch.tasks] == [True]


def test_what_must_not_be_sent_twice_fails_as_that_which_may_have_been_sent() -> None:
    for replay, cause in ((True, "worker died"), (False, "may have been sent")):
        desk = Desk(1, once=not replay)
        desk.dispatch()
        (assignment,) = desk.scheduler.assigned.values()
        assert isinstance(assignment, PageAssignment)
        assert given_up(assignment, -11).report.cause == cause
