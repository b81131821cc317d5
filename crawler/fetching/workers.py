"""The workers as the fetching process has them: pages go out, results come back.

Each worker has a few pages ahead; the others wait here. A worker that dies, or grows too large, is
replaced, and the pages that it had are reported.
"""

from __future__ import annotations

import contextlib
import logging
import math
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from crawler.errors import CrawlerError
from crawler.http.curl.loop import Loop
from crawler.messages import (
    Call,
    CallResult,
    EndWorker,
    Examined,
    NewSecrets,
    PageResult,
    Ready,
    ScopeUpdate,
    Verdict,
    WorkerDied,
    decode_page_reply,
    encode,
)
from crawler.system_errors import too_many_open_files
from crawler.worker.callback_timer import HUNG
from crawler.worker.channel import Channel
from crawler.worker.process import signals_blocked

log = logging.getLogger(__name__)

MOST_AHEAD = 12
"""Pages that a worker has at the most, the one that it handles included."""
LEAST_AHEAD = 2
"""The same for a worker that takes long for its pages: another may be free sooner."""
SECONDS_AHEAD = 0.02
"""Work that a worker has ahead, in seconds, by the time that it took for its last pages."""
AHEAD_BYTES = 4_000_000
"""Bytes of pages from which a worker gets no further one ahead."""
MOST_WAITING = 4_000
"""Pages that wait for a worker, from which on no request is sent."""
WAITING_BYTES = 64_000_000
"""The same for their bytes."""
NO_HANDLES = 71
"""Exit status of a worker that could not open a file that it needs; EX_OSERR of sysexits.h."""
MOST_EARLY_DEATHS = 3
"""Workers in a row, for each of them, that may die before they have done anything."""
LONGEST_END = 0.5
"""Seconds that a worker has for its end, and several workers together."""
CHECK_EVERY = 1.0
"""Seconds between two looks at the workers' memory."""
LEAST_WORK = 20
"""A new worker handles at least this many pages before it may be replaced; otherwise a spider
that needs much memory from the start would only cause restarts."""
_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class WorkersClient(Protocol):
    """Takes what comes from workers."""

    def take_result(self, result: PageResult) -> None:
        """Take the result of a page."""

    def take_marks(self, examined: Examined) -> None:
        """Take the marks of a page, which waits for its verdict."""

    def take_lost(self, page_id: int, died: WorkerDied) -> None:
        """Take back a page whose worker died."""

    def take_call(self, call: Call, reply: Callable[[bytes], None]) -> None:
        """Make a call of a session for a callback, and ``reply`` from the loop's thread."""

    def take_failure(self, error: CrawlerError) -> None:
        """Take the reason why no worker can be started any more."""


class _Page(NamedTuple):
    id: int
    message: bytes
    isolated: bool


@dataclass(eq=False)
class _Worker:
    number: int
    channel: Channel
    process: Any
    """None for a thread of this process."""
    pages: dict[int, int] = field(default_factory=dict)
    """The sizes in bytes of the pages that it has to handle, by id."""
    held: set[int] = field(default_factory=set)
    """Pages that it has looked at, and keeps until their verdict."""
    ahead: int = field(default_factory=lambda: LEAST_AHEAD)
    """Pages that it may have at present."""
    seconds: float = 0.01
    """The usual time for a page."""
    busy_since: float = 0.0
    """When it began with the first of its pages, or sent its last result; monotonic clock."""
    handled: int = 0
    has_come_up: bool = False
    is_isolated: bool = False
    """It has a page that must be alone, or is kept free for one."""
    is_leaving: bool = False

    @property
    def has_room(self) -> bool:
        """True if it may have one more page.

        The verdict on a page that it holds may depend on other pages. So it goes on to get pages
        even if it is about to leave.
        """
        return (
            not (self.is_isolated or (self.is_leaving and not self.held))
            and len(self.pages) < self.ahead
            and sum(self.pages.values()) < AHEAD_BYTES
        )

    def note_result(self, now: float) -> None:
        """Take the time of a page for that of the next ones.

        Results that come together seem to take no time but the first, so this forgets slowly.
        """
        seconds, self.busy_since = now - self.busy_since, now
        self.seconds += 0.2 * (seconds - self.seconds)
        ahead = SECONDS_AHEAD / max(self.seconds, 1e-6)
        self.ahead = min(MOST_AHEAD, LEAST_AHEAD + int(ahead))


WorkerMain = Callable[..., None]
"""Runs a worker: ``main(channel, spec, ends)``."""


