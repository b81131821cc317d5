"""The stores that must keep the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crawler.store.protocols import Store
from crawler.store.sqlite.store import SQLiteStore
from tests.memory_store import Disk, MemoryStore

Opener = Callable[[], Store]


@pytest.fixture(params=["sqlite", "memory"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the same store as often as it is called, each time as another process does."""
    disk, stores = Disk(), []

    def opener() -> Store:
        is_memory = request.param == "memory"
        stores.append(MemoryStore(disk) if is_memory else SQLiteStore(tmp_path / "job.db"))
        return stores[-1]

    yield opener
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: Opener) -> Store:
    return open_store()
