"""A job's folder that others may write is not trusted, nor is a file in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from crawler.cli import main as cli
from crawler.errors import JobError
from crawler.job.folder import ITEMS, LOCK, LOG, PAGES, REJECTED, STAMP, STORE, refuse_unsafe
from crawler.output.jsonlines import JSONLines
from crawler.store import permissions
from tests.jobs import Title, items, run_job
from tests.sites import Site

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(os.name != "posix", reason="other systems have other rights"),
]
only_root = pytest.mark.skipif(
    getattr(os, "geteuid", int)() != 0, reason="only root gives files away"
)

grp, pwd = pytest.importorskip("grp"), pytest.importorskip("pwd")
NOBODY = 65534
COMPANIONS = [f"{STORE}-wal", f"{STORE}-shm", f"{STORE}-journal"]
INTERNAL = [*COMPANIONS, STAMP, "job.new", f"{ITEMS}.cut", f"{REJECTED}.cut", LOCK]
"""Files that are never links."""
FILES = [STORE, *INTERNAL, ITEMS, REJECTED, LOG]
COMMANDS = [
    ["resume"],
    ["status"],
    ["sessions"],
    ["run", "title.py", "http://127.0.0.1:9/", "--job"],
    ["run", "title.py", "http://127.0.0.1:9/", "--fresh", "--yes", "--job"],
]

SPIDER = """
from crawler import Spider

class Title(Spider):
    pass
"""


@pytest.fixture
def folder(tmp_path: Path, site: Site) -> Path:
    """The folder of a job that has ended."""
    site.pages["/"] = "x"
    run_job(Title, tmp_path / "job", f"{site.url}/")
    return tmp_path / "job"


@pytest.fixture
def umask() -> Iterator[Callable[[int], object]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def make(path: Path) -> Path:
    """Make sure that there is such a file."""
    if not path.exists():
        path.touch(0o600)
    return path


def name_of_words(words: list[str]) -> str:
    return " ".join(word for word in words if not word.startswith("http"))


@pytest.mark.parametrize("words", COMMANDS, ids=name_of_words)
def test_every_command_refuses_a_folder_that_others_may_write(
    folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it opens anything: a log is planted, that SQLite would merge into the store."""
    (folder.parent / "title.py").write_text(SPIDER)
    words = [str(folder.parent / word) if word == "title.py" else word for word in words]
    (folder / f"{STORE}-wal").write_bytes(b"planted")
    folder.chmod(0o777)
    before = contents(folder)
    assert cli.execute([*words, str(folder)]) == 2
    assert contents(folder) == before
    error = capsys.readouterr().err
    assert f"others can write {folder}, which says what is run: check it" in error
    assert f"chmod go-w {folder}" in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_others_may_write_is_refused(folder: Path, name: str) -> None:
    make(folder / name).chmod(0o606)
    with pytest.raises(JobError, match=rf"others can write {folder / name}, .*chmod go-w"):
        refuse_unsafe(folder)


@only_root
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_user_is_refused(folder: Path, name: str) -> None:
    os.chown(make(folder / name), NOBODY, -1)
    message = rf"others can write {folder / name}, which belongs to nobody.*chown -R root.*--job"
    with pytest.raises(JobError, match=message):
        refuse_unsafe(folder)


@only_root
def test_a_folder_of_another_user_is_refused(folder: Path) -> None:
    os.chown(folder, NOBODY, -1)
    with pytest.raises(JobError, match=rf"{folder}, which belongs to nobody"):
        run_job(Title, folder, "http://127.0.0.1:9/")


@pytest.mark.parametrize("name", INTERNAL)
def test_a_link_in_the_place_of_a_file_of_the_job_is_refused(folder: Path, name: str) -> None:
    other = folder.parent / "other"
    other.write_text("mine")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(other)
    with pytest.raises(JobError, match=rf"{folder / name} is a link, .*rm {folder / name}"):
        run_job(Title, folder, "http://127.0.0.1:9/")
    assert other.read_text() == "mine"


