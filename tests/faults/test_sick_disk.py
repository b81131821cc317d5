"""Full disks: the crawl stops with one sentence and status 1, and goes on when there is room."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Command
from tests.jobs import items, rows, values
from tests.sites import Site, web

SICK = Path(__file__).with_name("sick.py")
WAY_OUT = (
    "free some space, then repeat the command: it continues where it stopped, and nothing is lost"
)
PAGES = 60


class Disk:
    """A small disk, which may become a larger one."""

    def __init__(self, folder: Path, kilobytes: int) -> None:
        folder.mkdir()
        self.folder = folder
        self._mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder))

    def grow(self) -> None:
        """Make room."""
        self._mount("-o", "remount,size=20m", str(self.folder))

    def close(self) -> None:
        """Unmount the disk and discard its content."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def _mount(self, *words: str) -> None:
        done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid():
        pytest.skip("only root may mount a small disk")
    small = Disk(tmp_path / "disk", 120)
    yield small
    small.close()


def on(disk: Disk, folder: Path) -> Path:
    """A job's folder on a disk; the output of the command is stored elsewhere."""
    (disk.folder / "job").mkdir()
    (folder / "job").symlink_to(disk.folder / "job")
    return folder / "job"


def fill(ballast: Path) -> None:
    """Use all the room that is left."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def complaint(command: Command, status: int = 1) -> str:
    """The one line that a command says when it gives up."""
    assert command.wait() == status, command.said
    lines = [line for line in command.said.splitlines() if line.startswith("crawl: ")]
    assert "Traceback" not in command.said
    return lines[-1]


def check_whole(folder: Path, urls: set[str], output: Path) -> None:
    assert values(items(output.parent, output.name)) == sorted(urls)
    assert rows(folder, "SELECT count(*) FROM pending") == [(0,)]
    assert rows(folder, "SELECT count(*) FROM failed") == [(0,)]


def whole_lines(path: Path) -> None:
    data = path.read_bytes()
    assert data.endswith(b"\n")
    for line in data.splitlines():
        json.loads(line)


def test_the_disk_of_the_output_is_full(tmp_path: Path, site: Site, disk: Disk) -> None:
    urls = web([site], PAGES)
    job, output = tmp_path / "job", disk.folder / "out.jsonl"
    words = f"{SICK}:Follow", job, site.url + "/0", "-o", str(output)
    said = complaint(Command(*words, arguments={"size": 4000}))
    assert said == f"crawl: cannot write to {output}: No space left on device; {WAY_OUT}"
    whole_lines(output)
    assert 0 < len(items(disk.folder, "out.jsonl")) < PAGES
    disk.grow()
    assert Command(*words, arguments={"size": 4000}).wait() == 0
    check_whole(job, urls, output)


def test_the_disk_of_the_store_is_full(tmp_path: Path, site: Site, disk: Disk) -> None:
    urls = web([site], PAGES)
    job, output = on(disk, tmp_path), tmp_path / "out.jsonl"
    (job / "run.log").symlink_to(tmp_path / "run.log")
    words = f"{SICK}:Follow", job, site.url + "/0", "-o", str(output)
    said = complaint(Command(*words))
    assert said == f"crawl: cannot write to {job}/job.db: database or disk is full; {WAY_OUT}"
    said = complaint(Command(*words))  # nor can it go on
    assert WAY_OUT in said
    disk.grow()
    assert Command(*words).wait() == 0
    check_whole(job, urls, output)


def test_the_disk_is_full_from_the_start(tmp_path: Path, site: Site, disk: Disk) -> None:
    urls = web([site], 5)
    job = on(disk, tmp_path)
    ballast = disk.folder / "ballast"
    fill(ballast)
    assert WAY_OUT in complaint(Command(f"{SICK}:Follow", job, site.url + "/0"))
    assert not site.log
    ballast.unlink()
    disk.grow()
    assert Command(f"{SICK}:Follow", job, site.url + "/0").wait() == 0
    check_whole(job, urls, job / "items.jsonl")


def test_the_disk_of_rejected_items_is_full(tmp_path: Path, site: Site, disk: Disk) -> None:
    web([site], PAGES)
    job, rejected = tmp_path / "job", disk.folder / "rejected.jsonl"
    job.mkdir()
    (job / "rejected.jsonl").symlink_to(rejected)
    words = f"{SICK}:Checked", job, site.url + "/0"
    said = complaint(Command(*words, arguments={"size": 4000}))
    assert said.startswith(f"crawl: cannot write to {job}/rejected.jsonl: No space left")
    whole_lines(rejected)
    disk.grow()
    assert Command(*words, arguments={"size": 4000}).wait() == 0
    assert len(items(job, "rejected.jsonl")) == PAGES
    assert len({line["url"] for line in items(job, "rejected.jsonl")}) == PAGES


def test_the_disk_of_the_log_is_full(tmp_path: Path, site: Site, disk: Disk) -> None:
    """Bad seeds are written to the log."""
    urls = web([site], 5)
    job, seeds = tmp_path / "job", tmp_path / "seeds.txt"
    job.mkdir()
    (job / "run.log").symlink_to(disk.folder / "run.log")
    seeds.write_text("nonsense, and a long one\n" * 2000 + site.url + "/0\n")
    said = complaint(Command(f"{SICK}:Follow", job, str(seeds)))
    assert said == f"crawl: cannot write to {job}/run.log: No space left on device; {WAY_OUT}"
    assert not site.log
    disk.grow()
    assert Command(f"{SICK}:Follow", job, str(seeds)).wait() == 0
    check_whole(job, urls, job / "items.jsonl")


@pytest.mark.parametrize("workers", [1])
def test_a_file_may_grow_no_longer(tmp_path: Path, site: Site, workers: int) -> None:
    """The same with a limit that any user can set: the length of files, as ``ulimit -f``."""
    urls = web([site], PAGES)
    job = tmp_path / "job"
    words = f"{SICK}:Follow", job, site.url + "/0"
    limited = {"environment": {"LIMIT_SIZE": "100000"}, "arguments": {"size": 4000}}
    said = complaint(Command(*words, workers=workers, **limited))  # type: ignore[arg-type]
    assert re.fullmatch(rf"crawl: cannot (read or )?write (to )?{job}/(items.jsonl|job.db).*", said)
    assert Command(*words, workers=workers, arguments={"size": 4000}).wait() == 0
    check_whole(job, urls, job / "items.jsonl")
