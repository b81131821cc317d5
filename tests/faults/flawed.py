"""The spiders once more, with a flaw in how their job is kept: ``FLAW`` says which.

The crash machine has to find each of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crawler.output import jsonlines
from crawler.output.jsonlines import JSONLines
from crawler.store import syncing
from crawler.store.sqlite.store import SQLiteStore
from tests.faults.shapes import Open

__all__ = ["Open"]


def _late(append: Callable[[JSONLines, bytes], None]) -> Any:
    """Lines are written in the commit after theirs."""

    def late(self: JSONLines, lines: bytes) -> None:
        waiting: bytes = getattr(self, "waiting", b"")
        setattr(self, "waiting", lines)  # noqa: B010
        append(self, waiting)

    return late


def _cut_late(opened: Callable[..., None], most: int) -> Any:
    """Count up to ``most`` bytes of a killed process as committed."""

    def cut_late(self: JSONLines, path: Path, committed: int, **how: Any) -> None:
        more = min(most, path.stat().st_size - committed) if path.exists() else 0
        opened(self, path, committed + more, **{**how, **({"expected": None} if more else {})})

    return cut_late


def _hurried(transaction: Callable[..., Any]) -> Any:
    """No transaction is synced."""

    def hurried(self: SQLiteStore, *, synced: bool = False) -> Any:
        return transaction(self)

    return hurried


match os.environ.get("FLAW"):
    case "hurried":
        setattr(SQLiteStore, "transaction", _hurried(SQLiteStore.transaction))  # noqa: B010
    case "unsynced":
        setattr(jsonlines, "sync", lambda file: None)  # noqa: B010
    case "nameless":
        setattr(syncing, "sync_folder", lambda folder: None)  # noqa: B010
        setattr(jsonlines, "sync_folder", lambda folder: None)  # noqa: B010
    case "late":
        setattr(JSONLines, "append", _late(JSONLines.append))  # noqa: B010
    case "torn":
        setattr(JSONLines, "__init__", _cut_late(JSONLines.__init__, 10))  # noqa: B010
    case "twice":
        setattr(JSONLines, "__init__", _cut_late(JSONLines.__init__, 10**9))  # noqa: B010
