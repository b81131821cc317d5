"""The crash machine: ``python -m tests.faults.torture --kills 1000 --seed 7``.

It crawls a site of its own while SIGKILL hits the main process, the fetching process, a worker, or
all of them, at random instants and at every named point of the commit; resumes with the same
command; repeats, until all kills have landed. In some crawls the machine dies with the processes,
and its disk has any state that the order of syncs permits (disk.py). Every crawl is finished, and
what it has written is compared with what the site's definition says. The exit status is 1 if
anything was lost, twice, torn or left behind.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine import hardware, interpreter
from tests.faults import points, powercuts, recorder
from tests.faults.crawls import Crawl
from tests.faults.machine import Machine
from tests.faults.plan import Plan, Target
from tests.faults.site import Site
from tests.faults.toll import Toll
from tests.faults.web import HOSTS, Shape, Web

HERE = Path(__file__).parent
WORK = HERE / "work"
"""On the disk that the project is on: where syncing may cost nothing, it may prove nothing."""
SHAPES = list(Shape)
USUAL_KILLS, USUAL_SIZE = 30, 500
"""Kills in one crawl, and pages on each of its hosts."""
POWER_OF = 5
"""Crawls of which one is on a machine that may lose power, if ``strace`` is there to record it."""

ENOUGH = 1000
"""Kills that come to every point; one that they do not come to has lost its place in the code."""


@dataclass(frozen=True, slots=True)
class Torture:
    """Plan the kills of crawls; ``seed`` decides all of them."""

    kills: int
    seed: str = "7"
    size: int = USUAL_SIZE
    kills_each: int = USUAL_KILLS
    jobs: int = 2
    """Crawls at the same time."""

    def run(self) -> Toll:
        """Land all kills. A crawl that has too few of them is followed by a further one."""
        toll = Toll()
        numbers = itertools.count()
        with _workplace() as folder, Site(folder) as site, ThreadPoolExecutor(self.jobs) as pool:
            while (left := self.kills - toll.kills.total()) > 0 and not toll.wrong:
                shares = _shares(left, self.kills_each)
                crawls = list(zip(numbers, shares, strict=False))
                for one in pool.map(lambda crawl: self.crawl(site, folder, *crawl), crawls):
                    toll.add(one)
        if self.kills >= ENOUGH:
            missed = {*points.POINTS, *points.FETCHER, *points.WORKER} - toll.at_points().keys()
            toll.wrong += [f"nothing was killed at {point}" for point in sorted(missed)]
            if recorder.is_available() and not toll.of(Target.MACHINE, named=False):
                toll.wrong.append("no machine died")
        return toll

    def crawl(self, site: Site, folder: Path, number: int, kills: int) -> Toll:
        """One crawl by its number, with its share of the kills."""
        web = Web(SHAPES[number % len(SHAPES)], self.seed, number, self.size)
        loses_power = number % POWER_OF == POWER_OF - 1 and recorder.is_available()
        requests = self.size * HOSTS
        plan = Plan(self.seed, number, web.shape, kills, requests, loses_power=loses_power)
        place = folder / web.name
        place.mkdir()
        machine = Machine(place, ["job", "out"]) if loses_power else None
        output = place / "out" / "items.jsonl" if number % 2 else None
        toll = Crawl(site, web, place, machine=machine, output=output).suffer(plan.runs())
        if toll.wrong:
            kept = WORK / f"{web.name}.kept"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(place, kept)
            toll.wrong.append(f"{web.name}: its folder is {kept}")
        shutil.rmtree(place)
        print(_progress(web, toll), flush=True)
        return toll


def _shares(kills: int, each: int) -> list[int]:
    """As even as can be; crawls without room for a kill at each end would be none."""
    crawls = max(1, round(kills / each))
    return [kills // crawls + (number < kills % crawls) for number in range(crawls)]


@contextmanager
def _workplace() -> Iterator[Path]:
    WORK.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=WORK, prefix="run-") as folder:
        yield Path(folder)


def _progress(web: Web, toll: Toll) -> str:
    return (
        f"{web.name}: {toll.kills.total()} kills, {toll.resumes} resumes, {toll.requests:,} "
        f"requests, lost {toll.lost}, twice {toll.twice}, torn {toll.torn}"
        + "".join(f"\n  {line}" for line in toll.wrong)
    )


# The report


def report(options: str, toll: Toll, seconds: float, cuts: Sequence[str] = ()) -> str:
    """Return the kills and their results in Markdown; ``options`` are those of the command.

    ``cuts`` is the table of a search through losses of power.
    """
    parts = (_head(options, seconds), _figures(toll), _kills(toll), _cuts(cuts), _wrong(toll), [""])
    return "\n".join(itertools.chain(*parts))


def _head(options: str, seconds: float) -> list[str]:
    return [
        "# The crash machine's report",
        "",
        f"Written by `python -m tests.faults.torture {options}`",
        f"on {datetime.now(UTC):%d %B %Y}, after {seconds / 60:.0f} minutes.",
        f"The machine: {hardware()}, {interpreter()}.",
        "",
        "Each crawl was killed, resumed by the same command, and so on until it was finished. Then",
        "its output was compared with what the definition of its site says, line by line. What the",
        "points are is in [points.py](points.py), what the sites have in [web.py](web.py). What is",
        "left on the disk of a machine that dies is in [disk.py](disk.py).",
        "",
        *([] if recorder.is_available() else ["No machine has died: `strace` is missing.", ""]),
    ]


def _figures(toll: Toll) -> list[str]:
    rows = {
        "kills": toll.kills.total(),
        "resumes": toll.resumes,
        "crawls": toll.crawls,
        "pages": toll.pages,
        "requests": toll.requests,
        "pages asked for again": toll.again,
        "logins": toll.logins,
        "sessions that the site ended": toll.ended,
        "requests to be sent once": toll.orders,
        "of these reported as perhaps sent": toll.unsure,
        "**lost**": toll.lost,
        "**twice**": toll.twice,
        "**torn**": toll.torn,
        "**not of the site**": toll.foreign,
        "**processes left behind**": toll.left_behind,
        "**anything else wrong**": len(toll.wrong),
    }
    return ["| | |", "| --- | ---: |", *(f"| {name} | {count:,} |" for name, count in rows.items())]


def _kills(toll: Toll) -> list[str]:
    at = toll.at_points()
    return [
        "",
        "## Kills",
        "",
        "| hit | at random instants | at named points |",
        "| --- | ---: | ---: |",
        *(
            f"| {target} | {toll.of(target, named=False)} | {toll.of(target, named=True)} |"
            for target in Target
        ),
        "",
        "| point | kills |",
        "| --- | ---: |",
        *(
            f"| {point} | {at[point]} |"
            for point in (*points.POINTS, *points.FETCHER, *points.WORKER)
        ),
    ]


def _cuts(table: Sequence[str]) -> list[str]:
    if not table:
        return []
    return [
        "",
        "## Losses of power",
        "",
        "The writes and syncs of a crawl were recorded. At each instant, its job was opened in the",
        "states that a loss of power may leave. It was at one of a few commits then; from some of",
        "them the same command went on to the end ([powercuts.py](powercuts.py)).",
        "",
        *table,
    ]


def _wrong(toll: Toll) -> list[str]:
    return ["", "## Wrong", "", *(f"- {line}" for line in toll.wrong)] if toll.wrong else []


# The command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if anything is not as it should be."""
    options = _parser().parse_args(arguments)
    torture = Torture(
        options.kills, options.seed, options.size, options.kills_each, options.parallel
    )
    began = time.monotonic()
    if options.only is None:
        toll = torture.run()
    else:
        with _workplace() as folder, Site(folder) as site:
            toll = torture.crawl(site, folder, options.only, options.kills_each)
    said = arguments if arguments is not None else sys.argv[1:]
    cuts: list[str] = []
    if options.kills >= ENOUGH and options.only is None and recorder.is_available():
        found = list(powercuts.Search(options.seed).run())
        cuts = powercuts.table(found)
        toll.wrong += [line for _, findings in found for line in findings.wrong]
    text = report(" ".join(said), toll, time.monotonic() - began, cuts)
    print(text)
    if options.report is not None:
        options.report.write_text(text)
    return 1 if toll.wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.torture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--kills", type=int, default=1000, help="how many have to land (default: 1000)")
    add("--seed", default="7", help="decides all kills and webs (default: 7)")
    add("--size", type=int, default=USUAL_SIZE, help="pages on each host of a web (default: 500)")
    add("--kills-each", type=int, default=USUAL_KILLS, help="in one crawl (default: 30)")
    add("--parallel", type=int, default=2, help="crawls at the same time (default: 2)")
    add("--only", type=int, metavar="CRAWL", help="repeat this one crawl and no other")
    add("--report", type=Path, metavar="FILE", help="where the report goes as well")
    return parser


if __name__ == "__main__":
    sys.exit(main())
