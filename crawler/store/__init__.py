"""What a store does: it keeps a job's frontier, hosts, sessions and counters, durably.

A store is a protocol; ``sqlite`` is the one for a single machine. All changes happen inside
``with store.transaction()``: they are durable together or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from crawler.records import (
    Failed,
    FailureReport,
    HostRow,
    Key,
    NewRequest,
    PendingRow,
    QueuedRequest,
    SessionRecord,
)


class Store(Protocol):
    """A job's state. Every verb that changes it must be called inside ``transaction()``."""

    def transaction(self, *, synced: bool = False) -> AbstractContextManager[None]:
        """Changes inside are committed together at the end, or rolled back by an exception.

        ``synced`` ones outlive a loss of power from then on, and so does all that was before.
        """

    def drain(self) -> None:
        """Wait for what is still done with the last commits; then nothing is until the next one."""

    def close(self) -> None:
        """Release the store; what was committed stays."""

    def get(self, name: str, default: Any = None) -> Any:
        """A value of the job's own record (settings, counters, output length …)."""

    def set(self, name: str, value: Any) -> None:
        """Keep a JSON value under ``name`` in the job's own record."""

    def host(self, origin: str, account: str = "") -> HostRow | None:
        """The host with this origin, as one account asks it, if the job knows it."""

    def host_by_id(self, id: int) -> HostRow:
        """The host with this number."""

    def origins(self) -> Iterable[str]:
        """The origins of all hosts that the job knows."""

    def add_host(self, origin: str, account: str = "") -> HostRow:
        """The host with this origin, made known where it was not."""

    def accounts_with_work(self) -> list[str]:
        """The accounts that have pending requests."""

    def reassign(self, old: str, new: str) -> None:
        """All pending requests of one account are another's from now on."""

    def mark_seeded(self, hosts: Iterable[int]) -> None:
        """Seeds are at these hosts."""

    def save_hosts(self, hosts: Iterable[HostRow]) -> None:
        """Keep the hosts' clocks and rules."""

    def hosts_with_work(self, limit: int, without: Iterable[int] = ()) -> list[HostRow]:
        """Hosts with pending requests, those that may be asked soonest first."""

    def add(self, requests: Sequence[tuple[int, NewRequest]], first: int) -> list[PendingRow]:
        """Make requests pending at their hosts, but not those that the job has seen.

        They are numbered in their order from ``first``; what is returned is new.
        """

    def has_seen(self, found: NewRequest) -> bool:
        """True when the job knows a request's fingerprint."""

    def mark_seen(self, found: NewRequest) -> bool:
        """Remember a redirect's target as seen; False when it was, with the same callback."""

    def mark_final(self, found: NewRequest) -> bool:
        """Record that a redirect ended at this page.

        False when the page was already handled with the same callback, so that its output must be
        dropped.
        """

    def is_final(self, found: NewRequest) -> bool:
        """True when redirects have led to this page before, for the same callback."""

    def next_requests(self, host: int, after: Key | None, limit: int) -> list[QueuedRequest]:
        """The first ``limit`` requests of a host's queue after a key; waiting ones left out."""

    def mark_done(self, done: Sequence[tuple[int, int, int]]) -> None:
        """Requests, by host, rank and id, are done: only their fingerprints stay."""

    def compact(self) -> None:
        """Do what ``mark_done`` has put off, so that no trace of what is done is in the way."""

    def replace(self, host: int, key: Key, request: bytes, due: float | None = None) -> None:
        """A request that was surely not sent, or may be sent twice, changed; with ``due`` (wall
        clock) it waits until then."""

    def move(self, host: int, key: Key, new_host: int, request: bytes, once: bool = False) -> None:
        """A request goes on, changed, in the queue of another host or of the same one."""

    def set_delivery(self, host: int, key: Key, once: int) -> None:
        """A request that must not be sent twice goes to a worker (``SENT``) or came back unsent
        (``ONCE``)."""

    def due(self, host: int, now: float) -> list[QueuedRequest]:
        """Waiting requests whose time has come; they are ordinary pending ones from now on."""

    def next_due(self, host: int) -> float | None:
        """When the first waiting request of a host is due, wall clock."""

    def fail(self, report: FailureReport, request: bytes, at: float) -> None:
        """Keep why a request failed."""

    def failures(self, limit: int = 100) -> list[Failed]:
        """The last failures, newest first."""

    def failures_by_cause(self) -> dict[str, int]:
        """How many requests failed, by cause, the most frequent first."""

    def shift_times(self, seconds: float) -> None:
        """The wall clock was set back: so is every time at which something may go on."""

    def requests(self) -> Iterable[bytes]:
        """Every pending request, encoded, in no order."""

    def host_count(self) -> int:
        """How many hosts the job knows."""

    def session(self, key: str) -> SessionRecord | None:
        """A session's cookies and login state."""

    def save_session(self, session: SessionRecord) -> None:
        """Keep a session's cookies and login state."""

    def sessions(self) -> list[SessionRecord]:
        """Every session of the job."""
