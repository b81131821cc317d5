"""The workers of a fetching process: which page goes to which, and what becomes of the dead."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from crawler.errors import CrawlerError
from crawler.fetching import workers as module
from crawler.fetching.workers import (
    AHEAD_BYTES,
    LEAST_AHEAD,
    LEAST_WORK,
    MOST_AHEAD,
    MOST_EARLY_DEATHS,
    MOST_WAITING,
    WAITING_BYTES,
    Workers,
)
from crawler.http.address_policy import AddressPolicy
from crawler.http.curl.pool import CurlPool
from crawler.messages import (
    Call,
    CallResult,
    Done,
    EndWorker,
    Examined,
    MarksQuery,
    NewSecrets,
    Page,
    PageCommand,
    PageResult,
    Ready,
    ScopeUpdate,
    SeenMarks,
    Verdict,
    WorkerDied,
    decode_page_command,
    encode,
)
from crawler.scope import NetlocSet
from crawler.worker.channel import Channel
from tests.sites import PATIENCE

pytestmark = pytest.mark.usefixtures("no_leaks")

DONE = msgspec.Raw(encode(Done()))


class FakeWorker:
    """A worker that does what a test says."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.commands: SimpleQueue[PageCommand] = SimpleQueue()

    def run(self) -> None:
        try:
            while True:
                for message in self.channel.read():
                    self.commands.put(decode_page_command(message))
        except (EOFError, OSError):
            self.channel.close()

    def next(self) -> PageCommand:
        """Return the next command."""
        return self.commands.get(timeout=PATIENCE)

    def pages(self, count: int) -> list[int]:
        """Return the ids of the next ``count`` pages, which are the next commands."""
        pages = [self.next() for _ in range(count)]
        return [page.id for page in pages if isinstance(page, Page)]

    def send(self, message: Any) -> None:
        self.channel.send(encode(message))

    def finish(self, page: int) -> None:
        self.send(PageResult(page, DONE))

    def die(self) -> None:
        self.channel._socket.shutdown(socket.SHUT_RDWR)


class ThreadedWorkers(Workers):
    """Workers in threads, however many."""

    def __init__(self, main: Callable[..., None], count: int, **options: Any) -> None:
        self.spec = SimpleNamespace(netlocs=NetlocSet())
        super().__init__(main, self.spec, count, **options)
        self._in_thread = True


class Bench:
    """Workers at a loop. It is their client, too: ``events`` are the calls."""

    def __init__(self, count: int, **options: Any) -> None:
        self._started: SimpleQueue[FakeWorker] = SimpleQueue()
        self.events: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self.workers = ThreadedWorkers(self._main, count, **options)
        self.spec = self.workers.spec
        self.workers.start("thread", [])
        self._pool = CurlPool(AddressPolicy(anywhere=True))
        self.fakes = [self.successor() for _ in range(count)]
        self.do(lambda: self.workers.connect(self._pool.loop, self))

    def _main(self, channel: Channel, *_: object) -> None:
        worker = FakeWorker(channel)
        self._started.put(worker)
        worker.run()

    def successor(self) -> FakeWorker:
        """Return the worker that starts next."""
        return self._started.get(timeout=PATIENCE)

    def do(self, function: Callable[[], Any]) -> Any:
        """Run ``function`` in the loop's thread; return its result."""
        results: SimpleQueue[Any] = SimpleQueue()
        self._pool.loop.call(lambda: results.put(function()))
        return results.get(timeout=PATIENCE)

    def submit(self, *pages: int, isolated: bool = False, size: int = 0, ask: bool = False) -> None:
        for number in pages:
            page = Page(number, msgspec.Raw(b"\xc0"), "s", "", body=bytes(size))
            page.query = MarksQuery() if ask else None
            submit = partial(self.workers.submit, number, encode(page), isolated=isolated)
            self.do(submit)

    def next(self) -> tuple[Any, ...]:
        return self.events.get(timeout=PATIENCE)

    def close(self) -> None:
        self.do(self.workers.close)
        self._pool.stop()

    # The client

    def take_result(self, result: PageResult) -> None:
        self.events.put(("result", result.id))

    def take_marks(self, examined: Examined) -> None:
        self.events.put(("marks", examined.id))

    def take_lost(self, page_id: int, died: WorkerDied) -> None:
        self.events.put(("lost", page_id, died.was_at_work))

    def take_call(self, call: Call, reply: Callable[[bytes], None]) -> None:
        self.events.put(("call", call.call, reply))

    def take_failure(self, error: CrawlerError) -> None:
        self.events.put(("failure", str(error)))


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    """Makes a bench, which is closed in the end."""
    benches: list[Bench] = []

    def make(count: int, **options: Any) -> Bench:
        benches.append(Bench(count, **options))
        return benches[-1]

    yield make
    for each in benches:
        each.close()


