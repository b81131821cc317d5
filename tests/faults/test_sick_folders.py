"""Job folders and outputs that were copied, moved, truncated, shared or removed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crawler import Request, Spider
from crawler.engine.engine import run
from crawler.errors import CrawlerError, JobError, JobLockedError, SpiderError
from crawler.job.job import Job
from crawler.job.lookup import job_status
from tests.commands import Command
from tests.conftest import wait_until
from tests.jobs import Title, done, items, plan, rows, run_job, values
from tests.sites import PATIENCE, Site, Visit, web

SICK = Path(__file__).with_name("sick.py")
PAGES = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "job"


def half(folder: Path, site: Site) -> set[str]:
    """A job that was stopped half way; all its pages."""
    urls = web([site], PAGES)
    run_job(Title, folder, site.url + "/0", max_pages=PAGES // 2)
    return urls


def kill_half_way(folder: Path, site: Site) -> set[str]:
    """A job that was killed half way, and has its log; all its pages.

    What came before is committed, each page by itself so that most of the log is theirs, and
    nothing is being written: the log has no torn end.
    """
    urls = web([site], PAGES)
    page, asked = site.otherwise, iter(range(PAGES))

    def stuck(visit: Visit) -> Any:
        number = next(asked)
        if number < PAGES // 2:
            wait_until(lambda: number == 0 or done(folder) == number, "no page was committed")
        else:
            wait_until(lambda: done(folder) == PAGES // 2, "not every page was committed")
            command.kill()
        return page(visit)

    site.otherwise = stuck
    command = Command(f"{SICK}:Follow", folder, site.url + "/0", commit_interval=0)
    command.process.wait()
    site.otherwise = page
    assert (folder / "job.db-wal").stat().st_size
    return urls


def go_on(folder: Path, site: Site) -> None:
    """The same command again, in this process."""
    run_job(Title, folder, site.url + "/0")


def check_whole(folder: Path, urls: set[str]) -> None:
    assert values(items(folder)) == sorted(urls)
    assert rows(folder, "SELECT count(*) FROM pending") == [(0,)]


def refused(folder: Path, site: Site, why: str, kind: type[CrawlerError] = JobError) -> None:
    """The command says why, writes nothing and fetches nothing."""
    before, asked = _contents(folder), len(site.log)
    with pytest.raises(kind, match=why):
        go_on(folder, site)
    assert _contents(folder) == before
    assert len(site.log) == asked


def _contents(folder: Path) -> dict[str, bytes]:
    names = ("job.db", "job.db-wal", "items.jsonl", "rejected.jsonl")
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


# Outputs that cannot be written


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.parametrize("where", ["/dev/full", "/dev/null", "/dev/stdout", "pipe", "."])
def test_an_output_that_is_no_file_is_refused(
    tmp_path: Path, site: Site, pipe: Path, where: str
) -> None:
    output = tmp_path / where
    command = Command(f"{SICK}:Follow", tmp_path / "job", site.url + "/", "-o", str(output))
    assert command.wait() == 2
    (line,) = command.said.splitlines()
    shown = str(output.absolute())
    assert line.startswith(f"crawl: cannot write to {shown}: ")
    assert "give a" in line
    assert "with -o" in line
    assert not site.log


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file that is read-only even for root."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid() == 0:
        mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("root may write everywhere, and mounts nothing here")
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
    else:
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


def test_an_output_in_a_read_only_folder(tmp_path: Path, site: Site, read_only: Path) -> None:
    output = read_only / "out.jsonl"
    command = Command(f"{SICK}:Follow", tmp_path / "job", site.url + "/", "-o", str(output))
    assert command.wait() == 2
    assert command.said.startswith(f"crawl: cannot write to {output}: ")
    assert command.said.endswith("; give another file with -o\n")
    assert not site.log


def test_a_job_in_a_read_only_folder(tmp_path: Path, site: Site, read_only: Path) -> None:
    job = read_only / "job"
    (tmp_path / "job").symlink_to(job)
    with pytest.raises(JobError, match=rf"^cannot use {job} as a job's folder: "):
        go_on(job, site)
    assert not site.log


# Outputs that are shared


def test_two_jobs_may_not_write_one_output(tmp_path: Path, site: Site) -> None:
    """The error names the writing process; afterwards the output still belongs to the other job."""
    urls = web([site], PAGES)
    gate = site.otherwise
    output = tmp_path / "out.jsonl"

    def slow(visit: Visit) -> Any:
        if visit.path == "/3":
            go_ahead.wait(20)
        return gate(visit)

    go_ahead = threading.Event()
    site.otherwise = slow
    first = Command(f"{SICK}:Follow", tmp_path / "a", site.url + "/0", "-o", str(output))
    site.wait_for("/3")
    other = Command(f"{SICK}:Follow", tmp_path / "b", site.url + "/0", "-o", str(output))
    assert other.wait() == 2
    assert f"{output} " in other.said
    go_ahead.set()
    assert first.wait() == 0
    assert values(items(tmp_path, "out.jsonl")) == sorted(urls)


def test_an_empty_output_may_not_be_shared_either(tmp_path: Path, site: Site) -> None:
    plans = [replace(plan(Title, tmp_path / name), output=tmp_path / "out.jsonl") for name in "ab"]
    with Job(plans[0]):
        who = rf"out\.jsonl is being written by process {os.getpid()}, for another job; "
        with pytest.raises(JobLockedError, match=who):
            Job(plans[1])
    Job(plans[1]).close()


@pytest.mark.parametrize("fresh", [False, True])
def test_an_output_that_is_being_written_is_not_overwritten(tmp_path: Path, fresh: bool) -> None:
    plans = [replace(plan(Title, tmp_path / name), output=tmp_path / "out.jsonl") for name in "ab"]
    with Job(plans[0]) as job:
        job.items.append(b"{}\n")
        with pytest.raises(JobLockedError, match=rf"is being written by process {os.getpid()}"):
            Job(replace(plans[1], fresh=fresh, overwrite=fresh))
        job.items.append(b"[]\n")
    assert (tmp_path / "out.jsonl").read_bytes() == b"{}\n[]\n"


# Outputs that somebody touches


def gone(path: Path) -> None:
    path.unlink()


def moved(path: Path) -> None:
    path.rename(path.with_name("taken.jsonl"))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def shortened(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))


def prolonged(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"mine": 1}\n')


def rewritten(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"http", b"HTTP"))


def corrected(path: Path) -> None:
    """One letter of the first line."""
    with path.open("r+b") as file:
        file.seek(3)
        file.write(b"R")


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def replaced(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(path.read_bytes())
    new.replace(path)


@pytest.mark.parametrize(
    ("touch", "why"),
    [
        (gone, r"items\.jsonl is missing, of which [\d,]+ bytes were committed.*put it back"),
        (moved, r"items\.jsonl is missing"),
        (emptied, r"items\.jsonl has 0 bytes, but [\d,]+ were committed"),
        (shortened, r"items\.jsonl has [\d,]+ bytes, but [\d,]+ were committed"),
        (prolonged, r"items\.jsonl has 12 bytes more than the job has written: remove"),
        (rewritten, r"items\.jsonl was changed since the last run of the job"),
        (corrected, r"items\.jsonl was changed since the last run of the job"),
    ],
)
def test_an_output_that_was_touched_between_runs(
    folder: Path, site: Site, touch: Callable[[Path], None], why: str
) -> None:
    urls = half(folder, site)
    kept = (folder / "items.jsonl").read_bytes()
    touch(folder / "items.jsonl")
    refused(folder, site, why)
    (folder / "items.jsonl").write_bytes(kept)
    go_on(folder, site)
    check_whole(folder, urls)


@pytest.mark.parametrize(
    ("touch", "why"),
    [
        (gone, r"items\.jsonl was moved, deleted or replaced while the job was running"),
        (moved, r"items\.jsonl was moved, deleted or replaced while the job was running"),
        (replaced, r"items\.jsonl was moved, deleted or replaced while the job was running"),
        (emptied, r"items\.jsonl was changed while the job was running: it has 0 bytes"),
        (prolonged, r"items\.jsonl was changed while the job was running"),
    ],
)
def test_an_output_that_is_touched_during_a_run(
    folder: Path, site: Site, touch: Callable[[Path], None], why: str
) -> None:
    urls = web([site], PAGES)
    page, output = site.otherwise, folder / "items.jsonl"
    kept = []

    def disturbed(visit: Visit) -> Any:
        if visit.path == "/9":
            before = len(site.visits()) - 1
            wait_until(lambda: lines(output) == before, "not every page was written")
            kept.append(output.read_bytes())
            touch(output)
        return page(visit)

    site.otherwise = disturbed
    with pytest.raises(JobError, match=why):
        # One page at a time: while it is asked for, nothing is written.
        run_job(Title, folder, site.url + "/0", concurrency_per_host=1)
    site.otherwise = page
    output.write_bytes(kept[0])
    go_on(folder, site)
    check_whole(folder, urls)


def test_lines_behind_the_end_of_a_killed_job_s_output_are_not_lost(
    folder: Path, site: Site
) -> None:
    """It may or may not come from a kill."""
    urls = kill_half_way(folder, site)
    mine = b'{"mine": "%s"}\n' % (b"x" * 200_000)
    with (folder / "items.jsonl").open("ab") as file:
        file.write(mine)
    command = Command(f"{SICK}:Follow", folder, site.url + "/0")
    assert command.wait() == 0, command.said
    check_whole(folder, urls)
    assert (folder / "items.jsonl.cut").read_bytes().endswith(mine)
    assert re.search(
        r"items\.jsonl had [\d,]+ bytes behind the last commit, .*items\.jsonl\.cut now",
        (folder / "run.log").read_text(),
    )


def test_lines_of_another_job_after_a_kill_are_not_lost(folder: Path, site: Site) -> None:
    """The output was empty when the first one was killed, so the second one could have it."""
    output = folder.with_name("out.jsonl")
    words = (site.url + "/0", "-o", str(output))
    is_asked = threading.Event()

    def stuck(visit: Visit) -> Any:
        is_asked.set()
        command.process.wait()
        return page(visit)

    web([site], PAGES)
    page, site.otherwise = site.otherwise, stuck
    command = Command(f"{SICK}:Follow", folder, *words)
    assert is_asked.wait(PATIENCE)
    command.kill()
    site.otherwise = page
    other = Command(f"{SICK}:Follow", folder.with_name("other"), *words)
    assert other.wait() == 0, other.said
    results = output.read_bytes()
    command = Command(f"{SICK}:Follow", folder, *words)
    assert command.wait() == 0, command.said
    assert output.with_name("out.jsonl.cut").read_bytes() == results


# Stores that are damaged


def flip(path: Path, place: int) -> None:
    """One other bit."""
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_flipped_bit_is_found_at_the_start(folder: Path, site: Site, share: float) -> None:
    urls = half(folder, site)
    place = int(share * (folder / "job.db").stat().st_size)
    flip(folder / "job.db", place)
    refused(folder, site, r"job\.db cannot be used as a job's store .*from a backup, or start")
    flip(folder / "job.db", place)
    go_on(folder, site)
    check_whole(folder, urls)


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_a_flipped_bit_before_the_first_commit_in_the_log_is_found(
    folder: Path, site: Site, share: float
) -> None:
    """The output has lines that the store knows nothing of."""
    kill_half_way(folder, site)
    log = folder / "job.db-wal"
    flip(log, int(share * log.stat().st_size))
    for _ in range(2):
        with pytest.raises(JobError, match=r"job\.db cannot be used.*items\.jsonl has lines.*back"):
            go_on(folder, site)


@pytest.mark.parametrize("share", [0.5, 0.75, 0.95])
def test_a_killed_job_continues_from_before_a_flipped_bit_in_its_log(
    folder: Path, site: Site, share: float
) -> None:
    """SQLite's checksums end the log there. Later pages are fetched again, each item once."""
    urls = kill_half_way(folder, site)
    log = folder / "job.db-wal"
    flip(log, int(log.stat().st_size * share))
    command = Command(f"{SICK}:Follow", folder, site.url + "/0")
    assert command.wait() == 0, command.said
    check_whole(folder, urls)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
