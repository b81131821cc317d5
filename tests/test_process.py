"""A worker process from within: its threads, and what goes over its pipe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, Pipe

import msgspec
import pytest

from crawler.messages import (
    Feed,
    HostNews,
    Outcome,
    Recall,
    Stop,
    Task,
    decode_outcomes,
    encode,
)
from crawler.process import Workshop
from tests.sites import PATIENCE

pytestmark = pytest.mark.usefixtures("no_leaks")


class Handling:
    """A handler that does what its function says."""

    def __init__(self, handle: Callable[[Task], Outcome]) -> None:
        self.handle = handle
        self.closed = False

    def learn(self, feed: Feed) -> None:
        """Nothing to learn."""

    def close(self) -> None:
        self.closed = True


@contextmanager
def workshop(handle: Callable[[Task], Outcome], threads: int) -> Iterator[Connection]:
    """The scheduler's end of the pipe to a running workshop."""
    ours, theirs = Pipe()
    handling = Handling(handle)
    thread = threading.Thread(target=Workshop(theirs, handling, threads).run)
    thread.start()
    with ours, theirs:
        yield ours
        ours.send_bytes(encode(Stop()))
        thread.join(PATIENCE)
        assert handling.closed


def feed(*tasks: tuple[int, int], slots: int = 1) -> bytes:
    """Tasks as pairs of their number and their host."""
    hosts = [HostNews(host, "http://x", "s", slots) for host in {host for _, host in tasks}]
    return encode(Feed([Task(id, host, msgspec.Raw(b"\xc0")) for id, host in tasks], hosts))


def answers(pipe: Connection, count: int) -> list[Outcome]:
    """The next ``count`` outcomes."""
    found: list[Outcome] = []
    while len(found) < count:
        assert pipe.poll(PATIENCE), f"only {len(found)} of {count} answers came"
        found += decode_outcomes(pipe.recv_bytes())
    return found


def test_a_host_that_hangs_never_holds_up_another_while_there_are_threads() -> None:
    for _ in range(300):
        both = threading.Barrier(2, timeout=5)

        def meet(task: Task, both: threading.Barrier = both) -> Outcome:
            if task.id:
                both.wait()
            return Outcome(task.id, "done")

        with workshop(meet, threads=4) as pipe:
            pipe.send_bytes(feed((0, 1)))  # so that there is one thread, which is idle then
            answers(pipe, 1)
            pipe.send_bytes(feed((1, 1), (2, 2)))
            assert {outcome.task for outcome in answers(pipe, 2)} == {1, 2}


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
        return Outcome(task.id, "done")

    with workshop(handle, threads=8) as pipe:
        pipe.send_bytes(feed(*((n, 1) for n in range(40)), slots=2))
        assert sorted(outcome.task for outcome in answers(pipe, 40)) == list(range(40))
    assert most == [2]


def test_what_has_not_been_started_is_given_back() -> None:
    started = threading.Event()
    go = threading.Event()

    def handle(task: Task) -> Outcome:
        started.set()
        go.wait(PATIENCE)
        return Outcome(task.id, "done")

    with workshop(handle, threads=4) as pipe:
        pipe.send_bytes(feed((1, 1), (2, 1), (3, 1)))
        assert started.wait(PATIENCE)
        pipe.send_bytes(encode(Recall(None)))
        back = answers(pipe, 2)
        go.set()
        assert sorted((outcome.task, outcome.kind) for outcome in back) == [
            (2, "returned"),
            (3, "returned"),
        ]
        assert [(outcome.task, outcome.kind) for outcome in answers(pipe, 1)] == [(1, "done")]


def test_a_host_that_is_overloaded_gives_its_other_tasks_back() -> None:
    def handle(task: Task) -> Outcome:
        return Outcome(task.id, "again", host_wait=0.0 if task.id == 1 else None)

    with workshop(handle, threads=4) as pipe:
        pipe.send_bytes(feed((1, 1), (2, 1), (3, 1)))
        kinds = {outcome.task: outcome.kind for outcome in answers(pipe, 3)}
    assert kinds == {1: "again", 2: "returned", 3: "returned"}
