"""Every loss of power in a crawl: ``python -m tests.faults.powercuts --shape pair``.

A crawl is recorded with the order of its writes and syncs. Of each instant, the disk is put into
the states that a loss of power may leave, and the job is opened, which must not fail. What it then
is, a commit with its output, is one of few; from each of them the same command goes on to the end,
and what it has written is compared with what the site's definition says. A request that must not be
sent twice is not sent again, if the site had it before.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from crawler.cli.configure import for_run
from crawler.errors import CrawlerError
from crawler.job.config import RunConfig
from crawler.job.folder import STORE
from crawler.job.job import Job
from crawler.session.masking import Mask
from tests.faults.crawls import SPIDERS, Crawl
from tests.faults.disk import DiskState
from tests.faults.machine import Machine
from tests.faults.plan import Kill, Run, Target
from tests.faults.site import Site
from tests.faults.toll import Toll
from tests.faults.web import Shape, Web

MEMORY = Path("/dev/shm")
"""A disk for the replays, which have no use for a slower one."""

COUNTED = "SELECT CAST(value AS TEXT) FROM job WHERE name IN ('counters', 'seeds_added')"
PENDING = "SELECT host, rank, id, once FROM pending ORDER BY 1, 2, 3"


@dataclass(frozen=True, slots=True)
class Commit:
    """What a job is when it is opened, and the requests to be sent once that the site had then."""

    digest: str
    orders: frozenset[str]


@dataclass(slots=True)
class Findings:
    """What the losses of power have come to."""

    instants: int = 0
    states: int = 0
    """Different states of the disk."""
    commits: dict[Commit, DiskState] = field(default_factory=dict)
    """A state for each way in which a job went on."""
    refused: Counter[str] = field(default_factory=Counter)
    """The errors of jobs that could not be opened."""
    toll: Toll = field(default_factory=Toll)

    @property
    def wrong(self) -> list[str]:
        """Everything that should not be, in words."""
        refused = [f"{times} x {error}" for error, times in self.refused.items()]
        return refused + self.toll.wrong


class PowerCuts:
    """One crawl with kills ``runs``, recorded on a disk of its own below ``root``."""

    def __init__(
        self,
        site: Site,
        web: Web,
        root: Path,
        runs: Sequence[Run] = (),
        spiders: Path = SPIDERS,
        *,
        elsewhere: bool,
    ) -> None:
        """With ``elsewhere`` the output is on another file system than the job."""
        self._web = web
        self._output = root / "out" / "of" / "it" / "items.jsonl" if elsewhere else None
        self._machine = Machine(root, ["job", "out"])
        self._crawl = Crawl(site, web, root, spiders, machine=self._machine, output=self._output)
        self._crawl.record(runs)
        self._ordered_at = site.had(web).ordered_at
        self._words = f"{spiders}:{web.shape.title()}", f"port={site.port}"

    @property
    def instants(self) -> list[int]:
        """Where the states of the disk change."""
        return sorted(
            {at for event in self._machine.disk.events for at in (event.begin, event.end)}
        )

    def search(self, instants: Sequence[int], chance: random.Random, draws: int = 1) -> Findings:
        """Open the job in every state that the instants may leave, some of them drawn."""
        spider, port = self._words
        config = for_run(
            spider,
            self._crawl.seeds,
            arguments=[f"name_of_web={self._web.name}", port],
            job=self._crawl.job,
            output=self._output,
            mask=Mask([]),
        )
        findings, seen = Findings(), set[int]()
        for at in instants:
            for state in self._machine.disk.states(at, chance, draws):
                if state.key() not in seen:
                    seen.add(state.key())
                    self._open(config, state, at, findings)
        findings.instants, findings.states = len(instants), len(seen)
        return findings

    def go_on(self, findings: Findings, commits: Sequence[Commit]) -> None:
        """Let the same command go on from some of the commits that were found."""
        for commit in commits:
            self._machine.put(findings.commits[commit])
            findings.toll.add(self._crawl.go_on(commit.orders))

    def _open(self, config: RunConfig, state: DiskState, at: int, findings: Findings) -> None:
        self._machine.put(state)
        try:
            with Job(config) as job:
                output = job.items.checksum, job.rejected.checksum
        except CrawlerError as error:
            findings.refused[str(error)] += 1
        else:
            time = self._machine.time(at)
            orders = (place for place, placed in self._ordered_at.items() if placed < time)
            commit = Commit(self._digest(output), frozenset(orders))
            findings.commits.setdefault(commit, state)

    def _digest(self, output: tuple[int, int]) -> str:
        with closing(sqlite3.connect(self._crawl.job / STORE)) as db:
            counted, pending = db.execute(COUNTED).fetchall(), db.execute(PENDING).fetchall()
        if not pending and len(counted) < 2:  # where the record of the job may be any
            return "new"
        return hashlib.sha256(repr((counted, pending, output)).encode()).hexdigest()


# The command


KILLS = (
    Run(Kill(Target.ALL, after=25, moment=0.01)),
    Run(Kill(Target.MAIN, "commit.stored", 3, after=10_000)),
)
"""Of a crawl that is killed twice before its last run."""


@dataclass(frozen=True)
class Search:
    """What is looked at in one crawl of each shape; ``seed`` decides the webs and what is drawn."""

    seed: str = "7"
    size: int = 20
    """Pages on each host of a web."""
    every: int = 1
    """Instants of which one is looked at."""
    draws: int = 2
    """States that are drawn for each instant."""
    resumes: int = 20
    """Commits from which to go on."""

    def run(self, shapes: Iterable[Shape] = Shape) -> Iterator[tuple[Web, Findings]]:
        """Search the shapes one after another."""
        memory = MEMORY if MEMORY.is_dir() else None
        with TemporaryDirectory(dir=memory) as folder, Site(Path(folder)) as site:
            for number, shape in enumerate(shapes):
                web = Web(shape, self.seed, number, self.size)
                root = Path(folder) / web.name
                root.mkdir()
                runs = KILLS[: number % (len(KILLS) + 1)]
                cuts = PowerCuts(site, web, root, runs, elsewhere=number % 2 == 0)
                yield web, self._search(cuts)

    def _search(self, cuts: PowerCuts) -> Findings:
        chance = random.Random(self.seed)
        findings = cuts.search(cuts.instants[:: self.every], chance, self.draws)
        commits = list(findings.commits)
        cuts.go_on(findings, chance.sample(commits, min(self.resumes, len(commits))))
        return findings


def table(found: Iterable[tuple[Web, Findings]]) -> list[str]:
    """The findings in Markdown, without what is wrong."""
    head = ("crawl", "instants", "states", "refused", "commits", "gone on from", "wrong")
    rows = [_row(web, findings) for web, findings in found]
    return [f"| {' | '.join(head)} |", f"| --- {'| ---: ' * (len(head) - 1)}|", *rows]


def _row(web: Web, findings: Findings) -> str:
    counts = (
        *(findings.instants, findings.states, findings.refused.total()),
        *(len(findings.commits), findings.toll.crawls, len(findings.toll.wrong)),
    )
    return f"| {web.name} | {' | '.join(f'{count:,}' for count in counts)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Search one crawl of each shape; 1 if anything is not as it should be."""
    options = vars(_parser().parse_args(arguments))
    shapes = options.pop("shape") or Shape
    print("\n".join(table([])), flush=True)
    wrong: list[str] = []
    for web, findings in Search(**options).run(shapes):
        print(_row(web, findings), flush=True)
        wrong += findings.wrong
    print("\n".join(wrong))
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.powercuts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--shape", type=Shape, action="append", help="of the crawl (default: one of each)")
    add("--size", type=int, default=Search.size, help="pages on each host of a web")
    add("--seed", default=Search.seed, help="decides the webs and what is drawn")
    add("--every", type=int, default=Search.every, help="instants of which one is looked at")
    add("--draws", type=int, default=Search.draws, help="states drawn for each instant")
    add("--resumes", type=int, default=Search.resumes, help="commits from which to go on")
    return parser


if __name__ == "__main__":
    sys.exit(main())
