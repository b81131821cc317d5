"""Workers that leak, hang, or get no file handle."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Command
from tests.conftest import wait_until
from tests.jobs import items, rows, values
from tests.sites import Reply, Site, Visit, links, web

SICK = Path(__file__).with_name("sick.py")


def check_whole(folder: Path, urls: set[str]) -> None:
    assert values(items(folder)) == sorted(urls)
    assert rows(folder, "SELECT count(*) FROM pending") == [(0,)]


# Memory


def test_a_worker_that_leaks_is_replaced_and_stays_logged_in(tmp_path: Path, site: Site) -> None:
    urls = web([site], 110)
    page, folder = site.otherwise, tmp_path / "job"

    def guarded(visit: Visit) -> Any:
        if visit.path == "/login":
            return Reply("hello", headers=(("Set-Cookie", "who=me; Path=/"),))
        return page(visit) if visit.cookies.get("who") == "me" else Reply("", 401)

    site.otherwise = guarded
    command = Command(
        f"{SICK}:Leaky",
        folder,
        site.url + "/0",
        workers=1,
        delay=0.02,
        worker_max_memory=200_000_000,
        arguments={"host": site.url.removeprefix("http://")},
    )
    assert command.wait() == 0, command.said
    check_whole(folder, urls)
    found = items(folder)
    assert {item["cookies"]["who"] for item in found} == {"me"}
    workers = list(dict.fromkeys(item["pid"] for item in found))
    assert len(workers) >= 2
    assert [item["pid"] for item in found] == sorted(
        (item["pid"] for item in found), key=workers.index
    )
    assert site.asked["/login"] == 1
    # Without a cookie come the looks at the first pages as an anonymous visitor.
    asked = Counter(visit.path for visit in site.log if visit.cookies)
    assert asked.most_common(1)[0][1] == 1, "nothing is fetched twice"
    log = (folder / "run.log").read_text()
    assert len(re.findall(r"more than worker_max_memory, 200 MB", log)) >= len(workers) - 1
    assert "died" not in log


# Callbacks that hang


@pytest.mark.parametrize("way", ["loop", "regex"])
def test_a_callback_that_hangs_fails_its_page_alone(tmp_path: Path, site: Site, way: str) -> None:
    pages = [f"/{number}" for number in range(1, 12)]
    site.pages["/0"] = links(*pages[:6], f"/{way}", *pages[6:])
    site.otherwise = lambda visit: "x"
    folder = tmp_path / "job"
    command = Command(f"{SICK}:Hanging", folder, site.url + "/0", workers=2, callback_timeout=1)
    assert command.wait() == 0, command.said
    check_whole(folder, {site.url + path for path in ("/0", *pages)})
    ((url, cause),) = rows(folder, "SELECT url, cause FROM failed")
    assert url == f"{site.url}/{way}"
    assert cause == {"loop": "callback timeout", "regex": "worker died"}[way]
    log = (folder / "run.log").read_text()
    assert 'sick.py", line' in log, "it says where the spider was"
    if way == "loop":
        assert f"{site.url}/loop: its callback takes longer than callback_timeout (1 s)" in log


# File handles


def test_without_file_handles_workers_say_so_and_blame_no_site(tmp_path: Path, site: Site) -> None:
    urls = web([site], 40)
    page, folder = site.otherwise, tmp_path / "job"
    limit = "this process may have no more than 20 open files and sockets"

    def said() -> str:
        log = folder / "run.log"
        return command.said + (log.read_text() if log.exists() else "")

    def held(visit: Visit) -> Any:
        """There are more at once than there will ever be handles for."""
        wait_until(lambda: limit in said(), "it has enough of them")
        return page(visit)

    site.pages["/0"] = links(*(f"/{number}" for number in range(40)))
    site.otherwise = held
    words = f"{SICK}:Follow", folder, site.url + "/0"
    command = Command(
        *words,
        workers=1,
        concurrency_per_host=30,
        environment={"LIMIT_FILES": "20"},
        retries=0,
    )
    status = command.wait()
    assert status in (0, 1), command.said
    assert rows(folder, "SELECT count(*) FROM failed") == [(0,)]
    assert limit in said()
    again = Command(*words, workers=1, concurrency_per_host=30)
    assert again.wait() == 0, again.said
    check_whole(folder, urls)


@pytest.mark.parametrize("spider", ["Hoarding", "HoardingLogin"])
def test_a_run_ends_when_there_will_be_no_file_handle(
    tmp_path: Path, site: Site, spider: str
) -> None:
    """The spider keeps all of them. No login is reported as failed, either."""
    urls = web([site], 10)
    page, folder = site.otherwise, tmp_path / "job"
    site.otherwise = lambda visit: Reply(str(page(visit)), headers=(("Connection", "close"),))
    words = f"{SICK}:{spider}", folder, site.url + "/0"
    given = {"host": site.url.removeprefix("http://")}
    limit = {"LIMIT_FILES": "40"}
    command = Command(*words, workers=1, environment=limit, retries=0, arguments=given)
    assert command.wait() == 1, command.said
    said = command.said.splitlines()[-1]
    assert said.startswith("crawl: this process may have no more than 40 open files and sockets:")
    assert rows(folder, "SELECT count(*) FROM failed") == [(0,)]
    site.otherwise = page
    assert Command(*words, workers=1, retries=0, arguments=given).wait() == 0
    check_whole(folder, urls)


def test_a_worker_without_file_handles_parses_what_is_fetched(tmp_path: Path, site: Site) -> None:
    """Connections are those of another process."""
    urls = web([site], 10)
    page, folder = site.otherwise, tmp_path / "job"
    site.otherwise = lambda visit: Reply(str(page(visit)), headers=(("Connection", "close"),))
    words = f"{SICK}:HoardingCallback", folder, site.url + "/0"
    command = Command(*words, workers=1, environment={"LIMIT_FILES": "40"}, retries=0)
    assert command.wait() == 0, command.said
    check_whole(folder, urls)


@pytest.mark.parametrize(("limit", "workers"), [(5, 0), (9, 0), (12, 2)])
def test_without_file_handles_the_command_says_so(
    tmp_path: Path, site: Site, limit: int, workers: int
) -> None:
    """Wherever they run out, it is one sentence and status 1, and nothing is lost."""
    urls = web([site], 10)
    folder = tmp_path / "job"
    words = f"{SICK}:Follow", folder, site.url + "/0"
    command = Command(*words, workers=workers, environment={"LIMIT_FILES": str(limit)})
    status = command.wait()
    if status:
        assert status == 1, command.said
        said = command.said.splitlines()[-1]
        assert said.startswith(f"crawl: this process may have no more than {limit} open files")
        assert said.endswith("it continues where it stopped, and nothing is lost")
        assert "Traceback" not in command.said
        assert Command(*words, workers=workers).wait() == 0
    check_whole(folder, urls)
    assert rows(folder, "SELECT count(*) FROM failed") == [(0,)]
