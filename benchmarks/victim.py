"""A crawl that is killed and resumed until it is finished, and what was lost by it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.crawlers import Crawler, Work
from benchmarks.items import Difference, Output, difference, read
from benchmarks.measure import CrawlError, pages_of, scratch
from benchmarks.processes import Launched
from benchmarks.site import Site

STARTING, FETCHING, ENDING = "starting", "fetching", "ending"
"""Before a run's first request; while there were pages left to ask for; after that."""

_PATIENCE = 0.002
"""Seconds between two looks at whether the server has been asked."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An uninterrupted crawl: its output, and how long (seconds) its parts took."""

    output: Output
    until_first_request: float
    fetching: float


@dataclass(slots=True)
class Toll:
    """What came of the kills, added up over crawls."""

    crawler: Crawler
    pages: int
    kills: Counter[str] = field(default_factory=Counter)
    crawls: int = 0
    resumes: int = 0
    again: int = 0
    found: list[Difference] = field(default_factory=list)

    def total(self, what: str) -> int:
        """One kind of difference, over all crawls."""
        return sum(getattr(difference, what) for difference in self.found)


class Victim:
    """One crawler at one site, to be killed ``kills`` times at instants that ``seed`` decides.

    About one kill in ``1 / while_starting`` comes before the first request, the others after it.
    """

    def __init__(
        self,
        crawler: Crawler,
        site: Site,
        reference: Reference,
        kills: int,
        seed: int,
        *,
        while_starting: float = 0.2,
    ) -> None:
        self.toll = Toll(crawler, len(reference.output.items))
        self._crawler = crawler
        self._site = site
        self._reference = reference
        self._kills = kills
        self._while_starting = while_starting
        self._random = random.Random(seed)

    def suffer(self) -> Toll:
        """Crawl as often as it takes to land all the kills; every crawl is finished, and checked.

        Raises CrawlError if a run ends with an error on its own.
        """
        while self.toll.kills.total() < self._kills:
            self._crawl()
        return self.toll

    def _crawl(self) -> None:
        """One job: killed a few times, resumed each time, then compared with the reference."""
        self.toll.crawls += 1
        since = self._site.log_end()
        with scratch() as folder:
            work = _work(self._crawler, self._site, folder)
            while not self._finish_or_kill(work, folder, since):
                self.toll.resumes += 1
            self.toll.found.append(difference(read(work.output), self._reference.output))
        hits = self._site.hits(since)
        self.toll.again += sum(hit.is_page for hit in hits) - len(pages_of(hits))

    def _finish_or_kill(self, work: Work, folder: Path, job_since: int) -> bool:
        """One run; True if it has finished the crawl."""
        since = self._site.log_end()
        launched = Launched(self._crawler.command(work), folder, folder / "run.log")
        try:
            if self.toll.kills.total() >= self._kills or self._outlived(launched, since):
                if (end := launched.finish()).status != 0:
                    raise CrawlError(
                        f"{self._crawler.name} ended with status {end.status} after "
                        f"{self.toll.kills.total()} kills:\n{launched.last_words()}"
                    )
                return True
            launched.kill(self._random)
        finally:
            launched.close()
        self.toll.kills[self._moment(since, job_since)] += 1
        return False

    def _outlived(self, launched: Launched, since: int) -> bool:
        """Wait for the instant of the kill; True if the run has ended before it."""
        if self._random.random() < self._while_starting:
            return launched.ended(self._random.uniform(0, self._reference.until_first_request))
        while self._site.log_end() == since:
            if launched.ended(_PATIENCE):
                return True
        return launched.ended(self._random.uniform(0, self._reference.fetching / 2))

    def _moment(self, since: int, job_since: int) -> str:
        """What the run was doing when it was killed, going by the server's log."""
        if not self._site.hits(since):
            return STARTING
        asked_for = len(pages_of(self._site.hits(job_since)))
        return FETCHING if asked_for < len(self._reference.output.items) else ENDING


def reference(crawler: Crawler, site: Site) -> Reference:
    """Crawl ``site`` once without interruption."""
    since = site.log_end()
    with scratch() as folder:
        work = _work(crawler, site, folder)
        launched = Launched(crawler.command(work), folder, folder / "run.log")
        try:
            starting = _until_asked(launched, site, since)
            if launched.finish().status != 0:
                raise CrawlError(f"{crawler.name} failed:\n{launched.last_words()}")
        finally:
            launched.close()
        output = read(work.output)
    hits = site.hits(since)
    if not output.items or output.twice or output.torn:
        raise CrawlError(f"{crawler.name} wrote a bad output without having been killed at all")
    return Reference(output, starting, hits[-1].at - hits[0].at)


def _until_asked(launched: Launched, site: Site, since: int) -> float:
    waited = 0.0
    while site.log_end() == since and not launched.ended(_PATIENCE):
        waited += _PATIENCE
    return waited


def _work(crawler: Crawler, site: Site, folder: Path) -> Work:
    return Work(site.seed, folder / "items.jsonl", folder / "job", crawler.concurrencies[0])
