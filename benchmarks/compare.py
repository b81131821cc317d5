"""Compare the crawlers: ``python -m benchmarks.compare --runs 3 --site postgresql --site python``.

Prints a table for each site and writes them to ``benchmarks/RESULTS.md``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks import machine, report
from benchmarks.crawlers import PEERS, USUAL, Crawler
from benchmarks.environments import python
from benchmarks.items import Output, difference
from benchmarks.measure import CrawlError, Measurement, measure
from benchmarks.site import SOURCES, PackagesError, Site, check_packages, serve

_NEEDS = (
    "It needs Linux and the Debian packages\n"
    f"nginx, {', '.join(source.package for source in SOURCES.values())}; "
    "Scrapy is installed into a virtualenv of its own."
)
_MOST_TRIES = 4
RESULTS = Path(__file__).parent / "RESULTS.md"
_KNOWN = {crawler.key: crawler for crawler in (*USUAL, *PEERS)}


@dataclass(frozen=True, slots=True)
class Table:
    """What was measured at one site."""

    site: str
    pages: int
    runs: int
    rows: list[report.Row]
    others: float

    def __str__(self) -> str:
        package = SOURCES[self.site].package
        times = "once" if self.runs == 1 else f"{self.runs} times"
        heading = f"## {package}: {self.pages:,} pages, each crawler {times}"
        note = f"Meanwhile other work on the machine took {self.others:.1f} cores (median)."
        return f"{heading}\n\n{report.table(self.rows)}\n\n{note}\n"


def compare(name: str, crawlers: Sequence[Crawler], runs: int, calm: float) -> Table:
    """Crawl one site ``runs`` times with each crawler, in turn; ``calm`` as in ``_calmly``."""
    measurements: list[Measurement] = []
    wanted: Output | None = None
    with serve(name) as site:
        for turn in range(runs):
            for crawler, concurrency in _variants(crawlers):
                measured, output = _calmly(crawler, concurrency, site, calm)
                wanted = wanted or output
                _check(measured, output, wanted)
                measurements.append(measured)
                print(_progress(turn, site, measured), file=sys.stderr, flush=True)
    return Table(
        site=name,
        pages=measurements[0].pages,
        runs=runs,
        rows=report.rows(measurements),
        others=median(one.others for one in measurements),
    )


def _calmly(
    crawler: Crawler, concurrency: int, site: Site, calm: float
) -> tuple[Measurement, Output]:
    """The first run beside which other work took at most ``calm`` cores, or the calmest of a few.

    Otherwise the slower crawlers, which run longer, would be disturbed more often.
    """
    tried = []
    for _ in range(_MOST_TRIES):
        tried.append(measure(crawler, concurrency, site))
        if tried[-1][0].others <= calm:
            break
    return min(tried, key=lambda one: one[0].others)


def _variants(crawlers: Sequence[Crawler]) -> Iterator[tuple[Crawler, int]]:
    for crawler in crawlers:
        for concurrency in crawler.concurrencies:
            yield crawler, concurrency


def _check(measured: Measurement, output: Output, wanted: Output) -> None:
    """Raise CrawlError unless the run did the same work as the first one."""
    differs = difference(output, wanted)
    pages = len(wanted.items)
    if differs or not pages or measured.pages != pages:
        raise CrawlError(
            f"{measured.crawler.name} did not do the same work as the first crawler: "
            f"{differs}; {measured.pages} pages fetched for {pages} items wanted"
        )


def _progress(turn: int, site: Site, one: Measurement) -> str:
    return (
        f"run {turn + 1}, {site.name}: {one.crawler.name}, {one.concurrency} at a time: "
        f"{one.rate:,.0f} pages/s, {one.wall:.1f} s, {one.requests} requests, "
        f"others {one.others:.1f} cores"
    )


def document(tables: Sequence[Table], crawlers: Sequence[Crawler]) -> str:
    """The text of RESULTS.md."""
    about = "\n".join(f"- {line}" for line in machine.describe(list(crawlers)))
    return "\n".join(
        [
            "# Side by side\n",
            f"Written by `python -m benchmarks.compare`; do not edit. {_NEEDS}\n",
            report.HOW_TO_READ,
            f"Measured on {datetime.now(UTC):%Y-%m-%d}:\n\n{about}\n",
            *map(str, tables),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; 1 if a crawler failed, 2 if something is not installed."""
    options = _parser().parse_args(arguments)
    crawlers = [_KNOWN[key] for key in options.crawler or [crawler.key for crawler in USUAL]]
    crawlers += [_KNOWN[key] for key in options.peer]
    sites = options.site or list(SOURCES)
    try:
        check_packages(sites)
        for crawler in crawlers:
            python(crawler.environment)
        tables = [compare(site, crawlers, options.runs, options.calm) for site in sites]
    except PackagesError as error:
        print(error, file=sys.stderr)
        return 2
    except CrawlError as error:
        print(error, file=sys.stderr)
        return 1
    text = document(tables, crawlers)
    options.output.write_text(text, encoding="utf-8")
    print("\n".join(map(str, tables)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="crawls of each crawler (default: 3)")
    parser.add_argument("--site", action="append", choices=list(SOURCES), help="default: all")
    parser.add_argument(
        "--crawler", action="append", choices=list(_KNOWN), help="only these (default: the usual)"
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        choices=[crawler.key for crawler in PEERS],
        help="one more crawler; may be given several times",
    )
    parser.add_argument(
        "--calm",
        type=float,
        default=float("inf"),
        metavar="CORES",
        help="run again, up to 3 times, while other work on the machine takes more than this",
    )
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="Markdown to write (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
