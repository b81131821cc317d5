"""The store of a job, as protocols: one for each group of tables, and a transaction over all.

``store.sqlite`` implements them for a single machine. Every method that changes something must be
called inside ``with store.transaction()``: the changes are durable together or not at all.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from crawler.records import (
    FailedRequest,
    FailureReport,
    HostRow,
    Key,
    NewRequest,
    PendingRow,
    QueuedRequest,
    SessionRecord,
    SkippedLink,
    SkippedShape,
)

LAST_TIME = sys.float_info.max
"""A time that never comes, in seconds since the epoch."""
AT_WORK = -math.inf
"""The time at which a host is due that is at work."""
MOST_SHAPES = 1000
"""Shapes of skipped links that are counted apart."""
OTHER_SHAPES = "other"


class MetaStore(Protocol):
    """The job's own record: settings, counters, lengths of the outputs."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value kept under ``name``."""

    def set(self, name: str, value: Any) -> None:
        """Keep a JSON value under ``name``."""

    def update(self, values: Mapping[str, Any]) -> None:
        """Keep several JSON values, each under its name."""


class HostStore(Protocol):
    """The hosts of a job: their clocks, their robots.txt, their number of requests."""

    def find(self, origin: str, account: str = "") -> HostRow | None:
        """Return the host of this origin and account, or None if the job does not know it."""

    def get(self, host_id: int) -> HostRow:
        """Return the host with this id."""

    def add(self, origin: str, account: str = "") -> HostRow:
        """Return the host of this origin and account; add it if it is new."""

    def save(self, hosts: Iterable[HostRow]) -> None:
        """Store the clocks and robots.txt of these hosts."""

    def mark_seeded(self, host_ids: Iterable[int]) -> None:
        """Record that these hosts have a seed."""

    def with_work(
        self, limit: int, without: Container[int] = (), due_by: float = LAST_TIME
    ) -> list[HostRow]:
        """Return at most ``limit`` hosts with pending requests, those that are due first first.

        A host is due at the time that its clock has when it gets a request, or at that of
        ``set_due``. Those that are at work, or are due after ``due_by``, wall clock, are left out.
        The cost grows with the hosts that are returned or among ``without``, not with the others.
        """

    def next_due(self, after: float) -> float | None:
        """Return when the first host that is due later than ``after`` is due, wall clock."""

    def set_due(self, dues: Iterable[tuple[int, float | None]]) -> None:
        """Record when hosts are due, wall clock; None for one that has no pending request.

        After ``AT_WORK`` and ``math.inf`` a host is not due before the next call for it, or before
        ``reset_dues``.
        """

    def reset_dues(self) -> None:
        """Let all hosts be due that were at work, or not to be due any more, in an earlier run."""

    def origins(self) -> Iterable[str]:
        """Return the origins of all hosts."""

    def count(self) -> int:
        """Return the number of hosts."""


class AccountStore(Protocol):
    """The accounts that pending requests belong to."""

    def with_work(self) -> list[str]:
        """Return the accounts that have pending requests."""

    def reassign(self, old: str, new: str) -> None:
        """Give all pending requests of account ``old`` to account ``new``."""


