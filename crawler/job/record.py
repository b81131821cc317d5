"""A job's record: how it was started, and whether a command is one that goes on with it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from crawler.errors import JobError
from crawler.job import folder as job_folder
from crawler.job.config import RunConfig
from crawler.job.folder import ITEMS


class JobRecord(msgspec.Struct):
    """How a job was started, as its store keeps it."""

    spider: str
    seeds: list[str]
    arguments: dict[str, str]
    overrides: dict[str, str]
    output: str
    created: float
    accounts: str | None = None
    seeded: bool = False
    """All seeds of the first run are in the frontier."""
    is_relative: bool = False
    """``output`` is relative where it is in the job's folder; older jobs have kept all of it."""

    def output_in(self, folder: Path) -> Path:
        """Where the output of the job is, now that it is in ``folder``."""
        own = folder / ITEMS
        if not self.is_relative and Path(self.output).name == ITEMS and own.exists():
            return own.absolute()
        return job_folder.located(self.output, folder)


def first(plan: RunConfig) -> JobRecord:
    """The record of a job that begins."""
    return JobRecord(
        spider=plan.source.spec,
        seeds=list(plan.seeds),
        arguments=plan.arguments,
        overrides=plan.overrides,
        output=job_folder.kept(output_of(plan), plan.folder),
        created=time.time(),
        accounts=_text(plan.accounts_file),
        is_relative=True,
    )


def output_of(plan: RunConfig) -> Path:
    """Where the plan wants the output, whatever the job's record says."""
    return (plan.output or plan.folder / ITEMS).absolute()


def updated(record: JobRecord, plan: RunConfig) -> dict[str, Any]:
    """What ``crawl resume`` repeats is what was asked for last."""
    record.output = job_folder.kept(record.output_in(plan.folder), plan.folder)
    record.is_relative = True
    record.seeds = list(plan.seeds) or record.seeds
    record.overrides = plan.overrides
    record.accounts = _text(plan.accounts_file)
    found: dict[str, Any] = msgspec.to_builtins(record)
    return found


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def refuse_other(record: JobRecord, plan: RunConfig) -> None:
    """The same command resumes; another one must not get into this job by mistake.

    Raises JobError.
    """
    output = record.output_in(plan.folder)
    if plan.output is not None and not job_folder.is_same(plan.output, output):
        raise JobError(
            f"this job writes to {output}, not to {plan.output}; leave -o away to go on, "
            "or use another folder with --job"
        )
    if _spider_of(plan.source.spec) != _spider_of(record.spider):
        raise JobError(
            f"the job in {plan.folder} is one of {_spider_of(record.spider)}, not of "
            f"{_spider_of(plan.source.spec)}; use another folder with --job"
        )
    if plan.arguments != record.arguments:
        raise JobError(
            f"the job in {plan.folder} was started with {_arguments(record.arguments)}, not with "
            f"{_arguments(plan.arguments)}; use another folder with --job, or start again "
            "with --fresh"
        )


def _spider_of(spec: str) -> str:
    """The spider's file and class, or module and class; projects may be moved."""
    return spec.replace("\\", "/").rpartition("/")[2]


def _arguments(arguments: dict[str, str]) -> str:
    return " ".join(f"-a {name}={value}" for name, value in arguments.items()) or "no -a"
