"""The part of a RunConfig that a job's store keeps, and whether a command resumes that job."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from crawler.errors import JobError
from crawler.job.config import RunConfig
from crawler.job.folder import ITEMS, STORE, is_same, located, refuse_unsafe, stored_path
from crawler.store.encryption import LOCKED
from crawler.store.opening import open_reader
from crawler.store.protocols import Store


class JobRecord(msgspec.Struct, kw_only=True):
    """The fields of a job's RunConfig that ``crawl resume`` repeats."""

    spider: str
    """``source.spec``: where the spider is found again."""
    seeds: list[str] = []
    arguments: dict[str, str] = {}
    """Like the seeds, missing if they are encrypted and the key is not at hand."""
    overrides: dict[str, str]
    output: str
    """Relative to the job's folder if it is in it."""
    created: float
    accounts: str | None = None
    """The path of ``accounts_file``."""
    seeded: bool = False
    """All seeds of the first run are in the frontier."""
    is_relative: bool = False
    """``output`` may be relative; older jobs have kept an absolute path in any case."""
    encrypted: str = ""
    """The seeds and arguments, where they are missing."""

    @classmethod
    def of(cls, config: RunConfig) -> JobRecord:
        """Return the record of a job that begins."""
        return cls(
            spider=config.source.spec,
            seeds=list(config.seeds),
            arguments=config.arguments,
            overrides=config.overrides,
            output=stored_path(config.output_path, config.folder),
            created=time.time(),
            accounts=_text(config.accounts_file),
            is_relative=True,
        )

    def output_in(self, folder: Path) -> Path:
        """Return where the output of the job is, now that the job is in ``folder``."""
        own = folder / ITEMS
        if not self.is_relative and Path(self.output).name == ITEMS and own.exists():
            return own.absolute()
        return located(self.output, folder)

    def updated(self, config: RunConfig) -> dict[str, Any]:
        """Take over what ``crawl resume`` shall repeat from now on; return it as plain data."""
        self.output = stored_path(self.output_in(config.folder), config.folder)
        self.is_relative = True
        self.seeds = list(config.seeds) or self.seeds
        self.overrides = config.overrides
        self.accounts = _text(config.accounts_file)
        return dict(msgspec.to_builtins(self))

    def refuse_other(self, config: RunConfig) -> None:
        """Raise JobError for a command that does not resume this job, but begins another."""
        output = self.output_in(config.folder)
        if config.output is not None and not is_same(config.output, output):
            raise JobError(
                f"this job writes to {output}, not to {config.output}; omit -o to continue, "
                "or use another folder with --job"
            )
        if _spider_of(config.source.spec) != _spider_of(self.spider):
            raise JobError(
                f"the job in {config.folder} is one of {_spider_of(self.spider)}, not of "
                f"{_spider_of(config.source.spec)}; use another folder with --job"
            )
        if config.arguments != self.arguments:
            raise JobError(
                f"the job in {config.folder} was started with {_arguments(self.arguments)}, not "
                f"with {_arguments(config.arguments)}; use another folder with --job, or start "
                "again with --fresh"
            )


def read_record(folder: Path, key: str | None = None, *, whole: bool = False) -> JobRecord:
    """Return the record of the job in ``folder``. Raises JobError if there is none.

    A ``whole`` record needs the ``key``, if the store is encrypted.
    """
    with reader(folder, key) as store:
        record = msgspec.convert(store.meta.get("record"), JobRecord)
        if whole and record.encrypted:
            raise JobError(LOCKED.format(folder / STORE))
        record.seeded = bool(store.meta.get("seeds_added"))
        return record


@contextlib.contextmanager
def reader(folder: Path, key: str | None = None) -> Iterator[Store]:
    """Open the store of the job in ``folder`` for reading. Raises JobError if it holds no job."""
    if not (folder / STORE).exists():
        raise JobError(f"{folder} holds no job; `crawl run` starts one")
    refuse_unsafe(folder)
    with open_reader(folder / STORE, key) as store:
        if store.meta.get("record") is None:
            raise JobError(f"the job in {folder} has not begun; run it again")
        yield store


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _spider_of(spec: str) -> str:
    """Return the spider's file and class, or module and class; projects may be moved."""
    return spec.replace("\\", "/").rpartition("/")[2]


def _arguments(arguments: dict[str, str]) -> str:
    return " ".join(f"-a {name}={value}" for name, value in arguments.items()) or "no -a"