@only_root
@pytest.mark.parametrize("name", [STORE, ITEMS, REJECTED, LOG, PAGES])
def test_a_link_of_another_user_is_refused(folder: Path, name: str) -> None:
    other = folder.parent / "other"
    other.write_text("")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(other)
    os.lchown(folder / name, NOBODY, -1)
    with pytest.raises(JobError, match=rf"{folder / name} is a link of nobody"):
        run_job(Title, folder, "http://127.0.0.1:9/")
    assert other.read_text() == ""


def test_a_pipe_in_the_place_of_a_file_is_refused(folder: Path) -> None:
    """SQLite would wait for it."""
    os.mkfifo(folder / f"{STORE}-journal", 0o600)
    with pytest.raises(JobError, match=r"job\.db-journal is neither a file nor a folder"):
        refuse_unsafe(folder)


def test_a_saved_page_that_leads_elsewhere_is_refused(folder: Path) -> None:
    (folder / PAGES).mkdir(0o700)
    (folder / PAGES / "login-a.html").symlink_to(folder.parent / "other")
    with pytest.raises(JobError, match=r"login-a\.html is a link"):
        refuse_unsafe(folder)


@pytest.mark.parametrize("name", ["job.new", LOCK])
def test_another_name_of_a_file_keeps_its_content(folder: Path, site: Site, name: str) -> None:
    """A hard link, which has no owner of its own."""
    other = folder.parent / "other"
    other.write_text("mine")
    (folder / name).unlink(missing_ok=True)
    (folder / name).hardlink_to(other)
    site.pages["/more"] = "x"
    run_job(Title, folder, f"{site.url}/", f"{site.url}/more")
    assert other.read_text() == "mine"


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o757])
def test_a_folder_above_may_be_writable_if_it_is_sticky(
    tmp_path: Path, site: Site, mode: int
) -> None:
    """As /tmp is. In another one the job's folder could be replaced."""
    above = tmp_path / "all"
    above.mkdir()
    above.chmod(mode)
    site.pages["/"] = "x"
    if mode & stat.S_ISVTX:
        run_job(Title, above / "new" / "job", f"{site.url}/")
        assert len(items(above / "new" / "job")) == 1
    else:
        with pytest.raises(JobError, match=rf"others can write {above}, .*chmod o-w {above}"):
            run_job(Title, above / "new" / "job", f"{site.url}/")
        assert list(above.iterdir()) == []


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_a_job_goes_on_whatever_the_umask(
    tmp_path: Path, site: Site, umask: Callable[[int], object], mask: int
) -> None:
    umask(mask)
    site.otherwise = lambda visit: "x"
    folder = tmp_path / "some" / "new" / "job"
    for number in range(2):
        run_job(Title, folder, f"{site.url}/{number}")
    assert len(items(folder)) == 2


@only_root
@pytest.mark.parametrize("mask", [0o000, 0o002])
def test_a_job_in_the_folder_of_a_group_goes_on(
    tmp_path: Path, site: Site, umask: Callable[[int], object], mask: int
) -> None:
    """New files have that group, and by the umask it could write them."""
    umask(mask)
    shared = tmp_path / "shared"
    shared.mkdir()
    os.chown(shared, 0, NOBODY)
    shared.chmod(0o2775)
    site.otherwise = lambda visit: "x"
    for number in range(2):
        run_job(Title, shared / "data" / "job", f"{site.url}/{number}")
    assert len(items(shared / "data" / "job")) == 2


def test_files_that_the_user_s_own_group_may_write_are_trusted(folder: Path, site: Site) -> None:
    """Ubuntu and Fedora give each user a group, and a umask that lets it write."""
    folder.chmod(0o775)
    for name in (ITEMS, LOG):
        make(folder / name).chmod(0o664)
    site.pages["/more"] = "x"
    run_job(Title, folder, f"{site.url}/", f"{site.url}/more")
    assert len(items(folder)) == 2


