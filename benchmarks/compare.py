"""Compare the crawlers: ``make bench``, or ``python -m benchmarks.compare``.

Each section is measured separately and saved as JSON in ``benchmarks/results``; the report is
written from all saved sections: ``--section broad`` measures one of them again,
``--section none`` only writes the report.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from benchmarks import (
    broad_crawl,
    chart,
    load,
    manuals,
    many_hosts,
    member_site,
    parts,
    report,
    results,
    slow_crawl,
    startup,
)
from benchmarks.calm import Calm
from benchmarks.crawlers import CRAWLEE, MANUAL_CRAWLERS, SCRAPY_LINKS
from benchmarks.environments import GO_PACKAGES, WORK, MissingDependencyError
from benchmarks.measure import CrawlError
from benchmarks.results import Section
from benchmarks.site import SOURCES, PackagesError, check_packages

RESULTS = Path(__file__).parent / "RESULTS.md"
SAVED = Path(__file__).parent / "results"
_NEEDS = (
    "It needs Linux and the Debian packages\n"
    f"nginx, {', '.join(source.package for source in SOURCES.values())}, and for the Go crawler\n"
    f"{' and '.join(GO_PACKAGES)}; each peer from PyPI gets a virtualenv of its own."
)
_QUICK_CRAWLERS = tuple(
    crawler for crawler in MANUAL_CRAWLERS if crawler not in (CRAWLEE, SCRAPY_LINKS)
)


@dataclass(frozen=True, slots=True)
class Suite:
    """All measurements by the name of their section, and the folder of the results."""

    sections: Mapping[str, Callable[[], Section]]
    folder: Path
    report: Path
    origin: str
    """The first paragraph of the report."""


def full(
    runs: int, calm: Calm, against: Path | None = None, hosts: int = many_hosts.IN_ALL
) -> Suite:
    """Return the measurements of ``make bench``.

    ``against`` is another checkout of the project, to be compared in the same runs. ``hosts`` is
    the greatest number of hosts.
    """
    crawlers = (*MANUAL_CRAWLERS, *manuals.earlier_ones(against))
    return Suite(
        {
            "postgresql": lambda: manuals.section("postgresql", runs, calm, crawlers),
            "python": lambda: manuals.section("python", runs, calm, crawlers),
            "login": lambda: member_site.section(runs, calm, against=against),
            "trees": parts.trees,
            "broad": lambda: broad_crawl.section(runs, calm),
            "slow": lambda: slow_crawl.slow(runs, calm, against=against),
            "private": lambda: slow_crawl.private(runs, calm),
            "many": lambda: many_hosts.section(1, calm, in_all=hosts),
            "frontier": parts.frontier,
            "start": lambda: startup.section(3 * runs, calm),
            "load": load.section,
        },
        SAVED,
        RESULTS,
        f"Written by `make bench`; do not edit. {_NEEDS}",
    )


def quick(calm: Calm, against: Path | None = None) -> Suite:
    """Return a short version, in under three minutes: one site, one run, and small loads."""
    return Suite(
        {
            "postgresql": lambda: manuals.section("postgresql", 1, calm, _QUICK_CRAWLERS),
            "login": lambda: member_site.section(1, calm, 200, against),
            "trees": lambda: parts.trees(1, 100),
            "broad": lambda: broad_crawl.section(1, calm, pages=10),
            "slow": lambda: slow_crawl.slow(1, calm, 500, 4, (), against),
            "private": lambda: slow_crawl.private(1, calm, 500, 4),
            "many": lambda: many_hosts.section(1, calm, 500, 2_000),
            "frontier": lambda: parts.frontier(100_000, 100_000),
            "start": lambda: startup.section(3, calm),
            "load": lambda: load.section(4),
        },
        WORK / "quick-results",
        WORK / "quick.md",
        "A short version, written by `make bench-quick`: one run, and small loads. The goals are\n"
        "those of `make bench`, whose loads are up to a hundred times as large.",
    )


def measure(suite: Suite, names: Sequence[str]) -> None:
    """Measure some sections and save the results. Raises CrawlError."""
    for name in names:
        began = time.monotonic()
        print(f"Measuring {name} …", file=sys.stderr, flush=True)
        section = suite.sections[name]()
        replace(section, took=time.monotonic() - began).save(suite.folder)


def write(suite: Suite) -> list[Section]:
    """Write table and chart from the saved sections."""
    sections = results.load(suite.folder, suite.sections)
    picture = suite.report.with_suffix(".svg")
    suite.report.parent.mkdir(exist_ok=True)
    picture.write_text(chart.draw(sections), encoding="utf-8")
    suite.report.write_text(report.document(sections, picture.name, suite.origin), encoding="utf-8")
    return sections


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; 1 if a crawler failed, 2 if something is not installed."""
    options = _parser().parse_args(arguments)
    calm = Calm(options.calm, options.calm_budget)
    against = options.against
    suite = quick(calm, against)
    if not options.quick:
        suite = full(options.runs, calm, against, options.hosts)
    wanted = options.section or list(suite.sections)
    names = [name for name in suite.sections if name in wanted]
    try:
        check_packages([name for name in names if name in SOURCES])
        measure(suite, names)
    except (PackagesError, MissingDependencyError) as error:
        print(error, file=sys.stderr)
        return 2
    except CrawlError as error:
        print(error, file=sys.stderr)
        return 1
    print(report.table(write(suite)))
    print(f"Written to {suite.report}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=3, help="crawls of each crawler (default: 3)")
    parser.add_argument(
        "--quick", action="store_true", help="a short version, in under three minutes"
    )
    parser.add_argument(
        "--section",
        action="append",
        choices=[*full(1, Calm(0, 0)).sections, "none"],
        help="measure only this; may be given several times (default: all)",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="also run the manuals, login and slow with another checkout, installed in its .venv",
    )
    parser.add_argument(
        "--hosts",
        type=int,
        default=many_hosts.IN_ALL,
        help="hosts of the section many, with a page each (default: %(default)s)",
    )
    parser.add_argument(
        "--calm",
        type=float,
        default=float("inf"),
        metavar="CORES",
        help="wait while other programs use more than this, and repeat disturbed runs",
    )
    parser.add_argument(
        "--calm-budget",
        type=float,
        default=240.0,
        metavar="SECONDS",
        help="spend at most this time on --calm in all (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
