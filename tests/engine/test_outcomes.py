"""The immediate effects of an outcome, above all on the host's clock."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from crawler.clock import WallClock
from crawler.engine import outcomes
from crawler.engine.committer import Committer
from crawler.engine.dispatcher import Dispatcher
from crawler.engine.outcomes import MOST_STARVED, OutcomeHandler
from crawler.errors import InputRequiredError, SystemResourceError
from crawler.job.job import Job
from crawler.messages import (
    Done,
    Doubt,
    Failed,
    FetchStats,
    LoginFailed,
    NoNetwork,
    Outcome,
    Probed,
    Proof,
    Result,
    Retry,
    Returned,
    ReturnTasks,
    RobotsFetched,
    RobotsUnavailable,
    Starved,
    WorkerDied,
    encode,
)
from crawler.parsing.robots import MAX_AGE
from crawler.records import FailureReport, LoginState, QueuedRequest, RobotsFile, SessionRecord
from crawler.request import Request
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import (
    Assignment,
    HostQueue,
    PageAssignment,
    ProbeAssignment,
    RobotsAssignment,
)
from crawler.scheduling.politeness import HostClock
from crawler.scheduling.retry import RESOURCE_WAIT, ROBOTS_MAX_WAIT
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.session_registry import SessionRegistry
from crawler.session.accounts import Account
from crawler.settings import Settings
from crawler.stats import Counters
from crawler.worker.callback_timer import HUNG
from tests.memory_store import MemoryStore
from tests.pools import FakeFetcherPool

NOW = 1000.0


class Desk:
    """An outcome handler with all that it works on; one host has ten pages in its queue."""

    def __init__(self, *, delay: float = 0.0, concurrency: int = 1) -> None:
        settings = Settings(delay=delay)
        store = self.store = MemoryStore()
        scheduler = Scheduler(concurrency=4)
        sessions = self.sessions = SessionRegistry()
        self.counters = Counters()
        self.frontier = Frontier(store, scheduler, settings, sessions, logs_in=False)
        self.unreachable = self.frontier.unreachable
        job = cast(
            Job, SimpleNamespace(store=store, counters=self.counters, plan=None, clock=WallClock())
        )
        committer = self.committer = Committer(job, self.frontier, sessions)
        self.pool = FakeFetcherPool()
        dispatcher = Dispatcher(self.pool, self.frontier, committer)
        self.outcomes = OutcomeHandler(job, self.frontier, sessions, committer, dispatcher)
        self.clock = HostClock(delay)
        self.host = HostQueue(1, "https://a.example", "s", self.clock, concurrency=concurrency)
        scheduler.add_host(self.host, NOW)
        for number in range(1, 11):
            scheduler.push(self.host, [(1, 0, number, 0, b"")], NOW)

    def feed(self, now: float) -> list[Assignment]:
        return list(self.frontier.take_ready(now))

    def take(
        self, assignment: Assignment, result: Result, now: float, **fetch: float | None
    ) -> None:
        outcome = Outcome(assignment.id, result, FetchStats(**cast(Any, fetch)))
        self.outcomes.handle(outcome, now)

    def take_robots(self, assignment: Assignment, result: Result, now: float) -> None:
        """The outcome of a robots.txt that was asked for at ``now``."""
        assert isinstance(assignment, RobotsAssignment)
        self.take(assignment, result, now, started=now)


def page(assignment: Assignment) -> QueuedRequest:
    assert isinstance(assignment, PageAssignment)
    return assignment.queued


def test_a_request_that_was_never_sent_costs_its_host_no_wait() -> None:
    desk = Desk(delay=5.0)
    (first,) = desk.feed(NOW)
    desk.take(first, Returned(), NOW + 1)
    assert list(map(page, desk.feed(NOW + 1))) == [page(first)]


def test_requests_given_back_do_not_shorten_a_retry_after() -> None:
    """The page that was answered 429 comes first, then all that its worker had not started."""
    desk = Desk()
    first, *others = desk.feed(NOW)
    assert len(others) == 9
    desk.take(first, Retry(None, 60.0), NOW + 1, started=NOW, host_wait=60.0)
    assert desk.pool.commands == [ReturnTasks(1)]
    for assignment in others:
        desk.take(assignment, Returned(), NOW + 1)
    assert desk.clock.ready_at == NOW + 61
    assert desk.feed(NOW + 60.9) == []
    assert desk.feed(NOW + 61)


def test_requests_given_back_say_nothing_of_the_host_s_health() -> None:
    desk = Desk()
    first, *others = desk.feed(NOW)
    desk.take(first, Retry(None, 60.0), NOW + 1, started=NOW, host_wait=0.0)
    back_off = desk.clock.back_off
    assert back_off > 0
    for assignment in others:
        desk.take(assignment, Returned(), NOW + 1)
    assert desk.clock.back_off == back_off


def test_a_page_that_cannot_be_requested_gives_back_its_turn_only() -> None:
    """robots.txt disallows one page while another one of the same host is on its way."""
    desk = Desk(delay=5.0, concurrency=2)
    (sent,) = desk.feed(NOW)
    (disallowed,) = desk.feed(NOW + 5)
    desk.take(sent, Done(), NOW + 6, started=NOW)
    desk.take(disallowed, Failed(FailureReport("", "", "")), NOW + 6)
    assert desk.clock.ready_at == NOW + 5


def test_the_wait_of_a_page_that_was_sent_later_stays() -> None:
    desk = Desk(delay=5.0, concurrency=2)
    (returned,) = desk.feed(NOW)
    (sent,) = desk.feed(NOW + 5)
    desk.take(sent, Done(), NOW + 6, started=NOW + 5)
    desk.take(returned, Returned(), NOW + 6)
    assert desk.clock.ready_at == NOW + 10


# robots.txt

BROKEN = RobotsFile(b"", None, "http 500", "https://a.example/robots.txt: the server answered 500")
NOBODY = RobotsFile(b"", None, "dns", "https://a.example/robots.txt: does not resolve")


def without_rules() -> Desk:
    """A desk whose host is in the store, and has not been asked for its rules."""
    desk = Desk()
    with desk.store.transaction():
        row = desk.store.hosts.add("https://a.example")
    desk.frontier._rows[row.id] = row
    desk.host.knows_robots = False
    return desk


def test_only_robots_txt_is_requested_until_it_has_come() -> None:
    desk = without_rules()
    for tries in range(10):
        now = NOW + 100 * tries
        (robots,) = desk.feed(now)
        assert desk.unreachable.tries(1) == tries
        desk.take(robots, RobotsUnavailable(BROKEN, 90.0), now + 1, started=now)
        assert desk.feed(now + 90.9) == []
    (robots,) = desk.feed(NOW + 2000)
    desk.take(robots, RobotsFetched(RobotsFile(b"")), NOW + 2001, started=NOW + 2000)
    assert len(list(map(page, desk.feed(NOW + 2001)))) == 10
    assert desk.unreachable.description == ""


def test_rules_that_cannot_be_read_again_are_kept() -> None:
    desk = without_rules()
    (robots,) = desk.feed(NOW)
    rules = RobotsFile(b"User-agent: *\nDisallow: /no")
    desk.take(robots, RobotsFetched(rules), NOW + 1, started=NOW)
    late = NOW + 1 + MAX_AGE
    (robots,) = desk.feed(late)
    desk.take(robots, RobotsUnavailable(BROKEN, 90.0), late + 1, started=late)
    assert desk.frontier._rows[1].robots == rules
    assert len(desk.feed(late + 1)) == 10
    assert desk.host.robots_until == late + 1 + ROBOTS_MAX_WAIT
    assert desk.unreachable.description == ""


def test_requests_of_a_host_that_is_nowhere_go_out_to_fail() -> None:
    desk = without_rules()
    desk.unreachable.has_network = True
    for tries in range(4):
        now = NOW + 100 * tries
        (robots,) = desk.feed(now)
        desk.take_robots(robots, RobotsUnavailable(NOBODY, 90.0), now)
    assert len(desk.feed(now)) == 10, "and they need not wait"
    assert desk.host.robots_until == now + ROBOTS_MAX_WAIT


def test_no_file_handle_is_no_try_of_robots_txt() -> None:
    desk = without_rules()
    (robots,) = desk.feed(NOW)
    desk.take_robots(robots, Starved("no handles", 1.0), NOW)
    assert (desk.unreachable.tries(1), desk.unreachable.description) == (0, "")
    assert desk.feed(NOW + 0.9) == []
    assert len(desk.feed(NOW + 1.0)) == 1


@pytest.mark.parametrize(
    ("code", "deaths", "cause"),
    [
        (-11, 2, "worker died"),
        (1, 2, "worker died"),
        (-9, 3, "worker died"),
        (HUNG, 1, "callback timeout"),
    ],
)
def test_a_page_that_kills_its_workers_is_given_up(code: int, deaths: int, cause: str) -> None:
    """A SIGKILL may have come from outside, so it takes one more; a callback that hangs, none."""
    desk = Desk()
    desk.host.heap = [QueuedRequest(0, 1, encode(Request("https://a.example/1")))]
    (assignment,) = desk.feed(NOW)
    desk.take(assignment, WorkerDied(code), NOW)  # with other pages: any of them may be to blame
    for death in range(deaths):
        assert desk.committer.waiting_since is None, f"given up after {death} deaths"
        (assignment,) = desk.feed(NOW)
        assert isinstance(assignment, PageAssignment)
        assert assignment.isolated
        assert not assignment.alone, "the fetching process has not died"
        desk.take(assignment, WorkerDied(code, was_at_work=False), NOW)
        (assignment,) = desk.feed(NOW)
        desk.take(assignment, WorkerDied(code), NOW)
    assert desk.feed(NOW) == []
    ((given_up, result),) = desk.committer._pages
    assert given_up is assignment
    assert isinstance(result, Failed)
    assert result.report.cause == cause


# Counts, accounts, file handles


def test_fetches_and_bytes_are_counted_when_a_request_was_sent() -> None:
    desk = Desk()
    sent, refused, unsent, *_ = desk.feed(NOW)
    desk.take(sent, Done(), NOW, started=NOW, status=200, size=100)
    desk.take(refused, Retry(None, 1.0), NOW, started=NOW, size=20)
    desk.take(unsent, Returned(), NOW)
    assert (desk.counters.fetched, desk.counters.bytes) == (1, 120)


def with_account(account: Account | None, **options: Any) -> Desk:
    """A desk whose host belongs to an account, and whose session has a login."""
    desk = Desk(**options)
    record = SessionRecord("s", [], LoginState(5.0))
    desk.sessions.load(record, account)
    desk.sessions.acquire("s", desk.host.id)
    desk.host.account = "ann"
    return desk


@pytest.mark.parametrize(("status", "rest"), [(200, 0.0), (404, 0.0), (403, 60.0), (429, 60.0)])
def test_an_account_that_is_refused_rests_for_its_cooldown(status: int, rest: float) -> None:
    desk = with_account(Account(name="ann", cooldown=60.0))
    first, *_ = desk.feed(NOW)
    desk.take(first, Done(), NOW, started=NOW, status=status)
    assert desk.clock.ready_at == NOW + rest
    assert desk.sessions.get("s").usage.pages == 1


def test_robots_txt_is_no_page_of_an_account() -> None:
    desk = with_account(Account(name="ann", cooldown=60.0))
    with desk.store.transaction():
        row = desk.store.hosts.add("https://a.example")
    desk.frontier._rows[row.id] = row
    desk.host.knows_robots = False
    (robots,) = desk.feed(NOW)
    fetched = RobotsFetched(RobotsFile(b""))
    desk.take(robots, fetched, NOW, started=NOW, status=403)
    assert desk.sessions.get("s").usage.pages == 0
    assert desk.clock.ready_at == NOW


def test_an_account_rests_when_its_quota_is_used_up() -> None:
    desk = with_account(Account(name="ann", max_pages=2, per="hour"), concurrency=2)
    first, second, *_ = desk.feed(NOW)
    desk.take(first, Done(), NOW, started=NOW, status=200)
    assert desk.clock.ready_at == NOW
    desk.take(second, Done(), NOW, started=NOW, status=200)
    assert desk.clock.ready_at == pytest.approx(NOW + 3600.0, abs=60.0)


def test_a_run_ends_if_requests_get_no_file_handle_however_long_they_wait() -> None:
    desk = Desk()
    assignments = iter(desk.feed(NOW))
    no_handles = Starved("no handles", RESOURCE_WAIT)
    for second in range(MOST_STARVED):
        desk.take(next(assignments), no_handles, NOW + second * RESOURCE_WAIT)
        desk.take(next(assignments), no_handles, NOW + second * RESOURCE_WAIT)  # at the same time
    with pytest.raises(SystemResourceError, match="no handles"):
        desk.take(next(assignments), no_handles, NOW + MOST_STARVED * RESOURCE_WAIT)


def test_a_response_shows_that_there_are_file_handles_again() -> None:
    desk = Desk()
    assignments = iter(desk.feed(NOW))
    no_handles = Starved("no handles", RESOURCE_WAIT)
    now = NOW
    for _ in range(2):
        desk.take(next(assignments), no_handles, now)
        desk.take(next(assignments), Done(), now, started=now, status=200)
        now += RESOURCE_WAIT
    for _ in range(MOST_STARVED):
        desk.take(next(assignments), no_handles, now)
        now += RESOURCE_WAIT
    with pytest.raises(SystemResourceError):
        desk.take(next(assignments), no_handles, now)


def test_a_page_whose_callback_gets_no_file_handle_ends_no_run() -> None:
    desk = Desk()
    for second, assignment in enumerate(desk.feed(NOW)):
        now = NOW + second * RESOURCE_WAIT
        desk.take(assignment, Starved("no handles", RESOURCE_WAIT), now, started=now, status=200)
    assert desk.committer.waiting_since == NOW


# Results that wait for a proof


def test_a_result_waits_until_a_probe_shows_whose_it_is() -> None:
    desk = with_account(None)
    first, second, *_ = desk.feed(NOW)
    for assignment in (first, second):
        outcome = Outcome(assignment.id, Done(), FetchStats(NOW, 200))
        outcome.doubt = Doubt(5.0, NOW, Retry())
        desk.outcomes.handle(outcome, NOW)
    assert list(desk.outcomes.unproven.hosts) == [1]
    desk.frontier.request_probe(desk.host)
    probe, *_ = desk.feed(NOW)
    assert isinstance(probe, ProbeAssignment)
    desk.take(probe, Probed(), NOW + 1)
    (results,) = desk.outcomes.unproven.hosts.values()
    assert results.tries == 1, "the probe has shown nothing"
    desk.frontier.request_probe(desk.host)
    probe, *_ = desk.feed(NOW + 2)
    desk.outcomes.handle(Outcome(probe.id, Probed(), proof=Proof(5.0, NOW + 2)), NOW + 2)
    assert desk.outcomes.unproven.hosts == {}
    assert [assignment for assignment, _ in desk.committer._pages] == [first, second]


# A session that cannot log in


def test_a_session_that_cannot_log_in_leaves_its_pages_to_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = with_account(None, concurrency=2)
    unsent: list[Assignment] = []
    monkeypatch.setattr(desk.committer, "mark_unsent", unsent.append)
    first, second, *_ = desk.feed(NOW)
    no_login = LoginFailed(FailureReport("https://a.example/1", "login", "the login failed"))
    desk.take(first, no_login, NOW)
    assert desk.committer.waiting_since == NOW, "the session keeps what its login waits for"
    desk.take(second, no_login, NOW)
    assert desk.outcomes.login_errors == ["the login failed"], "once"
    assert unsent == [first, second]
    assert desk.feed(NOW + 1e6) == []
    assert desk.host.suspended
    assert {queued.id for queued in desk.host.heap} >= {page(first).id, page(second).id}


def test_a_robots_txt_that_needs_a_login_leaves_nothing_in_the_queue() -> None:
    desk = with_account(None)
    with desk.store.transaction():
        row = desk.store.hosts.add("https://a.example")
    desk.frontier._rows[row.id] = row
    desk.host.knows_robots = False
    (robots,) = desk.feed(NOW)
    desk.take(robots, LoginFailed(FailureReport("", "login", "the login failed")), NOW)
    assert desk.outcomes.login_errors == ["the login failed"]
    assert len(desk.host.heap) == 10


def test_a_login_that_waits_for_an_answer_names_the_command_that_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = with_account(None)
    desk.outcomes._job.config = "the job"  # type: ignore[assignment]
    monkeypatch.setattr(
        outcomes, "login_command", lambda config, account: f"crawl login {config} {account}"
    )
    first, *_ = desk.feed(NOW)
    report = FailureReport("", InputRequiredError.cause, "it needs a code")
    desk.take(first, LoginFailed(report), NOW)
    assert desk.outcomes.login_errors == ["it needs a code: run crawl login the job ann"]


# No network


def test_without_a_network_a_host_waits_and_no_try_is_used_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    unsent: list[Assignment] = []
    monkeypatch.setattr(desk.committer, "mark_unsent", unsent.append)
    first, second, *others = desk.feed(NOW)
    desk.take(first, NoNetwork("no name resolves"), NOW)
    wait = desk.clock.ready_at - NOW
    assert wait > 0
    assert unsent == [first]
    assert desk.feed(NOW + wait / 2) == []
    for assignment in (second, *others):
        desk.take(assignment, Returned(), NOW)
    again, *_ = desk.feed(NOW + wait)
    assert page(again) == page(first)
    assert desk.unreachable.description != ""
    desk.take(again, Done(), NOW + wait, started=NOW + wait, status=200)
    assert desk.unreachable.description == ""
