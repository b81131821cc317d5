"""Measure frontier, scheduler and store alone with ten million URLs.

``python -m benchmarks.frontier`` runs the engine as ``crawl run`` does, with an ``InstantFetcher``
in place of other processes: it answers each request at once, without a network or a page. 10,000
hosts have 1,000 pages each. The first pages of a host link to its others, 100 each. When all URLs
are in the frontier, the job is closed and opened again; then they are dispatched and finished.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.measure import scratch
from crawler.engine.engine import Engine
from crawler.engine.fetcher_pool import FetcherPool
from crawler.fetching.processes import ProcessSpec
from crawler.gc_tuning import reduced_gc
from crawler.job.config import RunConfig
from crawler.job.folder import STORE
from crawler.job.job import Job
from crawler.job.spider_loader import of_class
from crawler.messages import Command, Done, FetchStats, Outcome, Output, TaskBatch
from crawler.parsing.response import Response
from crawler.records import NewRequest
from crawler.request import Request
from crawler.settings import Settings
from crawler.spider import Spider
from crawler.stats import Counters
from crawler.worker.request_filter import encoded

URLS = 10_000_000
HOSTS = 10_000
LINKS = 100
"""New links on each page that has links."""
SEEDS = 1_000_000
PARTS = 10
"""Parts of the work that are timed; the report has the first, the middle and the last one."""


class Pages(Spider):
    """The spider of the job, whose callback is never called."""

    start_urls = tuple(f"https://host-{number}.example/0" for number in range(HOSTS))

    def parse(self, response: Response) -> Iterator[dict[str, str]]:
        """Yield an item, as a spider does."""
        yield {"url": response.url}


class InstantFetcher(FetcherPool):
    """A fetcher without a process; ``seconds`` and ``cpu`` are the time that it takes."""

    def __init__(self, urls: int) -> None:
        self.exit_code: int | None = None
        self.seconds = 0.0
        self.cpu = 0.0
        self.first_at = 0.0
        """The time at which the first request was sent."""
        self._pages_per_host = urls // HOSTS
        self._outcomes: list[Outcome] = []
        self._request_of = msgspec.msgpack.Decoder(Request).decode

    def start(self, spec: ProcessSpec) -> None:
        """Do nothing: there is no process."""

    def replace(self, *, isolated: bool) -> None:
        """Do nothing: no process dies."""

    def stop(self) -> None:
        """Do nothing: there is no process."""

    def send(self, command: Command) -> None:
        """Answer all tasks at once."""
        began, cpu = time.perf_counter(), time.process_time()
        self.first_at = self.first_at or began
        if isinstance(command, TaskBatch):
            self._outcomes.extend(self._answer(task.id, task.request) for task in command.tasks)
        self.seconds += time.perf_counter() - began
        self.cpu += time.process_time() - cpu

    def receive(self, timeout: float, waker: Any = None) -> tuple[list[Outcome], bool]:
        """Return all answers."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes, False

    def _answer(self, task: int, packed: msgspec.Raw) -> Outcome:
        url = self._request_of(packed).url
        origin, _, page = url.rpartition("/")
        output = Output(
            items=b'{"url":"%s","title":"A page of the benchmark"}\n' % url.encode(),
            item_count=1,
            requests=list(self._links(origin, int(page))),
        )
        fetch = FetchStats(started=time.monotonic(), status=200, size=12_000)
        return Outcome(task, Done(output), fetch)

    def _links(self, origin: str, page: int) -> Iterator[NewRequest]:
        first = page * LINKS + 1
        for number in range(first, min(first + LINKS, self._pages_per_host)):
            yield encoded(Request(f"{origin}/{number}", depth=1))


class InstantEngine(Engine):
    """An engine with an ``InstantFetcher``."""

    def __init__(self, job: Job, urls: int) -> None:
        self.fetcher = InstantFetcher(urls)
        super().__init__(job, pool=self.fetcher)
        self.began = (0.0, 0.0)
        """The end of the opening, on the clock and in CPU time."""
        self.before = Counters()

    def _open(self) -> None:
        super()._open()
        self.began = time.perf_counter(), time.process_time()
        self.before = msgspec.structs.replace(self._job.counters)


@dataclass(frozen=True, slots=True)
class Row:
    """The rates of one kind of work, in URLs per second, over parts of it."""

    work: str
    """``added``, ``taken`` (dispatched and finished) or ``seeds``."""
    urls: int
    first: float
    middle: float
    last: float
    seconds: float
    cpu: float
    """Seconds of CPU time, which varies less with other load on the machine."""

    @property
    def rate(self) -> float:
        """URLs per second over all of the work."""
        return self.urls / self.seconds


