"""Crawl from a script or a notebook: a generator of items."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from crawler.accounts import of_spider
from crawler.discovery import of_class
from crawler.errors import LoginError
from crawler.job import Job
from crawler.log import log_to
from crawler.plan import Plan
from crawler.run import Run
from crawler.settings import check, from_pyproject, from_spider, key, resolve
from crawler.spider import Spider


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

    Raises CrawlerError; a LoginError after all that could be had without it. Leaving the loop
    early stops the crawl.
    """
    accounts = of_spider(spider)
    for account in accounts:
        account.ask()
    with contextlib.ExitStack() as cleanup:
        folder = Path(job or cleanup.enter_context(tempfile.TemporaryDirectory(prefix="crawl-")))
        plan = Plan(
            source=of_class(spider),
            settings=resolve(
                from_pyproject(Path("pyproject.toml")),
                from_spider(spider),
                {"workers": 0},
                check(settings, where="crawl()"),
            ),
            folder=folder,
            seeds=tuple([seeds] if isinstance(seeds, str) else seeds),
            arguments=arguments or {},
            key=key(),
            accounts=tuple(accounts),
        )
        open_job = cleanup.enter_context(Job(plan, spider.name))
        if job is not None:
            cleanup.enter_context(log_to(folder / "run.log", plan.mask))
        run = Run(open_job, spider)
        for lines in cleanup.enter_context(contextlib.closing(run.steps())):
            yield from map(msgspec.json.decode, lines.splitlines())
        if errors := run.summary().login_errors:
            raise LoginError("; ".join(errors))
