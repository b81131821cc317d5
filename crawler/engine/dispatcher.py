"""Feeding: what the scheduler gives out goes to the workers, with what they must know first."""

from __future__ import annotations

import msgspec

from crawler.engine.committer import Committer
from crawler.engine.worker_pool import WorkerPool
from crawler.messages import Task, TaskBatch, encode
from crawler.parsing.robots import url_for
from crawler.records import ONCE, SENT
from crawler.request import Request
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import Assignment
from crawler.scheduling.robots_retry import UnreachableRobots
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.worker_sync import WorkerSync


class Dispatcher:
    """Sends requests to workers, in few and large messages."""

    def __init__(
        self,
        scheduler: Scheduler,
        frontier: Frontier,
        news: WorkerSync,
        committer: Committer,
        patience: UnreachableRobots,
    ) -> None:
        self._scheduler = scheduler
        self._frontier = frontier
        self._news = news
        self._committer = committer
        self._patience = patience

    def dispatch(self, team: WorkerPool, now: float) -> None:
        """Send every request whose turn it is to the worker that it is for."""
        feeds: dict[int, TaskBatch] = {}
        once: list[Assignment] = []
        while assignment := self._scheduler.next(now):
            feed = feeds.get(assignment.worker)
            if feed is None:
                feed = feeds[assignment.worker] = TaskBatch([])
            self._news.add_updates(feed, assignment.worker, assignment.host)
            feed.tasks.append(self._task(assignment))
            self._frontier.mark_dirty(assignment.host)
            if assignment.queued is not None and assignment.queued.once == ONCE:
                once.append(assignment)
            if assignment.host.more and not assignment.host.heap:
                self._frontier.refill(assignment.host, now)
        if once:
            self._committer.mark_sent(once)
        for worker, feed in feeds.items():
            team.send(worker, feed)

    def _task(self, assignment: Assignment) -> Task:
        host, queued = assignment.host, assignment.queued
        if queued is not None:
            sent = queued.once == SENT
            return Task(assignment.id, host.id, msgspec.Raw(queued.request), sent=sent)
        tries = self._patience.tries(host.id)
        request = Request(url_for(f"{host.origin}/"), tries=tries)
        return Task(assignment.id, host.id, msgspec.Raw(encode(request)), robots=True)
