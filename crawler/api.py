"""Crawl from a script or a notebook: a generator of items."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from crawler.engine.engine import Engine
from crawler.engine.log import log_to
from crawler.errors import CrawlerError, FailedPagesWarning, LoginError
from crawler.job.config import RunConfig
from crawler.job.job import Job
from crawler.job.spider_loader import of_class
from crawler.session.masking import Mask
from crawler.settings import check
from crawler.spider import Spider
from crawler.stats import unruled


def crawl(
    spider: type[Spider],
    seeds: Iterable[str] = (),
    *,
    job: str | Path | None = None,
    arguments: dict[str, Any] | None = None,
    **settings: Any,
) -> Iterator[Any]:
    """Run ``spider`` and yield its items, each as soon as it is committed.

    ``seeds`` are URLs or files of them, as for ``crawl run``; ``arguments`` go to the spider's
    constructor; any setting may be given by its name. It runs in this process (``workers=0``)
    unless told otherwise. With ``job``, a folder, state and output are kept there: a crawl that
    was not finished goes on, and only what is new is yielded. Without it nothing is kept.

    Raises CrawlerError; a LoginError after all that could be had without it, and so where a
    robots.txt could not be had. Without ``job``, and without ``failed`` in the spider, a
    FailedPagesWarning at the end tells of pages that failed. Leaving the loop early stops the
    crawl.
    """
    source, values = of_class(spider), check(settings, where="crawl()")
    with contextlib.ExitStack() as cleanup:
        folder = Path(job or cleanup.enter_context(tempfile.TemporaryDirectory(prefix="crawl-")))
        config = RunConfig.build(
            source,
            folder=folder,
            seeds=tuple([seeds] if isinstance(seeds, str) else seeds),
            arguments=arguments,
            settings={"workers": 0, **values},
            keeps_folder=job is not None,
            mask=Mask(),
        )
        config.ask_passwords()
        open_job = cleanup.enter_context(Job(config))
        if job is not None:
            cleanup.enter_context(log_to(open_job.log, config.mask))
        run = Engine(open_job)
        for lines in cleanup.enter_context(contextlib.closing(run.steps())):
            yield from map(msgspec.json.decode, lines.splitlines())
        if job is None and spider.failed is Spider.failed and open_job.counters.failed:
            _warn(_of_failures(open_job))
        summary = run.summary()
        if summary.login_errors:
            raise LoginError("; ".join(summary.login_errors))
        if summary.counters.reason == "robots":
            raise CrawlerError(f"{summary.spider} stopped, {unruled(summary)}")


def _of_failures(job: Job) -> str:
    """How many pages have failed, and why one of them did."""
    counters, (last,) = job.counters, job.store.failures.latest(1)
    return (
        f"crawl(): {counters.failed:,} of {counters.done + counters.failed:,} pages failed: "
        f"{last.report.message}; for all of them write failed(), or give job="
    )


def _warn(message: str) -> None:
    """Warn where the generator is used, each time: a cell of a notebook is run again and again."""
    user = sys._getframe(2)
    warnings.warn_explicit(
        message, FailedPagesWarning, user.f_code.co_filename, user.f_lineno, registry=None
    )
