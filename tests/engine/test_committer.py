"""The lines of the output and the rows of the store come together, or neither comes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from crawler.clock import WallClock
from crawler.engine import committer as committer_module
from crawler.engine.committer import Committer, PageResult
from crawler.errors import SystemResourceError
from crawler.job.job import Job
from crawler.messages import (
    Denied,
    Done,
    Failed,
    Output,
    Redirected,
    Retry,
    SessionChange,
    Starved,
    TaskBatch,
)
from crawler.records import (
    Cookie,
    Delivery,
    FailureReport,
    LoginState,
    NewRequest,
    SkippedLink,
)
from crawler.request import Request
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import PageAssignment
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.session_registry import SessionRegistry
from crawler.settings import Settings
from crawler.stats import Counters
from tests.memory_sink import MemorySink
from tests.memory_store import MemoryStore
from tests.store.builders import none_open

NOW = 1000.0
A = "https://a.example"


class MemoryJob(Job):
    """A job whose store and outputs are in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.items = self.memory = MemorySink()
        self.rejected = self.rejected_memory = MemorySink()
        self.counters = Counters(sequence=1)
        self.clock = WallClock()


class Bench:
    """A committer, and the result of a page that gave an item and a link."""

    def __init__(self, *, once: bool = False) -> None:
        store = self.store = MemoryStore()
        scheduler, sessions = Scheduler(concurrency=1), SessionRegistry()
        with store.transaction():
            host_id = store.hosts.add(A).id
            store.queue.add([(host_id, new_request("first", once=once))], 1)
        settings = Settings(delay=0.0, obey_robots=False)
        frontier = Frontier(store, scheduler, settings, sessions, logs_in=False)
        frontier.load(NOW, was_killed=False)
        (assignment,) = frontier.take_ready(NOW)
        self.job = MemoryJob(store)
        self.items = self.job.memory
        self.committer = Committer(self.job, frontier, sessions)
        output = Output(items=b"{}\n", item_count=1, requests=[new_request("second")])
        assert isinstance(assignment, PageAssignment)
        self.assignment = assignment
        self.committer.add(assignment, Done(output), NOW)


def new_request(name: str, *, once: bool = False) -> NewRequest:
    request = msgspec.Raw(msgspec.msgpack.encode(name))
    return NewRequest(name.encode().ljust(16), A, 0, "parse", request, once=once)


def test_lines_rows_and_the_length_of_the_output_are_committed_together() -> None:
    bench = Bench()
    assert bench.committer.commit(NOW) == b"{}\n"
    assert bytes(bench.items.file.content) == b"{}\n"
    assert bench.store.meta.get("counters")["output_length"] == 3
    assert list(bench.store.queue.requests()) == [bytes(new_request("second").request)]


def test_when_the_lines_cannot_be_written_the_store_stays_as_it_was() -> None:
    bench = Bench()
    bench.items.file.is_full = True
    with pytest.raises(SystemResourceError):
        bench.committer.commit(NOW)
    assert bench.store.meta.get("counters") is None
    assert list(bench.store.queue.requests()) == [bytes(new_request("first").request)]
    assert not bench.store.seen.contains(new_request("second"))


