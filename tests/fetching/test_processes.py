"""The fetching process and its workers as processes of the system."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.commands import Command, wait_until_gone
from tests.conftest import wait_until
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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the callback must let a thread run")
@pytest.mark.parametrize("killed", ["fetcher", "engine"])
def test_a_worker_ends_with_its_parent_in_the_middle_of_a_callback(
    tmp_path: Path, site: Site, killed: str
) -> None:
    site.otherwise = lambda visit: "x"
    pids = tmp_path / "pid"
    arguments = {"pids": pids}
    command = Command(
        "Holding", tmp_path / "job", f"{site.url}/hold", workers=1, arguments=arguments
    )
    wait_until(lambda: pids.is_file() and pids.read_text(), "no callback has begun")
    children = command.children
    assert int(pids.read_text()) in children
    os.kill(command.pid if killed == "engine" else command.fetchers[0], signal.SIGKILL)
    wait_until_gone(children)
    command.kill()