def test_a_store_that_was_cut_short_is_found_at_the_start(
    folder: Path, site: Site, share: float
) -> None:
    urls = half(folder, site)
    whole = (folder / "job.db").read_bytes()
    (folder / "job.db").write_bytes(whole[: int(share * len(whole))])
    refused(folder, site, r"job\.db (cannot be used|is missing, but items\.jsonl exists)")
    (folder / "job.db").write_bytes(whole)
    go_on(folder, site)
    check_whole(folder, urls)


def test_the_status_of_a_damaged_store_is_one_sentence(folder: Path, site: Site) -> None:
    half(folder, site)
    data = (folder / "job.db").read_bytes()
    (folder / "job.db").write_bytes(data[:4096] + os.urandom(len(data) - 4096))
    with pytest.raises(JobError, match=r"job\.db cannot be used as a job's store"):
        job_status(folder)


def write_and_die(folder: Path, statement: str) -> None:
    """Another writer of the store, killed when its log has ``statement`` and nothing else."""
    script = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]);"
        "db.execute('PRAGMA wal_checkpoint(TRUNCATE)'); db.execute(sys.argv[2]);"
        "db.commit(); os._exit(0)"
    )
    words = [sys.executable, "-c", script, str(folder / "job.db"), statement]
    subprocess.run(words, check=True)
    assert (folder / "job.db-wal").stat().st_size


