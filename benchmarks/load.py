"""A million requests in one job: does anything grow, does anything slow down?

Run it separately: ``python -m benchmarks.load``. Every URL of the site is the same page with ten
links one level down, so that six levels are 1,111,111 pages, which nginx serves from one file.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, mean
from tempfile import TemporaryDirectory

from benchmarks.crawlers import OURS, Work
from benchmarks.machine import describe
from benchmarks.processes import LaunchedCommand
from benchmarks.results import Goal, Row, Section, today
from benchmarks.site import Source, serve_source

LEVELS = 6
"""Levels of links below the first page."""
EVERY = 1.0
"""Seconds between two samples of the processes."""
CONCURRENCY = 8
_MB = 1024**2
_LINKS = "".join(f'<li><a href="{n}/">Page {n}, one level down</a></li>\n' for n in range(10))
_FILLER = "<p>A paragraph as a page has many, so that there is something to read.</p>\n" * 40
_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>One of a million</title></head><body>\n"
    f"<h1>One of a million</h1>\n<ul>\n{_LINKS}</ul>\n<h2>Text</h2>\n{_FILLER}</body></html>\n"
)
_ANYWHERE = "location / { try_files /page.html =404; }"


@dataclass(frozen=True, slots=True)
class Sample:
    """Resources of the job's processes at one moment: bytes of memory (PSS), file handles."""

    at: float
    memory: int
    handles: int


def section(levels: int = LEVELS) -> Section:
    """Crawl the tree of pages, and report memory, file handles and speed."""
    pages = sum(10**level for level in range(levels + 1))
    with TemporaryDirectory(prefix="benchmark-load-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # if started as root, nginx reads as another user
        (folder / "page.html").write_text(_PAGE)
        source = Source("load", folder, config=_ANYWHERE)
        with serve_source("load", source) as site:
            work = Work(
                (f"http://127.0.0.1:{site.port}/r/",),
                folder / "items.jsonl",
                folder / "job",
                CONCURRENCY,
            )
            limits = [
                f"max_depth={levels}",
                "max_pages_per_host=none",
                "max_repeated_segments=none",
            ]
            samples = _crawl(
                [*OURS.command(work), *(word for limit in limits for word in ("-s", limit))], folder
            )
            times = _times(site.log)
        lines, distinct = _lines(work.output)
    if (lines, distinct) != (pages, pages) or len(times) != pages:
        raise SystemExit(
            f"{pages:,} pages were there, {len(times):,} requests were made and {lines:,} "
            f"items written, {distinct:,} of them distinct"
        )
    return _section(pages, times, samples)


def _section(pages: int, times: list[float], samples: list[Sample]) -> Section:
    tenth = pages // 10
    rates = [tenth / (times[(n + 1) * tenth - 1] - times[n * tenth]) for n in range(10)]
    half = samples[len(samples) // 2 :]
    slope = linear_regression(
        [sample.at for sample in half], [sample.memory for sample in half]
    ).slope
    growth = slope * (half[-1].at - half[0].at) / mean(sample.memory for sample in half)
    settled = samples[len(samples) // 10 :]
    before = max(sample.handles for sample in settled[: len(settled) // 2])
    after = max(sample.handles for sample in settled[len(settled) // 2 :])
    rate = pages / (times[-1] - times[0])
    slowest, fastest = min(rates), max(rates)
    least, most = Goal(0.95, 1.0), Goal(5.0, 1.0, at_most=True)
    none = Goal(0.0, 0.0, at_most=True)
    return Section(
        key="load",
        title=f"sample job of {pages:,} requests to sample host, {len(_PAGE):,} bytes a page",
        rows=[
            Row(name="all of it", value=rate, unit="pages/s", low=slowest, high=fastest, ours=True),
            _row("the last tenth against the second", rates[9] / rates[1], "x", least),
            _row("memory: growth over the last half", growth * 100, "%", most),
            _row("memory: most", max(sample.memory for sample in samples) / _MB, "MB"),
            _row("file handles: growth over the last half", max(after - before, 0), "", none),
            _row("file handles: most", max(sample.handles for sample in samples), ""),
        ],
        machine=describe(),
        day=today(),
    )


def _row(name: str, value: float, unit: str, goal: Goal | None = None) -> Row:
    return Row(name=name, value=value, unit=unit, goal=goal, ours=True)


def _crawl(command: list[str], folder: Path) -> list[Sample]:
    job = LaunchedCommand(command, Path(__file__).parent.parent, folder / "log")
    samples: list[Sample] = []
    try:
        while not job.ended(EVERY):
            handles = sum(map(_handles, job.pids()))
            samples.append(Sample(time.monotonic(), job.memory(), handles))
        end = job.finish()
    finally:
        job.close()
    if end.status != 0:
        raise SystemExit(f"the crawl ended with status {end.status}:\n{job.log_tail()}")
    return samples


def _handles(pid: int) -> int:
    try:
        return len(list(Path("/proc", str(pid), "fd").iterdir()))
    except OSError:  # it has just ended
        return 0


def _times(log: Path) -> list[float]:
    """Return the times of the responses in seconds, with which the log's lines begin."""
    with log.open("rb") as file:
        return sorted(float(line[len(b'{"at":') : line.index(b",")]) for line in file)


def _lines(output: Path) -> tuple[int, int]:
    """Return the numbers of lines and of distinct lines."""
    with output.open("rb") as file:
        hashes = [hash(line) for line in file]
    return len(hashes), len(set(hashes))


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--levels", type=int, default=LEVELS)
    for row in section(parser.parse_args().levels).rows:
        print(f"{row.name}: {row.value:,.2f} {row.unit}", file=sys.stdout)


if __name__ == "__main__":
    main()
