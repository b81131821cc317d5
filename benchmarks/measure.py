"""One crawl, measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.crawlers import Crawler, Work
from benchmarks.environments import WORK
from benchmarks.items import Output, read
from benchmarks.processes import Launched, children_busy, machine_busy
from benchmarks.site import Hit, Site


class CrawlError(Exception):
    """A crawler ended with an error, or did not do the work; the message says which and how."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one crawl took. Times are in seconds, memory in bytes.

    ``rate`` is pages a second between the first and the last request in the server's log.
    """

    crawler: Crawler
    concurrency: int
    pages: int
    requests: int
    connections: int
    rate: float
    wall: float
    cpu: float
    memory: int
    others: float
    """Cores that other work on the machine took meanwhile."""


def measure(crawler: Crawler, concurrency: int, site: Site) -> tuple[Measurement, Output]:
    """Run a crawl of ``site`` in a fresh folder, on the disk that the project is on."""
    with scratch() as folder:
        work = Work(site.seed, folder / "items.jsonl", folder / "job", concurrency)
        since = site.log_end()
        others = _others_busy(site)
        launched = Launched(crawler.command(work), folder, folder / "run.log")
        try:
            end = launched.finish()
            if end.status != 0:
                raise CrawlError(
                    f"{crawler.name} ended with status {end.status}:\n{launched.last_words()}"
                )
        finally:
            launched.close()
        others = (_others_busy(site) - others - end.cpu) / end.seconds
        output = read(work.output)
    hits = site.hits(since)
    pages = pages_of(hits)
    return Measurement(
        crawler=crawler,
        concurrency=concurrency,
        pages=len(pages),
        requests=len(hits),
        connections=len({hit.connection for hit in hits}),
        rate=len(pages) / max(hits[-1].at - hits[0].at, 0.001),
        wall=end.seconds,
        cpu=end.cpu,
        memory=end.memory,
        others=max(others, 0.0),
    ), output


@contextmanager
def scratch() -> Iterator[Path]:
    """A fresh folder below ``work``; not in /tmp, where syncing may cost nothing."""
    WORK.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=WORK, prefix="run-") as folder:
        yield Path(folder)


def _others_busy(site: Site) -> float:
    """Seconds of CPU spent by all but the server and the benchmark itself."""
    return machine_busy() - children_busy(site.server) - time.process_time()


def pages_of(hits: list[Hit]) -> set[str]:
    """The paths of the pages that were found, each once."""
    return {hit.uri for hit in hits if hit.is_page}
