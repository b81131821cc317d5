"""``crawl()``, for scripts and notebooks: a generator of items."""

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
from crawler.errors import CrawlerError, FailedPagesWarning, LoginError
from crawler.job.config import RunConfig
from crawler.job.job import Job
from crawler.job.spider_loader import of_class
from crawler.output.log import log_to
from crawler.session.masking import Mask
from crawler.settings import check
from crawler.spider import Spider
from crawler.stats import unavailable_message


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
    constructor; any setting may be given by its name. The crawl runs in this process
    (``workers=0`` is the default here). With ``job``, a folder, it keeps state and output there:
    an unfinished crawl continues, and only new items are yielded. Without it nothing is kept.

    Raises CrawlerError. A failed login, or an unavailable robots.txt, is raised after all other
    items have been yielded. Without ``job``, and without ``failed`` in the spider, a
    FailedPagesWarning at the end reports failed pages. Leaving the loop early stops the crawl.
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
        engine = Engine(open_job)
        for lines in cleanup.enter_context(contextlib.closing(engine.steps())):
            yield from map(msgspec.json.decode, lines.splitlines())
        if job is None and spider.failed is Spider.failed and open_job.counters.failed:
            _warn(_failures_message(open_job))
        summary = engine.summary()
        if summary.login_errors:
            raise LoginError("; ".join(summary.login_errors))
        if summary.counters.reason in {"robots", "unreachable"}:
            raise CrawlerError(f"{summary.spider} stopped, {unavailable_message(summary)}")


def _failures_message(job: Job) -> str:
    """Return the number of failed pages, and the message of the last."""
    counters, (last,) = job.counters, job.store.failures.latest(1)
    return (
        f"crawl(): {counters.failed:,} of {counters.done + counters.failed:,} pages failed: "
        f"{last.report.message}; for all of them write failed(), or give job="
    )


def _warn(message: str) -> None:
    """Warn at the caller's line, each time: a cell of a notebook is run again and again."""
    caller = sys._getframe(2)
    warnings.warn_explicit(
        message, FailedPagesWarning, caller.f_code.co_filename, caller.f_lineno, registry=None
    )
