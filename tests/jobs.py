"""Jobs in tests: run one, and read what it left on the disk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from crawler import Spider
from crawler.engine.engine import run
from crawler.engine.signals import StopSignal
from crawler.job.config import RunConfig
from crawler.job.spider_loader import of_class
from crawler.settings import check, from_spider, resolve
from crawler.stats import Summary
from crawler.store.sqlite.store import SQLiteStore

QUICK: dict[str, Any] = {
    **{"workers": 0, "delay": 0.0, "retry_wait": 0.01, "robots_wait": 0.0},
    "commit_interval": 0.02,
}
"""Settings of a test that is not about them."""


class Title(Spider):
    """Follows every link; an item a page."""

    name = "title"

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all()


def plan(
    spider: type[Spider],
    folder: Path,
    *seeds: str,
    arguments: dict[str, str] | None = None,
    **settings: Any,
) -> RunConfig:
    """A plan with the settings of a test."""
    settings = check({**QUICK, **from_spider(spider), **settings}, where="test")
    return RunConfig(
        source=of_class(spider),
        settings=resolve(settings),
        folder=folder,
        seeds=seeds,
        arguments=arguments or {},
    )


def run_job(
    spider: type[Spider],
    folder: Path,
    *seeds: str,
    arguments: dict[str, str] | None = None,
    stop: StopSignal | None = None,
    **settings: Any,
) -> Summary:
    """Run a job in ``folder``, or go on with it, until it ends."""
    return run(plan(spider, folder, *seeds, arguments=arguments, **settings), stop=stop)


def items(folder: Path, name: str = "items.jsonl") -> list[Any]:
    """The output: every line must be valid JSON and end with a newline."""
    data = (folder / name).read_bytes()
    assert data.endswith(b"\n") or not data
    return [json.loads(line) for line in data.splitlines()]


def values(found: list[Any], name: str = "url") -> list[Any]:
    """One field of all items, sorted, so that nothing hides: neither a loss nor a double."""
    return sorted(item[name] for item in found)


def failures(folder: Path) -> dict[str, str]:
    """The causes of the failed requests by their URLs' paths."""
    store = SQLiteStore(folder / "job.db", read_only=True)
    with closing(store):
        reports = [failed.report for failed in store.failures.latest(1000)]
    return {"/" + report.url.split("/", 3)[3]: report.cause for report in reports}


def done(folder: Path) -> int:
    """Return the number of committed pages, also while the job runs."""
    store = SQLiteStore(folder / "job.db", read_only=True)
    with closing(store):
        return int(store.meta.get("counters")["done"])


def tracebacks(folder: Path) -> str:
    """The tracebacks that the store keeps."""
    with closing(SQLiteStore(folder / "job.db", read_only=True)) as store:
        return "\n".join(failed.report.traceback for failed in store.failures.latest(1000))


def rows(folder: Path, query: str) -> list[Any]:
    """Query a job's store directly, without the code that wrote it."""
    with closing(sqlite3.connect(folder / "job.db")) as db:
        return db.execute(query).fetchall()
