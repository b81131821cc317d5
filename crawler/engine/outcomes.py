"""Handle outcomes as they come, before their commit: clocks, cookies, robots.txt, logins."""

from __future__ import annotations

import logging
import math

from crawler.engine.committer import Committer
from crawler.engine.dispatcher import Dispatcher
from crawler.engine.unproven import UnprovenResults
from crawler.errors import InputRequiredError, SystemResourceError
from crawler.job.config import login_command
from crawler.job.job import Job
from crawler.messages import (
    FetchStats,
    LoginFailed,
    NoNetwork,
    Outcome,
    PoolFailed,
    Probed,
    Result,
    Returned,
    RobotsFetched,
    RobotsUnavailable,
    Starved,
    WorkerDied,
)
from crawler.records import FailureReport
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import Assignment, HostQueue, PageAssignment, ProbeAssignment
from crawler.scheduling.retry import RESOURCE_WAIT
from crawler.scheduling.session_registry import SessionRegistry

log = logging.getLogger(__name__)

MOST_STARVED = 3
"""Times in a row that no request got a file handle, a second apart, until the run ends."""
REFUSALS = (403, 429)
"""Status codes after which an account rests for its cool-down."""


_NOT_OF_PAGES = (RobotsFetched, RobotsUnavailable, Probed, PoolFailed)


class OutcomeHandler:
    """Takes outcomes to the parts that they change."""

    def __init__(
        self,
        job: Job,
        frontier: Frontier,
        sessions: SessionRegistry,
        committer: Committer,
        dispatcher: Dispatcher,
    ) -> None:
        self._job = job
        self._frontier = frontier
        self._sessions = sessions
        self._committer = committer
        self._dispatcher = dispatcher
        self.unproven = UnprovenResults(
            frontier, committer, lambda result: committer.is_known(result.target)
        )
        self._login_errors: dict[str, None] = {}
        self._starved = 0
        self._starved_at = -math.inf

    def handle(self, outcome: Outcome, now: float) -> None:
        """Move the host's clock and the session on at once; leave the rest to the commit."""
        assignment = self._frontier.finish(outcome, now)
        if assignment is None:
            return
        self._count_fetch(assignment, outcome.fetch, now)
        result = outcome.result
        if isinstance(result, Starved) and not outcome.fetch.status:
            self._note_starved(result, now)
        if isinstance(result, NoNetwork):
            self._wait_for_network(assignment, result, now)
        elif isinstance(result, LoginFailed):
            self._suspend(assignment, result.report, now)
        elif isinstance(assignment, ProbeAssignment):
            self._settle(assignment, outcome, now)
            self.unproven.probed(assignment.host, now)
            self._committer.request_commit(now)
        elif not isinstance(assignment, PageAssignment):
            self._handle_robots(assignment.host, result, outcome.fetch, now)
        elif isinstance(result, WorkerDied):
            self._dispatcher.worker_died(assignment, result, now)
        elif isinstance(result, Returned):
            self._committer.mark_unsent(assignment)
            self._frontier.requeue(assignment, now)
        else:
            assert not isinstance(result, _NOT_OF_PAGES), "a page"
            if self._frontier.unreachable.failures:
                self._frontier.unreachable.forget_network(assignment.host.id)
            doubt = outcome.doubt
            if doubt is None or not self.unproven.take(assignment, result, doubt, now):
                self._committer.add(assignment, result, now)
        self._settle(assignment, outcome, now)

    def _settle(self, assignment: Assignment, outcome: Outcome, now: float) -> None:
        """Settle earlier results of the session by what this outcome shows."""
        if outcome.proof is not None:
            self.unproven.settle(assignment.host, outcome.proof, now)

    def _count_fetch(self, assignment: Assignment, fetch: FetchStats, now: float) -> None:
        if fetch.started:
            self._job.counters.fetched += bool(fetch.status)
            self._job.counters.bytes += fetch.size
        if fetch.host_wait is not None:
            self._dispatcher.recall(assignment.host.id)
        if fetch.status:
            self._starved = 0
            if isinstance(assignment, PageAssignment):
                self._use_account(assignment.host, fetch.status, now)

    def _note_starved(self, result: Starved, now: float) -> None:
        """Raises SystemResourceError if requests get no file handle, however long they wait."""
        if now >= self._starved_at:
            log.warning("%s", result.message)
            self._starved, self._starved_at = self._starved + 1, now + RESOURCE_WAIT
            if self._starved > MOST_STARVED:
                raise SystemResourceError(result.message)

    def _wait_for_network(self, assignment: Assignment, result: NoNetwork, now: float) -> None:
        """Leave a request pending, and no try used up, until names resolve again."""
        host, unreachable = assignment.host, self._frontier.unreachable
        if unreachable.has_network or not unreachable.failures:
            log.warning("%s; requests wait for the network", result.message)
        self._frontier.delay(host, unreachable.no_network(host.id, host.origin, now), now)
        if isinstance(assignment, PageAssignment):
            self._committer.mark_unsent(assignment)
            self._frontier.requeue(assignment, now)

    def _use_account(self, host: HostQueue, status: int, now: float) -> None:
        """Count the page for the account; delay all its hosts when its quota is used up."""
        if not (host.account or host.logs_in):
            return  # its session is that of a site
        self._sessions.count_page(host.session)
        rest = self._sessions.quota_wait(host.session)
        if status in REFUSALS:
            rest = max(rest, self._sessions.cooldown(host.session))
        if rest:
            self._frontier.delay_session(host.session, rest, now)

    def _handle_robots(
        self, host: HostQueue, result: Result, fetch: FetchStats, now: float
    ) -> None:
        if isinstance(result, Starved):
            self._frontier.delay(host, result.wait, now)
        elif isinstance(result, (RobotsFetched, RobotsUnavailable)):
            if isinstance(result, RobotsFetched):
                self._frontier.robots_fetched(host, result.robots, now)
            else:
                self._frontier.robots_unavailable(host, result.robots, result.wait, now)
            self._frontier.robots_asked(host, fetch.started, now)
            self._committer.request_commit(now)

    def _suspend(self, assignment: Assignment, report: FailureReport, now: float) -> None:
        """Leave all requests of a session that could not log in to the next run."""
        self.add_login_error(self._with_way_out(report, assignment.host))
        self._committer.request_commit(now)  # the session keeps what its login waits for
        self._frontier.suspend_session(assignment.host.session)
        if isinstance(assignment, PageAssignment):
            self._committer.mark_unsent(assignment)
            self._frontier.requeue(assignment, now)

    def _with_way_out(self, report: FailureReport, host: HostQueue) -> str:
        if report.cause != InputRequiredError.cause:
            return report.message
        return f"{report.message}: run {login_command(self._job.config, host.account)}"

    def add_login_error(self, message: str) -> None:
        """Record why an account cannot be used in this run."""
        self._login_errors[message] = None

    @property
    def login_errors(self) -> list[str]:
        """The reasons why sessions could not log in, each once."""
        return list(self._login_errors)
