"""The numbers of rows that each commit stores are those of the tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

from crawler.store.sqlite.queue import count_rows
from crawler.store.sqlite.store import SQLiteStore
from tests.store.builders import SEEN, TWICE, add_host, add_many, new_request, pending_count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    with closing(SQLiteStore(path)) as store:
        yield store


def are_right(store: SQLiteStore, path: Path) -> bool:
    """Return True if the tables have as many rows as the store says."""
    with closing(sqlite3.connect(path)) as db:
        return tuple(store.meta.get("tally")) == count_rows(db)


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("twice", TWICE)
def test_only_new_requests_are_counted(
    store: SQLiteStore, path: Path, seen: Sequence[int], twice: Sequence[int]
) -> None:
    add_many(store, add_host(store), seen, twice)
    assert are_right(store, path)


def test_requests_that_are_done_twice_or_unknown_are_counted_once_or_not_at_all(
    store: SQLiteStore, path: Path
) -> None:
    host_id = add_host(store)
    with store.transaction():
        store.queue.add([(host_id, new_request(f"{n}")) for n in range(3)], 1)
        store.queue.mark_done([(host_id, 0, 1)])
    for done in ([(host_id, 0, 1), (host_id, 0, 2)], [(host_id, 0, 77)]):
        with store.transaction():
            store.queue.mark_done(done)
        assert are_right(store, path)
    with store.transaction():
        store.compact()
    assert are_right(store, path)
    assert pending_count(store) == 1


def test_a_rollback_takes_the_counts_back(store: SQLiteStore, path: Path) -> None:
    host_id = add_host(store)
    with store.transaction():
        store.queue.add([(host_id, new_request("1"))], 1)
    with suppress(ZeroDivisionError), store.transaction():
        store.queue.add([(host_id, new_request("2"))], 2)
        store.queue.mark_done([(host_id, 0, 1)])
        raise ZeroDivisionError
    assert are_right(store, path)
    with store.transaction():
        store.seen.add(new_request("2"))
    assert are_right(store, path)
