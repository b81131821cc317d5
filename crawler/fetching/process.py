"""The fetching process: tasks come from the engine, pages go to workers, outcomes go back.

Everything here runs in the thread of libcurl's loop, which also watches the channels to the engine
and to the workers. So a page needs no thread of its own, and no lock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from crawler.errors import CrawlerError, SystemResourceError
from crawler.fetching.calls import answer_call
from crawler.fetching.fetch import Fetch
from crawler.fetching.fetcher import Fetcher
from crawler.fetching.lanes import Lanes, RequestLimiter
from crawler.fetching.workers import Workers
from crawler.messages import (
    Call,
    Command,
    Examined,
    Failed,
    Outcome,
    Page,
    PageResult,
    PoolFailed,
    Result,
    Retry,
    Returned,
    ReturnTasks,
    Shutdown,
    TaskBatch,
    Verdict,
    WorkerDied,
    decode_command,
    encode,
)
from crawler.records import FailureReport
from crawler.values.plain import message_of
from crawler.worker.channel import Channel

log = logging.getLogger(__name__)

BATCH = 16
"""Outcomes that are sent together while more tasks are under way."""
LINGER = 0.02
"""The longest time, in seconds, that an outcome waits to be sent together with others."""
FROM_REFUSAL = 400
"""Status codes after which a host gets no further request before a worker has seen the page."""


class FetchProcess:
    """Connects the engine, a fetcher and its workers."""

    def __init__(
        self,
        channel: Channel,
        workers: Workers,
        make_fetcher: Callable[[FetchProcess], Fetcher],
        concurrency: int,
    ) -> None:
        """``concurrency`` limits how many requests are under way at the same time."""
        self._concurrency = concurrency
        self._channel = channel
        self._workers = workers
        self._fetcher = make_fetcher(self)
        self._lanes = Lanes()
        self._limiter = RequestLimiter()
        self._fetches: dict[int, Fetch] = {}
        """The fetches that have begun, by the id of their task."""
        self._sent: set[int] = set()
        """Those whose slot is still taken."""
        self._outcomes: list[Outcome] = []
        self._is_flush_due = False
        self._wakes_at = 0.0

    def run(self) -> None:
        """Handle commands until Shutdown, or until the engine has ended."""
        loop = self._fetcher.loop
        loop.call(self._connect)
        loop.join()
        if loop.failure is not None:
            raise loop.failure

    def _connect(self) -> None:
        self._channel.set_blocking(False)
        self._workers.connect(self._fetcher.loop, self)
        self._watch()
        self._send(encode([]))  # this process has started

    # From the engine

    def _watch(self, *, to_write: bool = False) -> None:
        self._fetcher.loop.watch(self._channel.fileno(), self._on_ready, to_write=to_write)

    def _on_ready(self, mask: int) -> None:
        if mask & 2 and self._channel.flush():
            self._watch()
        if not mask & 5:
            return
        try:
            for message in self._channel.read():
                self._obey(decode_command(message))
        except EOFError:
            self._close()

    def _obey(self, command: Command) -> None:
        if isinstance(command, TaskBatch):
            self._fetcher.learn(command)
            if command.scope:
                self._workers.extend_scope(command.scope)
            for host_id in command.forget:
                self._lanes.remove(host_id)
            for host in command.hosts:
                self._lanes.set_limits(host.id, host.slots, host.delay)
            for task in command.tasks:
                if not self._lanes.push(task):
                    self._report(Outcome(task.id, Returned()))
            self._start_tasks()
        elif isinstance(command, ReturnTasks):
            self._return_queued(command.host)
            if command.host is not None:
                self._lanes.reopen(command.host)
        elif isinstance(command, Shutdown):
            self._close()

    def _close(self) -> None:
        for fetch in self._fetches.values():
            fetch.marks.put(None)
        self._workers.close()
        self._fetcher.close()

    # Tasks

    def _start_tasks(self) -> None:
        while self._may_start():
            task = self._lanes.pop(self._fetcher.loop.now)
            if task is None:
                self._wait_for_lanes()
                return
            self._sent.add(task.id)
            self._limiter.begun()
            self._fetcher.begin(task)

    def _may_start(self) -> bool:
        under_way, workers = len(self._sent), self._workers
        if under_way >= self._concurrency or workers.is_full:
            return False
        return self._limiter.may_begin(under_way, workers.waiting)

    def _wait_for_lanes(self) -> None:
        """Start tasks again when the delay of a host is over."""
        at, now = self._lanes.next_at, self._fetcher.loop.now
        if at is not None and not now < self._wakes_at <= at:
            self._wakes_at = at
            self._fetcher.loop.call_later(at - now, self._start_tasks)

    def _return_queued(self, host_id: int | None) -> None:
        """Return the tasks that have not been started to the engine, of one host or of all."""
        for task in self._lanes.take_queued(host_id):
            self._report(Outcome(task.id, Returned()))

    def parse(self, fetch: Fetch, page: Page) -> None:
        """Let a worker handle a page."""
        task = fetch.task
        self._fetches[task.id] = fetch
        if page.problem is None and page.status < FROM_REFUSAL:
            self._free_slot(fetch)
        if secrets := self._fetcher.new_secrets():
            self._workers.mask_secrets(secrets)
        self._workers.submit(task.id, encode(page), isolated=task.isolated)
        self._start_tasks()

    def examine(self, fetch: Fetch, page: Page) -> None:
        """Let a worker look at a page, and keep it until ``judge``."""
        self._fetches[fetch.task.id] = fetch
        if page.status < FROM_REFUSAL:
            self._free_slot(fetch)
        self._workers.submit(fetch.task.id, encode(page), isolated=fetch.task.isolated)

    def judge(self, fetch: Fetch, verdict: Verdict) -> None:
        """Let the worker that keeps a page handle it, or drop it."""
        if not verdict.is_page:
            del self._fetches[fetch.task.id]
        self._workers.judge(verdict)

    def finish(self, fetch: Fetch, result: Result) -> None:
        """Report a result that no worker has to make."""
        self._end(fetch, result, may_be_doubted=not isinstance(result, Retry))

    def _free_slot(self, fetch: Fetch) -> None:
        if fetch.task.id in self._sent:
            self._sent.discard(fetch.task.id)
            self._lanes.finish(fetch.task.host)

    # From workers

    def take_result(self, result: PageResult) -> None:
        """Report the result of a page."""
        fetch = self._fetches.pop(result.id)
        fetch.stats.size = result.size
        fetch.stats.host_wait = result.host_wait
        self._end(fetch, result.result, may_be_doubted=result.may_be_doubted)

    def take_marks(self, examined: Examined) -> None:
        """Hand on the marks of a page to the thread that judges it."""
        self._fetches[examined.id].marks.put(examined.seen)

    def take_lost(self, page_id: int, died: WorkerDied) -> None:
        """Report that a worker died with a page, as soon as no thread judges it."""
        fetch = self._fetches.pop(page_id)
        fetch.lost = died
        if fetch.is_judged:
            self._end(fetch, died, may_be_doubted=False)
        else:
            fetch.marks.put(None)

    def take_failure(self, error: CrawlerError) -> None:
        """Report that no worker can be started."""
        is_lack = isinstance(error, SystemResourceError)
        self._report(Outcome(-1, PoolFailed(str(error), is_lack)))
        self._flush()

    def take_call(self, call: Call, reply: Callable[[bytes], None]) -> None:
        """Make a call of a session for a callback, in a thread."""
        fetch = self._fetches.get(call.id)
        session = self._fetcher.session(call.session)
        loop = self._fetcher.loop

        def work() -> None:
            value, sent_at = answer_call(session, call.call)

            def done() -> None:
                if fetch is not None:  # a delay counts from the last request by its session
                    fetch.stats.started = max(fetch.stats.started, sent_at)
                reply(value)

            loop.call(done)

        self._fetcher.run_call(work)

    # To the engine

    def _end(self, fetch: Fetch, result: Any, *, may_be_doubted: bool) -> None:
        """Report the result of a fetch, with the changes of its session.

        A changed cookie may be sent with an earlier outcome than its own, but never with a later
        one: a crash in between would lose it.
        """
        doubt = None
        if may_be_doubted and fetch.turn is not None:
            doubt = self._fetcher.doubt(fetch)
        outcome = Outcome(fetch.task.id, result, fetch.stats, doubt=doubt)
        outcome.sessions, outcome.proof = self._fetcher.session_changes(fetch)
        if not fetch.stats.started:
            self._lanes.end_delay(fetch.task.host)
        self._free_slot(fetch)
        self._limiter.ended(self._workers.waiting)
        self._report(outcome)  # first, or the engine would send again at once what is returned
        if fetch.stats.host_wait is not None:
            self._lanes.close(fetch.task.host)
            self._return_queued(fetch.task.host)
        self._start_tasks()

    def _report(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        if len(self._outcomes) >= BATCH or not (self._sent or self._fetches):
            self._flush()
        elif not self._is_flush_due:
            self._is_flush_due = True
            self._fetcher.loop.call_later(LINGER, self._flush_late)

    def _flush_late(self) -> None:
        self._is_flush_due = False
        self._flush()

    def _flush(self) -> None:
        if self._outcomes:
            outcomes, self._outcomes = self._outcomes, []
            try:
                message = encode(outcomes)
            except Exception:  # of a value that a spider has put somewhere unchecked
                message = encode(list(map(_sendable, outcomes)))
            self._send(message)

    def _send(self, message: bytes) -> None:
        if not self._channel.write(message):
            self._watch(to_write=True)


def _sendable(outcome: Outcome) -> Outcome:
    """Return ``outcome`` without what cannot be sent to the engine."""
    without_session = replace(outcome, sessions=[])
    for each in (outcome, without_session):
        try:
            encode(each)
        except Exception as error:
            log.error("an outcome, or its session's change, cannot be sent: %s", message_of(error))
        else:
            return each
    message = "the outcome of the request cannot be sent; run.log says why"
    return Outcome(outcome.task, Failed(FailureReport("", "crawler", message)))
