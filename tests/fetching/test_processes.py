"""The fetching process and its workers as processes of the system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.jobs import items, run_job
from tests.sites import Site
from tests.victims import Cores


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="there is no choice of cores")
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_of_two_jobs_need_not_share_a_core(
    tmp_path: Path, site: Site, workers: int
) -> None:
    """The system decides where a worker runs: the first workers of all jobs on one core, never."""
    site.otherwise = lambda visit: "x"
    run_job(Cores, tmp_path, f"{site.url}/a", f"{site.url}/b", workers=workers)
    cores = sorted(os.sched_getaffinity(0))
    assert items(tmp_path) == [{"cores": cores}] * 2
