"""The fetching process: tasks come in, pages go to a worker, outcomes go out; without a network."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from crawler.fetching.fetch import Fetch
from crawler.fetching.process import FetchProcess
from crawler.fetching.workers import Workers
from crawler.http.address_policy import AddressPolicy
from crawler.http.curl.pool import CurlPool
from crawler.messages import (
    Done,
    HostUpdate,
    Outcome,
    Page,
    PageResult,
    Retry,
    Returned,
    ReturnTasks,
    SessionChange,
    Shutdown,
    Task,
    TaskBatch,
    WorkerDied,
    decode_outcomes,
    decode_page_command,
    encode,
)
from crawler.records import Cookie
from crawler.request import Request
from crawler.worker.channel import Channel
from tests.sites import PATIENCE

pytestmark = pytest.mark.usefixtures("no_leaks")

REQUEST = msgspec.Raw(encode(Request("http://x.test/")))


class FakeFetcher:
    """A fetcher whose tasks begin and end when a test says so."""

    def __init__(self, client: Any, at: At) -> None:
        self._pool = CurlPool(AddressPolicy(anywhere=True))
        self.loop = self._pool.loop
        self.client = client
        self._at = at

    def begin(self, task: Task) -> None:
        nothing: Any = None  # no host and no session is looked at here
        fetch = Fetch(task, nothing, nothing, Request("http://a.example/"))
        self._at.begun[task.id] = fetch
        self._at.has_begun.release()
        self._at.on_begin(fetch)

    def learn(self, batch: TaskBatch) -> None:
        """Nothing to learn."""

    def doubt(self, fetch: Fetch) -> None:
        """Nothing is doubtful."""

    def new_secrets(self) -> list[str]:
        return []

    def session_changes(self, fetch: Fetch) -> tuple[list[SessionChange], None]:
        changes, self._at.changes = self._at.changes, []
        return changes, None

    def close(self) -> None:
        self._pool.stop()


class At:
    """The engine's end of a fetching process with one worker."""

    def __init__(self, handle: Callable[[Page], PageResult | None], concurrency: int) -> None:
        self.begun: dict[int, Fetch] = {}
        self.has_begun = threading.Semaphore(0)
        self.on_begin: Callable[[Fetch], None] = self.page
        self.changes: list[SessionChange] = []
        self.engine, theirs = Channel.pair()
        self._theirs = theirs
        self._handle = handle
        workers = Workers(self._work, None, 0)
        workers.start("thread", [])

        def make(client: FetchProcess) -> Any:
            self.fetcher = FakeFetcher(client, self)
            return self.fetcher

        process = FetchProcess(theirs, workers, make, concurrency)
        self._thread = threading.Thread(target=process.run)
        self._thread.start()
        assert self._next() == [], "it says that it has started"

    def _work(self, channel: Channel, *_: object) -> None:
        try:
            while True:
                for message in channel.read():
                    command = decode_page_command(message)
                    if isinstance(command, Page):
                        result = self._handle(command)
                        if result is None:  # it dies
                            return
                        channel.send(encode(result))
        except (EOFError, OSError):
            pass
        finally:
            channel.close()

    def send(self, *tasks: tuple[int, int], slots: int = 1) -> None:
        """Send tasks, as pairs of their number and their host."""
        hosts = [HostUpdate(host, "http://x.test", "s", slots) for host in {h for _, h in tasks}]
        self.command(TaskBatch([Task(number, host, REQUEST) for number, host in tasks], hosts))

    def command(self, command: Any) -> None:
        self.engine.send(encode(command))

    def page(self, fetch: Fetch, status: int = 200) -> None:
        """Let a worker handle the page of a task."""
        page = Page(fetch.task.id, REQUEST, "s", "", status=status)
        self.fetcher.client.parse(fetch, page)

    def later(self, number: int, status: int = 200) -> None:
        """Let the response of a task come now."""
        self.fetcher.loop.call(lambda: self.page(self.begun[number], status))

    def await_begun(self, *numbers: int) -> None:
        """Wait until as many tasks have begun, and no other ones."""
        for _ in range(len(numbers)):
            assert self.has_begun.acquire(timeout=PATIENCE), f"only {list(self.begun)} have begun"
        assert sorted([*self.begun][-len(numbers) :]) == sorted(numbers)

    def _next(self) -> list[Outcome]:
        assert self.engine.can_read(PATIENCE), "no outcome comes"
        (message, *more) = self.engine.read()
        return [*decode_outcomes(message), *(o for each in more for o in decode_outcomes(each))]

    def outcomes(self, count: int) -> list[Outcome]:
        """Return the next ``count`` outcomes."""
        outcomes: list[Outcome] = []
        while len(outcomes) < count:
            outcomes += self._next()
        assert len(outcomes) == count
        return outcomes

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a test has closed it already
            self.command(Shutdown())
        assert self.has_ended()
        self.engine.close()
        self._theirs.close()

    def has_ended(self) -> bool:
        self._thread.join(PATIENCE)
        return not self._thread.is_alive()


def done(page: Page) -> PageResult:
    return PageResult(page.id, msgspec.Raw(encode(Done())), size=7)


