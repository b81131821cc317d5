"""The lock of a job."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from crawler.errors import JobError, JobLockedError
from crawler.job.lock import acquire, holder, is_held


def test_one_process_at_a_time_holds_the_lock(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    with acquire(folder):
        assert is_held(folder)
        with pytest.raises(JobLockedError, match="is being run by"), acquire(folder):
            pass
        assert is_held(folder)
    assert not is_held(folder)
    with acquire(folder):
        pass


def test_an_error_releases_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), acquire(tmp_path):
        raise ZeroDivisionError
    assert not is_held(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc/locks tells it")
def test_its_holder_is_named_before_the_job_has_a_store(tmp_path: Path) -> None:
    with acquire(tmp_path):
        assert holder(tmp_path) == f"process {os.getpid()}"


def test_a_holder_that_nothing_names(tmp_path: Path) -> None:
    assert holder(tmp_path) == "another process"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match=r"cannot use .*file/job as a job's folder"):
        acquire(tmp_path / "file" / "job").__enter__()
