"""The lines of the output and the rows of the store come together, or neither comes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from crawler.clock import WallClock
from crawler.engine.committer import Committer
from crawler.errors import SystemResourceError
from crawler.job.job import Job
from crawler.messages import Done, Output
from crawler.records import Delivery, NewRequest
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import PageAssignment
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.session_registry import SessionRegistry
from crawler.settings import Settings
from crawler.stats import Counters
from tests.memory_sink import MemorySink
from tests.memory_store import MemoryStore

NOW = 1000.0
A = "https://a.example"


class MemoryJob(Job):
    """A job whose store and outputs are in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.items = self.memory = MemorySink()
        self.rejected = MemorySink()
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
