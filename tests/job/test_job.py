"""A job on disk: its folder, its lock, its store and its output."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from crawler import Request
from crawler.errors import JobError, JobLockedError
from crawler.job.folder import ITEMS, LOCK, LOG, REJECTED, STORE
from crawler.job.lookup import job_status
from crawler.job.record import read_record
from crawler.stats import Counters
from crawler.store.sqlite import checkpoints
from crawler.store.sqlite.checkpoints import Checkpoints
from crawler.worker.request_filter import encoded
from tests.job.making import Films, a_job, add, files

# Opening and closing


def test_a_new_job_makes_its_folder(folder: Path) -> None:
    with a_job(folder, seeds=("https://a.example/",), arguments={"a": "1"}) as job:
        assert job.name == "books"
        assert job.counters == Counters(started=job.record.created)
        assert not job.was_killed
        assert {STORE, ITEMS, REJECTED, LOCK} <= files(folder)
    record = read_record(folder)
    assert record.seeds == ["https://a.example/"]
    assert record.arguments == {"a": "1"}
    assert record.output == ITEMS


def test_a_job_continues_where_it_stopped(folder: Path) -> None:
    with a_job(folder) as job:
        job.begin()
        add(job, b"[1]\n")
        job.counters.done = 7
        job.end()
    with a_job(folder) as job:
        assert job.counters.done == 7
        assert not job.was_killed
        add(job, b"[2]\n")
    assert (folder / ITEMS).read_bytes() == b"[1]\n[2]\n"


def test_a_job_that_ends_while_its_log_is_copied_is_left_in_good_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying, ending = threading.Event(), threading.Event()
    copy, close = Checkpoints._copy, Checkpoints.close

    def slow_copy(self: Checkpoints) -> None:
        with closing(sqlite3.connect(folder / STORE)) as db:
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM job")  # what the log has from here on stays in it
            copying.set()
            ending.wait(60)
        copy(self)

    def waited_for(self: Checkpoints) -> None:
        ending.set()
        close(self)

    monkeypatch.setattr(checkpoints, "ROWS", 1)
    monkeypatch.setattr(Checkpoints, "_copy", slow_copy)
    with a_job(folder) as job:
        job.begin()
        add(job)
        assert copying.wait(60)
        job.end()
        monkeypatch.setattr(Checkpoints, "close", waited_for)
    assert not (folder / f"{STORE}-wal").exists()
    with a_job(folder) as job:
        assert not job.was_killed
        assert job.counters.items == 1


def test_uncommitted_lines_are_cut_off_both_outputs(folder: Path) -> None:
    with a_job(folder) as job:
        job.begin()
        add(job)
        job.items.append(b"[1]\n")
        job.rejected.append(b"[2]\n")
    with a_job(folder):
        assert (folder / ITEMS).read_bytes() == b"{}\n"
        assert (folder / REJECTED).read_bytes() == b""


def test_a_job_that_was_not_left_in_good_order_says_so(folder: Path) -> None:
    with a_job(folder) as job:
        job.begin()
    with a_job(folder) as job:
        assert job.was_killed
        job.begin()
        job.end()
    with a_job(folder) as job:
        assert not job.was_killed


def test_the_store_is_for_its_owner_alone(folder: Path) -> None:
    with a_job(folder):
        assert (folder / STORE).stat().st_mode & 0o777 == 0o600


# The lock


LOCKER = """
import sys
from pathlib import Path
from tests.job.test_job import a_job
with a_job(Path(sys.argv[1])) as job:
    job.begin()
    print("open", flush=True)
    sys.stdin.read()
