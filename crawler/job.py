"""A job on disk: its folder, its lock, its store and its output."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from filelock import FileLock

from crawler.callbacks import check_callbacks, keep_callbacks
from crawler.errors import JobError
from crawler.jobclock import JobClock
from crawler.joblock import locked
from crawler.plan import Plan
from crawler.sink import JSONLines, refuse_foreign
from crawler.soundness import Soundness
from crawler.stats import Counters
from crawler.store import Store
from crawler.store.sqlite import SQLiteStore
from crawler.trouble import explained, told

STORE = "job.db"
ITEMS = "items.jsonl"
REJECTED = "rejected.jsonl"
LOG = "run.log"
LOCK = "job.lock"
PAGES = "pages"
JOBS = Path("data") / "jobs"


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


class Job:
    """A job that this process, and no other, runs: its store, its counters and its two files.

    Use it as a context manager. Raises JobError where the folder, the store or an output cannot
    be used, and JobLockedError where another process runs the job.
    """

    def __init__(self, plan: Plan, spider_name: str) -> None:
        self.plan = plan
        self.folder = plan.folder
        self.name = spider_name
        self.clock = JobClock()
        self._soundness = Soundness((self.folder / STORE).resolve())
        with contextlib.ExitStack() as opened, told(self.folder / STORE):
            opened.callback(_lock(self.folder).release)
            self._open(opened)
            self._opened = opened.pop_all()

    def _open(self, opened: contextlib.ExitStack) -> None:
        if self.plan.fresh:
            _clear(self.folder, self.plan)
        self._soundness.check((self.folder / ITEMS, self.folder / REJECTED))
        if not (self.folder / STORE).exists():
            refuse_foreign(_output(self.plan))
        self.store: Store = SQLiteStore(self.folder / STORE, key=self.plan.key)
        opened.callback(self.store.close)
        opened.callback(self._soundness.stamp)
        counters = self.store.get("counters")
        if counters is None or not counters["sequence"]:  # nothing has come of it: as good as new
            refuse_foreign(_output(self.plan))
            _create(self.store, self.plan)
        self.record = msgspec.convert(self.store.get("record"), JobRecord)
        _refuse_other_job(self.record, self.plan)
        self.counters = msgspec.convert(self.store.get("counters"), Counters)
        self.was_killed = bool(self.store.get("running", False))
        self.output = Path(self.record.output)
        length, rejected_length = self.counters.output_length, self.counters.rejected_length
        self.items = self._sink(opened, self.output, length)
        self.rejected = self._sink(opened, self.folder / REJECTED, rejected_length)
        check_callbacks(self.store, self.plan.source.load())

    def _sink(self, opened: contextlib.ExitStack, path: Path, committed: int) -> JSONLines:
        mark = self.store.get("checksums", {}).get(path.name)
        sink = JSONLines(path, committed, mark=mark, may_cut=self.was_killed)
        opened.callback(sink.close)
        return sink

    def begin(self) -> None:
        """Mark the job as being run by this process."""
        with self.store.transaction():
            self.store.set("running", True)
            self.store.set("pid", os.getpid())
            self.store.set("place", self._soundness.place())
            if back := self.clock.set_back_since(self.store.get("at", 0.0)):
                self.store.set_back(back)
            self.store.set("record", _updated(self.record, self.plan))
            keep_callbacks(self.store, self.plan.source.load())
        self._soundness.begin()
        for sink in (self.items, self.rejected):
            sink.log_cut()

    def end(self) -> None:
        """Mark the job as left in good order, its counters included."""
        self.items.check()
        self.rejected.check()
        with self.store.transaction():
            self.save_counters()
            self.store.set("running", False)

    def save_counters(self) -> None:
        """Keep the counters and the outputs' lengths; part of each commit."""
        self.counters.output_length = self.items.length
        self.counters.rejected_length = self.rejected.length
        self.store.set("counters", msgspec.to_builtins(self.counters))
        self.store.set("at", self.clock.wall())
        sinks = (self.items, self.rejected)
        self.store.set("checksums", {sink.path.name: sink.mark for sink in sinks})

    def close(self) -> None:
        """Close the store and the files and let others run the job."""
        self._opened.close()

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        found = None if error is None else explained(error, self.folder / STORE)
        if found is not None:
            raise found from error


