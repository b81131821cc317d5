"""The job that the user means, and its status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler.errors import JobError
from crawler.job.folder import ITEMS, STORE
from crawler.job.lookup import job_status
from crawler.job.record import read_record
from tests.job.making import a_job, add


def test_status_of_a_job(folder: Path) -> None:
    with a_job(folder) as job:
        job.begin()
        add(job)
        job.counters.pending, job.counters.in_flight, job.counters.bytes = 3, 2, 100
        with job.store.transaction():
            job.store.hosts.add("https://a.example")
            job.save()
        running = job_status(folder)
        assert running["state"] == "running"
        assert running["in_flight"] == 2
    stopped = job_status(folder)
    assert stopped["state"] == "stopped"
    assert stopped["in_flight"] == 0
    assert {"pending": 3, "items": 1, "bytes": 100, "hosts": 1}.items() <= stopped.items()
    assert stopped["output"] == str(folder / ITEMS)
    with a_job(folder) as job:
        job.counters.finished = True
        job.end()
    assert job_status(folder)["state"] == "finished"


def test_status_disturbs_no_run(folder: Path) -> None:
    a_job(folder).close()
    before = (folder / STORE).read_bytes()
    for _ in range(3):
        job_status(folder)
        a_job(folder).close()
    assert (folder / STORE).stat().st_size == len(before)


@pytest.mark.parametrize("ask", [job_status, read_record])
def test_a_folder_without_a_job_is_named(folder: Path, ask: Any) -> None:
    with pytest.raises(JobError, match=rf"^{folder} holds no job; `crawl run` starts one"):
        ask(folder)
    assert not folder.exists()
