"""Done requests stay in their table until there are many."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from crawler.store.sqlite import queue
from crawler.store.sqlite.store import SQLiteStore
from tests.store.builders import add_host, new_request, numbers


def test_many_done_requests_are_deleted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then they are invisible, also after the store was opened again."""
    monkeypatch.setattr(queue, "MOST_TOMBSTONES", 4)
    path = tmp_path / "job.db"

    def rows() -> list[int]:
        with closing(sqlite3.connect(path)) as db:
            tables = ("pending", "finished")
            return [db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables]

    with closing(SQLiteStore(path)) as store:
        host_id = add_host(store)
        with store.transaction():
            store.queue.add([(host_id, new_request(f"{n}")) for n in range(10)], 1)
            store.queue.mark_done([(host_id, 0, 1), (host_id, 0, 2)])
        with store.transaction():
            store.queue.mark_done([(host_id, 0, 3)])
        assert rows() == [10, 3]
    with closing(SQLiteStore(path)) as store:
        assert numbers(store, host_id, 2) == [4, 5]
        with store.transaction():
            store.queue.mark_done([(host_id, 0, 4)])
        assert rows() == [6, 0]
        with store.transaction():
            store.queue.mark_done([(host_id, 0, 5)])
            store.compact()
        assert rows() == [5, 0]
