"""The configuration of a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from crawler import Spider
from crawler.errors import SettingsError, SpiderError
from crawler.job.config import RunConfig, login_command
from crawler.job.spider_loader import of_class
from crawler.session.masking import Mask
from tests.job.making import Books, a_config


class Shelf(Spider):
    delay = 3.0
    created = 0

    def __init__(self, number: str) -> None:
        type(self).created += 1
        super().__init__(number=number)


def build(spider: type[Spider] = Books, **fields: Any) -> RunConfig:
    return RunConfig.build(of_class(spider), mask=Mask(), **fields)


def test_it_cannot_be_changed(folder: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        a_config(folder).fresh = True  # type: ignore[misc]


def test_later_sources_of_settings_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.crawler]\ndelay = 2\nretries = 8\n")
    config = build(Shelf, arguments={"number": "1"})
    assert (config.settings.delay, config.settings.retries) == (3.0, 8)
    overridden = {"arguments": {"number": "1"}, "overrides": {"delay": "4", "retries": "9"}}
    assert build(Shelf, **overridden).settings.delay == 4.0
    config = build(Shelf, **overridden, settings={"delay": 5.0})
    assert (config.settings.delay, config.settings.retries) == (5.0, 9)


def test_the_spider_is_created_once() -> None:
    Shelf.created = 0
    config = build(Shelf, arguments={"number": "7"})
    assert Shelf.created == 1
    assert config.spider is config.spider
    assert vars(config.spider) == {"number": "7"}
    assert Shelf.created == 1


def test_errors_are_raised_before_there_is_a_folder(folder: Path) -> None:
    with pytest.raises(SpiderError, match="Shelf needs number"):
        build(Shelf, folder=folder)
    with pytest.raises(SettingsError, match="there is no setting 'dealy'"):
        build(folder=folder, overrides={"dealy": "1"})
    assert not folder.exists()


def test_a_job_has_the_folder_and_the_output_of_its_spider(folder: Path) -> None:
    assert build().folder == Path("data/jobs/books")
    assert build().output_path == Path("data/jobs/books/items.jsonl").absolute()
    assert build(folder=folder).output_path == folder / "items.jsonl"
    assert build(output=Path("o.jsonl")).output_path == Path("o.jsonl").absolute()


def test_the_command_that_answers_a_login(folder: Path) -> None:
    spec = f"{__name__.rpartition('.')[0]}.making:Books" if "." in __name__ else None
    command = login_command(build(), "ann of b")
    assert command.startswith(f"crawl login {spec or of_class(Books).spec}")
    assert command.endswith(" --account 'ann of b'")
    assert login_command(build(folder=folder), "").endswith(f" --job {folder}")
