"""Clocks that are set between two runs or during a run; and stores of other versions."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import JobError
from crawler.job.lookup import job_status
from crawler.parsing.robots import MAX_AGE
from crawler.store.sqlite.schema import MIGRATIONS
from tests.commands import Command
from tests.conftest import wait_until
from tests.jobs import Title, items, rows, run_job, values
from tests.sites import JITTER, Reply, Site, Visit, links, web

SICK = Path(__file__).with_name("sick.py")
HOUR, YEAR = 3600.0, 365 * 86400.0


class Clock:
    """The wall clock of commands, which may be set."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock.txt"
        self.set(0)
        self.environment = {"CLOCK": str(self._file)}

    def set(self, seconds: float) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.mark.parametrize("jump", [-HOUR, -YEAR, YEAR])
def test_a_clock_that_is_set_between_runs(
    tmp_path: Path, site: Site, clock: Clock, jump: float
) -> None:
    """A page waits to be tried again, and the host for its delay: neither waits for the clock."""
    tries = iter([Reply("", 503, headers=(("Retry-After", "2"),))])
    site.pages["/0"] = links("/busy", "/1", "/2")
    site.pages["/busy"] = lambda visit: next(tries, "x")
    site.otherwise = lambda visit: "x"
    folder = tmp_path / "job"
    words = f"{SICK}:Follow", folder, site.url + "/0"
    first = Command(*words, delay=0.1, environment=clock.environment)
    site.wait_for("/busy")
    waiting = "SELECT count(*) FROM pending WHERE due IS NOT NULL"
    wait_until(lambda: rows(folder, waiting) == [(1,)], "no page waits")
    first.signal(signal.SIGTERM)
    assert first.wait() == 3, first.said
    assert rows(folder, waiting) == [(1,)]
    clock.set(jump)
    second = Command(*words, delay=0.1, environment=clock.environment)
    assert second.wait() == 0, second.said
    assert values(items(folder)) == [site.url + path for path in ("/0", "/1", "/2", "/busy")]
    assert site.least_gap >= 0.1 - JITTER


@pytest.mark.parametrize("jump", [-HOUR, YEAR])
def test_a_clock_that_is_set_during_a_run(
    tmp_path: Path, site: Site, clock: Clock, jump: float
) -> None:
    pages = web([site], 4)
    usual = site.otherwise
    asked: list[float] = []

    def sets(visit: Visit) -> Any:
        if visit.path == "/1" and len(asked) < 2:
            asked.append(visit.came)
            clock.set(jump)
            if len(asked) == 1:
                return Reply("", 503, headers=(("Retry-After", "1"),))
        return usual(visit)

    site.otherwise = sets
    words = f"{SICK}:Follow", tmp_path / "job", site.url + "/0"
    command = Command(*words, delay=0.1, environment=clock.environment)
    assert command.wait() == 0, command.said
    assert values(items(tmp_path / "job")) == sorted(pages)
    assert asked[1] - asked[0] >= 1.0 - JITTER, "Retry-After is kept, whatever the clock says"
    assert site.least_gap >= 0.1 - JITTER


def test_a_robots_txt_from_the_future_is_requested_again(
    tmp_path: Path, site: Site, clock: Clock
) -> None:
    site.pages["/robots.txt"] = "User-agent: *\nDisallow: /no"
    site.pages["/0"] = links("/1", "/no")
    site.pages["/1"] = "x"
    words = f"{SICK}:Follow", tmp_path / "job", site.url + "/0"
    clock.set(YEAR)
    assert Command(*words, max_pages=1, environment=clock.environment).wait() == 0
    clock.set(0)
    assert Command(*words, environment=clock.environment).wait() == 0
    ((kept,),) = rows(tmp_path / "job", "SELECT robots_at FROM hosts")
    assert abs(time.time() - kept) < MAX_AGE
    assert "/no" not in site.asked


class Club:
    """Pages for members only. All sessions end at the page ``ends``, once."""

    def __init__(self, site: Site) -> None:
        self.logins = 0
        self.ends = ""
        self.urls = [f"{site.url}/{number}" for number in range(12)]
        self._page = links(*(f"/{number}" for number in range(12)))
        self._member = ""
        site.pages["/login"] = self._log_in
        site.otherwise = self._show

    def _log_in(self, visit: Visit) -> Reply:
        self.logins += 1
        self._member = str(self.logins)
        return Reply("", headers=(("Set-Cookie", f"member={self._member}; Path=/"),))

    def _show(self, visit: Visit) -> Any:
        if visit.path == self.ends:
            self.ends, self._member = "", "nobody"
        if visit.cookies.get("member") != self._member:
            return Reply("", 401)
        return self._page


