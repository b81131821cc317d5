"""The loop of a worker: results go back in time, and a callback may call while pages wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from crawler.messages import (
    Call,
    CallResult,
    Done,
    EndWorker,
    Examined,
    MarksQuery,
    NewSecrets,
    Page,
    PageResult,
    Ready,
    ScopeUpdate,
    SeenMarks,
    Verdict,
    decode_page_reply,
    encode,
)
from crawler.worker import process
from crawler.worker.channel import Channel
from crawler.worker.process import BATCH, WorkerLoop
from tests.sites import PATIENCE

pytestmark = pytest.mark.usefixtures("no_leaks")

DONE = msgspec.Raw(encode(Done()))


def page(number: int, *, ask: bool = False) -> bytes:
    message = Page(number, msgspec.Raw(b"\xc0"), "s", "")
    message.query = MarksQuery() if ask else None
    return encode(message)


class Handling:
    """A handler that calls ``callback`` with the loop and the number of each page."""

    def __init__(self, loop: WorkerLoop, callback: Callable[[WorkerLoop, int], None]) -> None:
        self._loop = loop
        self._callback = callback
        self.log: list[object] = []

    def handle(self, page: Page) -> PageResult:
        self._callback(self._loop, page.id)
        self.log.append(page.id)
        return PageResult(page.id, DONE)

    def examine(self, page: Page) -> Examined:
        self.log.append(f"look at {page.id}")
        return Examined(page.id, SeenMarks())

    def take_verdict(self, verdict: Verdict) -> PageResult | None:
        self.log.append(verdict)
        return PageResult(verdict.id, DONE) if verdict.is_page else None

    def extend_scope(self, netlocs: list[str]) -> None:
        self.log.append(netlocs)

    def mask_secrets(self, texts: list[str]) -> None:
        self.log.append(texts)


class Counting(Channel):
    """A channel that counts the messages of each ``send``."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.sizes: list[int] = []

    def send(self, *messages: bytes) -> None:
        self.sizes.append(len(messages))
        super().send(*messages)


class At:
    """The fetching process's end, and the worker."""

    def __init__(self, callback: Callable[[WorkerLoop, int], None]) -> None:
        self.end, self.workers_end = Counting.pair()
        self.loop = WorkerLoop(self.workers_end)
        self.handling = Handling(self.loop, callback)
        self.thread = threading.Thread(target=self.loop.run, args=(self.handling,), daemon=True)
        self.thread.start()
        self._replies: list[Any] = []
        assert self.reply() == Ready()

    def reply(self) -> Any:
        """Return the next message of the worker."""
        while not self._replies:
            assert self.end.can_read(PATIENCE), "the worker sends nothing"
            self._replies += map(decode_page_reply, self.end.read())
        return self._replies.pop(0)

    def results(self, count: int) -> list[int]:
        replies = [self.reply() for _ in range(count)]
        assert {type(reply) for reply in replies} <= {PageResult}
        return [reply.id for reply in replies]

    def has_ended(self) -> bool:
        self.thread.join(PATIENCE)
        return not self.thread.is_alive()


@contextmanager
def worker(callback: Callable[[WorkerLoop, int], None] = lambda loop, number: None) -> Iterator[At]:
    """A worker in a thread, which ends with the block."""
    at = At(callback)
    try:
        yield at
    finally:
        at.end.close()
        assert at.has_ended()
        at.workers_end.close()


# Results


