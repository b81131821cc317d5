"""The scheduler, frontier and store alone, at ten million URLs: ``python -m benchmarks.frontier``.

A whole run as ``crawl run`` has it, but for its workers: in their place stands ``Pretence``, which
answers each request at once, without a network or a page. 10,000 hosts have 1,000 pages each. The
first pages of a host find its others, 100 each, and when all are known, they are taken one after
the other. In between the job is closed and opened again.
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
from crawler.engine.worker_pool import WorkerPool, WorkerSpec
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
"""New links of a page that has any."""
SEEDS = 1_000_000
STRETCH = 10
"""A rate is told for each tenth of the work: the first, one in the middle, the last."""


class Pages(Spider):
    """What a job needs; its pages never come."""

    start_urls = tuple(f"https://host-{number}.example/0" for number in range(HOSTS))

    def parse(self, response: Response) -> Iterator[dict[str, str]]:
        """Is never called."""
        yield {"url": response.url}


class Pretence(WorkerPool):
    """Answers in the place of workers. ``seconds`` and ``cpu`` are the time that this took."""

    def __init__(self, urls: int) -> None:
        self.size = 1
        self.exit_codes: list[int | None] = [None]
        self.handled = [0]
        self.seconds = 0.0
        self.cpu = 0.0
        self.first_at = 0.0
        """When the first request went out."""
        self._of_each = urls // HOSTS
        self._outcomes: list[Outcome] = []
        self._request_of = msgspec.msgpack.Decoder(Request).decode

    def start(self, spec: WorkerSpec) -> None:
        """Start nothing."""

    def replace(self, worker: int, *, isolated: bool) -> None:
        """Replace nothing: no worker dies."""

    def recycle(self, worker: int) -> None:
        """Replace nothing: no worker grows."""

    def stop(self) -> None:
        """Stop nothing."""

    def memory(self, worker: int) -> int:
        """Return 0: there is no process."""
        return 0

    def send(self, worker: int, command: Command) -> None:
        """Answer at once."""
        began, cpu = time.perf_counter(), time.process_time()
        self.first_at = self.first_at or began
        if isinstance(command, TaskBatch):
            self._outcomes.extend(self._answer(task.id, task.request) for task in command.tasks)
        self.seconds += time.perf_counter() - began
        self.cpu += time.process_time() - cpu

    def receive(
        self, timeout: float, waker: Any = None
    ) -> tuple[list[tuple[int, list[Outcome]]], list[int]]:
        """Return all answers."""
        outcomes, self._outcomes = self._outcomes, []
        return [(0, outcomes)], []

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
        for number in range(first, min(first + LINKS, self._of_each)):
            yield encoded(Request(f"{origin}/{number}", depth=1))


class Alone(Engine):
    """A run without workers."""

    def __init__(self, job: Job, urls: int) -> None:
        self.pretence = Pretence(urls)
        super().__init__(job, pool=self.pretence)
        self.began = (0.0, 0.0)
        """When the opening was over: on the clock, and in processor time."""
        self.before = Counters()

    def _open(self) -> None:
        super()._open()
        self.began = time.perf_counter(), time.process_time()
        self.before = msgspec.structs.replace(self._job.counters)


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one kind of work: URLs a second, by the tenth of the work."""

    what: str
    urls: int
    first: float
    middle: float
    last: float
    seconds: float
    cpu: float
    """Seconds of processor time, which other work on the machine does not stretch as much."""

    @property
    def rate(self) -> float:
        """URLs a second over all of it."""
        return self.urls / self.seconds


@dataclass(frozen=True, slots=True)
class Load:
    """What the frontier took. Times are in seconds, sizes in bytes."""

    rows: tuple[Row, ...]
    resume: float
    memory: int
    file: int
    """Size of the store with all URLs in it."""