@contextlib.contextmanager
def fetching(
    handle: Callable[[Page], PageResult | None] = done, concurrency: int = 100
) -> Iterator[At]:
    at = At(handle, concurrency)
    try:
        yield at
    finally:
        at.close()


def kinds(outcomes: list[Outcome]) -> list[tuple[int, type]]:
    return [(outcome.task, type(outcome.result)) for outcome in outcomes]


def test_each_task_has_one_outcome() -> None:
    with fetching() as at:
        for start in range(0, 60, 20):
            at.send(*((number, number % 7) for number in range(start, start + 20)), slots=3)
        outcomes = at.outcomes(60)
        assert sorted(kinds(outcomes)) == [(number, Done) for number in range(60)]
        assert {outcome.fetch.size for outcome in outcomes} == {7}


def test_no_more_than_slots_of_one_host_are_under_way() -> None:
    with fetching() as at:
        at.on_begin = lambda fetch: None
        at.send(*((number, 1) for number in range(5)), (9, 2), slots=2)
        at.await_begun(0, 1, 9)
        at.later(0)
        at.await_begun(2)
        at.later(1)
        at.await_begun(3)
        assert 4 not in at.begun


def test_no_more_than_concurrency_are_under_way() -> None:
    with fetching(concurrency=3) as at:
        at.on_begin = lambda fetch: None
        at.send(*((number, number) for number in range(6)))
        at.await_begun(0, 1, 2)
        at.later(1)
        at.await_begun(3)
        assert len(at.begun) == 4


def test_the_next_request_of_a_host_need_not_wait_for_the_parsing_of_a_page() -> None:
    go = threading.Event()

    def slow(page: Page) -> PageResult:
        go.wait(PATIENCE)
        return done(page)

    with fetching(slow) as at:
        at.on_begin = lambda fetch: None
        at.send((1, 1), (2, 1))
        at.await_begun(1)
        at.later(1)
        at.await_begun(2)
        go.set()
        at.later(2)
        assert kinds(at.outcomes(2)) == [(1, Done), (2, Done)]


def test_the_next_request_of_a_host_that_refuses_waits_for_the_verdict() -> None:
    """A worker may find that the host wants to be left alone, and then nothing more is sent."""
    go = threading.Event()

    def refused(page: Page) -> PageResult:
        go.wait(PATIENCE)
        return PageResult(page.id, msgspec.Raw(encode(Retry())), host_wait=0.0)

    with fetching(refused) as at:
        at.on_begin = lambda fetch: None
        at.send((1, 1), (2, 1), (3, 1), (4, 2))
        at.await_begun(1, 4)
        at.later(1, status=429)
        go.set()
        outcomes = at.outcomes(3)
        assert kinds(outcomes)[0] == (1, Retry), "first, or the others would be sent again at once"
        assert sorted(kinds(outcomes)[1:]) == [(2, Returned), (3, Returned)]
        at.later(4)
        assert kinds(at.outcomes(1)) == [(4, Retry)]
        assert sorted(at.begun) == [1, 4]


def test_what_has_not_been_started_is_given_back() -> None:
    with fetching() as at:
        at.on_begin = lambda fetch: None
        at.send((1, 1), (2, 1), (3, 1), (4, 2), (5, 2))
        at.await_begun(1, 4)
        at.command(ReturnTasks(2))
        assert kinds(at.outcomes(1)) == [(5, Returned)]
        at.command(ReturnTasks(None))
        assert kinds(at.outcomes(2)) == [(2, Returned), (3, Returned)]
        at.later(1)
        assert kinds(at.outcomes(1)) == [(1, Done)]
        assert sorted(at.begun) == [1, 4]


def test_a_cookie_is_never_reported_behind_the_page_that_it_came_with() -> None:
    """The cookie of page 1 is in the session when page 2 is ready to be reported."""
    change = SessionChange("s", [Cookie("c", "1", "x", "/")])
    first = threading.Event()

    with fetching(done) as at:
        at.on_begin = lambda fetch: None
        at.send((1, 1), (2, 2))
        at.await_begun(1, 2)

        def came() -> None:
            at.changes = [change]  # with page 1, which is handled behind page 2
            at.page(at.begun[2])
            at.page(at.begun[1])
            first.set()

        at.fetcher.loop.call(came)
        assert first.wait(PATIENCE)
        second, page_of_cookie = at.outcomes(2)
        assert (second.task, second.sessions) == (2, [change])
        assert (page_of_cookie.task, page_of_cookie.sessions) == (1, [])


def test_a_page_whose_worker_dies_is_reported_and_the_others_are_handled() -> None:
    with fetching(lambda page: None if page.id == 3 else done(page)) as at:
        at.send(*((number, number) for number in range(1, 3)))
        assert sorted(kinds(at.outcomes(2))) == [(1, Done), (2, Done)]
        at.send((3, 3))
        assert kinds(at.outcomes(1)) == [(3, WorkerDied)]
        at.send((4, 4))
        assert kinds(at.outcomes(1)) == [(4, Done)]


def test_it_ends_with_the_engine() -> None:
    with fetching() as at:
        at.send((1, 1))
        at.outcomes(1)
        at.engine.close()
        assert at.has_ended()