def test_damage_after_a_kill_is_found_too(folder: Path, site: Site) -> None:
    half(folder, site)
    (number,) = rows(folder, "SELECT rootpage FROM sqlite_master WHERE name = 'seen'")[0]
    write_and_die(folder, "UPDATE job SET value = 'true' WHERE name = 'running'")
    size = (folder / "job.db").stat().st_size
    assert size > 4096 * number
    with (folder / "job.db").open("r+b") as file:
        file.seek(4096 * (number - 1))
        file.write(b"\xff" * 12)
    refused(folder, site, r"job\.db cannot be used as a job's store")


@pytest.mark.parametrize("text", [b"CREATE TABLE hosts", b"counters", b'"spider"'])
def test_text_that_is_none_any_more_is_damage(folder: Path, site: Site, text: bytes) -> None:
    """SQLite does not check values, and quotes them in its own messages."""
    half(folder, site)
    write_and_die(folder, "UPDATE hosts SET next_at = next_at + 1")
    data = (folder / "job.db").read_bytes()
    assert text in data
    broken = text[:-1] + bytes([text[-1] ^ 0x80])
    (folder / "job.db").write_bytes(data.replace(text, broken))
    refused(folder, site, r"job\.db cannot be used as a job's store")
    run(replace(plan(Title, folder, site.url + "/0"), fresh=True, overwrite=True))
    assert len(items(folder)) == PAGES