def measure(urls: int = URLS, seeds: int = SEEDS) -> Load:
    """Put ``urls`` URLs through a job, and ``seeds`` seeds into another.

    Each in a process of its own, so that the memory of one does not hide that of the other.
    """
    spawn = multiprocessing.get_context("spawn")
    with scratch() as folder, ProcessPoolExecutor(1, mp_context=spawn) as process:
        load = process.submit(crawl, folder / "crawl", urls).result()
    with scratch() as folder, ProcessPoolExecutor(1, mp_context=spawn) as process:
        row = process.submit(seed, folder, seeds).result()
    return replace(load, rows=(*load.rows, row))


def crawl(folder: Path, urls: int) -> Load:
    """Add and take ``urls`` URLs in ``folder``, with a new start in between."""
    with Job(_plan(folder)) as job, reduced_gc():
        added = _work("added", Alone(job, urls), urls, lambda counters: counters.sequence)
    size = (folder / STORE).stat().st_size
    began = time.perf_counter()
    with Job(_plan(folder)) as job, reduced_gc():
        run = Alone(job, urls)
        taken = _work("taken", run, urls, lambda counters: counters.done)
        if job.counters.done != urls or job.counters.pending:
            raise RuntimeError(f"the job has lost pages, or has made some up: {job.counters}")
    return Load((added, taken), run.pretence.first_at - began, _peak(), size)


def seed(folder: Path, seeds: int) -> Row:
    """Start a job with a seed list that has the pages of its hosts in turn."""
    path = folder / "seeds.txt"
    with path.open("w") as file:
        for number in range(seeds):
            page, host = divmod(number, HOSTS)
            file.write(f"https://host-{host}.example/{page}\n")
    began, cpu = time.perf_counter(), time.process_time()
    with Job(_plan(folder / "job", str(path))) as job, reduced_gc():
        steps = Alone(job, 0).steps()
        next(steps)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        steps.close()
        if job.counters.sequence != seeds:
            raise RuntimeError(f"not all seeds are in the job: {job.counters}")
    rate = seeds / seconds
    return Row("seeds", seeds, rate, rate, rate, seconds, cpu)


def _plan(folder: Path, *seeds: str) -> RunConfig:
    settings = Settings(delay=0.0, obey_robots=False, concurrency_per_host=8, workers=2)
    return RunConfig(source=of_class(Pages), settings=settings, folder=folder, seeds=seeds)


def _work(what: str, run: Alone, urls: int, count: Callable[[Counters], int]) -> Row:
    """Run until ``count`` of the counters has grown to ``urls``; the opening does not count."""
    counters = run.snapshot().counters
    pretence = run.pretence
    marks: list[tuple[int, float, float]] = []
    for _ in run.steps():
        marks = marks or [(count(run.before), *run.began)]
        done = count(counters)
        if done >= urls or done >= marks[-1][0] + (urls - marks[0][0]) // STRETCH:
            seconds = time.perf_counter() - pretence.seconds
            marks.append((done, seconds, time.process_time() - pretence.cpu))
        if done >= urls:
            break
    rates = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in itertools.pairwise(marks)]
    number, seconds, cpu = (b - a for a, b in zip(marks[0], marks[-1], strict=True))
    return Row(what, int(number), rates[0], rates[len(rates) // 2], rates[-1], seconds, cpu)


def _peak() -> int:
    """The most memory that this process has had, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not say how much memory was used")


def table(load: Load) -> str:
    """The figures as Markdown."""
    lines = [
        "|  | URLs | URLs/s | first | middle | last | CPU/URL |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for row in load.rows:
        rates = (row.rate, row.first, row.middle, row.last)
        cpu = f"{row.cpu / row.urls * 1e6:.1f} µs"
        cells = (row.what, f"{row.urls:,}", *(f"{rate:,.0f}" for rate in rates), cpu)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            f"\nResume: {load.resume:.2f} s. Memory: {load.memory / 1024**2:,.0f} MB. "
            f"File: {load.file / 1024**2:,.0f} MB.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frontier", description=__doc__)
    parser.add_argument("--urls", type=int, default=URLS, help="default: %(default)s")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="default: %(default)s")
    options = parser.parse_args(arguments)
    print(table(measure(options.urls, options.seeds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