def check_second_login(folder: Path, site: Site, club: Club) -> None:
    """A second login was enough, and few pages were fetched again for it."""
    assert values(items(folder)) == sorted(club.urls)
    assert club.logins == 2
    pages = {path: times for path, times in site.asked.items() if path != "/0"}
    assert max(pages.values()) <= 2, "but /0, which shows whether the session is logged in"


@pytest.mark.parametrize("jump", [-HOUR, YEAR])
def test_a_clock_that_is_set_during_a_login(
    tmp_path: Path, site: Site, clock: Clock, jump: float
) -> None:
    """The clock decides which responses came before the new login."""
    club = Club(site)
    page = site.otherwise

    def sets(visit: Visit) -> Any:
        if visit.path == "/2":
            clock.set(jump)
            club.ends = "/3"
        return page(visit)

    site.otherwise = sets
    words = f"{SICK}:Member", tmp_path / "job", site.url + "/0"
    where = {"home": site.url}
    command = Command(*words, arguments=where, environment=clock.environment)
    assert command.wait() == 0, command.said
    check_second_login(tmp_path / "job", site, club)


def test_a_login_of_times_to_come(tmp_path: Path, site: Site, clock: Clock) -> None:
    """The clock was a year ahead when it was made, and has been put right since."""
    club = Club(site)
    words = f"{SICK}:Member", tmp_path / "job", site.url + "/0"
    where = {"home": site.url}
    clock.set(YEAR)
    first = Command(*words, arguments=where, environment=clock.environment, max_pages=2)
    assert first.wait() == 0, first.said
    assert club.logins == 1
    clock.set(0)
    club.ends = "/3"
    second = Command(*words, arguments=where, environment=clock.environment)
    assert second.wait() == 0, second.said
    check_second_login(tmp_path / "job", site, club)


# Versions


def as_version(folder: Path, version: int) -> None:
    """The job as the crawler of an older version would have it: its tables, with the same rows."""
    old = folder / "old.db"
    with closing(sqlite3.connect(old)) as db:
        for script in MIGRATIONS[:version]:
            db.executescript(script)
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("ATTACH ? AS now", (str(folder / "job.db"),))
        tables = "SELECT name FROM main.sqlite_master WHERE type = 'table'"
        for (table,) in db.execute(tables).fetchall():
            names = [row[1] for row in db.execute(f"PRAGMA main.table_info({table})")]
            listed = ", ".join(names)
            # Cookies have a table of their own now; before, a session had a list of them.
            values = ", ".join("x'90'" if name == "cookies" else name for name in names)
            db.execute(f"INSERT INTO main.{table} ({listed}) SELECT {values} FROM now.{table}")
        db.commit()
        db.execute("DETACH now")
        db.execute("PRAGMA journal_mode = WAL")
    for name in ("job.db", "job.stamp"):
        (folder / name).unlink()
    old.rename(folder / "job.db")


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_job_of_an_older_version_continues(tmp_path: Path, site: Site, version: int) -> None:
    urls = web([site], 20)
    folder = tmp_path / "job"
    run_job(Title, folder, site.url + "/0", max_pages=8)
    as_version(folder, version)
    assert rows(folder, "PRAGMA user_version") == [(version,)]
    with pytest.raises(
        JobError,
        match=rf"store version {version}.*knows version {len(MIGRATIONS)}; repeat its",
    ):
        job_status(folder)
    run_job(Title, folder, site.url + "/0")
    assert rows(folder, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert values(items(folder)) == sorted(urls)
    assert set(site.asked.values()) == {1}
    assert job_status(folder)["done"] == 20


def test_a_job_of_a_newer_version_is_left_alone(tmp_path: Path, site: Site) -> None:
    web([site], 5)
    folder = tmp_path / "job"
    run_job(Title, folder, site.url + "/0", max_pages=2)
    newer = len(MIGRATIONS) + 1
    with closing(sqlite3.connect(folder / "job.db")) as db:
        db.execute(f"PRAGMA user_version = {newer}")
    (folder / "job.stamp").unlink()
    before, asked = (folder / "job.db").read_bytes(), len(site.log)
    command = Command(f"{SICK}:Follow", folder, site.url + "/0")
    assert command.wait() == 2
    assert f"version {newer}, but this crawler knows version {len(MIGRATIONS)};" in command.said
    assert "use the crawler that made it" in command.said
    assert (folder / "job.db").read_bytes() == before
    assert len(site.log) == asked
