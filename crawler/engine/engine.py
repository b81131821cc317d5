"""One job on one machine: open it, start the workers, feed them, commit, stop.

``Engine.steps`` is the loop. Everything that changes the job happens here, in one thread of one
process; workers only ever see single requests.
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
from crawler.engine.log import log_to
from crawler.engine.outcomes import OutcomeHandler
from crawler.engine.prefork import PreforkPool
from crawler.engine.seeding import Seeder
from crawler.engine.signals import StopSignal
from crawler.engine.supervision import CrashTracker, WorkerRecycler
from crawler.engine.worker_pool import WorkerPool
from crawler.gc_tuning import reduced_gc
from crawler.job.config import RunConfig
from crawler.job.job import Job
from crawler.job.seeds import BadSeed
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.robots_retry import UnreachableRobots
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.worker_sync import WorkerSync
from crawler.spider import Spider
from crawler.stats import Snapshot, Summary

log = logging.getLogger(__name__)

WATCH_EVERY = 0.1
"""Seconds between two snapshots, which look at every host."""
LONGEST_WAIT = 0.5
"""Seconds after which the loop looks around even if nothing has happened."""


def run(
    plan: RunConfig,
    *,
    watch: Callable[[Snapshot], None] | None = None,
    stop: StopSignal | None = None,
    report_seed: Callable[[BadSeed], None] | None = None,
    spares: PreforkPool | None = None,
) -> Summary:
    """Run a job until it is finished or stopped. Raises CrawlerError."""
    spider = plan.source.load()
    with Job(plan, spider.name) as job, log_to(job.log, plan.mask), reduced_gc():
        try:
            current = Engine(job, spider, stop, report_seed, spares)
            seen = -math.inf
            for _ in current.steps():
                if watch is not None and time.monotonic() >= seen + WATCH_EVERY:
                    seen = time.monotonic()
                    watch(current.snapshot())
            return current.summary()
        except Exception:
            log.exception("the run ended with an error")
            raise


class Engine:
    """The state of one run, and its loop."""

    def __init__(
        self,
        job: Job,
        spider: type[Spider],
        stop: StopSignal | None = None,
        report_seed: Callable[[BadSeed], None] | None = None,
        spares: PreforkPool | None = None,
    ) -> None:
        plan = job.plan
        self._job = job
        self._settings = plan.settings
        self._spider = plan.source.make(plan.arguments)
        workers = plan.settings.worker_count
        if workers:
            plan.source.check_importable()
        threads = math.ceil(plan.settings.concurrency / max(1, workers))
        self._scheduler = Scheduler(workers=workers or 1, threads=threads)
        self._news = WorkerSync(workers or 1)
        self._patience = UnreachableRobots(plan.settings.retries, plan.settings.robots_wait)
        self._frontier = Frontier(
            job.store,
            self._scheduler,
            plan.settings,
            self._news,
            logs_in=spider.logs_in(),
            accounts=plan.accounts,
            wall=job.clock.wall,
            patience=self._patience,
        )
        self._committer = Committer(job, self._frontier, self._scheduler, self._news)
        self._intake = OutcomeHandler(
            job, self._scheduler, self._frontier, self._news, self._committer, self._patience
        )
        self._feeder = Dispatcher(
            self._scheduler, self._frontier, self._news, self._committer, self._patience
        )
        self._opening = Seeder(
            job, self._spider, self._frontier, report_seed or (lambda seed: None)
        )
        self._threads = threads
        self._spares = spares
        self._team: WorkerPool | None = None
        self._crashes = CrashTracker(self._scheduler, self._committer)
        self._turnover = WorkerRecycler(
            plan.settings.worker_max_memory, self._scheduler, self._news
        )
        self._began = time.monotonic()
        self._seconds_before = job.counters.seconds
        self._done_before = job.counters.done
        self._was_finished = job.counters.finished
        self._stopped_at: float | None = None
        self._stop_is_own = stop is None
        self._stop = stop or StopSignal()  # last, for it must be closed

    # The loop

    def steps(self) -> Generator[bytes, None, None]:
        """Run; yields at each turn of the loop, with the lines that it has written, or none."""
        try:
            self._open()
            while not self._is_over():
                now = time.monotonic()
                self._frontier.release_due(now)
                if not self._stop.level:
                    self._feeder.dispatch(self._workers, now)
                self._listen(now)
                self._turnover.check_memory(self._workers, time.monotonic())
                yield self._commit_if_due(time.monotonic())
                self._obey_stop()
            yield self._committer.commit(time.monotonic())
        finally:
            if self._team is not None:
                self._team.stop()
            if self._stop_is_own:
                self._stop.close()
        self._finish()

    def _open(self) -> None:
        self._job.begin()
        with self._stop.user_code():
            self._opening.add_seeds()
        for message in self._opening.retire_accounts():
            self._intake.note_login_error(message)
        limit = self._settings.max_pages
        counters = self._job.counters
        if limit is not None:
            self._scheduler.remaining = max(0, limit - counters.done - counters.failed)
        counters.finished, counters.reason = False, ""
        self._frontier.load(time.monotonic(), was_killed=self._job.was_killed)
        if self._has_work():
            self._team = self.make_workers()
            self._team.start()

    def make_workers(self) -> WorkerPool:
        """The workers, not started yet."""
        assembly = self._opening.assembly(self._threads)
        return WorkerPool(assembly, self._settings.worker_count, self._spares)

    def _is_over(self) -> bool:
        if self._stop.level >= 2 or self._team is None:
            return True
        if self._scheduler.in_flight or self._committer.waiting_since is not None:
            return self._has_stopped_too_long()
        return bool(self._stop.level) or self._scheduler.remaining == 0 or not self._has_work()

    @property
    def _workers(self) -> WorkerPool:
        assert self._team is not None, "the loop only turns when there is work and so a team"
        return self._team

    def _has_work(self) -> bool:
        """True while a request is out, or may still go out before anybody loses patience."""
        if self._scheduler.quarantined or self._frontier.is_loading:
            return True
        return any(
            not (host.is_idle or host.suspended or self._patience.has_given_up(host.id))
            for host in self._scheduler.hosts
        )

    def _listen(self, now: float) -> None:
        """Wait for outcomes, a host's turn, a commit that is due, or a stop."""
        team = self._workers
        heard, died = team.receive(self._wait(now), also=self._stop.waker)
        now = time.monotonic()
        for worker, outcomes in heard:
            for outcome in outcomes:
                self._intake.handle(team, worker, outcome, now)
        for worker in died:
            self._replace_dead_worker(worker, now)

    def _wait(self, now: float) -> float:
        """Seconds until something is to be done even if nothing is heard."""
        times = [now + LONGEST_WAIT]
        if not self._stop.level:
            times += [t for t in (self._scheduler.next_at(), self._frontier.next_release_at()) if t]
        if self._committer.waiting_since is not None:
            times.append(self._committer.waiting_since + self._settings.commit_interval)
        return max(0.0, min(times) - now)

    def _commit_if_due(self, now: float) -> bytes:
        """Commit often enough, and at once when only a commit can bring more work, or the end."""
        since = self._committer.waiting_since
        if since is None:
            return b""
        idle = self._committer.has_new_requests or not self._scheduler.in_flight
        if now >= since + self._settings.commit_interval or (
            idle and not self._scheduler.has_queued
        ):
            self._job.counters.seconds = self._seconds_before + now - self._began
            lines = self._committer.commit(now)
            self._frontier.evict_idle_hosts(now)
            return lines
        return b""

    # Workers that die

    def _replace_dead_worker(self, worker: int, now: float) -> None:
        """A worker has died: another takes its place, and its requests go out again, one by one."""
        team = self._workers
        lost = self._scheduler.worker_died(worker, now)
        team.replace(worker, alone=any(assignment.isolated for assignment in lost))
        self._news.forget_worker(worker)
        self._turnover.forget(worker, now)
        code = team.exit_codes[worker]
        log.error("worker %d died (exit code %s) with %d requests", worker + 1, code, len(lost))
        self._crashes.requeue_or_fail(lost, code, now)

    # Stopping

    def _obey_stop(self) -> None:
        if self._stop.level and self._stopped_at is None:
            self._stopped_at = time.monotonic()
            with contextlib.suppress(OSError):
                self._stop.waker.recv(64)
            self._workers.recall(None)

    def _has_stopped_too_long(self) -> bool:
        since = self._stopped_at
        return since is not None and time.monotonic() > since + self._settings.stop_timeout

    def _finish(self) -> None:
        counters = self._job.counters
        counters.seconds = self._seconds_before + time.monotonic() - self._began
        counters.in_flight = 0
        if self._intake.login_errors:
            counters.reason = "login"
        elif counters.pending == 0:
            counters.reason = "finished"
        elif self._scheduler.remaining == 0:
            counters.reason = "max_pages"
        elif self._patience.description and not self._stop.level:
            counters.reason = "robots"
        else:
            counters.reason = "stopped"
        counters.finished = counters.reason in {"finished", "max_pages"}
        self._job.end()
        with self._stop.user_code():
            self._spider.closed(msgspec.to_builtins(counters))

    # What others see

    def snapshot(self) -> Snapshot:
        """The run at this moment."""
        return Snapshot(
            spider=self._job.name,
            counters=self._job.counters,
            hosts=sum(1 for host in self._scheduler.hosts if not host.is_idle),
            in_flight=self._scheduler.in_flight,
            stopping=self._stop.level > 0,
            done_before=self._done_before,
            waits_for=self._patience.description,
        )

    def summary(self) -> Summary:
        """How the run ended; call it when ``steps`` is through."""
        return Summary(
            spider=self._job.name,
            counters=self._job.counters,
            output=self._job.output,
            rejected=self._job.rejected.path,
            log=self._job.log,
            failures=self._job.store.failures.by_cause(),
            login_errors=self._intake.login_errors,
            bad_seeds=self._opening.bad,
            new_seeds=self._opening.new,
            already_finished=self._was_finished and self._team is None,
            last_failure="".join(one.report.message for one in self._job.store.failures.latest(1)),
            waits_for=self._patience.description,
        )
