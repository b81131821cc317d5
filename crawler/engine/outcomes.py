"""What an outcome does at once, before its commit: clocks, cookies, rules, logins."""

from __future__ import annotations

import logging
import math

from crawler.engine.committer import Committer
from crawler.engine.worker_pool import WorkerPool
from crawler.errors import InputRequiredError, SystemResourceError
from crawler.job.config import login_command
from crawler.job.job import Job
from crawler.messages import Outcome
from crawler.records import FailureReport, RobotsFile
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import Assignment, HostQueue
from crawler.scheduling.retry import SPARED
from crawler.scheduling.robots_retry import UnreachableRobots
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.worker_sync import WorkerSync
from crawler.session.keys import SessionKey

log = logging.getLogger(__name__)

MOST_STARVED = 3
"""Times in a row that no request got a file handle, a second apart, until the run ends."""
TOO_MUCH = (403, 429)
"""Status codes after which an account rests for its cool-down."""


class OutcomeHandler:
    """Takes outcomes from workers. ``login_errors`` says which logins failed, each once."""

    def __init__(
        self,
        job: Job,
        scheduler: Scheduler,
        frontier: Frontier,
        news: WorkerSync,
        committer: Committer,
        patience: UnreachableRobots,
    ) -> None:
        self._plan = job.plan
        self._wall = job.clock.wall
        self._counters = job.counters
        self._scheduler = scheduler
        self._frontier = frontier
        self._news = news
        self._committer = committer
        self._patience = patience
        self._login_errors: dict[str, None] = {}
        self._starved = 0
        self._starved_at = -math.inf

    def handle(self, team: WorkerPool, worker: int, outcome: Outcome, now: float) -> None:
        """One outcome: the host's clock and the session move on, the rest is for the commit."""
        assignment = self._scheduler.finish(outcome.task, now)
        if assignment is None:
            return
        self._look_at_machine(outcome, now)
        for change in outcome.sessions:
            self._news.apply(worker, change)
        self._keep_time(team, assignment, outcome, now)
        if outcome.kind == "login":
            self._hold(assignment, outcome, now)
        elif assignment.queued is None:
            self._take_robots(assignment, outcome, now)
        elif outcome.kind == "returned":
            self._committer.mark_unsent(assignment)
            self._scheduler.requeue(assignment.host, assignment.queued, now)
        else:
            self._committer.add(assignment, outcome, now)
            if outcome.kind in {"done", "failed"}:
                self._scheduler.count_finished()

    def _keep_time(
        self, team: WorkerPool, assignment: Assignment, outcome: Outcome, now: float
    ) -> None:
        host = assignment.host
        clock = host.clock
        if outcome.started:
            self._counters.fetched += bool(outcome.status)
            self._counters.bytes += outcome.size
            clock.asked(outcome.started)
        elif clock.ready_at == assignment.ready_at and not host.running:
            # Nothing was asked, so nobody need wait, unless for something else (Retry-After).
            clock.ready_at, clock.granted = assignment.before
            self._scheduler.reschedule(host, now)
        if outcome.host_wait is not None:
            clock.backed_off(now)
            clock.retry_after(outcome.host_wait, now)
            team.recall(host.id, without=assignment.worker)
        elif outcome.started:
            clock.answered()
        if outcome.status and assignment.queued is not None:
            self._use_account(host, outcome.status, now)
        self._frontier.mark_dirty(host)

    def _look_at_machine(self, outcome: Outcome, now: float) -> None:
        """Raises MachineError when workers get no file handle, however long they wait for one."""
        if outcome.status:
            self._starved = 0
            self._patience.answered()
        elif outcome.kind == "again" and outcome.failure is not None and now >= self._starved_at:
            log.warning("%s", outcome.failure.message)
            self._starved, self._starved_at = self._starved + 1, now + SPARED
            if self._starved > MOST_STARVED:
                raise SystemResourceError(outcome.failure.message)

    def _use_account(self, host: HostQueue, status: int, now: float) -> None:
        """Count the page for the account; all its hosts rest when it has had enough."""
        if not SessionKey.parse(host.session).is_account:
            return
        self._news.count_page(host.session, self._wall())
        rest = self._news.quota_wait(host.session, self._wall())
        if status in TOO_MUCH:
            rest = max(rest, self._news.cooldown(host.session))
        if rest:
            for other in self._scheduler.hosts:
                if other.session == host.session:
                    other.clock.retry_after(rest, now)
                    self._frontier.mark_dirty(other)
                    self._scheduler.reschedule(other, now)

    def _take_robots(self, assignment: Assignment, outcome: Outcome, now: float) -> None:
        host, robots = assignment.host, outcome.robots
        if robots is not None:
            if outcome.wait:
                self._do_without(host, robots, outcome.wait, now)
            else:
                self._settle_robots(host, robots, now)
            host.clock.asked(outcome.started)  # a crawl-delay counts from here on
            self._committer.add(assignment, outcome, now)
        elif outcome.kind == "again":  # this machine had no file handle for it
            host.clock.retry_after(outcome.wait, now)
        self._scheduler.reschedule(host, now)

    def _do_without(self, host: HostQueue, robots: RobotsFile, wait: float, now: float) -> None:
        """A robots.txt cannot be had for now: known rules hold on, or the requests stay pending."""
        if self._frontier.extend_rules(host, now):
            log.warning("%s; its rules of before hold on", robots.message)
            return
        self._patience.failed(host.id, host.origin, robots.cause, now, now + wait)
        if self._patience.does_not_exist(host.id):
            self._settle_robots(host, robots, now)
        else:
            log.warning("%s; it is asked for again in %.1f s", robots.message, wait)
            host.clock.retry_after(wait, now)
            self._frontier.note_robots(host, robots)

    def _settle_robots(self, host: HostQueue, robots: RobotsFile, now: float) -> None:
        """There are rules, or there will be none: then the host's requests fail."""
        if robots.cause:
            log.warning("%s; nothing is asked of this host", robots.message)
        self._patience.forget(host.id)
        self._frontier.set_robots(host, robots, now)

    def _hold(self, assignment: Assignment, outcome: Outcome, now: float) -> None:
        """The session could not log in: its requests stay pending, for the next run."""
        if outcome.failure is not None:
            self.note_login_error(self._with_way_out(outcome.failure, assignment.host))
        self._committer.keep_sessions(now)  # what a login waits for, also if nothing else comes
        for host in self._scheduler.hosts:
            host.suspended = host.suspended or host.session == assignment.host.session
        if assignment.queued is not None:
            self._committer.mark_unsent(assignment)
            self._scheduler.requeue(assignment.host, assignment.queued, now)

    def _with_way_out(self, failure: FailureReport, host: HostQueue) -> str:
        if failure.cause != InputRequiredError.cause:
            return failure.message
        return f"{failure.message}: answer it with {login_command(self._plan, host.account)}"

    def note_login_error(self, message: str) -> None:
        """An account cannot be used in this run."""
        self._login_errors[message] = None

    @property
    def login_errors(self) -> list[str]:
        """Why sessions could not log in."""
        return list(self._login_errors)