def test_when_the_store_cannot_commit_the_lines_are_behind_the_last_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Opened with the length of that commit, the output is without them."""
    bench = Bench()

    def fail(values: Mapping[str, Any]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(bench.store.meta, "update", fail)
    with suppress(ZeroDivisionError):
        bench.committer.commit(NOW)
    assert list(bench.store.queue.requests()) == [bytes(new_request("first").request)]
    bench.items.close()
    assert bytes(bench.items.file.content) == b"{}\n"
    assert bench.store.meta.get("counters") is None
    assert bytes(MemorySink(bench.items.file, 0).file.content) == b""


def test_no_loss_of_power_lets_the_job_forget_that_a_request_may_have_been_sent() -> None:
    bench = Bench(once=True)
    bench.store.disk.sync()
    assert bench.assignment.queued.delivery == Delivery.AT_MOST_ONCE
    bench.committer.mark_sent([bench.assignment])
    bench.store.disk.lose_power()
    host_id = bench.assignment.host.id
    (queued,) = MemoryStore(bench.store.disk).queue.next_requests(host_id, None, 9)
    assert queued.delivery == Delivery.MAYBE_SENT


def test_a_request_that_was_not_sent_after_all_may_be_sent_later() -> None:
    bench = Bench(once=True)
    bench.committer.mark_sent([bench.assignment])
    bench.committer.mark_unsent(bench.assignment)
    (queued,) = bench.store.queue.next_requests(bench.assignment.host.id, None, 9)
    assert queued.delivery == Delivery.AT_MOST_ONCE


# Each kind of result


class Crawl:
    """A committer with ``pages`` that are out, at one host."""

    def __init__(self, pages: int = 1, *, max_pages_per_host: int | None = None) -> None:
        store = self.store = MemoryStore()
        scheduler, self.sessions = Scheduler(concurrency=1), SessionRegistry()
        settings = Settings(
            delay=10.0, obey_robots=False, max_pages_per_host=max_pages_per_host, concurrency=100
        )
        self.frontier = Frontier(store, scheduler, settings, self.sessions, logs_in=False)
        self.job = MemoryJob(store)
        self.job.counters.sequence = pages
        with store.transaction():
            self.host_id = store.hosts.add(A).id
            new = [new_request(f"page {number}") for number in range(1, pages + 1)]
            store.queue.add([(self.host_id, each) for each in new], 1)
        self.job.counters.pending = pages
        self.frontier.load(NOW, was_killed=False)
        host = scheduler.hosts[self.host_id]
        self.out = [
            PageAssignment(number, host, (0.0, 0.0), 0.0, queued)
            for number, queued in enumerate(store.queue.next_requests(self.host_id, None, pages))
        ]
        self.committer = Committer(self.job, self.frontier, self.sessions)

    def commit(self, *results: PageResult) -> bytes:
        """Commit a result for each of the pages that are out."""
        for assignment, result in zip(self.out, results, strict=True):
            self.committer.add(assignment, result, NOW)
        return self.committer.commit(NOW)

    @property
    def requests(self) -> list[bytes]:
        return list(self.store.queue.requests())

    def ready(self) -> list[bytes]:
        """Return the requests that the scheduler has, in their order."""
        return [queued.request for queued in sorted(self.out[0].host.heap)]


def encoded(name: str) -> bytes:
    return bytes(new_request(name).request)


def failed(**output: Any) -> Failed:
    return Failed(FailureReport(A, "timeout", "too slow"), Output(**output))


def test_a_page_that_fails_leaves_its_cause_and_what_failed_yields() -> None:
    crawl = Crawl()
    rejected = {"rejected": b"no\n", "rejected_count": 2, "repaired": 3}
    lines = crawl.commit(
        failed(items=b"{}\n", item_count=1, requests=[new_request("more")], **rejected)
    )
    assert lines == b"{}\n"
    assert bytes(crawl.job.rejected_memory.file.content) == b"no\n"
    counters = crawl.job.counters
    assert (counters.done, counters.failed, counters.items) == (0, 1, 1)
    assert (counters.rejected, counters.repaired) == (2, 3)
    (failure,) = crawl.store.failures.latest(9)
    assert failure.report.cause == "timeout"
    assert crawl.requests == [encoded("more")]


def test_the_numbers_of_requests_go_on_and_pending_ones_are_counted() -> None:
    crawl = Crawl(2)
    more = [new_request("a"), new_request("b"), new_request("page 1")]
    crawl.commit(Done(Output(requests=more)), Done(Output(requests=more[:1])))
    counters = crawl.job.counters
    assert (counters.done, counters.pending, counters.sequence) == (2, 2, 4)
    rows = crawl.store.queue.next_requests(crawl.host_id, None, 9)
    assert [(row.id, row.request) for row in rows] == [(3, encoded("a")), (4, encoded("b"))]
    crawl.out = []
    crawl.committer.request_commit(NOW)
    crawl.commit()
    assert (counters.pending, counters.sequence) == (2, 4), "nothing counts again"


@pytest.mark.parametrize(
    ("result", "request_now"),
    [
        (Retry(None, 60.0), encoded("page 1")),
        (Retry(encoded("other"), 60.0), encoded("other")),
        (Starved("no handles", 60.0), encoded("page 1")),
    ],
)
def test_a_page_that_is_tried_again_stays_pending_until_it_is_due(
    result: PageResult, request_now: bytes
) -> None:
    crawl = Crawl()
    crawl.commit(result)
    counters = crawl.job.counters
    assert (counters.retried, counters.pending, counters.done) == (1, 1, 0)
    assert crawl.requests == [request_now]
    assert crawl.store.queue.next_requests(crawl.host_id, None, 9) == []
    due = crawl.store.queue.next_due(crawl.host_id)
    assert due is not None
    assert due == pytest.approx(crawl.job.clock.wall() + 60.0, abs=30.0)
    assert crawl.frontier.next_release_at() == NOW + 60.0


def test_a_short_wait_outlasts_the_run_too() -> None:
    crawl = Crawl()
    crawl.commit(Retry(None, 0.5))
    assert crawl.store.queue.next_due(crawl.host_id) is not None


def test_a_page_that_is_tried_again_at_once_is_due_at_once() -> None:
    crawl = Crawl()
    crawl.commit(Retry(None, 0.0))
    (queued,) = crawl.store.queue.next_requests(crawl.host_id, None, 9)
    assert queued.request == encoded("page 1")


def test_a_denied_page_is_done_without_a_page() -> None:
    crawl = Crawl(2)
    limits = {"deny": 2, "max_depth": 1}
    crawl.commit(Denied(), Done(Output(skipped_by_limit=limits)))
    counters = crawl.job.counters
    assert (counters.done, counters.pending) == (1, 0)
    assert counters.skipped_by_limit == {"deny": 3, "max_depth": 1}


def test_links_that_may_change_something_are_counted_by_shape() -> None:
    crawl = Crawl()
    link = SkippedLink(b"x" * 16, "/logout", "logs out", "logout", f"{A}/logout")
    crawl.commit(Done(Output(skipped_unsafe=[link, link])))
    assert crawl.job.counters.skipped_unsafe == 1
    assert len(crawl.store.skipped.shapes()) == 1


def test_requests_beyond_the_budget_of_their_host_are_counted() -> None:
    crawl = Crawl(max_pages_per_host=2)
    crawl.commit(Done(Output(requests=[new_request(name) for name in "abc"])))
    assert crawl.job.counters.skipped_by_limit == {"max_pages_per_host": 2}
    assert crawl.requests == [encoded("a")]


def test_a_redirect_takes_the_place_of_its_request() -> None:
    crawl = Crawl()
    crawl.frontier.remaining = 5
    crawl.commit(Redirected(new_request("target")))
    counters = crawl.job.counters
    assert (counters.redirected, counters.pending, counters.done) == (1, 1, 0)
    assert crawl.frontier.remaining == 6, "the page that it leads to will count"
    assert crawl.requests == [encoded("target")]
    assert encoded("target") in crawl.ready()


def test_a_redirect_to_a_page_that_was_handled_is_done() -> None:
    crawl = Crawl(2)
    target, anew = new_request("target"), new_request("target")
    anew.dont_filter = True
    with crawl.store.transaction():
        crawl.store.seen.add_final(target, none_open)
    assert crawl.committer.is_known(target)
    assert not crawl.committer.is_known(anew)
    assert not crawl.committer.is_known(new_request("another"))
    crawl.commit(Redirected(target), Redirected(anew))
    counters = crawl.job.counters
    assert (counters.redirected, counters.pending, counters.done) == (1, 1, 1)


def test_two_requests_that_are_redirected_to_one_page_give_its_items_once() -> None:
    crawl = Crawl(2)
    output = Output(items=b"{}\n", item_count=1)
    assert crawl.commit(*[Done(output, new_request("page"))] * 2) == b"{}\n"
    assert (crawl.job.counters.items, crawl.job.counters.done) == (1, 2)


def test_a_redirect_to_another_host_brings_it_into_scope_within_its_budget() -> None:
    crawl = Crawl(2, max_pages_per_host=1)
    first, second = new_request("b1"), new_request("b2")
    first.origin = second.origin = "https://b.example"
    crawl.commit(Redirected(first), Redirected(second))
    batch = TaskBatch([])
    crawl.frontier.sync.add_updates(batch, crawl.out[0].host)
    assert batch.scope == ["b.example"]
    assert crawl.job.counters.skipped_by_limit == {"max_pages_per_host": 1}
    assert (crawl.job.counters.redirected, crawl.job.counters.done) == (1, 1)
    assert crawl.requests == [encoded("b1")]


def test_sessions_and_the_clocks_of_hosts_are_committed_too() -> None:
    crawl = Crawl(2)
    key = crawl.out[0].host.session
    crawl.sessions.apply(SessionChange(key, [Cookie("id", "1", "a.example", "/")], LoginState(5.0)))
    crawl.frontier.delay(crawl.out[0].host, 60.0, NOW)
    crawl.out.pop()
    crawl.commit(Done())
    record = crawl.store.sessions.get(key)
    assert record is not None
    assert [cookie.value for cookie in record.cookies] == ["1"]
    assert crawl.job.counters.logins == 1
    assert crawl.store.hosts.get(crawl.host_id).granted == 60.0


def test_only_results_that_bring_work_hurry_a_commit() -> None:
    crawl = Crawl()
    (page,) = crawl.out
    more = Output(requests=[new_request("more")])
    results: list[tuple[PageResult, bool]] = [
        *((Done(), False), (failed(), False), (Done(more), True), (Retry(None, 0.0), True)),
        *((Redirected(new_request("x")), True), (Starved("", 1.0), True)),
    ]
    for result, brings_work in results:
        committer = Crawl().committer
        committer.add(page, result, NOW)
        assert (committer.has_new_requests, committer.waiting_since) == (brings_work, NOW)
    committer.add(page, Done(), NOW + 1.0)
    assert (committer.has_new_requests, committer.waiting_since) == (True, NOW)


def test_of_many_pages_a_sample_counts_for_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer_module, "ALL", 40)
    monkeypatch.setattr(committer_module, "ONE_OF", 4)
    crawl = Crawl(400)
    for assignment in crawl.out:
        request = msgspec.msgpack.encode(Request(f"{A}/page?n={assignment.id}"))
        assignment.queued = assignment.queued._replace(request=request)
    crawl.commit(*[Done() if number % 2 else failed() for number in range(400)])
    state = crawl.store.meta.get("shapes")
    assert state["pages"] == pytest.approx(400, rel=0.2)
    assert (state["pages"] - 40) % 4 == 0
    assert state["items"] == 0