def test_results_of_fast_pages_are_sent_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many at a time, and the rest when there is nothing to do any more."""
    has_ended = threading.Event()

    class Waiting:
        """The sender waits, however slow the machine is."""

        @staticmethod
        def sleep(seconds: float) -> None:
            has_ended.wait(PATIENCE)

    monkeypatch.setattr(process, "time", Waiting)
    numbers = list(range(2 * BATCH + 3))
    with worker() as at:
        at.end.send(*map(page, numbers), encode(EndWorker()))
        assert at.results(len(numbers)) == numbers
        assert at.has_ended()
        has_ended.set()
        assert at.workers_end.sizes == [1, BATCH, BATCH, 3]


def test_the_result_of_a_page_alone_is_sent_at_once() -> None:
    with worker() as at:
        for number in range(5):
            at.end.send(page(number))
            assert at.results(1) == [number]


@pytest.mark.parametrize("has_come", [True, False])
def test_a_slow_callback_does_not_hold_back_earlier_results(has_come: bool) -> None:
    """Whether its page had come already when the page before was begun, or while it was handled."""
    is_at_work, go, slow = threading.Event(), threading.Event(), threading.Event()

    def callback(_: WorkerLoop, number: int) -> None:
        if number == 1:
            is_at_work.set()
            go.wait(PATIENCE)
        if number == 2:
            slow.wait(2 * PATIENCE)  # longer than the test waits for the result before

    with worker(callback) as at:
        if has_come:
            at.end.send(page(1), page(2))
            assert is_at_work.wait(PATIENCE)
        else:
            at.end.send(page(1))
            assert is_at_work.wait(PATIENCE)
            at.end.send(page(2))
        go.set()
        assert at.results(1) == [1]
        slow.set()
        assert at.results(1) == [2]


def test_a_slow_call_does_not_hold_back_earlier_results() -> None:
    def callback(loop: WorkerLoop, number: int) -> None:
        if number == 2:
            loop.call("s", b"slow")

    with worker(callback) as at:
        at.end.send(page(1), page(2))
        replies = [at.reply(), at.reply()]
        assert {type(reply) for reply in replies} == {PageResult, Call}
        at.end.send(encode(CallResult(b"")))
        assert at.results(1) == [2]


# Commands


def test_commands_are_obeyed_in_their_order() -> None:
    with worker() as at:
        at.end.send(
            page(1),
            encode(ScopeUpdate(["a.test"])),
            page(2, ask=True),
            encode(NewSecrets(["sesame"])),
            page(3),
            encode(Verdict(2, is_page=True)),
            encode(EndWorker()),
            page(4),
        )
        assert at.has_ended()
        log = [1, ["a.test"], "look at 2", ["sesame"], 3, Verdict(2, is_page=True)]
        assert at.handling.log == log
        replies = [at.reply() for _ in range(4)]
        assert [(type(reply), reply.id) for reply in replies] == [
            *((PageResult, 1), (Examined, 2), (PageResult, 3), (PageResult, 2)),
        ]


def test_a_page_that_is_dropped_has_no_result() -> None:
    with worker() as at:
        at.end.send(page(1, ask=True), encode(Verdict(1, is_page=False)), page(2))
        assert isinstance(at.reply(), Examined)
        assert at.results(1) == [2]


# Calls


def test_calls_are_answered_while_pages_and_news_wait() -> None:
    answers: list[bytes] = []

    def callback(loop: WorkerLoop, number: int) -> None:
        if number == 1:
            answers.extend(loop.call("key", call) for call in (b"first", b"second"))

    with worker(callback) as at:
        at.end.send(page(1), page(2))
        assert at.reply() == Call(1, "key", b"first")
        at.end.send(encode(ScopeUpdate(["a.test"])), page(3), encode(CallResult(b"one")), page(4))
        assert at.reply() == Call(1, "key", b"second")
        at.end.send(encode(NewSecrets(["sesame"])), encode(CallResult(b"two")), page(5))
        assert at.results(5) == [1, 2, 3, 4, 5]
        assert answers == [b"one", b"two"]
        assert at.handling.log == [1, 2, ["a.test"], 3, 4, ["sesame"], 5]


def test_a_large_answer_comes_whole() -> None:
    answers: list[bytes] = []
    large = bytes(range(256)) * 20_000
    with worker(lambda loop, number: answers.append(loop.call("s", large))) as at:
        at.end.send(page(1))
        call = at.reply()
        assert call == Call(1, "s", large)
        at.end.send(encode(CallResult(call.call[::-1])))
        assert at.results(1) == [1]
    assert answers == [large[::-1]]


def test_threads_of_a_callback_get_each_its_own_answer() -> None:
    answers: dict[int, bytes] = {}

    def callback(loop: WorkerLoop, number: int) -> None:
        def call(index: int) -> None:
            answers[index] = loop.call("s", bytes([index]))

        threads = [threading.Thread(target=call, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with worker(callback) as at:
        at.end.send(page(1))
        for _ in range(8):
            at.end.send(encode(CallResult(at.reply().call * 2)))
        assert at.results(1) == [1]
    assert answers == {index: bytes([index]) * 2 for index in range(8)}


# The end


def test_it_ends_with_the_fetching_process() -> None:
    with worker() as at:
        at.end.send(page(1))
        assert at.results(1) == [1]
        at.end.close()
        assert at.has_ended()


def test_it_ends_within_a_call_whatever_the_callback_catches() -> None:
    def callback(loop: WorkerLoop, number: int) -> None:
        while True:
            try:
                loop.call("s", b"x")
            except Exception:
                continue

    with worker(callback) as at:
        at.end.send(page(1))
        assert isinstance(at.reply(), Call)
        at.end.close()
        assert at.has_ended()


def test_it_ends_after_a_callback_whose_result_nothing_takes() -> None:
    go, is_at_work = threading.Event(), threading.Event()

    def callback(loop: WorkerLoop, number: int) -> None:
        is_at_work.set()
        go.wait(PATIENCE)

    with worker(callback) as at:
        at.end.send(page(1), page(2), page(3))
        assert is_at_work.wait(PATIENCE)
        at.end.close()
        go.set()
        assert at.has_ended()
