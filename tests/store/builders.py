"""Records for tests of stores, and short ways to put them in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from crawler.records import NewRequest, PendingRow, QueuedRequest
from crawler.store.protocols import Store

A, B = "https://a.example", "https://b.example"
NOW = 1_700_000_000.0


def new_request(
    name: str, *, origin: str = A, rank: int = 0, callback: str = "parse", **fields: Any
) -> NewRequest:
    """A request whose fingerprint and content are its name."""
    fingerprint = name.encode().ljust(16)
    return NewRequest(fingerprint, origin, rank, callback, msgspec.Raw(encoded(name)), **fields)


def encoded(name: str) -> bytes:
    """The content of a request of that name."""
    return bytes(msgspec.msgpack.encode(name))


def queued(number: int, name: str, rank: int = 0) -> QueuedRequest:
    """The request of that name as it comes out of a queue."""
    return QueuedRequest(rank, number, encoded(name))


def add_host(store: Store, origin: str = A, account: str = "") -> int:
    """Commit a host; return its id."""
    with store.transaction():
        return store.hosts.add(origin, account).id


def add(store: Store, host_id: int, number: int, request: NewRequest) -> bool:
    """Add a single request; return True if it was new."""
    return bool(store.queue.add([(host_id, request)], number))


MANY = 250
SEEN: list[Sequence[int]] = [(), (0,), (150,), (99, 100, 249), range(MANY)]
TWICE: list[Sequence[int]] = [(), (3,), (120, 249)]


def add_many(
    store: Store, host_id: int, seen: Sequence[int], twice: Sequence[int]
) -> tuple[int, list[PendingRow]]:
    """Add the requests ``seen``, and in a second transaction ``MANY``, those of ``twice`` again.

    Return the number of the first transaction's rows, and the rows of the second one.
    """
    with store.transaction():
        before = store.queue.add([(host_id, new_request(f"{n}")) for n in seen], 1)
    names = [*range(MANY), *twice]
    with store.transaction():
        rows = store.queue.add([(host_id, new_request(f"{n}")) for n in names], 1 + len(before))
    return len(before), rows


def pending_count(store: Store) -> int:
    """The number of pending requests of all hosts."""
    return len(list(store.queue.requests()))


def numbers(store: Store, host_id: int, limit: int = 100) -> list[int]:
    """The ids of the first requests of a host, in order."""
    return [request.id for request in store.queue.next_requests(host_id, None, limit)]


def none_open(number: int) -> None:
    """Say that no request for a page is pending."""
