"""The callbacks of a spider that has changed between two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler import Request, Spider
from crawler.errors import SpiderError
from crawler.job.callback_check import check_callbacks, save_callbacks
from tests.job.making import a_job, add_request


class Before(Spider):
    def book(self, response: Any, shelf: int) -> None: ...

    def unused(self, response: Any) -> None: ...


class SameCalls(Spider):
    def book(self, response: object, shelf: str, row: int = 0) -> None: ...


class Renamed(Spider):
    @staticmethod
    def book(response: Any, **columns: Any) -> None: ...


class Gone(Spider):
    pass


class NoMethod(Spider):
    book = 3


class OtherArguments(Spider):
    def book(self, response: Any, row: int) -> None: ...


@pytest.fixture
def job(folder: Path) -> Any:
    with a_job(folder) as job:
        for number in range(3):
            url = f"https://a.example/{number}"
            add_request(job, Request(url, "book", cb_kwargs={"shelf": number}))
        with job.store.transaction():
            save_callbacks(job.store, Before)
        yield job


@pytest.mark.parametrize("spider", [Before, SameCalls, Renamed])
def test_a_change_that_fits_is_no_error(job: Any, spider: type[Spider]) -> None:
    check_callbacks(job.store, spider)


@pytest.mark.parametrize(
    ("spider", "reason"),
    [
        (Gone, r"^Gone has changed, and .*: 3 for book\(\), which no longer exists; put that back"),
        (NoMethod, r"3 for book\(\), which no longer exists"),
        (OtherArguments, r"3 for book\(\): missing a required argument: 'row'"),
    ],
)
def test_pending_requests_that_do_not_fit_are_counted(
    job: Any, spider: type[Spider], reason: str
) -> None:
    with pytest.raises(SpiderError, match=reason):
        check_callbacks(job.store, spider)


def test_a_job_without_pending_requests_takes_any_spider(folder: Path) -> None:
    with a_job(folder) as job:
        with job.store.transaction():
            save_callbacks(job.store, Before)
        check_callbacks(job.store, Gone)