"""


@contextmanager
def run_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the job open."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", LOCKER, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


def test_only_one_process_may_run_a_job_and_the_other_is_named(folder: Path) -> None:
    with run_elsewhere(folder) as process:
        with pytest.raises(JobLockedError, match=rf"being run by process {process.pid};.*--job"):
            a_job(folder)
        with pytest.raises(JobLockedError):
            a_job(folder, fresh=True, overwrite=True)
        assert job_status(folder)["state"] == "running"
        with a_job(folder.with_name("other")):
            pass


def test_a_killed_process_holds_no_lock(folder: Path) -> None:
    with run_elsewhere(folder) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with a_job(folder) as job:
            assert job.was_killed


def test_one_process_may_not_run_a_job_twice_either(folder: Path) -> None:
    with a_job(folder), pytest.raises(JobLockedError):
        a_job(folder)
    a_job(folder).close()


@pytest.mark.parametrize(
    "plan",
    [
        {"arguments": {"shelf": "2"}},
        {"output": Path("other.jsonl")},
        {"spider": Films},
    ],
)
def test_a_job_that_cannot_be_opened_is_let_go(folder: Path, plan: dict[str, Any]) -> None:
    with a_job(folder) as job:
        add(job)
    before = _open_files()
    with pytest.raises(JobError):
        a_job(folder, **plan)
    assert _open_files() == before
    a_job(folder).close()


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


# Where the output is


def test_an_output_in_the_folder_moves_with_it(folder: Path) -> None:
    for output in (None, folder / "mine.jsonl"):
        with a_job(folder, output=output) as job:
            add(job)
        moved = folder.rename(folder.with_name("moved"))
        with a_job(moved, output=None if output is None else moved / output.name) as job:
            assert job.output == moved / (ITEMS if output is None else output.name)
            assert job.output.read_bytes() == b"{}\n"
        shutil.rmtree(moved)


def test_a_job_of_before_finished_requests_were_noted(folder: Path) -> None:
    """Its store is looked at before it is brought to this version."""
    with a_job(folder) as job, job.store.transaction():
        host = job.store.hosts.add("https://a.example")
        found = [encoded(Request(f"https://a.example/{number}")) for number in range(3)]
        job.store.queue.add([(host.id, one) for one in found], 1)
        job.counters.sequence = 3
        job.save()
    with closing(sqlite3.connect(folder / STORE)) as db:
        for table in ("finished", "skipped", "skipped_shapes", "cookies"):
            db.execute(f"DROP TABLE {table}")
        db.execute("ALTER TABLE sessions RENAME COLUMN old_cookies TO cookies")
        for index in ("due_hosts", "superseded_requests"):
            db.execute(f"DROP INDEX {index}")
        for column in ("hosts.due", "hosts.back_off", "seen.number", "arrived.superseded"):
            db.execute("ALTER TABLE {} DROP COLUMN {}".format(*column.split(".")))
        db.execute("PRAGMA user_version = 2")
    (folder / "job.stamp").unlink()
    with a_job(folder) as job:
        assert len(list(job.store.queue.requests())) == 3


def test_an_output_may_have_the_name_of_the_rejected_items_elsewhere(folder: Path) -> None:
    output = folder.parent / REJECTED
    for _ in range(2):
        with a_job(folder, output=output) as job:
            job.rejected.append(b"[1]\n")
            add(job)
    assert output.read_bytes() == b"{}\n{}\n"


@pytest.mark.parametrize(
    "name",
    [
        STORE,
        "job.db-wal",
        "job.db-shm",
        "job.stamp",
        REJECTED,
        LOCK,
        LOG,
        "x/../job.db",
    ],
)
def test_an_output_is_no_other_file_of_the_job(folder: Path, name: str) -> None:
    why = rf"^cannot write the items to {folder / name}: it is another file of the job; give"
    for fresh in (False, True):
        with pytest.raises(JobError, match=why):
            a_job(folder, output=folder / name, fresh=fresh, overwrite=fresh)
    assert files(folder) == {LOCK}


# Outputs that hold something already


def test_an_output_of_another_program_is_refused_and_unchanged(folder: Path) -> None:
    output = folder.parent / "mine.jsonl"
    output.parent.mkdir(parents=True)
    output.write_bytes(b"precious\n")
    for _ in range(2):
        with pytest.raises(JobError, match=r"has content that this job did not write"):
            a_job(folder, output=output)
    assert output.read_bytes() == b"precious\n"


def test_it_is_refused_too_when_an_earlier_command_came_to_nothing(folder: Path) -> None:
    """For instance since none of its seeds could be used; the folder is there by then."""
    a_job(folder, seeds=("nonsense",)).close()
    output = folder.parent / "mine.jsonl"
    output.write_bytes(b"precious\n")
    with pytest.raises(JobError, match=r"has content that this job did not write"):
        a_job(folder, output=output)
    assert output.read_bytes() == b"precious\n"


def test_an_output_that_is_a_link_to_itself_is_named(folder: Path) -> None:
    output = folder.parent / "out"
    output.parent.mkdir(parents=True)
    output.symlink_to(output.name)
    with pytest.raises(JobError, match=rf"^cannot write to {output}: "):
        a_job(folder, output=output)


def test_an_empty_output_may_be_used(folder: Path) -> None:
    output = folder.parent / "mine.jsonl"
    output.parent.mkdir(parents=True)
    output.touch()
    a_job(folder, output=output).close()


@pytest.mark.parametrize("name", [ITEMS, REJECTED])
def test_an_output_that_has_lost_lines_is_refused(folder: Path, name: str) -> None:
    with a_job(folder) as job:
        job.rejected.append(b"{}\n")
        add(job)
    (folder / name).write_bytes(b"{")
    with pytest.raises(JobError, match=rf"{name} has 1 bytes, but 3 were committed"):
        a_job(folder)
    assert (folder / name).read_bytes() == b"{"


# Starting again


def test_fresh_does_not_overwrite_results_without_yes(folder: Path) -> None:
    with a_job(folder) as job:
        add(job)
    with pytest.raises(JobError, match=r"items\.jsonl holds results; add --yes"):
        a_job(folder, fresh=True)
    with a_job(folder) as job:
        assert job.counters.items == 1
    with a_job(folder, fresh=True, overwrite=True) as job:
        assert job.counters.items == 0
        assert (folder / ITEMS).read_bytes() == b""


def test_fresh_does_not_overwrite_where_the_job_wrote_before(folder: Path) -> None:
    output = folder.parent / "mine.jsonl"
    with a_job(folder, output=output) as job:
        add(job)
    with pytest.raises(JobError, match=r"mine\.jsonl holds results"):
        a_job(folder, fresh=True)
    a_job(folder, fresh=True, overwrite=True).close()
    assert not output.exists()


def test_fresh_takes_other_arguments_and_nothing_that_is_not_the_job_s(folder: Path) -> None:
    with a_job(folder, arguments={"shelf": "1"}) as job:
        add(job, b"")
    (folder / "notes.txt").write_text("mine")
    (folder / "data").mkdir()
    with a_job(folder, fresh=True, arguments={"shelf": "2"}) as job:
        assert job.record.arguments == {"shelf": "2"}
    assert {"notes.txt", "data"} <= files(folder)


def test_fresh_helps_where_the_store_is_damaged(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / STORE).write_text("This is no database at all, whatever it may look like. " * 50)
    with pytest.raises(JobError, match=r"not a database.*--fresh"):
        a_job(folder)
    a_job(folder, fresh=True).close()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match=r"cannot use .*file as a job's folder"):
        a_job(tmp_path / "file")
