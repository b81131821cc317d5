"""Run one job on one machine: start fetching, dispatch requests, handle outcomes, commit, stop.

``Engine.steps`` is the loop. Everything that changes the job happens here, in one thread of one
process; the others only ever see single requests.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Generator

import msgspec

from crawler.engine.committer import Committer
from crawler.engine.dispatcher import Dispatcher
from crawler.engine.fetcher_pool import FetcherPool, LocalFetcherPool
from crawler.engine.outcomes import OutcomeHandler
from crawler.engine.prefork import PreforkPool
from crawler.engine.seeding import Seeder, netlocs_in_scope, process_spec, reassign_accounts
from crawler.engine.signals import StopSignal
from crawler.errors import SpiderError
from crawler.gc_tuning import reduced_gc
from crawler.job.config import RunConfig
from crawler.job.job import Job
from crawler.job.seeds import BadSeed
from crawler.output.log import log_to
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.session_registry import SessionRegistry
from crawler.stats import Snapshot, Summary
from crawler.tracebacks import traceback_of
from crawler.values.plain import message_of

log = logging.getLogger(__name__)

WATCH_EVERY = 0.1
"""Seconds between two snapshots."""
LONGEST_WAIT = 0.5
"""Seconds after which the loop makes a turn even if nothing has happened."""


def run(
    config: RunConfig,
    *,
    watch: Callable[[Snapshot], None] | None = None,
    stop: StopSignal | None = None,
    report_seed: Callable[[BadSeed], None] | None = None,
    prefork: PreforkPool | None = None,
) -> Summary:
    """Run a job until it is finished or stopped. Raises CrawlerError."""
    with Job(config) as job, log_to(job.log, config.mask), reduced_gc():
        try:
            engine = Engine(job, stop=stop, report_seed=report_seed, prefork=prefork)
            watched_at = -math.inf
            for _ in engine.steps():
                if watch is not None and time.monotonic() >= watched_at + WATCH_EVERY:
                    watched_at = time.monotonic()
                    watch(engine.snapshot())
            return engine.summary()
        except Exception:
            log.exception("the run ended with an error")
            raise


class Engine:
    """One run of a job, made of five parts.

    The *sessions* have the cookies and logins of each site. The *frontier* has all requests and
    chooses the next. The *dispatcher* sends them to the fetching process. The *outcome handler*
    takes the outcomes. The *committer* makes them durable.
    """

    def __init__(
        self,
        job: Job,
        *,
        stop: StopSignal | None = None,
        report_seed: Callable[[BadSeed], None] | None = None,
        prefork: PreforkPool | None = None,
        pool: FetcherPool | None = None,
    ) -> None:
        config, settings = job.config, job.config.settings
        self._job = job
        self._settings = settings
        self._spider = config.spider
        if settings.worker_count:
            config.source.check_importable()
        self._pool = pool or LocalFetcherPool(settings.worker_count, prefork)
        self._sessions = SessionRegistry(job.clock.wall)
        self._frontier = Frontier(
            job.store,
            Scheduler(concurrency=settings.most_requests),
            settings,
            self._sessions,
            logs_in=self._spider.logs_in(),
            accounts=config.accounts,
            wall=job.clock.wall,
        )
        self._committer = Committer(job, self._frontier, self._sessions)
        self._dispatcher = Dispatcher(self._pool, self._frontier, self._committer)
        self._outcomes = OutcomeHandler(
            job, self._frontier, self._sessions, self._committer, self._dispatcher
        )
        self._seeder = Seeder(job, self._spider, self._frontier, report_seed or (lambda _: None))
        self._has_fetcher = False
        self._began = time.monotonic()
        self._seconds_before = job.counters.seconds
        self._done_before = job.counters.done
        self._was_finished = job.counters.finished
        self._stopped_at: float | None = None
        self._stop_is_own = stop is None
        self._stop = stop or StopSignal()  # last, for it must be closed

    # The loop

    def steps(self) -> Generator[bytes, None, None]:
        """Run; yield at each turn of the loop the lines of output that it has written, or none."""
        try:
            self._open()
            while not self._is_over():
                now = time.monotonic()
                if self._outcomes.unproven.hosts and not self._stop.level:
                    is_idle = not (self._frontier.in_flight or self._frontier.has_queued)
                    self._outcomes.unproven.request_probes(now, is_idle=is_idle)
                if not self._stop.level:
                    self._dispatcher.dispatch(self._frontier.take_ready(now))
                for outcome in self._dispatcher.receive(self._wait(now), self._stop.waker):
                    self._outcomes.handle(outcome, time.monotonic())
                yield self._commit_if_due(time.monotonic())
                self._recall_if_stopped()
            yield self._committer.commit(time.monotonic())
        finally:
            if self._has_fetcher:
                self._pool.stop()
            if self._stop_is_own:
                self._stop.close()
        self._finish()

    def _open(self) -> None:
        self._job.begin()
        with self._stop.user_code():
            self._seeder.add_seeds()
        for message in reassign_accounts(self._job, self._spider):
            self._outcomes.add_login_error(message)
        counters, limit = self._job.counters, self._settings.max_pages
        if limit is not None:
            self._frontier.remaining = max(0, limit - counters.done - counters.failed)
        counters.finished, counters.reason = False, ""
        self._frontier.load(time.monotonic(), was_killed=self._job.was_killed)
        if self._frontier.has_work:
            self._has_fetcher = True
            netlocs = netlocs_in_scope(self._job, self._spider)
            self._frontier.sync.netlocs = netlocs
            self._pool.start(process_spec(self._job, self._spider, netlocs))

    def _is_over(self) -> bool:
        if self._stop.level >= 2 or not self._has_fetcher:
            return True
        is_stopping = self._stop.level > 0
        if self._committer.waiting_since is None and self._frontier.is_exhausted(
            stopping=is_stopping
        ):
            return is_stopping or not self._outcomes.unproven.hosts
        return self._has_stopped_too_long()

    def _wait(self, now: float) -> float:
        """Return the seconds until the next turn of the loop if no outcome comes."""
        times = [now + LONGEST_WAIT]
        if not self._stop.level and (at := self._frontier.next_at()) is not None:
            times.append(at)
        if self._outcomes.unproven.hosts:
            times.append(self._outcomes.unproven.next_at())
        if self._committer.waiting_since is not None:
            times.append(self._committer.waiting_since + self._settings.commit_interval)
        return max(0.0, min(times) - now)

    def _commit_if_due(self, now: float) -> bytes:
        """Commit if the interval is over, or if only a commit can bring more work or the end."""
        since = self._committer.waiting_since
        if since is None:
            return b""
        is_idle = self._committer.has_new_requests or not self._frontier.in_flight
        if now >= since + self._settings.commit_interval or (
            is_idle and not self._frontier.has_queued
        ):
            self._job.counters.seconds = self._seconds_before + now - self._began
            lines = self._committer.commit(now)
            self._frontier.evict_idle_hosts(now)
            return lines
        return b""

    # Stopping

    def _recall_if_stopped(self) -> None:
        if self._stop.level and self._stopped_at is None:
            self._stopped_at = time.monotonic()
            with contextlib.suppress(OSError):
                self._stop.waker.recv(64)
            self._dispatcher.recall()

    def _has_stopped_too_long(self) -> bool:
        since = self._stopped_at
        return since is not None and time.monotonic() > since + self._settings.stop_timeout

    def _finish(self) -> None:
        counters = self._job.counters
        counters.seconds = self._seconds_before + time.monotonic() - self._began
        counters.in_flight = 0
        counters.reason = self._reason()
        counters.finished = counters.reason in {"finished", "max_pages"}
        self._committer.end()
        self._job.end()
        self._call_closed()

    def _call_closed(self) -> None:
        """Call the spider's ``closed``. Raises SpiderError if it fails; the run is over by then."""
        try:
            with self._stop.user_code():
                self._spider.closed(msgspec.to_builtins(self._job.counters))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # it may end by sys.exit()
            log.error("closed() failed\n%s", traceback_of(error, self._job.config.mask))
            raise SpiderError(
                f"{type(self._spider).__name__}.closed() failed: {type(error).__name__}: "
                f"{message_of(error)}; the run itself has ended, and all that it did is kept"
            ) from error

    def _reason(self) -> str:
        """Return why the run has ended, in a word."""
        if self._outcomes.login_errors:
            return "login"
        if self._job.counters.pending == 0:
            return "finished"
        if self._frontier.remaining == 0:
            return "max_pages"
        if self._frontier.unreachable.description and not self._stop.level:
            return "unreachable" if self._frontier.unreachable.no_answer else "robots"
        return "stopped"

    # Reports

    def snapshot(self) -> Snapshot:
        """Return the state of the run at this moment."""
        return Snapshot(
            spider=self._job.name,
            counters=self._job.counters,
            hosts=self._frontier.busy_hosts,
            in_flight=self._frontier.in_flight,
            stopping=self._stop.level > 0,
            done_before=self._done_before,
            waits_for=self._frontier.unreachable.description,
            no_answer=self._frontier.unreachable.no_answer,
        )

    def summary(self) -> Summary:
        """Return how the run ended, once ``steps`` is exhausted."""
        failures = self._job.store.failures
        return Summary(
            spider=self._job.name,
            counters=self._job.counters,
            output=self._job.output,
            rejected=self._job.rejected_output,
            log=self._job.log,
            failures=failures.by_cause(),
            skipped=self._job.store.skipped.shapes(),
            login_errors=self._outcomes.login_errors,
            bad_seeds=self._seeder.bad,
            new_seeds=self._seeder.new,
            already_finished=self._was_finished and not self._has_fetcher,
            last_failure="".join(failed.report.message for failed in failures.latest(1)),
            waits_for=self._frontier.unreachable.description,
        )