def test_a_store_that_knows_nothing_of_its_output_is_damaged(folder: Path, site: Site) -> None:
    """This does not mean that the output belongs to another job."""
    half(folder, site)
    write_and_die(folder, "DELETE FROM job WHERE name = 'counters'")
    kept = (folder / "items.jsonl").read_bytes()
    for _ in range(2):
        with pytest.raises(JobError, match=r"job\.db cannot be used.*items\.jsonl has lines.*back"):
            go_on(folder, site)
    assert (folder / "items.jsonl").read_bytes() == kept


# Folders that are moved, copied, or half there


def test_a_folder_may_be_moved_between_runs(folder: Path, site: Site) -> None:
    urls = half(folder, site)
    moved = folder.rename(folder.with_name("moved"))
    go_on(moved, site)
    check_whole(moved, urls)
    assert job_status(moved)["output"] == str(moved / "items.jsonl")
    assert not folder.exists()


def test_a_folder_may_be_moved_after_a_kill(folder: Path, site: Site) -> None:
    urls = kill_half_way(folder, site)
    moved = folder.rename(folder.with_name("moved"))
    command = Command(f"{SICK}:Follow", moved, site.url + "/0")
    assert command.wait() == 0, command.said
    check_whole(moved, urls)


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_copy_has_an_output_of_its_own(folder: Path, site: Site, is_killed: bool) -> None:
    """However far the original has come meanwhile, its output is not the copy's to cut."""
    urls = web([site], PAGES)
    if is_killed:
        kill_half_way(folder, site)
    else:
        Command(f"{SICK}:Follow", folder, site.url + "/0", max_pages=PAGES // 2).wait()
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    for one in (folder, copy):
        command = Command(f"{SICK}:Follow", one, site.url + "/0")
        assert command.wait() == 0, command.said
        for each in (folder, one):
            check_whole(each, urls)


@pytest.mark.parametrize("through", ["-o", "a link"])
@pytest.mark.parametrize("is_killed", [True, False])
def test_a_copy_does_not_cut_the_output_that_it_has_in_common(
    folder: Path, site: Site, through: str, is_killed: bool
) -> None:
    urls = web([site], PAGES)
    output = folder.with_name("out.jsonl")
    given = ("-o", str(output)) if through == "-o" else ()
    if not given:
        folder.mkdir()
        (folder / "items.jsonl").symlink_to(output)

    def follow(folder: Path, pages: int = PAGES) -> Command:
        return Command(f"{SICK}:Follow", folder, site.url + "/0", *given, max_pages=pages)

    assert follow(folder, PAGES // 2).wait() == 0
    if is_killed:
        write_and_die(folder, "UPDATE job SET value = 'true' WHERE name = 'running'")
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy, symlinks=True)
    length = output.stat().st_size
    assert follow(folder).wait() == 0
    whole = output.read_bytes()
    command = follow(copy)
    assert command.wait() == 2
    assert re.search(
        rf"\.jsonl has [\d,]+ bytes more than this job has written, and {copy} is not the "
        rf"folder of the last run: continue in the folder that it was copied from "
        rf".* `truncate -s {length} ",
        command.said,
    )
    assert output.read_bytes() == whole
    os.truncate(output, length)
    command = follow(copy)
    assert command.wait() == 0, command.said
    assert values(items(output.parent, output.name)) == sorted(urls)


def test_without_its_store_a_folder_is_refused(folder: Path, site: Site) -> None:
    urls = half(folder, site)
    (folder / "job.db").rename(folder / "aside")
    refused(folder, site, r"job\.db is missing, but items\.jsonl exists: put it back, or start")
    (folder / "aside").rename(folder / "job.db")
    go_on(folder, site)
    check_whole(folder, urls)


def test_without_its_log_a_killed_job_is_refused(folder: Path, site: Site) -> None:
    kill_half_way(folder, site)
    log = folder / "job.db-wal"
    log.rename(folder / "aside")
    refused(folder, site, r"job\.db cannot be used.*job\.db-wal, which belongs to it, is missing")
    (folder / "aside").rename(log)
    command = Command(f"{SICK}:Follow", folder, site.url + "/0")
    assert command.wait() == 0, command.said
    assert len(items(folder)) == PAGES


def test_the_log_alone_is_no_job(folder: Path, site: Site) -> None:
    kill_half_way(folder, site)
    (folder / "job.db").unlink()
    refused(folder, site, r"job\.db is missing, but job\.db-wal exists")


def test_a_copy_made_after_a_kill_continues(folder: Path, site: Site) -> None:
    urls = kill_half_way(folder, site)
    kept = items(folder)
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    copy.rename(folder)  # a backup that is put back: other files, in the same place
    command = Command(f"{SICK}:Follow", folder, site.url + "/0")
    assert command.wait() == 0, command.said
    assert values(items(folder)) == sorted(urls)
    assert items(folder)[: len(kept) // 2] == kept[: len(kept) // 2]


def test_a_copy_made_while_it_ran_is_whole_or_refused(folder: Path, site: Site) -> None:
    """Copy at any instant, file by file in both orders; a copy that opens ends correctly."""
    urls = web([site], 150)
    page, copies = site.otherwise, list[Path]()

    def held(visit: Visit) -> Any:
        """The crawl cannot end before the second copy."""
        wait_until(lambda: len(copies) >= 2, "nothing is copied")
        return page(visit)

    site.pages["/140"] = held
    command = Command(f"{SICK}:Follow", folder, site.url + "/0", commit_interval=0)
    while command.process.poll() is None and len(copies) < 4:
        count = len(site.log)
        wait_until(
            lambda: len(site.log) >= count + 20 or command.process.poll() is not None,  # noqa: B023
            "no progress",
        )
        copy = folder.with_name(f"copy-{len(copies)}")
        copy.mkdir()
        names = ["job.db", "job.db-wal", "items.jsonl", "rejected.jsonl", "job.stamp"]
        for name in names if len(copies) % 2 else names[::-1]:
            with contextlib.suppress(FileNotFoundError):  # gone with the end of the crawl
                shutil.copy2(folder / name, copy / name)
        copies.append(copy)
    assert command.wait() == 0
    assert len(copies) >= 2
    for copy in copies:
        again = Command(f"{SICK}:Follow", copy, site.url + "/0")
        if again.wait() == 0:
            assert values(items(copy)) == sorted(urls)
        else:
            assert again.process.returncode == 2, again.said
            last = again.said.splitlines()[-1]
            assert "cannot be used as a job's store" in last or "items.jsonl has" in last
        assert values(items(folder)) == sorted(urls)


def test_tables_of_different_instants_are_found(folder: Path, site: Site) -> None:
    """Each page of the store is in order, and yet one is older than the others."""
    half(folder, site)
    write_and_die(
        folder, "DELETE FROM seen WHERE fingerprint = (SELECT min(fingerprint) FROM seen)"
    )
    refused(folder, site, r"job\.db cannot be used.*not of one instant.*copy it again after a stop")


# Spiders that have changed


class Before(Spider):
    name = "shop"

    def parse(self, response: Any) -> Iterator[Any]:
        for number in range(5):
            yield Request(response.url + f"a{number}", self.book, cb_kwargs={"shelf": number})
        yield Request(response.url + "b", self.author)

    def book(self, response: Any, shelf: int) -> Any:
        return {"url": response.url, "shelf": shelf}

    def author(self, response: Any) -> Any:
        return {"url": response.url}


class Gone(Spider):
    name = "shop"

    def parse(self, response: Any) -> Any:
        return None

    def author(self, response: Any) -> Any:
        return {"url": response.url}


class OtherArguments(Before):
    def book(self, response: Any, row: int) -> Any:
        return {"url": response.url, "shelf": row}


class MoreArguments(Before):
    def book(self, response: Any, shelf: int, row: int = 0) -> Any:
        return {"url": response.url, "shelf": shelf}

    def further(self, response: Any) -> Any:
        return None


class Renamed(Gone):
    """The callback has the same name, but is defined in another way."""

    book = staticmethod(lambda response, shelf: {"url": response.url, "shelf": shelf})


def as_before(spider: type[Spider]) -> type[Spider]:
    """The same spider after an edit: its class is called as before."""
    spider.__qualname__ = spider.__name__ = "Before"
    return spider


@pytest.mark.parametrize(
    ("spider", "why"),
    [
        (Gone, r"Before has changed.*: 5 for book\(\), which no longer exists; put that back"),
        (OtherArguments, r"Before has changed.*: 5 for book\(\): missing a required argument"),
    ],
)
def test_a_spider_that_cannot_take_what_is_pending_is_refused(
    folder: Path, site: Site, spider: type[Spider], why: str
) -> None:
    site.otherwise = lambda visit: "x"
    run_job(Before, folder, site.url + "/", max_pages=1)
    asked = len(site.log)
    with pytest.raises(SpiderError, match=why):
        run(plan(as_before(spider), folder, site.url + "/"))
    assert len(site.log) == asked
    run_job(Before, folder, site.url + "/")
    assert len(items(folder)) == 6


@pytest.mark.parametrize("spider", [MoreArguments, Renamed])
def test_a_spider_that_takes_it_all_goes_on(folder: Path, site: Site, spider: type[Spider]) -> None:
    site.otherwise = lambda visit: "x"
    run_job(Before, folder, site.url + "/", max_pages=1)
    run(plan(as_before(spider), folder, site.url + "/"))
    assert sorted(item.get("shelf", 9) for item in items(folder)) == [0, 1, 2, 3, 4, 9]
