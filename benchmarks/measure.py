"""Run one crawl and measure it: speed, time, CPU, memory, and the traffic at the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from benchmarks.crawlers import Crawler, Work
from benchmarks.environments import WORK
from benchmarks.items import Output, difference, read
from benchmarks.processes import LaunchedCommand, busy, machine_busy

_LONGEST = 900
"""Seconds that a crawl may take, …"""
_SLOWEST = 100
"""… and one more for so many hosts."""
MOST_SEEDS = 500
"""Seeds on a command line; more go into a file."""


class CrawlError(Exception):
    """A crawler ended with an error, or did not do the work; the message names both."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """A crawl as seen by the server; times are wall clock, in seconds."""

    pages: int
    """Number of distinct pages."""
    requests: int
    connections: int
    first: float
    last: float
    early: int = 0
    """Requests that were sent before the delay was over, or in parallel with another."""
    least_gap: float = 0.0
    handshakes: int = 0
    """TLS handshakes that were finished."""
    logins: int = 0
    tenths: list[float] = field(default_factory=list)
    """Requests per second in each tenth of the requests."""


class Target(Protocol):
    """The target of a crawl: one site or many, served by this machine."""

    @property
    def name(self) -> str:
        """The name for messages."""

    @property
    def seeds(self) -> Sequence[str]:
        """The URLs that a crawl starts from."""

    @property
    def server(self) -> int:
        """The id of the server process, whose children serve too."""

    @property
    def delay(self) -> float:
        """Seconds that a crawler must leave between two requests to a host."""

    @property
    def arguments(self) -> Mapping[str, str]:
        """The arguments of a spider of ours."""

    def watch(self) -> Callable[[], Traffic]:
        """Start observing; the returned function reports what the server saw."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The cost of one crawl. Times are in seconds, memory in bytes."""

    crawler: Crawler
    concurrency: int
    traffic: Traffic
    wall: float
    """From the start of the command to its end."""
    starting: float
    """From the start of the command to the first request at the server."""
    cpu: float
    memory: int
    serving: float
    """CPU time of the server."""
    others: float
    """Cores that other programs used meanwhile."""

    @property
    def rate(self) -> float:
        """Pages per second between the first and the last request in the server's log."""
        return self.traffic.pages / max(self.traffic.last - self.traffic.first, 0.001)


def measure(crawler: Crawler, concurrency: int, target: Target) -> tuple[Measurement, Output]:
    """Run a crawl in a fresh folder, on the disk of the project."""
    with scratch() as folder:
        output, job = folder / "items.jsonl", folder / "job"
        work = Work(
            _seeds(target.seeds, folder / "seeds.txt"),
            *(output, job, concurrency, target.delay, target.arguments),
        )
        traffic_since = target.watch()
        serving, others = busy(target.server), _others_busy(target)
        launched = LaunchedCommand(crawler.command(work), folder, folder / "run.log")
        try:
            end = launched.finish(_LONGEST + len(target.seeds) / _SLOWEST)
            if end.status != 0:
                raise CrawlError(
                    f"{crawler.name} ended with status {end.status}:\n{launched.log_tail()}"
                )
        finally:
            launched.close()
        others = (_others_busy(target) - others - end.cpu) / end.seconds
        serving = busy(target.server) - serving
        items = read(work.output)
    traffic = traffic_since()
    return Measurement(
        crawler=crawler,
        concurrency=concurrency,
        traffic=traffic,
        wall=end.seconds,
        starting=traffic.first - launched.started_at,
        cpu=end.cpu,
        memory=end.memory,
        serving=serving,
        others=max(others, 0.0),
    ), items


def _seeds(urls: Sequence[str], path: Path) -> Sequence[str]:
    """Return the seeds for a command line: the name of a file if they are many."""
    if len(urls) <= MOST_SEEDS:
        return urls
    path.write_text("".join(f"{url}\n" for url in urls), encoding="ascii")
    return [str(path)]


def check(measured: Measurement, output: Output, wanted: Output) -> None:
    """Raise CrawlError unless the run did the same work as another one, whose output is given."""
    differs = difference(output, wanted)
    pages = len(wanted.items)
    if differs or not pages or measured.traffic.pages != pages:
        raise CrawlError(
            f"{measured.crawler.name} did not do the same work as the first crawler: "
            f"{differs}; {measured.traffic.pages} pages fetched for {pages} items wanted"
        )


@contextmanager
def scratch() -> Iterator[Path]:
    """Create a fresh folder below ``work``; not in /tmp, where syncing may cost nothing."""
    WORK.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=WORK, prefix="run-") as folder:
        yield Path(folder)


def _others_busy(target: Target) -> float:
    """Return the seconds of CPU of all processes except the server and the benchmark."""
    return machine_busy() - busy(target.server) - time.process_time()
