"""A job on disk: its folder, its lock, its store and its output."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import msgspec
from filelock import FileLock

from crawler.clock import WallClock
from crawler.errors import JobError
from crawler.job import folder as job_folder
from crawler.job.callback_check import check_callbacks, keep_callbacks
from crawler.job.config import RunConfig
from crawler.job.folder import ITEMS, LOCK, LOG, PAGES, REJECTED, STORE
from crawler.job.lock import acquire
from crawler.job.record import JobRecord
from crawler.output.jsonlines import JSONLines, refuse_foreign, refuse_written
from crawler.stats import Counters
from crawler.store.errors import corrupt_store, translating_errors
from crawler.store.opening import open_for_run, open_reader, open_writer, remove_store
from crawler.store.protocols import Store


class Job:
    """A job that this process, and no other, runs: its store, its counters and its two files.

    Use it as a context manager. Raises JobError where the folder, the store or an output cannot
    be used, and JobLockedError where another process runs the job.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.folder = config.folder
        self.log = config.folder / LOG
        self.name = config.source.load().name
        self.clock = WallClock()
        with contextlib.ExitStack() as opened, translating_errors(self.folder / STORE):
            opened.callback(_lock(self.folder).release)
            self._open(opened)
            self._opened = opened.pop_all()

    def _open(self, opened: contextlib.ExitStack) -> None:
        jobfolder.refuse_own(self.config.output_path, self.folder)
        if self.config.fresh:
            _clear(self.folder, self.config)
        self._run_store = opened.enter_context(
            open_for_run(
                self.folder / STORE,
                self.config.key,
                outputs=(self.folder / ITEMS, self.folder / REJECTED),
                before_creation=lambda: refuse_foreign(self.config.output_path),
            )
        )
        self.store = self._run_store.store
        counters = self.store.meta.get("counters")
        if counters is None or not counters["sequence"]:  # nothing has come of it: as good as new
            self._refuse_remains()
            _create(self.store, self.config)
        self.record = msgspec.convert(self.store.meta.get("record"), JobRecord)
        self.record.refuse_other(self.config)
        self.counters = msgspec.convert(self.store.meta.get("counters"), Counters)
        self.was_killed = bool(self.store.meta.get("running", False))
        self.output = self.record.output_in(self.folder)
        length, rejected_length = self.counters.output_length, self.counters.rejected_length
        self._refuse_shared(length)
        self.items = self._sink(opened, "items", self.output, length)
        self.rejected = self._sink(opened, "rejected", self.folder / REJECTED, rejected_length)
        check_callbacks(self.store, self.config.source.load())

    def _refuse_remains(self) -> None:
        """An output of ours that the store knows nothing of: it has lost what it knew."""
        output = self.config.output_path
        if jobfolder.is_in(output, self.folder) and output.is_file() and output.stat().st_size:
            raise corrupt_store(
                self.folder / STORE, f"nothing has come of its job, and yet {output.name} has lines"
            )
        refuse_foreign(output)

    def _refuse_shared(self, committed: int) -> None:
        """A copy of the folder must not cut off what its original has written since, elsewhere."""
        if job_folder.is_in(self.output, self.folder) or not self.output.is_file():
            return
        more = self.output.stat().st_size - committed
        if more > 0 and self._run_store.is_copy():
            raise JobError(
                f"{self.output} has {more:,} bytes more than this job has written, and "
                f"{self.folder} is not where it was run last: go on in the folder that it was "
                f"copied from, or, if there is none, with `truncate -s {committed} {self.output}`"
            )

    def _sink(
        self, opened: contextlib.ExitStack, role: str, path: Path, committed: int
    ) -> JSONLines:
        mark = self.store.meta.get("checksums", {}).get(role)
        sink = JSONLines(path, committed, mark=mark, may_cut=self.was_killed)
        opened.callback(sink.close)
        return sink

    def begin(self) -> None:
        """Mark the job as being run by this process."""
        with self.store.transaction():
            self.store.meta.set("running", True)
            self.store.meta.set("pid", os.getpid())
            self._run_store.save_place()
            if back := self.clock.set_back_since(self.store.meta.get("at", 0.0)):
                self.store.shift_times(back)
            self.store.meta.set("record", self.record.updated(self.config))
            keep_callbacks(self.store, self.config.source.load())
        self._run_store.begin()
        for sink in (self.items, self.rejected):
            sink.log_cut()

    def end(self) -> None:
        """Mark the job as left in good order, its counters included."""
        self.items.check()
        self.rejected.check()
        with self.store.transaction():
            self.save_counters()
            self.store.compact()
            self.store.meta.set("running", False)

    def save_counters(self) -> None:
        """Keep the counters and the outputs' lengths; part of each commit."""
        self.counters.output_length = self.items.length
        self.counters.rejected_length = self.rejected.length
        self.store.meta.set("counters", msgspec.to_builtins(self.counters))
        self.store.meta.set("at", self.clock.wall())
        self.store.meta.set("checksums", {"items": self.items.mark, "rejected": self.rejected.mark})

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
        self._opened.__exit__(kind, error, trace)


def read_record(folder: Path) -> JobRecord:
    """How the job in ``folder`` was started. Raises JobError if there is none."""
    with reader(folder) as store:
        record = msgspec.convert(store.meta.get("record"), JobRecord)
        record.seeded = bool(store.meta.get("seeds_added"))
        return record


@contextlib.contextmanager
def reader(folder: Path, key: str | None = None) -> Iterator[Store]:
    """Open the store of the job in ``folder`` for reading. Raises JobError if it holds no job."""
    if not (folder / STORE).exists():
        raise JobError(f"{folder} holds no job; `crawl run` starts one")
    with open_reader(folder / STORE, key) as store:
        if store.meta.get("record") is None:
            raise JobError(f"the job in {folder} has not begun; run it again")
        yield store


@contextlib.contextmanager
def writer(folder: Path, key: str | None) -> Iterator[Store]:
    """Open the store of the job in ``folder`` for a change, under its lock. Raises JobError."""
    with reader(folder):  # a folder that holds no job is refused before a lock is left in it
        pass
    with contextlib.ExitStack() as opened:
        opened.callback(_lock(folder).release)
        yield opened.enter_context(open_writer(folder / STORE, key))


def _lock(folder: Path) -> FileLock:
    return acquire(folder / LOCK, lambda: _runner(folder))


def _runner(folder: Path) -> str:
    with contextlib.suppress(JobError), reader(folder) as store:
        if pid := store.meta.get("pid"):
            return f"process {pid}"
    return "another process"


def _create(store: Store, config: RunConfig) -> None:
    record = JobRecord.of(config)
    with store.transaction():
        store.meta.set("record", msgspec.to_builtins(record))
        store.meta.set("counters", msgspec.to_builtins(Counters(started=record.created)))


def _clear(folder: Path, config: RunConfig) -> None:
    """Remove a job's files, and nothing else that may stand in its folder."""
    outputs = [config.output_path]
    if (folder / STORE).exists():
        with contextlib.suppress(JobError):  # a store that cannot be read: a reason to start again
            outputs.append(read_record(folder).output_in(folder))
    for output in outputs:
        refuse_written(output)
        if output.exists() and output.stat().st_size and not config.overwrite:
            raise JobError(f"{output} holds results; add --yes to start again and overwrite it")
    for output in outputs:
        output.unlink(missing_ok=True)
    remove_store(folder / STORE)
    for name in (ITEMS, REJECTED, LOG):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / PAGES, ignore_errors=True)
