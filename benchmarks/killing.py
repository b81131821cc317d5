"""A crawl that is killed and resumed until it is finished, and the losses."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.crawlers import Crawler, Work
from benchmarks.items import Difference, Output, difference, read
from benchmarks.measure import CrawlError, scratch
from benchmarks.processes import LaunchedCommand
from benchmarks.site import Site, pages_of

STARTING, FETCHING, ENDING = "starting", "fetching", "ending"
"""Before a run's first request; while pages are left to fetch; after that."""

EVERYWHERE = {STARTING: 2, FETCHING: 6, ENDING: 2}
"""The weight of each part of a run as the target of a kill."""

_POLL_EVERY = 0.002
"""Seconds between two checks of a run's progress."""
_EXIT_WITHIN = 5.0
"""Seconds in which a worker must end after its parent process was killed."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An uninterrupted crawl: its output, and the durations of its parts in seconds."""

    output: Output
    parts: dict[str, float]


@dataclass(slots=True)
class KillResults:
    """The effects of the kills, summed over all crawls."""

    crawler: Crawler
    pages: int
    kills: Counter[str] = field(default_factory=Counter)
    crawls: int = 0
    resumes: int = 0
    again: int = 0
    left_behind: int = 0
    """Processes that kept running although their parent was killed."""
    differences: list[Difference] = field(default_factory=list)

    def total(self, kind: str) -> int:
        """Return the sum of one kind of difference over all crawls."""
        return sum(getattr(difference, kind) for difference in self.differences)


class KillTest:
    """One crawler at one site, killed ``kills`` times at instants determined by ``seed``.

    ``aims`` are the weights of the parts of a run. With ``first_only`` only the first process is
    killed, and its workers must end by themselves.
    """

    def __init__(
        self,
        crawler: Crawler,
        site: Site,
        reference: Reference,
        kills: int,
        seed: int,
        *,
        aims: dict[str, int] = EVERYWHERE,
        first_only: bool = False,
    ) -> None:
        self.results = KillResults(crawler, len(reference.output.items))
        self._crawler = crawler
        self._site = site
        self._reference = reference
        self._kills = kills
        self._aims = aims
        self._first_only = first_only
        self._orphaned: list[LaunchedCommand] = []
        self._random = random.Random(seed)

    def run(self) -> KillResults:
        """Crawl until all kills are done; every crawl is finished and checked.

        Raises CrawlError if a run ends with an error on its own.
        """
        while self.results.kills.total() < self._kills:
            self._crawl()
        return self.results

    def _crawl(self) -> None:
        """Run one job: kill and resume it a few times, then compare it with the reference."""
        self.results.crawls += 1
        since = self._site.log_end()
        with scratch() as folder:
            work = _work(self._crawler, self._site, folder)
            try:
                while not self._finish_or_kill(work, folder, since):
                    self.results.resumes += 1
            finally:
                self._count_left_behind()
            self.results.differences.append(difference(read(work.output), self._reference.output))
        hits = self._site.hits(since)
        self.results.again += sum(hit.is_page for hit in hits) - len(pages_of(hits))

    def _finish_or_kill(self, work: Work, folder: Path, job_since: int) -> bool:
        """Run once; True if that finished the crawl."""
        since = self._site.log_end()
        launched = LaunchedCommand(self._crawler.command(work), folder, folder / "run.log")
        try:
            if self.results.kills.total() >= self._kills or self._outlived(
                launched, since, job_since
            ):
                self._check_end(launched)
                return True
            self._kill(launched)
        except BaseException:
            launched.close()
            raise
        self.results.kills[self._moment(since, job_since)] += 1
        return False

    def _check_end(self, launched: LaunchedCommand) -> None:
        end = launched.finish()
        launched.close()
        if end.status != 0:
            raise CrawlError(
                f"{self._crawler.name} ended with status {end.status} after "
                f"{self.results.kills.total()} kills:\n{launched.log_tail()}"
            )

    def _kill(self, launched: LaunchedCommand) -> None:
        if self._first_only:
            launched.kill_first()
            self._orphaned.append(launched)
        else:
            launched.kill(self._random)
            launched.close()

    def _outlived(self, launched: LaunchedCommand, since: int, job_since: int) -> bool:
        """Wait for the instant of the kill; True if the run ended before."""
        (aim,) = self._random.choices(list(self._aims), list(self._aims.values()))
        parts = (STARTING, FETCHING, ENDING)
        while parts.index(self._moment(since, job_since)) < parts.index(aim):
            if launched.ended(_POLL_EVERY):
                return True
        # Half of the fetching at most, so that one crawl is killed several times.
        span = self._reference.parts[aim] / (2 if aim == FETCHING else 1)
        return launched.ended(self._random.uniform(0, span))

    def _moment(self, since: int, job_since: int) -> str:
        """Return the part that the run is in, by the server's log."""
        if self._site.log_end() == since:
            return STARTING
        asked_for = len(pages_of(self._site.hits(job_since)))
        return FETCHING if asked_for < len(self._reference.output.items) else ENDING

    def _count_left_behind(self) -> None:
        deadline = time.monotonic() + _EXIT_WITHIN
        while any(command.pids() for command in self._orphaned) and time.monotonic() < deadline:
            time.sleep(0.05)
        for command in self._orphaned:
            self.results.left_behind += len(command.pids())
            command.close()
        self._orphaned.clear()


def reference(crawler: Crawler, site: Site) -> Reference:
    """Crawl ``site`` once without interruption."""
    since = site.log_end()
    with scratch() as folder:
        work = _work(crawler, site, folder)
        launched = LaunchedCommand(crawler.command(work), folder, folder / "run.log")
        try:
            starting = _until_asked(launched, site, since)
            end = launched.finish()
            if end.status != 0:
                raise CrawlError(f"{crawler.name} failed:\n{launched.log_tail()}")
        finally:
            launched.close()
        output = read(work.output)
    hits = site.hits(since)
    if not output.items or output.twice or output.torn:
        raise CrawlError(f"{crawler.name} wrote a bad output without having been killed at all")
    fetching = hits[-1].at - hits[0].at
    ending = end.seconds - starting - fetching
    return Reference(output, {STARTING: starting, FETCHING: fetching, ENDING: ending})


def _until_asked(launched: LaunchedCommand, site: Site, since: int) -> float:
    began = time.monotonic()
    while site.log_end() == since and not launched.ended(_POLL_EVERY):
        pass
    return time.monotonic() - began


def _work(crawler: Crawler, site: Site, folder: Path) -> Work:
    return Work(site.seeds, folder / "items.jsonl", folder / "job", crawler.concurrencies[0])