@only_root
def test_files_that_another_group_may_write_are_refused(folder: Path) -> None:
    os.chown(folder, -1, NOBODY)
    folder.chmod(0o775)
    with pytest.raises(JobError, match=f"others can write {folder}"):
        refuse_unsafe(folder)


@pytest.mark.parametrize("name", [STORE, *COMPANIONS])
def test_no_group_may_write_the_store(folder: Path, name: str) -> None:
    make(folder / name).chmod(0o620)
    with pytest.raises(JobError, match=f"others can write {folder / name}"):
        refuse_unsafe(folder)


class User(NamedTuple):
    pw_name: str
    pw_gid: int


class Group(NamedTuple):
    gr_name: str
    gr_mem: list[str]


@pytest.mark.parametrize(
    ("user", "group", "is_own"),
    [
        (User("ada", 1000), Group("ada", []), True),
        (User("ada", 1000), Group("ada", ["ada"]), True),
        (User("ada", 1000), Group("ada", ["ada", "eve"]), False),
        (User("ada", 1000), Group("users", []), False),  # of all users
        (User("ada", 20), Group("ada", []), False),
        (User("ada", 1000), None, False),
        (None, None, True),  # a container without a list of users
        (None, Group("staff", ["eve"]), False),
    ],
)
def test_a_group_of_the_user_alone(
    monkeypatch: pytest.MonkeyPatch, user: User | None, group: Group | None, is_own: bool
) -> None:
    def entry(record: Any) -> Any:
        if record is None:
            raise KeyError
        return record

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: entry(user))
    monkeypatch.setattr(grp, "getgrgid", lambda gid: entry(group))
    is_own_group = permissions.is_own_group.__wrapped__
    assert is_own_group(1000) is is_own
    assert is_own_group(0)
    assert not is_own_group(1001)


def test_a_group_whose_files_have_an_access_list_is_not_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.chmod(0o775)
    monkeypatch.setattr(os, "getxattr", lambda path, name: b"\2\0\0\0", raising=False)
    with pytest.raises(JobError, match=f"others can write {folder}"):
        refuse_unsafe(folder)


def test_a_store_elsewhere_is_checked_where_it_is(folder: Path, site: Site) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (folder / STORE).rename(elsewhere / STORE)
    (folder / STORE).symlink_to(elsewhere / STORE)
    refuse_unsafe(folder)
    elsewhere.chmod(0o777)
    with pytest.raises(JobError, match=f"others can write {elsewhere}"):
        refuse_unsafe(folder)


@only_root
def test_an_output_is_not_written_through_a_link_of_another_user(tmp_path: Path) -> None:
    """Others may put links into a sticky folder such as /tmp."""
    other = tmp_path / "other"
    other.write_text("")
    link = tmp_path / "items.jsonl"
    link.symlink_to(other)
    os.lchown(link, NOBODY, -1)
    with pytest.raises(JobError, match=rf"{link} is a link of nobody"):
        JSONLines(link, 0)


def test_where_there_are_no_owners_nothing_is_refused(
    folder: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows has modes that mean nothing."""
    monkeypatch.setattr(permissions, "HAS_OWNERS", False)
    folder.chmod(0o777)
    site.pages["/more"] = "x"
    run_job(Title, folder, f"{site.url}/", f"{site.url}/more")
    assert len(items(folder)) == 2


def test_where_the_user_is_alone_the_checks_can_be_switched_off(
    folder: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may have volumes that all may write."""
    folder.chmod(0o777)
    with pytest.raises(JobError, match=f"set {permissions.TRUST}=1"):
        refuse_unsafe(folder)
    monkeypatch.setenv(permissions.TRUST, "1")
    site.pages["/more"] = "x"
    run_job(Title, folder, f"{site.url}/", f"{site.url}/more")
    assert len(items(folder)) == 2
    monkeypatch.setenv(permissions.TRUST, "0")
    with pytest.raises(JobError):
        refuse_unsafe(folder)
