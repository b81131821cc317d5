"""Turnover: a worker that has grown too large ends what it runs, and a new one takes its place."""

from __future__ import annotations

import logging
import math

from crawler.engine.worker_pool import WorkerPool
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.worker_sync import WorkerSync

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks at the workers' memory."""
LEAST_WORK = 20
"""A new worker handles at least this many requests before it may be replaced; otherwise a spider
that needs much memory from the start would only cause restarts."""


class WorkerRecycler:
    """Replaces workers that use more than ``most`` bytes, one at a time. Never where None."""

    def __init__(self, most: int | None, scheduler: Scheduler, news: WorkerSync) -> None:
        self._most = most
        self._scheduler = scheduler
        self._news = news
        self._looked = -math.inf
        self._leaving: int | None = None

    def check_memory(self, team: WorkerPool, now: float) -> None:
        """Ask a worker that is too large to end; replace it when it has."""
        if self._leaving is not None:
            if not self._scheduler.is_busy(self._leaving):
                self._replace(team, self._leaving, now)
        elif self._most is not None and now >= self._looked + LOOK_EVERY:
            self._looked = now
            for worker in range(team.size):
                if self._is_too_large(team, worker, self._most) and self._scheduler.pause(worker):
                    team.recall(None, only=worker)
                    self._leaving = worker
                    break

    def forget(self, worker: int, now: float) -> None:
        """The worker has died before it was replaced."""
        if worker == self._leaving:
            self._leaving = None
            self._scheduler.resume(worker, now)

    def _is_too_large(self, team: WorkerPool, worker: int, most: int) -> bool:
        used = team.memory(worker)
        if used <= most or team.handled[worker] < LEAST_WORK:
            return False
        log.warning(
            "worker %d uses %s MB of memory, more than worker_max_memory, %s MB: "
            "it ends what it runs, and is replaced",
            worker + 1,
            f"{used / 1e6:,.0f}",
            f"{most / 1e6:,.0f}",
        )
        return True

    def _replace(self, team: WorkerPool, worker: int, now: float) -> None:
        team.recycle(worker)
        self._news.forget_worker(worker)
        self._leaving = None
        self._scheduler.resume(worker, now)
