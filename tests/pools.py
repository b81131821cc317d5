"""A worker pool without workers: it records commands, and gives the outcomes of a test."""

from __future__ import annotations

from typing import Any

from crawler.engine.worker_pool import WorkerPool, WorkerSpec
from crawler.messages import Command, Outcome


class FakeWorkerPool(WorkerPool):
    """A pool of ``size`` workers. ``receive`` returns ``outcomes`` and ``dead`` next."""

    def __init__(self, size: int = 1) -> None:
        self.size = size
        self.exit_codes: list[int | None] = [None] * size
        self.handled = [0] * size
        self.sizes = [0] * size
        """Bytes of memory of each worker."""
        self.commands: list[tuple[int, Command]] = []
        self.outcomes: list[tuple[int, list[Outcome]]] = []
        self.dead: list[int] = []
        self.replaced: list[tuple[int, bool]] = []
        self.recycled: list[int] = []
        self.is_running = False

    def start(self, spec: WorkerSpec) -> None:
        self.is_running = True

    def send(self, worker: int, command: Command) -> None:
        self.commands.append((worker, command))

    def receive(
        self, timeout: float, waker: Any = None
    ) -> tuple[list[tuple[int, list[Outcome]]], list[int]]:
        received, self.outcomes = self.outcomes, []
        dead, self.dead = self.dead, []
        for worker, outcomes in received:
            self.handled[worker] += len(outcomes)
        return received, dead

    def replace(self, worker: int, *, isolated: bool) -> None:
        self.replaced.append((worker, isolated))
        self.handled[worker] = 0

    def recycle(self, worker: int) -> None:
        self.recycled.append(worker)
        self.handled[worker] = 0

    def memory(self, worker: int) -> int:
        return self.sizes[worker]

    def stop(self) -> None:
        self.is_running = False
