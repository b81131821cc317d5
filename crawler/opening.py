"""Opening a job: its spider is made, its seeds are added, its scope is known."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator

from crawler import seeds, urls
from crawler.errors import SeedError
from crawler.finder import Finder
from crawler.frontier import Frontier
from crawler.job import LOG, PAGES, Job
from crawler.request import Request
from crawler.safety import Safety
from crawler.scope import Scope
from crawler.seeds import BadSeed
from crawler.spider import Spider
from crawler.team import Assembly

log = logging.getLogger(__name__)

AT_ONCE = 10_000
"""Seeds that are committed together."""


class Opening:
    """Adds the seeds of a plan to its job and says what the workers need to start.

    Afterwards ``new`` and ``bad`` count the seeds that were new and those that were no seeds.
    """

    def __init__(
        self, job: Job, spider: Spider, frontier: Frontier, report: Callable[[BadSeed], None]
    ) -> None:
        self._job = job
        self._spider = spider
        self._frontier = frontier
        self._report = report
        self._scope = self._declared_scope()
        Safety(spider.logout_urls)  # workers have one each; what is wrong is told here, and once
        self._added_before = bool(job.store.get("seeds_added", False))
        self.new = 0
        self.bad = 0

    def add_seeds(self) -> None:
        """Add what the plan starts from. Raises SeedError when there is nothing to start from."""
        plan, store = self._job.plan, self._job.store
        identity = seeds.identity(plan.seeds) if plan.seeds else None
        if identity is not None and identity == store.get("seeds"):
            return  # the same unchanged files: their seeds are in the frontier since the last run
        if plan.go_on and self._added_before:
            return
        requests = self._requests()
        good = 0
        while batch := list(itertools.islice(requests, AT_ONCE)):
            good += len(batch)
            with store.transaction():
                for request in batch:
                    self._add(request)
                self._job.save_counters()
        if not good:
            raise SeedError(self._nothing_to_start_from())
        with store.transaction():
            store.set("seeds", identity)
            store.set("seeds_added", True)

    def assembly(self, threads: int) -> Assembly:
        """What workers are made of."""
        domains = self._domains()
        netlocs = () if domains else tuple(map(_netloc, self._job.store.origins()))
        return Assembly(
            source=self._job.plan.source,
            arguments=self._job.plan.arguments,
            settings=self._job.plan.settings,
            domains=domains,
            netlocs=netlocs,
            threads=threads,
            log=str(self._job.folder / LOG),
            pages=self._job.folder / PAGES,
        )

    def _requests(self) -> Iterator[Request]:
        """The seeds that can be asked for; the others are reported and counted."""
        for seed in self._read():
            if isinstance(seed, BadSeed):
                self._refuse(seed)
            else:
                yield seed

    def _read(self) -> Iterable[Request | BadSeed]:
        return seeds.read(self._job.plan.seeds, self._spider)

    def _add(self, seed: Request) -> None:
        """Seeds keep their order; one that the job has seen adds nothing."""
        counters = self._job.counters
        # A finder of its own: seeds are checked as requests are, but no seed is too deep.
        found = Finder(self._spider, self._scope, None).find(seed, depth=0)
        if found is None:
            text = urls.redacted(seed.url)
            self._refuse(BadSeed("seeds", text, "it is not in allowed_domains"))
            return
        # A seed that is to be fetched whatever was seen is meant once a job, not once a run.
        is_new = self._job.store.mark_seen(found) if found.dont_filter else True
        if self._added_before and not is_new:
            return
        host = self._frontier.host_id(found.origin)
        if self._job.store.add(host, counters.sequence + 1, found):
            counters.sequence += 1
            counters.pending += 1
            self.new += 1

    def _refuse(self, seed: BadSeed) -> None:
        self.bad += 1
        log.warning("bad seed %s", seed)
        self._report(seed)

    def _domains(self) -> tuple[str, ...] | None:
        declared = self._spider.allowed_domains
        return ((declared,) if isinstance(declared, str) else tuple(declared)) or None

    def _declared_scope(self) -> Scope | None:
        domains = self._domains()
        return None if domains is None else Scope.of_domains(domains)

    def _nothing_to_start_from(self) -> str:
        if self._job.plan.seeds:
            return f"none of the seeds in {', '.join(self._job.plan.seeds)} can be used"
        name = type(self._spider).__name__
        return f"{name} has nothing to start from: give seeds, or name start_urls in the spider"


def _netloc(origin: str) -> str:
    return origin.partition("://")[2]
