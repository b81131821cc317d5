"""Folders whose names survive a loss of power."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crawler.store.syncing import make_folder, sync_folder


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that are opened, which only a sync does."""
    paths: list[Path] = []
    real = os.open

    def opened(path: Path, *flags: int) -> int:
        paths.append(Path(path))
        return real(path, *flags)

    monkeypatch.setattr(os, "open", opened)
    return paths


def test_each_new_folder_is_synced_with_the_one_above_it(
    tmp_path: Path, synced: list[Path]
) -> None:
    make_folder(tmp_path / "data" / "jobs" / "books")
    assert synced == [tmp_path / "data" / "jobs", tmp_path / "data", tmp_path]
    assert (tmp_path / "data" / "jobs" / "books").is_dir()


def test_a_folder_that_is_there_costs_no_sync(tmp_path: Path, synced: list[Path]) -> None:
    make_folder(tmp_path)
    assert synced == []


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path: Path) -> None:
    sync_folder(tmp_path / "missing")