def folder_for(name: str) -> Path:
    """Where the job of a spider is kept unless the user says otherwise."""
    return JOBS / name


def recorded(folder: Path) -> JobRecord:
    """How the job in ``folder`` was started. Raises JobError if there is none."""
    store = reader(folder)
    try:
        record = msgspec.convert(store.get("record"), JobRecord)
        record.seeded = bool(store.get("seeds_added"))
        return record
    finally:
        store.close()


def reader(folder: Path, key: str | None = None) -> SQLiteStore:
    """The store of the job in ``folder``, for looking only. Raises JobError if there is none."""
    if not (folder / STORE).exists():
        raise JobError(f"{folder} holds no job; `crawl run` starts one")
    store = SQLiteStore(folder / STORE, read_only=True, key=key)
    if store.get("record") is None:
        store.close()
        raise JobError(f"the job in {folder} has not begun; run it again")
    return store


@contextlib.contextmanager
def writer(folder: Path, key: str | None) -> Iterator[Store]:
    """The store of the job in ``folder``, which nobody runs meanwhile. Raises JobError."""
    reader(folder).close()
    with contextlib.ExitStack() as opened:
        opened.callback(_lock(folder).release)
        soundness = Soundness(folder / STORE)
        soundness.check()
        store = SQLiteStore(folder / STORE, key=key)
        opened.callback(store.close)
        opened.callback(soundness.stamp)
        yield store


def _lock(folder: Path) -> FileLock:
    return locked(folder / LOCK, lambda: _runner(folder))


def _runner(folder: Path) -> str:
    try:
        store = reader(folder)
    except JobError:
        return "another process"
    pid = store.get("pid")
    store.close()
    return f"process {pid}" if pid else "another process"


def _output(plan: Plan) -> Path:
    return (plan.output or plan.folder / ITEMS).absolute()


def _create(store: Store, plan: Plan) -> None:
    record = JobRecord(
        spider=plan.source.spec,
        seeds=list(plan.seeds),
        arguments=plan.arguments,
        overrides=plan.overrides,
        output=str(_output(plan)),
        created=time.time(),
        accounts=_text(plan.accounts_file),
    )
    with store.transaction():
        store.set("record", msgspec.to_builtins(record))
        store.set("counters", msgspec.to_builtins(Counters(started=record.created)))


def _updated(record: JobRecord, plan: Plan) -> dict[str, Any]:
    """What ``crawl resume`` repeats is what was asked for last."""
    record.seeds = list(plan.seeds) or record.seeds
    record.overrides = plan.overrides
    record.accounts = _text(plan.accounts_file)
    found: dict[str, Any] = msgspec.to_builtins(record)
    return found


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _refuse_other_job(record: JobRecord, plan: Plan) -> None:
    """The same command resumes; another one must not get into this job by mistake."""
    if plan.output is not None and str(_output(plan)) != record.output:
        raise JobError(
            f"this job writes to {record.output}, not to {plan.output}; leave -o away to go on, "
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


def _clear(folder: Path, plan: Plan) -> None:
    """Remove a job's files, and nothing else that may stand in its folder."""
    outputs = [_output(plan)]
    if (folder / STORE).exists():
        with contextlib.suppress(JobError):  # a store that cannot be read: a reason to start again
            outputs.append(Path(recorded(folder).output))
    for output in outputs:
        if output.exists() and output.stat().st_size and not plan.overwrite:
            raise JobError(f"{output} holds results; add --yes to start again and overwrite it")
    for output in outputs:
        output.unlink(missing_ok=True)
    for name in (STORE, ITEMS, REJECTED, LOG):
        (folder / name).unlink(missing_ok=True)
    for path in Soundness(folder / STORE).files:
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / PAGES, ignore_errors=True)
