"""The inside of a worker process: its threads, and the messages over its pipe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from typing import Any

import msgspec
import pytest

from crawler.messages import (
    Done,
    FetchStats,
    HostUpdate,
    Outcome,
    Retry,
    Returned,
    ReturnTasks,
    SessionChange,
    Shutdown,
    Task,
    TaskBatch,
    decode_outcomes,
    encode,
)
from crawler.records import Cookie
from crawler.worker.executor import TaskExecutor
from tests.sites import PATIENCE

pytestmark = pytest.mark.usefixtures("no_leaks")


def leave_open(task: Task, outcome: Outcome) -> None:
    """No session has changed."""


class Handling:
    """A handler that calls the given functions."""

    def __init__(
        self, handle: Callable[[Task], Outcome], seal: Callable[[Task, Outcome], None]
    ) -> None:
        self.handle = handle
        self.attach_session_changes = seal
        self.closed = False

    def learn(self, feed: TaskBatch) -> None:
        """Nothing to learn."""

    def close(self) -> None:
        self.closed = True


@contextmanager
def workshop(
    handle: Callable[[Task], Outcome],
    threads: int,
    seal: Callable[[Task, Outcome], None] = leave_open,
) -> Iterator[Connection]:
    """The scheduler's end of the pipe to a running workshop."""
    ours, theirs = Pipe()
    handling = Handling(handle, seal)
    thread = threading.Thread(target=TaskExecutor(theirs, handling, threads).run)
    thread.start()
    with ours, theirs:
        yield ours
        ours.send_bytes(encode(Shutdown()))
        thread.join(PATIENCE)
        assert handling.closed


def feed(*tasks: tuple[int, int], slots: int = 1) -> bytes:
    """Tasks as pairs of their number and their host."""
    hosts = [HostUpdate(host, "http://x", "s", slots) for host in {host for _, host in tasks}]
    return encode(TaskBatch([Task(id, host, msgspec.Raw(b"\xc0")) for id, host in tasks], hosts))


def answers(pipe: Connection, count: int) -> list[Outcome]:
    """The next ``count`` outcomes."""
    found: list[Outcome] = []
    while len(found) < count:
        assert pipe.poll(PATIENCE), f"only {len(found)} of {count} answers came"
        found += decode_outcomes(pipe.recv_bytes())
    return found


class Sluggish:
    """A queue whose takers are held up for a moment when they have something."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self.put = self._queue.put
        self.qsize = self._queue.qsize

    def get(self) -> Any:
        taken = self._queue.get()
        time.sleep(0.1)
        return taken


def test_a_host_that_hangs_never_holds_up_another_while_there_are_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even when the thread that takes it has not come so far as to say that it is busy."""
    monkeypatch.setattr("crawler.worker.executor.SimpleQueue", Sluggish)
    both = threading.Barrier(2, timeout=PATIENCE)

    def meet(task: Task) -> Outcome:
        if task.id:
            both.wait()
        return Outcome(task.id, Done())

    with workshop(meet, threads=4) as pipe:
        pipe.send_bytes(feed((0, 1)))  # so that there is one thread, which is idle then
        answers(pipe, 1)
        pipe.send_bytes(feed((1, 1)))
        time.sleep(0.03)  # the thread has taken it, and is still held up
        pipe.send_bytes(feed((2, 2)))
        assert {outcome.task for outcome in answers(pipe, 2)} == {1, 2}


def test_all_threads_are_used_and_no_more() -> None:
    together = threading.Barrier(4, timeout=PATIENCE)
    names: set[str] = set()

    def meet(task: Task) -> Outcome:
        names.add(threading.current_thread().name)
        together.wait()
        return Outcome(task.id, Done())

    with workshop(meet, threads=4) as pipe:
        for start in range(0, 48, 8):
            pipe.send_bytes(feed(*((n, n % 8) for n in range(start, start + 8))))
        assert len(answers(pipe, 48)) == 48
    assert len(names) == 4


def test_a_cookie_is_never_reported_behind_the_page_that_it_came_with() -> None:
    """The cookie of page 1 is in the session when page 2 is ready to be reported."""
    change = SessionChange("s", [Cookie("c", "1", "x", "/")])
    changes = [change]
    came, taken = threading.Event(), threading.Event()

    def handle(task: Task) -> Outcome:
        if task.id == 1:
            came.set()
            taken.wait(PATIENCE)  # another thread takes the cookie along
        else:
            came.wait(PATIENCE)
        return Outcome(task.id, Done())

    def attach_session_changes(task: Task, outcome: Outcome) -> None:
        if changes:
            outcome.sessions = [changes.pop()]
            taken.set()
            time.sleep(0.1)  # time for page 1 to overtake, if it could

    with workshop(handle, threads=2, seal=attach_session_changes) as pipe:
        pipe.send_bytes(feed((1, 1), (2, 2)))
        first, second = answers(pipe, 2)
    assert (first.task, first.sessions) == (2, [change])
    assert (second.task, second.sessions) == (1, [])


def test_no_more_than_slots_of_one_host_run_at_the_same_time() -> None:
    running = [0]
    most = [0]
    lock = threading.Lock()
    two = threading.Barrier(2)

    def handle(task: Task) -> Outcome:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        two.wait(PATIENCE)
        with lock:
            running[0] -= 1
        return Outcome(task.id, Done())

    with workshop(handle, threads=8) as pipe:
        pipe.send_bytes(feed(*((n, 1) for n in range(40)), slots=2))
        assert sorted(outcome.task for outcome in answers(pipe, 40)) == list(range(40))
    assert most == [2]


def test_tasks_that_have_not_started_are_returned() -> None:
    started = threading.Event()
    go = threading.Event()

    def handle(task: Task) -> Outcome:
        started.set()
        go.wait(PATIENCE)
        return Outcome(task.id, Done())

    with workshop(handle, threads=4) as pipe:
        pipe.send_bytes(feed((1, 1), (2, 1), (3, 1)))
        assert started.wait(PATIENCE)
        pipe.send_bytes(encode(ReturnTasks(None)))
        back = answers(pipe, 2)
        go.set()
        assert [(outcome.task, type(outcome.result)) for outcome in back] == [
            (2, Returned),
            (3, Returned),
        ]
        assert [(outcome.task, type(outcome.result)) for outcome in answers(pipe, 1)] == [(1, Done)]


def test_a_host_that_is_overloaded_gives_its_other_tasks_back() -> None:
    def handle(task: Task) -> Outcome:
        return Outcome(task.id, Retry(), FetchStats(host_wait=0.0 if task.id == 1 else None))

    with workshop(handle, threads=4) as pipe:
        pipe.send_bytes(feed((1, 1), (2, 1), (3, 1)))
        kinds = {outcome.task: type(outcome.result) for outcome in answers(pipe, 3)}
    assert kinds == {1: Retry, 2: Returned, 3: Returned}
