"""Start a job: add its seeds, reassign its accounts, and say what its processes need."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from crawler import urls
from crawler.errors import SeedError, SpiderError
from crawler.fetching.processes import ProcessSpec
from crawler.job import seeds
from crawler.job.folder import LOG, PAGES
from crawler.job.job import Job
from crawler.job.seeds import LONGEST_SHOWN, BadSeed
from crawler.parsing.login_marks import DeclaredMarks
from crawler.records import NewRequest
from crawler.request import Request
from crawler.scheduling.frontier import Frontier
from crawler.scope import NetlocSet, Scope
from crawler.spider import Spider
from crawler.text import cut
from crawler.worker.crawl_limits import CrawlLimits
from crawler.worker.request_filter import RequestFilter
from crawler.worker.unsafe.links import compiled

log = logging.getLogger(__name__)

AT_ONCE = 100_000
"""Seeds that are committed together. Lists often name many hosts by turns, so each seed has its
place in a part of the store of its own, and each commit writes those parts as a whole."""
MOST_HELD = 32_000_000
"""Bytes of requests that wait in memory to be written."""


class Seeder:
    """Adds the seeds of a run to its job.

    Afterwards ``new`` and ``bad`` count the seeds that were new and those that were no seeds.
    """

    def __init__(
        self, job: Job, spider: Spider, frontier: Frontier, report: Callable[[BadSeed], None]
    ) -> None:
        self._job = job
        self._spider = spider
        self._frontier = frontier
        self._report = report
        domains = allowed_domains(spider)
        scope = None if domains is None else Scope.of_domains(domains)
        names = [account.name for account in job.config.accounts]
        self._filter = RequestFilter(
            spider, scope, CrawlLimits(), names
        )  # no limit counts for seeds
        for name in ("logout_urls", "safe_urls"):  # before the workers start, which compile them
            compiled(name, getattr(spider, name))
        check_marks(spider)
        self._added_before = bool(job.store.meta.get("seeds_added", False))
        self._taken = 0
        # By an earlier run that was killed while it added them: none is added a second time.
        self._taken_before = (
            math.inf if self._added_before else job.store.meta.get("seeds_taken", 0)
        )
        self.new = 0
        self.bad = 0

    def add_seeds(self) -> None:
        """Add the seeds of the run. Raises SeedError if there are none."""
        config, store = self._job.config, self._job.store
        identity = seeds.identity(config.seeds) if config.seeds else None
        if identity is not None and store.meta.get("seeds") in (identity, {"identity": identity}):
            return  # the same unchanged files: their seeds are in the frontier since the last run
        if config.resume_only and self._added_before:
            return
        requests = self._requests()
        valid = 0
        for seed in requests:
            with store.transaction():
                valid += self._add(itertools.chain([seed], itertools.islice(requests, AT_ONCE - 1)))
                store.meta.set("seeds_taken", self._taken)
                self._job.save()
        if not valid:
            raise SeedError(self._nothing_to_start_from())
        # Synced before the first page is fetched: a store without seeds, beside an output with
        # lines, would be refused.
        with store.transaction(synced=True):
            store.meta.set("seeds", {"identity": identity})
            store.meta.set("seeds_added", True)

    def _requests(self) -> Iterator[Request]:
        """Yield the seeds that can be requested; report and count the others."""
        for seed in self._read():
            if isinstance(seed, BadSeed):
                self._refuse(seed)
            else:
                yield seed

    def _read(self) -> Iterable[Request | BadSeed]:
        return seeds.read(self._job.config.seeds, self._spider)

    def _add(self, batch: Iterable[Request]) -> int:
        """Add seeds in their order, except those seen before; return how many are valid."""
        valid = size = 0
        accepted: list[tuple[int, NewRequest]] = []
        for seed in batch:
            try:
                new = self._filter.accept_seed(seed)
                reason = "it is not in allowed_domains"
            except SpiderError as error:
                new, reason = None, str(error)
            if new is None:
                text = cut(urls.redacted(seed.url), LONGEST_SHOWN)
                self._refuse(BadSeed("seeds", text, reason))
                continue
            valid += 1
            self._taken += 1
            # The first two need the sequence number, and the requests seen so far: so the earlier
            # seeds are written first.
            if new.dont_filter or self._job.config.accounts or size > MOST_HELD:
                self._write(accepted)
                size = 0
            # A seed with ``dont_filter`` is fetched once in a job, not once in each run.
            is_new = self._job.store.seen.add(new) if new.dont_filter else True
            if is_new or self._taken > self._taken_before:
                account = new.account or self._next_account()
                accepted.append((self._frontier.admission.host_id(new.origin, account), new))
                size += len(new.request)
        self._write(accepted)
        return valid

    def _write(self, accepted: list[tuple[int, NewRequest]]) -> None:
        """Queue seeds, and empty their list."""
        counters = self._job.counters
        self._job.store.hosts.mark_seeded({host_id for host_id, _ in accepted})
        new = len(self._job.store.queue.add(accepted, counters.sequence + 1))
        counters.sequence += new
        counters.pending += new
        self.new += new
        accepted.clear()

    def _next_account(self) -> str:
        """Return the accounts in turn, one for each seed."""
        accounts = self._job.config.accounts
        return accounts[self._job.counters.sequence % len(accounts)].name if accounts else ""

    def _refuse(self, seed: BadSeed) -> None:
        self.bad += 1
        log.warning("bad seed %s", seed)
        self._report(seed)

    def _nothing_to_start_from(self) -> str:
        if self._job.config.seeds:
            return f"none of the seeds in {', '.join(self._job.config.seeds)} can be used"
        name = type(self._spider).__name__
        return f"{name} has nothing to start from: give seeds, or name start_urls in the spider"


def reassign_accounts(job: Job, spider: Spider) -> list[str]:
    """Reassign the requests of accounts that are no longer given, if the spider allows it.

    Otherwise they wait until the account is back; returns a message for each such account.
    """
    store, names = job.store, [account.name for account in job.config.accounts]
    retired = [name for name in store.accounts.with_work() if name not in names]
    if not names and retired == [""]:
        return []
    if names and spider.shares_requests:
        with store.transaction():
            for number, name in enumerate(retired):
                store.accounts.reassign(name, names[number % len(names)])
        return []
    return [_why_requests_wait(name) for name in retired]


def _why_requests_wait(name: str) -> str:
    if not name:
        return "this job began without accounts: omit --accounts, or start again with --fresh"
    return f"there is no account {name!r} any more, whose requests wait"


def process_spec(job: Job, spider: Spider, netlocs: NetlocSet) -> ProcessSpec:
    """Return all that the processes of this job are made from; ``netlocs`` may grow later."""
    config, domains = job.config, allowed_domains(spider)
    return ProcessSpec(
        source=config.source,
        arguments=config.arguments,
        settings=config.settings,
        domains=domains,
        netlocs=netlocs,
        log=str(job.folder / LOG),
        accounts=config.accounts,
        pages=job.folder / PAGES if config.keeps_folder else None,
        mask=config.mask,
    )


def netlocs_in_scope(job: Job, spider: Spider) -> NetlocSet:
    """Return the netlocs of all hosts of the job; none if the spider declares its domains."""
    if allowed_domains(spider):
        return NetlocSet()
    return NetlocSet(map(urls.netloc_of, job.store.hosts.origins()))


def check_marks(spider: Spider) -> None:
    """Raise SpiderError if what a spider says of its pages is no text, selector or function."""
    DeclaredMarks(spider.member_mark, spider.logged_out_text).check()
    probe_url: Any = spider.probe_url
    if not isinstance(probe_url, (str, type(None))):
        raise SpiderError(f"probe_url is {probe_url!r}, but must be a URL")


def allowed_domains(spider: Spider) -> tuple[str, ...] | None:
    """Return the domains that the spider declares; None if the seeds' hosts are the scope."""
    declared: Any = spider.allowed_domains
    if isinstance(declared, str):
        return (declared,)
    if declared is not None and not isinstance(declared, Iterable):
        raise SpiderError(
            f'allowed_domains must be a list such as ["example.com"], not {declared!r}'
        )
    return tuple(declared or ()) or None
