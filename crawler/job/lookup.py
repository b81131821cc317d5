"""Find the job folder that the user means, and tell how far its job is."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import msgspec

from crawler.errors import JobError
from crawler.job.folder import JOBS, STORE, folder_for
from crawler.job.lock import is_held
from crawler.job.record import JobRecord, reader
from crawler.records import FailureReport, SkippedShape
from crawler.session.credentials import encryption_key
from crawler.stats import Counters, State, status

MOST_FAILURES = 1000
"""Failed pages that are listed, the last ones."""


def folder_of(job: str | None) -> Path:
    """Return the folder of ``job``, a path or a name under ``data/jobs``; without it, the last job.

    Raises JobError if there is no such job.
    """
    if job is None:
        return _last_job()
    for folder in (Path(job), folder_for(job)):
        if (folder / STORE).is_file():
            return folder
    names = [folder.name for folder in _folders()]
    near = difflib.get_close_matches(job, names, n=1)
    hint = f": did you mean {near[0]}?" if near else ""
    others = (
        f" (jobs in {JOBS}: {', '.join(sorted(names))})" if names else f", and no others in {JOBS}"
    )
    raise JobError(f"there is no job {job!r}{hint}{others}")


def job_status(folder: Path) -> dict[str, Any]:
    """Return the fields of ``crawl status --json``, of a running, stopped or finished job."""
    with reader(folder) as store:
        counters = msgspec.convert(store.meta.get("counters"), Counters)
        record = msgspec.convert(store.meta.get("record"), JobRecord)
        state = _state(folder, counters)
        fields = status(
            state, counters, store.hosts.count(), record.output_in(folder), record.spider
        )
        return {**fields, "failures": store.failures.by_cause()}


def _state(folder: Path, counters: Counters) -> State:
    if is_held(folder):
        return "running"
    return "finished" if counters.finished else "stopped"


def failed_pages(folder: Path) -> list[FailureReport]:
    """Return the reports of a job's failed pages, the last ones first.

    Raises JobError if they are encrypted, and ``CRAWL_KEY`` is missing.
    """
    with reader(folder, encryption_key()) as store:
        return [failed.report for failed in store.failures.latest(MOST_FAILURES)]


def skipped_links(folder: Path) -> list[SkippedShape]:
    """Return the unsafe links that a job did not follow, by their shape."""
    with reader(folder) as store:
        return store.skipped.shapes()


def _last_job() -> Path:
    folders = _folders()
    if not folders:
        raise JobError(f"there is no job in {JOBS}; crawl run starts one, and --job says where")
    return max(folders, key=_last_written)


def _folders() -> list[Path]:
    return [path.parent for path in JOBS.glob(f"*/{STORE}")]


def _last_written(folder: Path) -> float:
    # SQLite writes to the log beside the database first.
    return max(path.stat().st_mtime for path in folder.glob(f"{STORE}*"))
