"""One worker process: its threads, a lane of tasks for each host, and the pipe to the engine."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Protocol

from crawler.gc_tuning import configure_worker
from crawler.messages import (
    Command,
    HostUpdate,
    Outcome,
    Returned,
    ReturnTasks,
    Shutdown,
    Task,
    TaskBatch,
    decode_command,
    encode,
)

BATCH = 16
"""Outcomes that are sent together while more tasks wait."""
LINGER = 0.02
"""The longest time, in seconds, that an outcome waits to be sent together with others."""


class Handler(Protocol):
    """Turns tasks into outcomes, as a Worker does."""

    def learn(self, feed: TaskBatch) -> None:
        """Apply the updates of hosts, sessions and scope before the tasks that need them."""

    def handle(self, task: Task) -> Outcome:
        """Return the outcome of a task; never raises."""

    def attach_session_changes(self, task: Task, outcome: Outcome) -> None:
        """Add the changes of the task's session to ``outcome``, which is the next to be sent."""

    def close(self) -> None:
        """Release connections."""


@dataclass(slots=True)
class HostLane:
    """The tasks of one host in this process; at most ``slots`` of them run at the same time."""

    slots: int
    queue: deque[Task] = field(default_factory=deque)
    running: int = 0


class TaskExecutor:
    """Runs the tasks that come over ``connection`` in up to ``threads`` threads."""

    def __init__(self, connection: Connection, handler: Handler, threads: int) -> None:
        self._connection = connection
        self._handler = handler
        self._most = threads
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._lanes: dict[int, HostLane] = {}
        self._lock = threading.Lock()
        self._ready: SimpleQueue[HostLane | None] = SimpleQueue()
        self._outbox: deque[Outcome] = deque()
        self._filled = threading.Event()
        self._reporting = threading.Lock()
        self._sending = threading.Lock()
        self._closed = False

    def run(self) -> None:
        """Handle commands until Shutdown, or until the other end of the pipe is closed."""
        threading.Thread(target=self._send_late, name="sender", daemon=True).start()
        with contextlib.suppress(EOFError, OSError):
            self._connection.send_bytes(encode([]))  # this process has started
            while not isinstance(
                command := decode_command(self._connection.recv_bytes()), Shutdown
            ):
                self._handle_command(command)
        self._closed = True
        self._filled.set()
        for _ in self._threads:
            self._ready.put(None)
        self._handler.close()

    def _handle_command(self, command: Command) -> None:
        if isinstance(command, TaskBatch):
            self._handler.learn(command)
            with self._lock:
                for host_id in command.forget:
                    self._lanes.pop(host_id, None)
                for host in command.hosts:
                    self._set_lane(host)
                for task in command.tasks:
                    self._push(task)
        elif isinstance(command, ReturnTasks):
            self._return_queued(command.host)

    def _set_lane(self, host: HostUpdate) -> None:
        lane = self._lanes.get(host.id)
        if lane is None:
            self._lanes[host.id] = HostLane(host.slots)
        else:
            lane.slots = host.slots

    def _push(self, task: Task) -> None:
        lane = self._lanes[task.host]
        lane.queue.append(task)
        if lane.running < lane.slots:
            lane.running += 1
            self._ready.put(lane)
            if self._idle:
                self._idle -= 1
            elif len(self._threads) < self._most:
                self._start_thread()

    def _start_thread(self) -> None:
        name = f"fetch-{len(self._threads) + 1}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (lane := self._ready.get()) is not None:
            self._handle_tasks(lane)

    def _handle_tasks(self, lane: HostLane) -> None:
        """Handle the lane's tasks one after the other, as long as no other lane waits."""
        while True:
            with self._lock:
                if not lane.queue:
                    lane.running -= 1
                    self._idle += 1  # _push counts down when it has a lane for an idle thread
                    break
                task = lane.queue.popleft()
            outcome = self._handler.handle(task)
            if outcome.fetch.host_wait is not None:
                self._return_queued(task.host)
            self._report(task, outcome)
            if len(self._outbox) >= BATCH or not (lane.queue or self._ready.qsize()):
                self._flush()
            else:
                self._filled.set()
            if self._ready.qsize():
                self._ready.put(lane)  # it keeps its slot while other lanes have their turn
                break

    def _report(self, task: Task, outcome: Outcome) -> None:
        """Put the outcome into the outbox, with the changes of its session.

        A changed cookie may be sent with an earlier outcome than its own, but never with a later
        one: a crash in between would lose it.
        """
        with self._reporting:
            self._handler.attach_session_changes(task, outcome)
            self._outbox.append(outcome)

    def _return_queued(self, host: int | None) -> None:
        """Return the tasks that have not been started to the engine, of one host or of all."""
        with self._lock:
            for host_id, lane in self._lanes.items():
                if host in (None, host_id):
                    self._outbox.extend(Outcome(task.id, Returned()) for task in lane.queue)
                    lane.queue.clear()
        self._filled.set()

    def _send_late(self) -> None:
        """Send the outcomes that no busy thread has sent."""
        while not self._closed:
            self._filled.wait()
            self._filled.clear()
            time.sleep(LINGER)
            self._flush()

    def _flush(self) -> None:
        with self._sending:
            # Only this removes outcomes, so those that other threads append meanwhile stay.
            batch = [self._outbox.popleft() for _ in range(len(self._outbox))]
            if batch and not self._closed:
                with contextlib.suppress(OSError):  # the engine has ended; this process will, too
                    self._connection.send_bytes(encode(batch))


_STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Start processes in this block with Ctrl-C and SIGTERM blocked, until they are configured."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def configure_process(core: int | None) -> None:
    """Set up this process for one worker: its signals, its core, its garbage collection.

    Only the engine handles the signals that stop a crawl. Threads that share one interpreter lock
    run faster on one core than on several. Pages leave so much short-lived garbage in cycles that
    the collector would run all the time at its default thresholds.
    """
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    if core is not None and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {core})
    configure_worker()
