"""Crawls sites that are made up at random, with the defaults, and counts what comes of it.

``python -m tests.login_sites.random --seeds 0-299`` crawls three hundred. Each has a line; the
summary says how many outputs were exact, and whether the run itself said where the default cannot
know who is logged in. The exit status is 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from tests.login_sites.cases import kills_of
from tests.login_sites.chance import design_of, plan_of
from tests.login_sites.crawls import Outcome, crawl, describe
from tests.login_sites.launcher import Launcher
from tests.login_sites.walker import walk

MOST_UNKNOWN = 0.02
"""The share of sites at which the default may not know who is logged in, if the run says so."""
ADVICE = re.compile("is_logged_out|logged_out_text|member_mark|probe_url")
"""The lines that a user can add to a spider where the default cannot know."""
GIVEN_UP = re.compile(r"the session ends at .*logout_urls = \[")
"""The line to add for a page at which sessions seem to end, as they do at a link that logs out."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of the crawl of one seed."""

    seed: int
    spider: str
    concurrency: int
    outcome: Outcome

    @property
    def says_so(self) -> bool:
        """True if the run says that the default cannot know, and what to add."""
        return self.is_warned or bool(GIVEN_UP.search(self.outcome.log))

    @property
    def is_warned(self) -> bool:
        """Whether the run says that nothing tells the account from strangers."""
        outcome = self.outcome
        return bool(ADVICE.search(f"{outcome.log}\n{outcome.report.get('summary', '')}"))

    @property
    def verdicts(self) -> Iterator[str]:
        """Name each count that this crawl belongs to."""
        outcome, faults = self.outcome, self.outcome.faults()
        word = "said" if self.says_so else "silent"
        is_exact = outcome.is_exact
        yield EXACT if is_exact else f"{NOT_EXACT}, {word}"
        if is_exact and self.is_warned:
            yield NEEDLESS
        if outcome.strangers_pages:
            yield f"{STRANGERS}, {word}"
        if outcome.report.get("status"):
            yield STOPPED
        elif not is_exact and not outcome.strangers_pages:
            yield f"{LOST}, {word}"
        if outcome.login_faults():
            yield TOO_MANY
        if is_exact and faults and not outcome.login_faults():
            yield OTHERWISE

    def line(self) -> str:
        """Describe the crawl in a line."""
        outcome, site = self.outcome, self.outcome.site
        facts = [
            f"seed {self.seed:3}",
            "exact" if outcome.is_exact else "NOT EXACT",
            f"{len(outcome.strangers_pages)} strangers' pages",
            f"{site.logins}/{site.logins_due} logins",
            "said so" if self.says_so else "said nothing",
            f"{self.spider} at {self.concurrency}",
        ]
        faults = [f"\n    {fault}" for fault in outcome.faults()]
        return f"{' | '.join(facts)} | {site.design}{''.join(faults)}"


EXACT = "items exact"
NOT_EXACT = "items not exact"
NEEDLESS = "items exact, but said that the default cannot know"
STRANGERS = "strangers' pages in the output"
LOST = "pages lost, status 0"
STOPPED = "stopped with status 4"
TOO_MANY = "logins wrong, or more than due"
OTHERWISE = "items and logins right, status or failures wrong"


def run(seeds: Sequence[int], *, parallel: int, kills: bool = False) -> Iterator[Result]:
    """Crawl the sites of all seeds, in their order."""
    free: SimpleQueue[Launcher] = SimpleQueue()
    with ExitStack() as stack, TemporaryDirectory() as name, ThreadPoolExecutor(parallel) as pool:
        for _ in range(parallel):
            free.put(stack.enter_context(Launcher()))

        def crawl_next(seed: int) -> Result:
            launcher = free.get()
            try:
                return crawl_seed(seed, Path(name) / str(seed), launcher, kills=kills)
            finally:
                free.put(launcher)

        yield from pool.map(crawl_next, seeds)


def crawl_seed(seed: int, folder: Path, launcher: Launcher, *, kills: bool = False) -> Result:
    """Crawl the site of one seed."""
    design, plan = design_of(seed), plan_of(seed)
    if kills:
        plan = replace(plan, kill_at=kills_of(f"seed {seed}", design.pages))
    return Result(seed, plan.spider, plan.concurrency, crawl(design, folder, launcher, plan))


def summary(counts: Counter[str], total: int) -> list[str]:
    """Return the counts and their shares."""
    return [f"{count:5} {count / total:7.1%}  {name}" for name, count in sorted(counts.items())]


def broken(counts: Counter[str], total: int) -> list[str]:
    """Name the promises that are broken."""
    few = counts[f"{NOT_EXACT}, said"] <= MOST_UNKNOWN * total
    promises = {
        "the default knows, or says that it cannot": not counts[f"{NOT_EXACT}, silent"],
        f"the default knows at {1 - MOST_UNKNOWN:.0%} of the sites": few,
        "no stranger's page without a word": not counts[f"{STRANGERS}, silent"],
        "no more logins than due": not counts[TOO_MANY],
        "status and failures are right": not counts[OTHERWISE],
    }
    return [name for name, is_kept in promises.items() if not is_kept]


def main(arguments: Sequence[str] | None = None) -> int:
    """Crawl, print, and return 1 if a promise is broken."""
    options = _parser().parse_args(arguments)
    if options.walk:
        return _walk(options.seeds)
    began, counts = time.monotonic(), Counter[str]()
    for result in run(options.seeds, parallel=options.parallel, kills=options.kills):
        counts.update(result.verdicts)
        if not options.brief or result.outcome.faults():
            print(result.line(), flush=True)
        if options.show:
            print(describe(result.outcome))
    total = len(options.seeds)
    print(f"\n{total} sites in {time.monotonic() - began:.0f} s")
    print("\n".join(summary(counts, total)))
    promises = broken(counts, total)
    print("\n".join(f"broken: {name}" for name in promises) or "all promises kept")
    return 1 if promises else 0


def _walk(seeds: Sequence[int]) -> int:
    """Check the sites themselves, with a client that knows what each answer is."""
    unsound = [(seed, faults) for seed in seeds if (faults := walk(design_of(seed)))]
    for seed, faults in unsound:
        print(f"seed {seed}: {'; '.join(faults)} | {design_of(seed)}")
    print(f"{len(unsound)} of {len(seeds)} sites are unsound")
    return 1 if unsound else 0


def _seeds(text: str) -> list[int]:
    """Return the seeds that ``0-299`` or ``3,17,40-50`` names."""
    ranges = (part.partition("-") for part in text.split(","))
    return [n for first, _, last in ranges for n in range(int(first), int(last or first) + 1)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.login_sites.random", description=__doc__)
    add = parser.add_argument
    add("--seeds", type=_seeds, default="0-299", help="for instance 3,17,40-50 (default: 0-299)")
    add("--parallel", type=int, default=2, help="crawls at the same time (default: 2)")
    add("--kills", action="store_true", help="kill each crawl five times")
    add("--brief", action="store_true", help="print the crawls only that are wrong")
    add("--show", action="store_true", help="print the log and the last requests of each crawl")
    add("--walk", action="store_true", help="check the sites themselves, without the crawler")
    return parser


if __name__ == "__main__":
    sys.exit(main())