@dataclass(frozen=True, slots=True)
class Load:
    """The results. Times are in seconds, sizes in bytes."""

    rows: tuple[Row, ...]
    resume: float
    memory: int
    file: int
    """Size of the store that contains all URLs."""


def measure(urls: int = URLS, seeds: int = SEEDS) -> Load:
    """Crawl ``urls`` URLs in one job, and add ``seeds`` seeds to another.

    Each runs in its own process, since the peak of memory is that of a process.
    """
    spawn = multiprocessing.get_context("spawn")
    with scratch() as folder, ProcessPoolExecutor(1, mp_context=spawn) as process:
        load = process.submit(crawl, folder / "crawl", urls).result()
    with scratch() as folder, ProcessPoolExecutor(1, mp_context=spawn) as process:
        row = process.submit(seed, folder, seeds).result()
    return replace(load, rows=(*load.rows, row))


def crawl(folder: Path, urls: int) -> Load:
    """Add ``urls`` URLs to a job in ``folder``, resume the job, and finish them."""
    with Job(_plan(folder)) as job, reduced_gc():
        added = _work("added", InstantEngine(job, urls), urls, lambda counters: counters.sequence)
    size = (folder / STORE).stat().st_size
    began = time.perf_counter()
    with Job(_plan(folder)) as job, reduced_gc():
        run = InstantEngine(job, urls)
        taken = _work("taken", run, urls, lambda counters: counters.done)
        if job.counters.done != urls or job.counters.pending:
            raise RuntimeError(f"the job has lost or invented pages: {job.counters}")
    return Load((added, taken), run.fetcher.first_at - began, _peak(), size)


def seed(folder: Path, seeds: int) -> Row:
    """Start a job with a seed list, in which all hosts take turns."""
    path = folder / "seeds.txt"
    with path.open("w") as file:
        for number in range(seeds):
            page, host = divmod(number, HOSTS)
            file.write(f"https://host-{host}.example/{page}\n")
    began, cpu = time.perf_counter(), time.process_time()
    with Job(_plan(folder / "job", str(path))) as job, reduced_gc():
        steps = InstantEngine(job, 0).steps()
        next(steps)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        steps.close()
        if job.counters.sequence != seeds:
            raise RuntimeError(f"the job lacks some of the seeds: {job.counters}")
    rate = seeds / seconds
    return Row("seeds", seeds, rate, rate, rate, seconds, cpu)


def _plan(folder: Path, *seeds: str) -> RunConfig:
    settings = Settings(delay=0.0, obey_robots=False, concurrency_per_host=8, workers=2)
    return RunConfig(source=of_class(Pages), settings=settings, folder=folder, seeds=seeds)


def _work(work: str, run: InstantEngine, urls: int, count: Callable[[Counters], int]) -> Row:
    """Run until ``count`` of the counters has grown to ``urls``; the opening is not measured."""
    counters = run.snapshot().counters
    fetcher = run.fetcher
    marks: list[tuple[int, float, float]] = []
    for _ in run.steps():
        marks = marks or [(count(run.before), *run.began)]
        done = count(counters)
        if done >= urls or done >= marks[-1][0] + (urls - marks[0][0]) // PARTS:
            seconds = time.perf_counter() - fetcher.seconds
            marks.append((done, seconds, time.process_time() - fetcher.cpu))
        if done >= urls:
            break
    rates = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in itertools.pairwise(marks)]
    number, seconds, cpu = (b - a for a, b in zip(marks[0], marks[-1], strict=True))
    return Row(work, int(number), rates[0], rates[len(rates) // 2], rates[-1], seconds, cpu)


def _peak() -> int:
    """Return the peak of this process's memory, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no line VmHWM")


def table(load: Load) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "|  | URLs | URLs/s | first | middle | last | CPU/URL |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for row in load.rows:
        rates = (row.rate, row.first, row.middle, row.last)
        cpu = f"{row.cpu / row.urls * 1e6:.1f} µs"
        cells = (row.work, f"{row.urls:,}", *(f"{rate:,.0f}" for rate in rates), cpu)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            f"\nResume: {load.resume:.2f} s. Memory: {load.memory / 1024**2:,.0f} MB. "
            f"File: {load.file / 1024**2:,.0f} MB.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frontier", description=__doc__)
    parser.add_argument("--urls", type=int, default=URLS, help="default: %(default)s")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="default: %(default)s")
    options = parser.parse_args(arguments)
    print(table(measure(options.urls, options.seeds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
