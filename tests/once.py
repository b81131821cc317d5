"""The `crawl` command with requests that must not be sent twice, killed where the test says.

``KILL=point python tests/once.py run …`` sends SIGKILL to its own process at

``marking``    when it is about to commit that such a request will be sent
``marked``     when that is committed, before the worker gets it
``answered``   when the worker has answered, before the outcome is in a commit
``commit``     when the transaction of the outcome has everything in it, before its COMMIT
``committed``  right after that COMMIT

A worker kills itself where a URL ends in ``?deadly``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from crawler import Request, Spider
from crawler.engine.committer import Committer
from crawler.engine.outcomes import OutcomeHandler
from crawler.job.job import Job
from crawler.scheduling.host_queue import PageAssignment


class Buyer(Spider):
    """Follows links, and posts each form's address exactly once."""

    name = "buyer"
    delay = 0
    retry_wait = 0.01
    commit_interval = 0.01

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all("a")
        for form in response.css("form::attr(action)").getall():
            url = response.url.rsplit("/", 1)[0] + form
            yield Request(url, self.bought, method="POST", data={"n": "1"}, replay=False)

    def bought(self, response: Any) -> Iterator[Any]:
        if response.url.endswith("?deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        yield {"bought": response.url}

    def failed(self, failure: Any) -> Iterator[Any]:
        yield {"not bought": failure.request.url, "cause": failure.cause}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(point: str) -> None:
    """Arrange for the first arrival at ``point`` to be the last."""
    mark_sent, take, save = Committer.mark_sent, OutcomeHandler.handle, Job.save

    def dying_mark(self: Any, assignments: Any) -> None:
        if point == "marking":
            _die()
        mark_sent(self, assignments)
        if point == "marked":
            _die()

    def dying_take(self: Any, outcome: Any, now: float) -> None:
        assignment = self._frontier._scheduler.assigned.get(outcome.task)
        if isinstance(assignment, PageAssignment) and assignment.queued.delivery:
            if point == "answered":
                _die()
            Committer.gathered_once = True  # type: ignore[attr-defined]
        take(self, outcome, now)

    def dying_save(self: Any, items: bytes = b"", rejected: bytes = b"") -> None:
        save(self, items, rejected)
        if point == "commit" and hasattr(Committer, "gathered_once"):
            _die()

    commit = Committer.commit

    def dying_commit(self: Any, now: float) -> bytes:
        lines = commit(self, now)
        if point == "committed" and hasattr(Committer, "gathered_once"):
            _die()
        return lines

    for owner, name, changed in (
        (Committer, "mark_sent", dying_mark),
        (Committer, "commit", dying_commit),
        (OutcomeHandler, "handle", dying_take),
        (Job, "save", dying_save),
    ):
        setattr(owner, name, changed)


if __name__ == "__main__":
    from crawler.cli.main import main

    if "KILL" in os.environ:
        die_at(os.environ["KILL"])
    sys.argv[0] = "crawl"
    main()
