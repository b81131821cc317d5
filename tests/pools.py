"""A fetching process without a process: it records commands, and gives the outcomes of a test."""

from __future__ import annotations

from typing import Any

from crawler.engine.fetcher_pool import FetcherPool
from crawler.fetching.processes import ProcessSpec
from crawler.messages import Command, Outcome


class FakeFetcherPool(FetcherPool):
    """``receive`` returns ``outcomes`` next, and that the process has died if ``is_dead``."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.commands: list[Command] = []
        self.outcomes: list[Outcome] = []
        self.is_dead = False
        self.replaced: list[bool] = []
        """For each process that was replaced, whether it had died with a single request."""
        self.is_running = False

    def start(self, spec: ProcessSpec) -> None:
        self.is_running = True

    def send(self, command: Command) -> None:
        self.commands.append(command)

    def receive(self, timeout: float, waker: Any = None) -> tuple[list[Outcome], bool]:
        outcomes, self.outcomes = self.outcomes, []
        is_dead, self.is_dead = self.is_dead, False
        return outcomes, is_dead

    def replace(self, *, isolated: bool) -> None:
        self.replaced.append(isolated)

    def stop(self) -> None:
        self.is_running = False
