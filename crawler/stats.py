"""The counters of a job: committed with the pages, shown as progress and in the summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from crawler.errors import DisallowedError
from crawler.records import SkippedShape
from crawler.text import count

State = Literal["running", "stopped", "finished"]


class Counters(msgspec.Struct):
    """The work of a job so far, over all its runs; saved with each commit."""

    done: int = 0
    """Requests whose pages were handled."""
    failed: int = 0
    """Requests that failed for good."""
    pending: int = 0
    """Requests still to be handled, those in flight included."""
    in_flight: int = 0
    """Requests that workers had at the last commit."""
    items: int = 0
    rejected: int = 0
    """Items that did not fit ``item_type`` or JSON."""
    repaired: int = 0
    """Items with text that UTF-8 cannot express (lone surrogates), which U+FFFD replaces."""
    skipped_unsafe: int = 0
    """Links not followed, as they seem to log out or delete something."""
    skipped_by_limit: dict[str, int] = {}
    """Requests that were not made, by the name of the limit that excludes them."""
    traps: dict[str, int] = {}
    """Shapes of URLs that took most of the pages and gave no items, with their percentages."""
    fetched: int = 0
    """Responses received, those of redirects, retries and robots.txt included."""
    bytes: int = 0
    """Size of all responses' bodies, decoded."""
    retried: int = 0
    """Requests that were rescheduled."""
    redirected: int = 0
    """Hops of redirects."""
    logins: int = 0
    """Logins that succeeded, without those by ``crawl login``."""
    seconds: float = 0.0
    """Time spent running."""
    started: float = 0.0
    """The beginning of the first run, wall clock."""
    finished: bool = False
    reason: str = ""
    """Why the last run ended: ``finished``, ``max_pages``, ``stopped``, ``robots``,
    ``unreachable``, ``login``."""
    sequence: int = 0
    """The last number assigned to a request."""
    output_length: int = 0
    """Bytes of the output that are committed."""
    rejected_length: int = 0


class Snapshot(msgspec.Struct):
    """The state of a running job at one moment, for progress displays."""

    spider: str
    counters: Counters
    hosts: int
    """Active hosts."""
    in_flight: int
    stopping: bool
    done_before: int
    """Pages of earlier runs."""
    waits_for: str = ""
    """The hosts whose robots.txt is unavailable, each with its cause."""
    no_answer: bool = False
    """None of these hosts has given any sign, and no other has."""


class Summary(msgspec.Struct):
    """The summary of a run."""

    spider: str
    counters: Counters
    output: Path
    rejected: Path
    log: Path
    failures: dict[str, int]
    """Failed requests by cause, the most frequent first, over all runs."""
    login_errors: list[str]
    bad_seeds: int
    new_seeds: int
    already_finished: bool
    """The job had nothing to do: an earlier run had finished it."""
    skipped: list[SkippedShape] = []
    """The unsafe links that were not followed, by their shape, the most frequent first."""
    waits_for: str = ""
    """The hosts whose robots.txt is unavailable, each with its cause."""
    last_failure: str = ""
    """The reason of the last failure, in a sentence."""

    @property
    def has_nothing(self) -> bool:
        """True if all pages have failed, without any item."""
        counters = self.counters
        return bool(counters.failed) and not counters.done and not counters.items

    @property
    def is_disallowed(self) -> bool:
        """True if no page came, as robots.txt disallows all that was requested."""
        return self.has_nothing and set(self.failures) == {DisallowedError.cause}

    @property
    def exit_status(self) -> int:
        """The command's exit status.

        0 finished, 3 stopped before the end, 4 login failed, 5 disallowed by robots.txt.
        """
        if self.login_errors:
            return 4
        if self.counters.finished and self.is_disallowed:
            return 5
        return 0 if self.counters.finished else 3


def status(
    state: State, counters: Counters, hosts: int, output: Path, spider: str
) -> dict[str, Any]:
    """Return the fields of ``crawl status --json``.

    ``started`` is in seconds since the epoch; the caller writes it in ISO 8601.
    """
    return {
        "spider": spider,
        "state": state,
        "reason": "" if state == "running" else counters.reason,
        "pending": counters.pending,
        "in_flight": counters.in_flight if state == "running" else 0,
        "done": counters.done,
        "failed": counters.failed,
        "items": counters.items,
        "rejected": counters.rejected,
        "repaired": counters.repaired,
        "skipped_unsafe": counters.skipped_unsafe,
        "skipped_by_limit": counters.skipped_by_limit,
        "traps": counters.traps,
        "bytes": counters.bytes,
        "hosts": hosts,
        "started": counters.started,
        "seconds": round(counters.seconds, 3),
        "output": str(output),
    }


def unavailable_message(summary: Summary) -> str:
    """Return how many requests are pending as hosts do not answer, and how to continue."""
    if summary.counters.reason == "unreachable":
        return (
            f"{count(summary.counters.pending, 'request')} pending, as no host answers: "
            f"{summary.waits_for}; run the same command to try again"
        )
    return (
        f"{count(summary.counters.pending, 'request')} pending, as robots.txt is unavailable at "
        f"{summary.waits_for}: run the same command to try again, or set obey_robots=false"
    )
