"""A job's folder: where its output is."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.job.folder import is_in, is_same, located, stored_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job's folder, which has a second name."""
    (tmp_path / "job").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "job")
    return tmp_path / "job"


@pytest.mark.parametrize("name", ["items.jsonl", "further/items.jsonl"])
@pytest.mark.parametrize("through", ["job", "link", "job/../job"])
def test_an_output_in_the_folder_is_kept_relative_to_it(
    folder: Path, name: str, through: str
) -> None:
    output = folder.parent / through / name
    assert stored_path(output, folder) == stored_path(output, folder.with_name("link")) == name
    assert located(name, folder) == folder / name
    assert is_same(output, folder / name)
    assert is_in(output, folder)


def test_an_output_elsewhere_is_kept_as_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "out.jsonl"
    assert stored_path(Path("out.jsonl"), folder) == str(output)
    assert located(str(output), folder) == output
    assert not is_in(output, folder)


def test_a_link_in_the_folder_is_a_name_in_it_and_a_file_elsewhere(folder: Path) -> None:
    output = folder / "items.jsonl"
    output.symlink_to(folder.parent / "out.jsonl")
    assert stored_path(output, folder) == "items.jsonl"
    assert not is_in(output, folder)
