"""A job that this process runs: its folder, its lock, its store and its output."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import msgspec

from crawler.clock import WallClock
from crawler.errors import JobError
from crawler.job import lock
from crawler.job.callback_check import check_callbacks, save_callbacks
from crawler.job.config import RunConfig
from crawler.job.folder import ITEMS, LOG, PAGES, REJECTED, STORE, is_in, refuse_own_file
from crawler.job.record import JobRecord, read_record, reader
from crawler.output.jsonlines import JSONLines, refuse_foreign, refuse_written
from crawler.output.sink import Sink
from crawler.stats import Counters
from crawler.store.errors import corrupt_store, translating_errors
from crawler.store.opening import open_for_run, open_writer, remove_store
from crawler.store.protocols import Store


class Job:
    """A job that this process, and no other, runs: its store, its counters and its two files.

    Use it as a context manager. Raises JobError if the folder, the store or an output cannot be
    used, and JobLockedError if another process runs the job.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.folder = config.folder
        self.log = config.folder / LOG
        self.rejected_output = config.folder / REJECTED
        self.name = config.source.load().name
        self.clock = WallClock()
        with contextlib.ExitStack() as stack, translating_errors(self.folder / STORE):
            self._open(stack)
            self._stack = stack.pop_all()

    def _open(self, stack: contextlib.ExitStack) -> None:
        # First, so that no other process changes the folder between two of these steps.
        stack.enter_context(lock.acquire(self.folder))
        # Before anything is deleted: an output that is a file of the job's own would lose it.
        refuse_own_file(self.config.output_path, self.folder)
        # Before the store is checked: starting again is the way out of a corrupt one.
        if self.config.fresh:
            self._clear()
        # Checked before it is opened, and an output of other programs is refused before a store
        # is created beside it.
        self._open_store(stack)
        # A store without any request is as good as new: it takes the configuration of this run.
        if self._is_unused():
            self._refuse_lost_state()
            self._create_record()
        # Before an output is opened, which the record names: another spider's must stay as it is.
        self._load_record()
        # Before the outputs are opened, which cuts off what is not committed.
        self._refuse_shared_output()
        self._open_sinks(stack)
        # Last, since it may read every request. A cut output is right whatever the spider is.
        check_callbacks(self.store, self.config.source.load())

    # The steps of opening

    def _clear(self) -> None:
        """Remove the job's files, and nothing else that may stand in its folder."""
        outputs = [self.config.output_path]
        if (self.folder / STORE).exists():
            with contextlib.suppress(JobError):  # an unreadable store is a reason to start again
                outputs.append(read_record(self.folder).output_in(self.folder))
        for output in outputs:
            refuse_written(output)
            if output.exists() and output.stat().st_size and not self.config.overwrite:
                raise JobError(f"{output} holds results; add --yes to start again and overwrite it")
        for output in outputs:
            output.unlink(missing_ok=True)
        remove_store(self.folder / STORE)
        for name in (ITEMS, REJECTED, LOG):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / PAGES, ignore_errors=True)

    def _open_store(self, stack: contextlib.ExitStack) -> None:
        self._run_store = stack.enter_context(
            open_for_run(
                self.folder / STORE,
                self.config.key,
                outputs=(self.folder / ITEMS, self.rejected_output),
                before_creation=lambda: refuse_foreign(self.config.output_path),
            )
        )
        self.store = self._run_store.store

    def _is_unused(self) -> bool:
        counters = self.store.meta.get("counters")
        return counters is None or not counters["sequence"]

    def _refuse_lost_state(self) -> None:
        """Raise JobError if the job's own output has lines: then its store has lost its content."""
        output = self.config.output_path
        if is_in(output, self.folder) and output.is_file() and output.stat().st_size:
            raise corrupt_store(
                self.folder / STORE, f"nothing has come of its job, and yet {output.name} has lines"
            )
        refuse_foreign(output)

    def _create_record(self) -> None:
        record = JobRecord.of(self.config)
        with self.store.transaction():
            counters = Counters(started=record.created)
            self.store.meta.update(msgspec.to_builtins({"record": record, "counters": counters}))

    def _load_record(self) -> None:
        self.record = msgspec.convert(self.store.meta.get("record"), JobRecord)
        self.record.refuse_other(self.config)
        self.counters = msgspec.convert(self.store.meta.get("counters"), Counters)
        self.was_killed = bool(self.store.meta.get("running", False))
        self.output = self.record.output_in(self.folder)

    def _refuse_shared_output(self) -> None:
        """Raise JobError if the original of a copied folder has written to the output since."""
        if is_in(self.output, self.folder) or not self.output.is_file():
            return
        committed = self.counters.output_length
        more = self.output.stat().st_size - committed
        if more > 0 and self._run_store.is_copy():
            raise JobError(
                f"{self.output} has {more:,} bytes more than this job has written, and "
                f"{self.folder} is not the folder of the last run: continue in the folder that "
                "it was copied from or, if there is none, after "
                f"`truncate -s {committed} {self.output}`"
            )

    def _open_sinks(self, stack: contextlib.ExitStack) -> None:
        checksums = self.store.meta.get("checksums", {})

        def sink(role: str, path: Path, committed: int) -> Sink:
            lines = JSONLines(
                path, committed, expected=checksums.get(role), may_cut=self.was_killed
            )
            stack.callback(lines.close)
            return lines

        self.items = sink("items", self.output, self.counters.output_length)
        rejected_length = self.counters.rejected_length
        self.rejected = sink("rejected", self.rejected_output, rejected_length)

    # Running

    def begin(self) -> None:
        """Mark the job as being run by this process.

        It is synced: after a loss of power, the output may have lines that the store does not know
        of, and the mark says whose they are.
        """
        with self.store.transaction(synced=True):
            self.store.meta.update({"running": True, "pid": os.getpid()})
            self._run_store.save_location()
            if back := self.clock.set_back_since(self.store.meta.get("at", 0.0)):
                self.store.shift_times(back)
            self.store.meta.set("record", self.record.updated(self.config))
            save_callbacks(self.store, self.config.source.load())
        self._run_store.begin()
        for sink in (self.items, self.rejected):
            sink.log_cut()

    def end(self) -> None:
        """Save the counters, and mark the job as not running."""
        self.items.check()
        self.rejected.check()
        with self.store.transaction():
            self.save()
            self.store.compact()
            self.store.meta.set("running", False)

    def save(self, items: bytes = b"", rejected: bytes = b"") -> None:
        """Append lines to the two files, and save the counters with the files' lengths.

        Part of each commit.
        """
        if items:
            self.items.append(items)
        if rejected:
            self.rejected.append(rejected)
        self.counters.output_length = self.items.length
        self.counters.rejected_length = self.rejected.length
        checksums = {"items": self.items.checksum, "rejected": self.rejected.checksum}
        counters = msgspec.to_builtins(self.counters)
        values = {"counters": counters, "at": self.clock.wall(), "checksums": checksums}
        self.store.meta.update(values)

    def close(self) -> None:
        """Close the store and the files, and release the lock."""
        self._stack.close()

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)


@contextlib.contextmanager
def writer(folder: Path, key: str | None) -> Iterator[Store]:
    """Open the store of the job in ``folder`` for a change, under its lock. Raises JobError."""
    with reader(folder):  # a folder that holds no job is refused before a lock is left in it
        pass
    with lock.acquire(folder), open_writer(folder / STORE, key) as store:
        yield store
