"""Connections are reused: as many as requests at a time, not as many as pages."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import pytest

from crawler import Session, Spider
from tests.club import Club
from tests.jobs import items, run_job
from tests.tls import Authority

pytestmark = pytest.mark.usefixtures("no_leaks")

AT_ONCE = 8


class Member(Spider):
    """Logs in once, and reads everything."""

    home: str
    bundle = ""

    def prepare(self, session: Session) -> None:
        session.verify = self.bundle or True

    def login(self, session: Session) -> None:
        session.get(f"{self.home}/login").raise_for_status()

    def parse(self, response: Any) -> Any:
        yield {"page": response.css("title::text").get()}
        yield from response.follow_all("a")


@pytest.mark.parametrize(
    ("secure", "workers", "pages"),
    [
        (False, 0, 2_500),
        (True, 2, 2_500),
        pytest.param(False, 0, 10_000, marks=pytest.mark.thorough),
    ],
)
def test_connections_are_as_many_as_requests_at_a_time(
    tmp_path: Path, authority: Authority, secure: bool, workers: int, pages: int
) -> None:
    pair = authority.issue("server") if secure else None
    with Club(pages, pair) as club:
        run_job(
            Member,
            tmp_path,
            club.url + "/0",
            arguments={"home": club.url, "bundle": str(authority.bundle)},
            workers=workers,
            concurrency_per_host=AT_ONCE,
            concurrency=AT_ONCE * max(1, workers),  # a login lives in one worker, with its share
            commit_interval=0.2,
        )
        counts = club.counts
    found = collections.Counter(int(item["page"]) for item in items(tmp_path))
    assert found == dict.fromkeys(range(pages), 1)
    # Refused is the look at the first page as an anonymous visitor.
    assert (counts.pages, counts.logins, counts.refused) == (pages, 1, 1)
    assert counts.connections <= AT_ONCE + counts.logins
