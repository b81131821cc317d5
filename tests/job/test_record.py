"""The record of a job, and the commands that resume it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from crawler.errors import JobError
from crawler.job.folder import ITEMS, STORE
from crawler.job.record import read_record
from crawler.store.sqlite.store import SQLiteStore
from tests.job.making import Films, a_job, add


def test_another_output_is_refused(folder: Path) -> None:
    with a_job(folder, output=folder / "mine.jsonl") as job:
        add(job)
    with pytest.raises(JobError, match=r"writes to .*mine\.jsonl, not to .*other\.jsonl"):
        a_job(folder, output=folder / "other.jsonl")
    for same in (None, folder / "mine.jsonl"):
        with a_job(folder, output=same) as job:
            assert job.output == folder / "mine.jsonl"


def test_other_arguments_are_refused(folder: Path) -> None:
    with a_job(folder, arguments={"shelf": "1"}) as job:
        add(job)
    with pytest.raises(JobError, match=r"started with -a shelf=1, not with -a shelf=2"):
        a_job(folder, arguments={"shelf": "2"})
    with pytest.raises(JobError, match=r"started with -a shelf=1, not with no -a"):
        a_job(folder)


def test_another_spider_is_refused(folder: Path) -> None:
    with a_job(folder) as job:
        add(job)
    with pytest.raises(JobError, match=r"is one of \S*Books, not of \S*Films"):
        a_job(folder, Films)


def test_a_job_of_which_nothing_has_come_takes_another_command(folder: Path) -> None:
    a_job(folder, arguments={"shelf": "1"}, seeds=("nonsense",)).close()
    a_job(folder, Films, arguments={"shelf": "2"}, output=folder / "other.jsonl").close()
    assert read_record(folder).output == "other.jsonl"


def test_new_seeds_and_settings_are_what_a_resume_repeats(folder: Path) -> None:
    for seeds, overrides in ((("a",), {"delay": "1"}), (("b",), {}), ((), {"delay": "2"})):
        with a_job(folder, seeds=seeds, overrides=overrides) as job:
            job.begin()
            add(job)
    assert read_record(folder).seeds == ["b"]
    assert read_record(folder).overrides == {"delay": "2"}


# Jobs of older versions


def keep_as_before(folder: Path, output: Path) -> None:
    """As an older version has kept where the output is."""
    with closing(SQLiteStore(folder / STORE)) as store, store.transaction():
        record = store.meta.get("record")
        del record["is_relative"]
        store.meta.set("record", {**record, "output": str(output)})


def test_an_older_job_may_be_moved_too(folder: Path) -> None:
    with a_job(folder) as job:
        add(job)
    keep_as_before(folder, folder / ITEMS)
    (folder / "job.stamp").unlink()
    moved = folder.rename(folder.with_name("moved"))
    for _ in range(2):
        with a_job(moved) as job:
            assert job.output == moved / ITEMS
            job.begin()
            job.end()
    assert read_record(moved).output == ITEMS


def test_an_older_job_writes_to_its_recorded_output(folder: Path) -> None:
    output = folder.parent / ITEMS
    with a_job(folder, output=output) as job:
        add(job)
    keep_as_before(folder, output)
    (folder / "job.stamp").unlink()
    with a_job(folder) as job:
        assert job.output == output