class Workers:
    """The workers of one fetching process. All methods but ``start`` run in the loop's thread."""

    def __init__(
        self,
        main: WorkerMain,
        spec: Any,
        count: int,
        *,
        max_memory: int | None = None,
    ) -> None:
        """``count`` is 0 for one worker in a thread; ``max_memory`` is in bytes."""
        self._main = main
        self._spec = spec
        self._in_thread = count == 0
        self._count = count or 1
        self._max_memory = max_memory
        self._workers: list[_Worker] = []
        self._waiting: deque[_Page] = deque()
        self._isolated: deque[_Page] = deque()
        self._waiting_bytes = 0
        self._secrets: list[str] = []
        self._early_deaths = 0
        self._client: WorkersClient
        self._loop: Loop

    def start(self, context: str, ends: list[Channel]) -> None:
        """Start all workers, by ``context`` fork or spawn.

        ``ends`` are channels of this process; a forked worker closes its copies.
        """
        for number in range(self._count):
            others = [*ends, *(worker.channel for worker in self._workers)]
            self._workers.append(self._start(number, context, others if context == "fork" else []))

    def connect(self, loop: Loop, client: WorkersClient) -> None:
        """Begin to hand pages out; ``client`` takes what comes back."""
        self._loop, self._client = loop, client
        for worker in self._workers:
            self._watch(worker)
        if self._max_memory is not None:
            loop.call_later(CHECK_EVERY, self._check_memory)

    @property
    def waiting(self) -> int:
        """The number of pages that no worker has yet."""
        return len(self._waiting) + len(self._isolated)

    @property
    def is_full(self) -> bool:
        """True if so many pages wait that no further one should be fetched."""
        return self.waiting >= MOST_WAITING or self._waiting_bytes >= WAITING_BYTES

    def submit(self, page_id: int, message: bytes, *, isolated: bool = False) -> None:
        """Give a page to a worker, now or later; an ``isolated`` one is the only one it has."""
        page = _Page(page_id, message, isolated)
        if isolated:
            self._isolated.append(page)
        else:
            self._waiting.append(page)
        self._waiting_bytes += len(message)
        self._hand_out()

    def judge(self, verdict: Verdict) -> None:
        """Let the worker that holds a page handle it, or drop it."""
        for worker in self._workers:
            if verdict.id in worker.held:
                worker.held.discard(verdict.id)
                if verdict.is_page:
                    worker.pages[verdict.id] = 0
                self._send(worker, encode(verdict))
                self._end_isolation(worker)
                self._recycle_if_done(worker)
        self._hand_out()

    def extend_scope(self, netlocs: list[str]) -> None:
        """Allow hosts that have come into scope, before any page that is submitted later."""
        for netloc in netlocs:
            self._spec.netlocs.add(netloc)  # for workers that are started later
        for worker in self._workers:
            self._send(worker, encode(ScopeUpdate(netlocs)))

    def mask_secrets(self, texts: list[str]) -> None:
        """Let workers mask further texts, before any page that is submitted later."""
        self._secrets += texts
        for worker in self._workers:
            self._send(worker, encode(NewSecrets(texts)))

    def close(self) -> None:
        """End all workers, in the middle of a page if need be."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.channel.write(encode(EndWorker()))
        for worker in workers:
            worker.channel.close()
        deadline = time.monotonic() + LONGEST_END
        for worker in workers:
            self._end(worker, deadline - time.monotonic())

    # Pages

    def _hand_out(self) -> None:
        if self._isolated:
            self._hand_out_isolated()
        while self._waiting and self._workers:
            worker = min(self._workers, key=lambda worker: len(worker.pages) + _closed(worker))
            if not worker.has_room:
                break
            self._give(worker, self._waiting.popleft())

    def _hand_out_isolated(self) -> None:
        worker = min(self._workers, key=lambda worker: (not worker.is_isolated, len(worker.pages)))
        if worker.is_leaving or worker.held:  # the verdict on what it holds may need other pages
            return
        worker.is_isolated = True  # it gets no other page until it has none
        if not worker.pages:
            self._give(worker, self._isolated.popleft())

    def _give(self, worker: _Worker, page: _Page) -> None:
        size = len(page.message)
        self._waiting_bytes -= size
        if not worker.pages:
            worker.busy_since = self._loop.now
        worker.pages[page.id] = size
        self._send(worker, page.message)

    def _send(self, worker: _Worker, message: bytes) -> None:
        if not worker.channel.write(message):
            self._watch(worker, to_write=True)

    def _watch(self, worker: _Worker, *, to_write: bool = False) -> None:
        worker.channel.set_blocking(False)
        self._loop.watch(
            worker.channel.fileno(),
            lambda mask: self._on_ready(worker, mask),
            to_write=to_write,
        )

    def _on_ready(self, worker: _Worker, mask: int) -> None:
        if worker not in self._workers:  # closed in the same turn of the loop
            return
        if mask & 2 and worker.channel.flush():
            self._watch(worker)
        if not mask & 5:
            return
        try:
            messages = worker.channel.read()
        except EOFError:
            self._replace_dead(worker)
            return
        for message in messages:
            reply = decode_page_reply(message)
            if isinstance(reply, PageResult):
                self._finish(worker, reply)
            elif isinstance(reply, Ready):
                worker.has_come_up = True
            elif isinstance(reply, Examined):
                worker.held.add(reply.id)
                worker.pages.pop(reply.id, None)
                self._client.take_marks(reply)
            else:
                self._client.take_call(reply, lambda value: self._reply(worker, value))
        self._hand_out()

    def _reply(self, worker: _Worker, value: bytes) -> None:
        if worker in self._workers:
            self._send(worker, encode(CallResult(value)))

    def _finish(self, worker: _Worker, result: PageResult) -> None:
        worker.handled += 1
        worker.note_result(self._loop.now)
        self._early_deaths = 0
        worker.pages.pop(result.id, None)
        self._end_isolation(worker)
        self._recycle_if_done(worker)
        self._client.take_result(result)

    def _end_isolation(self, worker: _Worker) -> None:
        if worker.is_isolated and not (worker.pages or worker.held or self._isolated):
            worker.is_isolated = False

    # Life and death

    def _start(self, number: int, context: str, ends: list[Channel]) -> _Worker:
        ours, theirs = Channel.pair()
        if self._in_thread:
            threading.Thread(
                target=self._main, args=(theirs, self._spec, []), name="worker", daemon=True
            ).start()
            return _Worker(number, ours, None)
        ends = [*ends, ours] if context == "fork" else []
        process = multiprocessing.get_context(context).Process(  # type: ignore[attr-defined]
            target=self._main,
            args=(theirs, self._spec, ends),
            name=f"worker-{number + 1}",
            daemon=True,
        )
        with signals_blocked():
            process.start()
        theirs.close()
        return _Worker(number, ours, process)

    def _replace_dead(self, worker: _Worker) -> None:
        self._loop.unwatch(worker.channel.fileno())
        worker.channel.close()
        self._end(worker)
        code = None if worker.process is None else worker.process.exitcode
        log.error(
            "worker %d died (exit code %s) with %d pages",
            *(worker.number + 1, code, len(worker.pages) + len(worker.held)),
        )
        if not (worker.is_isolated and worker.has_come_up) and code != HUNG:
            self._early_deaths += 1
        if (failure := self._failure(code)) is not None:
            self._client.take_failure(failure)
            return
        self._restart(worker)
        for page_id in worker.pages:
            self._client.take_lost(page_id, WorkerDied(code))
        for page_id in worker.held:
            self._client.take_lost(page_id, WorkerDied(code, was_at_work=False))

    def _failure(self, code: int | None) -> CrawlerError | None:
        if code == NO_HANDLES:
            return too_many_open_files()
        if self._early_deaths > MOST_EARLY_DEATHS * self._count:
            return CrawlerError(
                "the worker processes die before they have handled a page "
                f"(last exit code {code}); run.log may say why"
            )
        return None

    def _restart(self, worker: _Worker) -> None:
        successor = self._start(worker.number, "spawn", [])
        self._workers[worker.number] = successor
        self._watch(successor)
        if self._secrets:
            self._send(successor, encode(NewSecrets(self._secrets)))
        self._hand_out()

    def _end(self, worker: _Worker, seconds: float = LONGEST_END) -> None:
        if worker.process is not None:
            worker.process.join(max(0.0, seconds))
            worker.process.kill()
            worker.process.join()

    # Memory

    def _check_memory(self) -> None:
        """Replace a worker that uses too much memory, once it has finished its pages."""
        self._loop.call_later(CHECK_EVERY, self._check_memory)
        if any(worker.is_leaving for worker in self._workers):
            return
        for worker in self._workers:
            if not worker.is_isolated and self._is_too_large(worker):
                worker.is_leaving = True
                self._recycle_if_done(worker)
                break

    def _is_too_large(self, worker: _Worker) -> bool:
        assert self._max_memory is not None
        used = _memory(worker.process)
        if used <= self._max_memory or worker.handled < LEAST_WORK:
            return False
        log.warning(
            "worker %d uses %s MB of memory, more than worker_max_memory, %s MB: "
            "it finishes its pages and is replaced",
            *(worker.number + 1, f"{used / 1e6:,.0f}", f"{self._max_memory / 1e6:,.0f}"),
        )
        return True

    def _recycle_if_done(self, worker: _Worker) -> None:
        if worker.is_leaving and not (worker.pages or worker.held):
            self._recycle(worker)

    def _recycle(self, worker: _Worker) -> None:
        self._send(worker, encode(EndWorker()))
        self._loop.unwatch(worker.channel.fileno())
        worker.channel.close()
        self._end(worker)
        self._restart(worker)


def _closed(worker: _Worker) -> float:
    return 0 if worker.has_room else math.inf


def _memory(process: Any) -> int:
    """Return the bytes of memory that a process uses; 0 if the system has no such figure."""
    with contextlib.suppress(OSError, IndexError, AttributeError):
        pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
        return int(pages) * _PAGE_SIZE
    return 0