# Pages


AHEAD = 4


@pytest.fixture(autouse=True)
def _four_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a worker four pages, however fast it is."""
    monkeypatch.setattr(module, "LEAST_AHEAD", AHEAD)
    monkeypatch.setattr(module, "MOST_AHEAD", AHEAD)


def test_a_fast_worker_has_more_pages_ahead_than_a_slow_one(
    monkeypatch: pytest.MonkeyPatch, bench: Callable[..., Bench]
) -> None:
    monkeypatch.setattr(module, "LEAST_AHEAD", LEAST_AHEAD)
    monkeypatch.setattr(module, "MOST_AHEAD", MOST_AHEAD)
    worker = bench(1).workers._workers[0]
    for page in range(40):
        worker.note_result(page * 0.001)
    assert worker.ahead == MOST_AHEAD
    for page in range(40):
        worker.note_result(100.0 + page)
    assert worker.ahead == LEAST_AHEAD


def test_each_worker_has_a_few_pages_ahead_and_the_next_goes_to_the_first_that_is_free(
    bench: Callable[..., Bench],
) -> None:
    at = bench(2)
    one, two = at.fakes
    at.submit(*range(2 * AHEAD + 2))
    assert one.pages(AHEAD) == [0, 2, 4, 6]
    assert two.pages(AHEAD) == [1, 3, 5, 7]
    two.finish(1)
    assert at.next() == ("result", 1)
    assert two.pages(1) == [8]
    one.finish(0)
    assert at.next() == ("result", 0)
    assert one.pages(1) == [9]


def test_pages_that_wait_fill_the_queue_by_number_and_by_size(bench: Callable[..., Bench]) -> None:
    at = bench(1)
    at.submit(*range(AHEAD + MOST_WAITING - 1))
    assert not at.do(lambda: at.workers.is_full)
    at.submit(1000)
    assert at.do(lambda: at.workers.is_full)
    (worker,) = at.fakes
    worker.finish(worker.pages(1)[0])
    at.next()
    assert not at.do(lambda: at.workers.is_full)

    large = bench(1)
    large.submit(1, size=AHEAD_BYTES)
    large.submit(2, size=WAITING_BYTES)
    assert large.do(lambda: large.workers.is_full)
    assert large.fakes[0].pages(1) == [1]
    large.fakes[0].finish(1)
    assert large.fakes[0].pages(1) == [2]
    assert not large.do(lambda: large.workers.is_full)


def test_a_worker_with_a_large_page_gets_none_ahead(bench: Callable[..., Bench]) -> None:
    at = bench(1)
    at.submit(1, size=AHEAD_BYTES)
    at.submit(2, 3)
    (worker,) = at.fakes
    assert worker.pages(1) == [1]
    assert at.do(worker.commands.empty)
    worker.finish(1)
    assert worker.pages(2) == [2, 3]


def test_a_page_in_isolation_is_the_only_one_that_its_worker_has(
    bench: Callable[..., Bench],
) -> None:
    at = bench(2)
    one, two = at.fakes
    at.submit(1, 2, 3)  # the first has 1 and 3
    assert (one.pages(2), two.pages(1)) == ([1, 3], [2])
    at.submit(10, 11, isolated=True)
    at.submit(4, 5)  # both to the one that need not be kept free
    assert one.pages(2) == [4, 5]
    two.finish(2)
    assert two.pages(1) == [10], "nothing else was given to it meanwhile"
    at.submit(6)
    two.finish(10)
    assert two.pages(1) == [11]
    one.finish(1)
    assert one.pages(1) == [6]
    two.finish(11)
    for _ in range(4):
        at.next()
    at.submit(7)
    assert two.pages(1) == [7], "it is as any other again"


def test_a_page_that_is_looked_at_first_stays_with_its_worker(bench: Callable[..., Bench]) -> None:
    at = bench(2)
    one, two = at.fakes
    at.submit(1, 2, ask=True)
    assert (one.pages(1), two.pages(1)) == ([1], [2])
    for worker, page in ((two, 2), (one, 1)):
        worker.send(Examined(page, SeenMarks()))
        assert at.next() == ("marks", page)
    at.do(lambda: at.workers.judge(Verdict(2, is_page=True)))
    at.do(lambda: at.workers.judge(Verdict(1, is_page=False)))
    assert one.next() == Verdict(1, is_page=False)
    assert two.next() == Verdict(2, is_page=True)
    two.finish(2)
    assert at.next() == ("result", 2)


# What workers learn


@pytest.mark.parametrize("is_new", [False, True])
def test_secrets_and_scope_come_before_the_next_page(
    bench: Callable[..., Bench], is_new: bool
) -> None:
    at = bench(2)
    at.do(lambda: at.workers.extend_scope(["a.test"]))
    at.do(lambda: at.workers.mask_secrets(["sesame"]))
    at.do(lambda: at.workers.extend_scope(["b.test"]))
    workers, news = at.fakes, [ScopeUpdate(["a.test"]), NewSecrets(["sesame"])]
    if is_new:
        at.submit(8, 9)
        for worker in at.fakes:
            worker.die()
        workers = [at.successor(), at.successor()]
        assert {at.next()[:2], at.next()[:2]} == {("lost", 8), ("lost", 9)}
    at.submit(1, 2)
    for worker, page in zip(workers, (1, 2), strict=True):
        if is_new:
            assert worker.next() == NewSecrets(["sesame"])
            assert "a.test" in at.spec.netlocs, "a new worker is made from it"
            assert "b.test" in at.spec.netlocs
        else:
            assert [worker.next() for _ in range(3)] == [*news, ScopeUpdate(["b.test"])]
        assert worker.pages(1) == [page]


def test_an_answer_goes_to_the_worker_that_has_called(bench: Callable[..., Bench]) -> None:
    at = bench(2)
    one, two = at.fakes
    two.send(Call(1, "s", b"two"))
    _, call, to_two = at.next()
    one.send(Call(2, "s", b"one"))
    _, other_call, to_one = at.next()
    assert (call, other_call) == (b"two", b"one")
    at.do(lambda: to_one(b"answer of one"))
    at.do(lambda: to_two(b"answer of two"))
    assert one.next() == CallResult(b"answer of one")
    assert two.next() == CallResult(b"answer of two")


def test_an_answer_to_a_worker_that_has_died_is_not_sent_to_its_successor(
    bench: Callable[..., Bench],
) -> None:
    at = bench(1)
    at.fakes[0].send(Call(1, "s", b"x"))
    _, _, reply = at.next()
    at.fakes[0].die()
    successor = at.successor()
    at.do(lambda: reply(b"too late"))
    at.submit(1)
    assert successor.pages(1) == [1]


# Death


def test_a_worker_that_dies_is_replaced_and_its_pages_are_reported(
    bench: Callable[..., Bench],
) -> None:
    at = bench(1)
    (worker,) = at.fakes
    at.submit(0, ask=True)
    assert worker.pages(1) == [0]
    worker.send(Examined(0, SeenMarks()))
    assert at.next() == ("marks", 0)
    at.submit(*range(1, AHEAD + 3))
    assert worker.pages(AHEAD) == [1, 2, 3, 4]
    worker.finish(1)
    assert at.next() == ("result", 1)
    assert worker.pages(1) == [5]
    worker.die()
    successor = at.successor()
    events = [at.next() for _ in range(5)]
    assert sorted(events) == [("lost", 0, False), *(("lost", page, True) for page in (2, 3, 4, 5))]
    assert successor.pages(1) == [6], "what had waited"


def test_half_a_result_is_none(bench: Callable[..., Bench]) -> None:
    at = bench(1)
    (worker,) = at.fakes
    at.submit(1)
    assert worker.pages(1) == [1]
    worker.channel._socket.sendall(b"\xff\0\0\0half")
    worker.die()
    assert at.next() == ("lost", 1, True)


def test_workers_that_never_do_anything_are_a_failure_and_not_started_for_ever(
    bench: Callable[..., Bench],
) -> None:
    at = bench(2)
    worker = at.fakes[0]
    for _ in range(2 * MOST_EARLY_DEATHS):
        worker.die()
        worker = at.successor()
    worker.die()
    kind, message = at.next()
    assert kind == "failure"
    assert "die before they have handled a page" in message


def test_a_page_that_was_handled_shows_that_workers_work(bench: Callable[..., Bench]) -> None:
    at = bench(1)
    worker = at.fakes[0]
    for page in range(3 * MOST_EARLY_DEATHS):
        worker.die()
        worker = at.successor()
        at.submit(page)
        assert worker.pages(1) == [page]
        worker.finish(page)
        assert at.next() == ("result", page)


def test_pages_that_kill_their_workers_alone_do_not_show_that_workers_fail(
    bench: Callable[..., Bench],
) -> None:
    at = bench(1)
    worker = at.fakes[0]
    for page in range(3 * MOST_EARLY_DEATHS):
        worker.send(Ready())
        at.submit(page, isolated=True)
        assert worker.pages(1) == [page]
        worker.die()
        worker = at.successor()
        assert at.next() == ("lost", page, True)


def test_no_result_is_taken_after_the_end(bench: Callable[..., Bench]) -> None:
    at = bench(1)
    (worker,) = at.fakes
    at.submit(1)
    assert worker.pages(1) == [1]

    def end() -> None:
        worker.finish(1)
        at.workers.close()

    at.do(end)
    assert worker.next() == EndWorker()
    assert at.do(at.events.empty)


# Memory


def test_a_worker_that_has_grown_finishes_its_pages_and_is_replaced(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    used = [0]
    monkeypatch.setattr(module, "_memory", lambda process: used[0])
    monkeypatch.setattr(module, "CHECK_EVERY", 0.001)
    at = bench(1, max_memory=1000)
    (worker,) = at.fakes
    used[0] = 1001
    assert LEAST_WORK > 1
    for page in range(LEAST_WORK - 1):  # a new one is not replaced at once
        at.submit(page)
        assert worker.pages(1) == [page]
        worker.finish(page)
        assert at.next() == ("result", page)
    at.submit(100, 101)
    assert worker.pages(2) == [100, 101]
    worker.finish(100)
    assert at.next() == ("result", 100)

    def is_leaving() -> Any:
        return at.do(lambda: at.workers._workers[0].is_leaving)

    while not is_leaving():
        pass
    at.submit(102)
    used[0] = 0
    worker.finish(101)
    assert worker.next() == EndWorker(), "it gets no page any more"
    assert at.next() == ("result", 101)
    assert at.successor().pages(1) == [102]


def test_a_worker_within_its_memory_stays(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: SimpleQueue[object] = SimpleQueue()

    def memory(process: object) -> int:
        checks.put(process)
        return 1000

    monkeypatch.setattr(module, "_memory", memory)
    monkeypatch.setattr(module, "CHECK_EVERY", 0.001)
    at = bench(1, max_memory=1000)
    (worker,) = at.fakes
    for page in range(LEAST_WORK + 5):
        at.submit(page)
        assert worker.pages(1) == [page]
        worker.finish(page)
        at.next()
    for _ in range(3):
        checks.get(timeout=PATIENCE)
    at.submit(99)
    assert worker.pages(1) == [99]


@pytest.mark.parametrize("is_leaving", [False, True])
def test_a_worker_that_holds_a_page_gets_others(
    bench: Callable[..., Bench], is_leaving: bool
) -> None:
    """The verdict may depend on them: with a single worker, it would never come otherwise."""
    at = bench(1)
    (worker,) = at.fakes
    at.submit(0, ask=True)
    assert worker.pages(1) == [0]
    worker.send(Examined(0, SeenMarks()))
    assert at.next() == ("marks", 0)
    if is_leaving:
        at.workers._workers[0].is_leaving = True
    else:
        at.submit(7, isolated=True)
    at.submit(1)
    assert worker.pages(1) == [1]
