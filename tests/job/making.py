"""Jobs without a crawl, for tests of the files on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crawler import Request, Spider
from crawler.job.config import RunConfig
from crawler.job.job import Job
from crawler.job.spider_loader import of_class
from crawler.settings import Settings
from crawler.worker.request_filter import encoded

BOOKS = """
    from crawler import Spider

    class Books(Spider):
        '''All books.

        And more.'''
"""
"""A spider's file, for the fixture `write`."""


class Books(Spider):
    pass


class Films(Spider):
    pass


def a_config(folder: Path, spider: type[Spider] = Books, **fields: Any) -> RunConfig:
    return RunConfig(source=of_class(spider), settings=Settings(), folder=folder, **fields)


def a_job(folder: Path, spider: type[Spider] = Books, **fields: Any) -> Job:
    return Job(a_config(folder, spider, **fields))


def add(job: Job, line: bytes = b"{}\n") -> None:
    """A commit with one request and one line."""
    job.items.append(line)
    job.counters.sequence += 1
    job.counters.items += 1
    with job.store.transaction():
        job.save()


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def add_request(job: Job, request: Request) -> None:
    """Put a request into the queue of a job that does not run."""
    new_request = encoded(request)
    with job.store.transaction():
        host = job.store.hosts.add(new_request.origin)
        job.counters.sequence += 1
        job.store.queue.add([(host.id, new_request)], job.counters.sequence)
