"""Losses of power: some of the states that a disk may be left in, and that none hides."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults import recorder
from tests.faults.disk import Disk, DiskState
from tests.faults.machine import Machine
from tests.faults.plan import Kill, Run, Target
from tests.faults.powercuts import MEMORY, PowerCuts
from tests.faults.site import Site
from tests.faults.web import Shape, Web

pytestmark = pytest.mark.skipif(
    not recorder.is_available(), reason="strace is not installed, or may not trace"
)

FLAWED = Path(__file__).with_name("flawed.py")
KILLED = Run(Kill(Target.ALL, "commit.stored", 2, after=10_000))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, if there is such a disk: replays have no use for a slower one."""
    if MEMORY.is_dir():
        with TemporaryDirectory(dir=MEMORY) as folder:
            yield Path(folder)
    else:
        yield tmp_path


@pytest.mark.parametrize(
    ("shape", "runs", "elsewhere"),
    [(Shape.SOLO, (), True), (Shape.MEMBER, (KILLED,), False), (Shape.OPEN, (KILLED,), True)],
)
def test_a_job_goes_on_from_whatever_a_loss_of_power_leaves(
    root: Path, shape: Shape, runs: tuple[Run, ...], *, elsewhere: bool
) -> None:
    with Site(root) as site:
        cuts = PowerCuts(site, Web(shape, "cut", 0, 8), root, runs, elsewhere=elsewhere)
        instants = cuts.instants
        first = len(instants) // 3  # while the job is made
        findings = cuts.search([*instants[:first:3], *instants[first::12]], random.Random(1))
        commits = list(findings.commits)
        cuts.go_on(findings, [commits[0], commits[len(commits) // 2]])
    assert not findings.refused
    assert findings.toll.wrong == []
    assert findings.toll.crawls == 2
    assert findings.states >= 150
    assert len(commits) >= 4


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("hurried", "more than the job has written|has content that this job did not write"),
        ("unsynced", "bytes, but .* were committed"),
        ("nameless", "is missing, of which .* bytes were committed"),
    ],
)
def test_flaws_are_found(
    root: Path, monkeypatch: pytest.MonkeyPatch, flaw: str, message: str
) -> None:
    web = Web(Shape.OPEN, "flaw", 0, 8)
    with Site(root) as site:
        with monkeypatch.context() as flawed:
            flawed.setenv("FLAW", flaw)
            cuts = PowerCuts(site, web, root, (), FLAWED, elsewhere=True)
        findings = cuts.search(cuts.instants[::12], random.Random(1))
    assert findings.refused
    assert any(re.search(message, error) for error in findings.refused)


# The disk


SCRIPT = """
import os
os.mkdir("job")
file = os.open("job/a", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
os.write(file, b"1" * 700)
{}
os.write(file, b"2" * 700)
os.ftruncate(file, 1000)
os.rename("job/a", "job/b")
os.unlink("job/b")
other = os.open("job/b", os.O_CREAT | os.O_RDWR)
os.pwrite(other, b"3", 5)
"""


def states_of(root: Path, syncs: str) -> tuple[Disk, list[DiskState]]:
    """The states that a disk may be left in by SCRIPT."""
    root.mkdir(exist_ok=True)
    machine = Machine(root, ["job"])
    with machine.recording() as tracer:
        words = [*tracer, sys.executable, "-c", SCRIPT.format(syncs)]
        subprocess.run(words, cwd=root, check=True)
    last = machine.disk.events[-1].end
    return machine.disk, list(machine.disk.states(last, random.Random(2), 1000))


def contents(states: list[DiskState], name: str) -> set[bytes | None]:
    """What a file may have; None stands for no file."""
    files = [{path.name: content for path, (_, content) in state.files.items()} for state in states]
    return {one.get(name) for one in files}


def test_what_is_not_synced_may_be_lost_torn_or_zeros(tmp_path: Path) -> None:
    disk, states = states_of(tmp_path, "")
    assert {path.name: content for path, (_, content) in disk.whole().files.items()} == {
        "b": bytes(5) + b"3"
    }
    assert contents(states, "a") >= {None, b"", b"1" * 700, bytes(1000), b"1" * 512}
    assert contents(states, "b") >= {None, b"", bytes(5) + b"3", bytes(6), b"1" * 700 + b"2" * 300}


def test_what_is_synced_stays(tmp_path: Path) -> None:
    sync_file = "os.fsync(file)"
    sync_all = ";".join(
        f"os.fsync(os.open({name!r}, os.O_RDONLY))" for name in ("job/a", "job", ".")
    )
    _, states = states_of(tmp_path / "file", sync_file)
    assert {content[:700] for content in contents(states, "a") if content} == {b"1" * 700}
    assert any(tmp_path / "file" / "job" not in state.folders for state in states)
    _, states = states_of(tmp_path / "all", sync_all)
    assert all(tmp_path / "all" / "job" in state.folders for state in states)
    assert {content[:700] for content in contents(states, "a") if content is not None} == {
        b"1" * 700
    }


def hexed(text: str) -> str:
    """A text as ``strace -xx`` writes it."""
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


@pytest.mark.parametrize("end", [") = ?", ") = ? <unavailable>", " <unfinished ...>"])
@pytest.mark.parametrize("has_passed", [False, True])
def test_a_call_in_which_a_process_was_killed(
    tmp_path: Path, end: str, *, has_passed: bool
) -> None:
    """Its result is unknown, and shows in the file."""
    path = tmp_path / "job"
    disk = Disk(tmp_path, DiskState({}, frozenset({tmp_path})))
    reader = recorder.Reader(disk, (path,), tmp_path)
    file = hexed(str(path))
    calls = [
        f'openat(AT_FDCWD<{file}>, "{file}", O_RDWR|O_CREAT, 0644) = 5<{file}>',
        f'pwrite64(5<{file}>, "{hexed("kept")}", 4, 0) = 4',
        "???( <unfinished ...>",
        "<... ??? resumed>) = ?",
        f'pwrite64(5<{file}>, "{hexed("last")}", 4, 4{end}',
        "+++ killed by SIGKILL +++",
    ]
    reader.read(f"7 1.{number} {call}\n" for number, call in enumerate(calls))
    reader.read(['8 2.0 write(15, "\\x61", 1 <unfinished ...>\n'])  # whose process had ended
    there = b"keptlast" if has_passed else b"kept"

    def missed() -> list[Path]:
        return [] if disk.whole().files[path][1] == there else [path]

    reader.settle(missed)
    assert not missed()
    assert len(disk.events) == 2 + has_passed
