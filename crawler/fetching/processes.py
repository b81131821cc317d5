"""The main functions of the fetching process and of its workers, and what they are made from."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from crawler.fetching.fetch import FetchClient
from crawler.fetching.fetcher import Fetcher
from crawler.fetching.process import FetchProcess
from crawler.fetching.workers import NO_HANDLES, Workers
from crawler.gc_tuning import configure_fetching
from crawler.job.spider_loader import SpiderSource
from crawler.output.log import log_to
from crawler.scope import NetlocSet, Scope
from crawler.session.accounts import Account
from crawler.session.masking import Mask
from crawler.settings import Settings
from crawler.system_errors import out_of_handles, raise_handle_limit
from crawler.tracebacks import whole_traceback_of
from crawler.worker.channel import Channel
from crawler.worker.process import WorkerLoop, configure_process, end_with_parent, ignore_signals
from crawler.worker.remote_session import CallRemote, RemoteSessions
from crawler.worker.worker import Worker

SPARE_HANDLES = 256
"""Handles of the fetching process besides those of its connections."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """All that a fetching process and its workers are made from, in any process."""

    source: SpiderSource
    arguments: dict[str, str]
    settings: Settings
    domains: tuple[str, ...] | None
    """``allowed_domains`` of the spider; None if there are only netlocs."""
    netlocs: NetlocSet
    """The hosts in scope besides; it grows while the job runs."""
    log: str | None
    accounts: tuple[Account, ...]
    pages: Path | None
    """The folder for pages that the user should look at."""
    mask: Mask

    def scope(self) -> Scope:
        """Return the scope of the job as it is now."""
        scope = Scope.of_domains(self.domains or ())
        scope.add_netlocs(self.netlocs)
        return scope

    def copy(self) -> ProcessSpec:
        """Return the same with ``netlocs`` of its own."""
        return replace(self, netlocs=self.netlocs.copy())

    def worker(self, call: CallRemote) -> Worker:
        """Make a worker with a spider of its own; callbacks make calls of sessions by ``call``."""
        sessions = RemoteSessions(self.accounts, self.mask, call)
        return Worker(
            self.source.make(self.arguments),
            self.settings,
            self.scope(),
            mask=self.mask,
            accounts=sessions.accounts.keys(),
            session_of=sessions.of,
        )

    def fetcher(self, client: FetchClient) -> Fetcher:
        """Make a fetcher with a spider of its own."""
        return Fetcher(
            self.source.make(self.arguments),
            self.settings,
            self.scope(),
            client,
            settled=self.domains is not None,
            pages=self.pages,
            mask=self.mask,
            accounts=self.accounts,
        )


def run_fetching(channel: Channel, spec: ProcessSpec) -> None:
    """Run a fetching process, from start to end, with its workers."""
    with _log_of(spec):
        ignore_signals()
        raise_handle_limit(spec.settings.most_requests + SPARE_HANDLES)
        workers = Workers(
            run_worker,
            spec,
            spec.settings.worker_count,
            max_memory=spec.settings.worker_max_memory,
        )
        workers.start("fork" if may_fork() else "spawn", [channel])
        configure_fetching()
        FetchProcess(channel, workers, spec.fetcher, spec.settings.most_requests).run()
    os._exit(0)  # nothing here is worth waiting for, least of all a thread within a slow login


def run_worker(channel: Channel, spec: ProcessSpec, ends: list[Channel]) -> None:
    """Run a worker process, from start to end. ``ends`` are copies of others' channels."""
    for end in ends:
        end.close()
    end_with_parent()
    with _log_of(spec):
        loop = WorkerLoop(channel)
        worker = spec.worker(loop.call)
        configure_process()
        worker.callbacks.watch(spec.log, may_exit=True)
        loop.run(worker)
    os._exit(0)


def run_in_threads(channel: Channel, spec: ProcessSpec) -> None:
    """Fetch and parse in threads of this process, until the other end of ``channel`` closes."""
    workers = Workers(_run_worker_thread, spec.copy(), 0)
    workers.start("thread", [])
    try:
        FetchProcess(channel, workers, spec.fetcher, spec.settings.most_requests).run()
    except BaseException as error:  # the engine hears of the end by its channel
        log.error("fetching ended with an error\n%s", whole_traceback_of(error, spec.mask))
    finally:
        workers.close()
        channel.close()


def _run_worker_thread(channel: Channel, spec: ProcessSpec, *_: object) -> None:
    loop = WorkerLoop(channel)
    worker = spec.worker(loop.call)
    worker.callbacks.watch(None, may_exit=False)
    try:
        loop.run(worker)
    finally:
        worker.callbacks.close()
        channel.close()


def may_fork() -> bool:
    """Return True on Linux, with a single thread, those of C libraries included."""
    return sys.platform == "linux" and len(list(Path("/proc/self/task").iterdir())) == 1


@contextlib.contextmanager
def _log_of(spec: ProcessSpec) -> Iterator[None]:
    """Log what goes wrong, masked, instead of printing it."""
    logging.getLogger("crawler").handlers.clear()  # of the process that this one is forked from
    logging_to = log_to(spec.log, spec.mask, must_write=False) if spec.log else nullcontext()
    with logging_to:
        try:
            yield
        except BaseException as error:
            log.error("the process ended with an error\n%s", whole_traceback_of(error, spec.mask))
            os._exit(NO_HANDLES if out_of_handles(error) else 1)
