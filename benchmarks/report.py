"""Measurements as a Markdown table, which reads as well on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.crawlers import BASELINES, Crawler
from benchmarks.measure import Measurement

HOW_TO_READ = """\
Every crawler starts at a site's first page, follows every link on the host, and writes one line
of JSON for each page: URL, title, all `h1` and `h2`, and the number of links. Before anything is
compared, the lines are: all crawlers have found the same pages and written the same items.

- **pages/s**: pages divided by the time between the first and the last request in the server's
  own log, so starting up and ending do not count. The median of the runs, and in brackets the
  slowest and the fastest.
- **vs Scrapy**: that median divided by Scrapy's with the same parser.
- **whole run**: seconds from starting the command until it has ended.
- **CPU/page**: milliseconds of CPU time of all its processes, whole run, for each page. It varies
  less than the rate when the machine has other things to do.
- **memory**: the peak of the proportional set size (PSS) of all its processes together, looked at
  ten times a second.
- **conn.**: connections that the server saw.

Runs of the crawlers take turns. Scrapy runs with 8 and with 16 requests at a time, and the better
one is shown; the others with 8, `requests` alone with 1. This crawler has every page durably on
disk (synced) before it counts as done and could be killed and resumed at any time; the others run
here without anything that they could resume from.
"""

_HEADS = ("", "pages/s", "vs Scrapy", "whole run", "CPU/page", "memory", "conn.", "at a time")


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of one crawler's runs; ``rates`` are those of all runs, sorted."""

    crawler: Crawler
    concurrency: int
    rates: tuple[float, ...]
    wall: float
    cpu: float
    memory: float
    connections: float

    @property
    def rate(self) -> float:
        return median(self.rates)


def rows(measurements: Iterable[Measurement]) -> list[Row]:
    """One row for each crawler, at the concurrency where its median rate is best."""
    grouped: dict[tuple[str, int], list[Measurement]] = {}
    for one in measurements:
        grouped.setdefault((one.crawler.key, one.concurrency), []).append(one)
    best: dict[str, Row] = {}
    for row in map(_row, grouped.values()):
        known = best.get(row.crawler.key)
        if known is None or row.rate > known.rate:
            best[row.crawler.key] = row
    return list(best.values())


def _row(runs: Sequence[Measurement]) -> Row:
    return Row(
        crawler=runs[0].crawler,
        concurrency=runs[0].concurrency,
        rates=tuple(sorted(run.rate for run in runs)),
        wall=median(run.wall for run in runs),
        cpu=median(run.cpu / run.pages for run in runs),
        memory=median(run.memory for run in runs),
        connections=median(run.connections for run in runs),
    )


def table(rows: Sequence[Row]) -> str:
    """A Markdown table whose columns line up."""
    rates = {row.crawler.key: row.rate for row in rows}
    cells = [_HEADS, *(_cells(row, rates) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADS))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(line, widths) for line in (cells[0], rule, *cells[1:]))


def _cells(row: Row, rates: dict[str, float]) -> tuple[str, ...]:
    baseline = rates.get(BASELINES[row.crawler.parser].key)
    spread = f" ({row.rates[0]:,.0f}-{row.rates[-1]:,.0f})" if len(row.rates) > 1 else ""
    return (
        row.crawler.name,
        f"{row.rate:,.0f}{spread}",
        f"{row.rate / baseline:.1f} x" if baseline else "",
        f"{row.wall:.1f} s",
        f"{row.cpu * 1000:.1f} ms",
        f"{row.memory / 1024**2:,.0f} MB",
        f"{row.connections:.0f}",
        f"{row.concurrency}",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
    return f"| {' | '.join(padded)} |"