class QueueStore(Protocol):
    """The pending requests, a queue for each host, ordered by rank, then by id."""

    def add(self, requests: Sequence[tuple[int, NewRequest]], first: int) -> list[PendingRow]:
        """Queue requests, each with the id of its host, unless their fingerprints were seen.

        They are numbered in their order from ``first``. Returns the rows that are new.
        """

    def next_requests(self, host_id: int, after: Key | None, limit: int) -> list[QueuedRequest]:
        """Return the first ``limit`` requests of a host behind ``after`` that wait for no retry."""

    def mark_done(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """Remove requests, given by host, rank and id, from their queues."""

    def replace(self, host_id: int, key: Key, request: bytes, due: float | None = None) -> None:
        """Change a request; with ``due`` (wall clock) it waits until then.

        The request was surely not sent, or may be sent twice.
        """

    def move(
        self, host_id: int, key: Key, new_host_id: int, request: bytes, *, once: bool = False
    ) -> None:
        """Change a request and move it to the queue of another host, or of the same."""

    def set_delivery(self, host_id: int, key: Key, once: int) -> None:
        """Record whether a request that must not be sent twice may have been sent."""

    def release_due(self, host_id: int, now: float) -> list[QueuedRequest]:
        """Return the requests whose wait is over (``now`` is wall clock), and end their wait."""

    def next_due(self, host_id: int) -> float | None:
        """Return when the first waiting request of a host is due, wall clock."""

    def requests(self) -> Iterable[bytes]:
        """Return all pending requests, encoded, in no order."""

    def find(self, origin: str, number: int, is_wanted: Callable[[bytes], bool]) -> int | None:
        """Return the number of a pending request, from what ``SeenStore`` knows of it.

        It is in a queue of this origin, of whatever account.
        """


class SeenStore(Protocol):
    """The fingerprints of all requests that the job has ever known (the request filter's memory).

    A page that redirects lead to is *final*: it is remembered apart, since only then its own
    output decides whether another request to it is a duplicate.
    """

    def contains(self, request: NewRequest) -> bool:
        """Return True if the fingerprint is known."""

    def add(self, request: NewRequest) -> bool:
        """Remember a fingerprint; return False if it was known with the same callback."""

    def add_final(self, request: NewRequest, open_id: Callable[[int], int | None]) -> bool:
        """Remember the page that redirects ended at.

        Returns False if that page was already handled with the same callback: then its output
        must be dropped. A request for it that is known may still be pending. ``open_id`` looks for
        it, from a number for ``QueueStore.find``, and returns its own number if it is; then the
        output counts, and that of the pending request is *superseded*.
        """

    def mark_failed(self, fingerprint: bytes, number: int) -> None:
        """Remember that a request with this number has failed: the page is not handled."""

    def has_superseded(self) -> bool:
        """Return True if any request has been superseded."""

    def is_superseded(self, number: int) -> bool:
        """Return True if a redirect has brought the page of a request before."""

    def contains_final(self, request: NewRequest) -> bool:
        """Return True if redirects have led to this page before, for the same callback."""


class FailureStore(Protocol):
    """The requests that failed for good."""

    def add(self, report: FailureReport, request: bytes, at: float) -> None:
        """Keep why a request failed at time ``at`` (wall clock)."""

    def latest(self, limit: int = 100) -> list[FailedRequest]:
        """Return the last failures, the newest first."""

    def by_cause(self) -> dict[str, int]:
        """Return the number of failures of each cause, the most frequent first."""


class SkippedStore(Protocol):
    """The links that are not followed, as a GET of them may act; each counts once."""

    def add(self, links: Iterable[SkippedLink]) -> int:
        """Count links by their shape, and return the number of those that are new.

        Beyond ``MOST_SHAPES`` shapes, links of further ones are counted under the shape ``other``.
        """

    def shapes(self) -> list[SkippedShape]:
        """Return the shapes, the most frequent first."""


class SessionStore(Protocol):
    """The cookies and login states of the sessions."""

    def get(self, key: str) -> SessionRecord | None:
        """Return the session with this key."""

    def save(self, session: SessionRecord) -> None:
        """Keep a session, in the place of what was kept of it."""

    def update(self, changed: SessionRecord) -> None:
        """Keep the login, the usage and those cookies, in the order of their changes.

        A cookie without a value is deleted. The cookies of a session are in the order in which they
        were first set.
        """

    def all(self) -> list[SessionRecord]:
        """Return every session of the job."""


class Store(Protocol):
    """The state of a job, durable."""

    meta: MetaStore
    hosts: HostStore
    accounts: AccountStore
    queue: QueueStore
    seen: SeenStore
    failures: FailureStore
    skipped: SkippedStore
    sessions: SessionStore

    def transaction(self, *, synced: bool = False) -> AbstractContextManager[None]:
        """Commit all changes made inside together, or roll them back on an exception.

        After a ``synced`` one, it and all transactions before it survive a loss of power.
        """

    def compact(self) -> None:
        """Finish what ``queue.mark_done`` postpones, so that no done request stays in the queues.

        Part of a transaction.
        """

    def shift_times(self, seconds: float) -> None:
        """Move every stored future time back, as the wall clock was set back; in a transaction."""

    def drain(self) -> None:
        """Wait until the work behind the last commits is finished."""

    def close(self) -> None:
        """Release the store; what was committed stays."""
