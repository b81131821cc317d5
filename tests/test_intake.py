"""What an outcome does at once: a host's clock above all."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from crawler.assignment import Assignment
from crawler.commit import Committer
from crawler.frontier import Frontier
from crawler.hostqueue import HostQueue
from crawler.intake import Intake
from crawler.job import Job
from crawler.jobclock import JobClock
from crawler.messages import Outcome
from crawler.news import News
from crawler.politeness import HostClock
from crawler.scheduler import Scheduler
from crawler.settings import Settings
from crawler.stats import Counters
from crawler.store import Key, Queued
from crawler.store.sqlite import SQLiteStore
from crawler.team import Team

NOW = 1000.0


class Desk:
    """An intake with a scheduler that has one host with ``pages`` requests."""

    def __init__(self, folder: Path, *, delay: float = 0.0, concurrency: int = 1) -> None:
        settings = Settings(delay=delay)
        store = SQLiteStore(folder / "job.db")
        self.scheduler = Scheduler(workers=1, threads=4)
        news = News(1)
        frontier = Frontier(store, self.scheduler, settings, news, logs_in=False)
        made = SimpleNamespace(store=store, counters=Counters(), plan=None, clock=JobClock())
        job = cast(Job, made)
        committer = Committer(job, frontier, self.scheduler, news)
        self.intake = Intake(job, self.scheduler, frontier, news, committer)
        self.clock = HostClock(delay)
        self.host = HostQueue(1, "https://a.example", "s", self.clock, concurrency=concurrency)
        self.scheduler.add_host(self.host, NOW)
        for id in range(1, 11):
            self.scheduler.push(self.host, Queued(Key(0, id), b""), NOW)
        self.recalled: list[tuple[int | None, int | None]] = []

    def recall(self, host: int | None, *, without: int | None = None) -> None:
        self.recalled.append((host, without))

    def feed(self, now: float) -> list[Assignment]:
        return list(iter(lambda: self.scheduler.next(now), None))

    def take(self, assignment: Assignment, kind: Any, now: float, **fields: Any) -> None:
        outcome = Outcome(assignment.id, kind, **fields)
        self.intake.take(cast(Team, self), assignment.worker, outcome, now)


def test_what_was_never_sent_costs_its_host_no_wait(tmp_path: Path) -> None:
    desk = Desk(tmp_path, delay=5.0)
    (first,) = desk.feed(NOW)
    desk.take(first, "returned", NOW + 1)
    assert [one.queued for one in desk.feed(NOW + 1)] == [first.queued]


def test_requests_given_back_do_not_shorten_a_retry_after(tmp_path: Path) -> None:
    """The page that was answered 429 comes first, then all that its worker had not started."""
    desk = Desk(tmp_path)
    first, *others = desk.feed(NOW)
    assert len(others) == 9
    desk.take(first, "again", NOW + 1, started=NOW, wait=60.0, host_wait=60.0)
    assert desk.recalled == [(1, 0)]
    for assignment in others:
        desk.take(assignment, "returned", NOW + 1)
    assert desk.clock.ready_at == NOW + 61
    assert desk.feed(NOW + 60.9) == []
    assert desk.feed(NOW + 61)


def test_requests_given_back_say_nothing_of_the_host_s_health(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    first, *others = desk.feed(NOW)
    desk.take(first, "again", NOW + 1, started=NOW, wait=60.0, host_wait=0.0)
    back_off = desk.clock.back_off
    assert back_off > 0
    for assignment in others:
        desk.take(assignment, "returned", NOW + 1)
    assert desk.clock.back_off == back_off


def test_a_page_that_cannot_be_asked_for_gives_back_its_turn_alone(tmp_path: Path) -> None:
    """robots.txt disallows one page while another one of the same host is on its way."""
    desk = Desk(tmp_path, delay=5.0, concurrency=2)
    (sent,) = desk.feed(NOW)
    (disallowed,) = desk.feed(NOW + 5)
    desk.take(sent, "done", NOW + 6, started=NOW)
    desk.take(disallowed, "failed", NOW + 6)
    assert desk.clock.ready_at == NOW + 5


def test_the_wait_of_a_page_that_was_sent_later_stays(tmp_path: Path) -> None:
    desk = Desk(tmp_path, delay=5.0, concurrency=2)
    (returned,) = desk.feed(NOW)
    (sent,) = desk.feed(NOW + 5)
    desk.take(sent, "done", NOW + 6, started=NOW + 5)
    desk.take(returned, "returned", NOW + 6)
    assert desk.clock.ready_at == NOW + 10
