"""SIGKILL at any instant: the same command resumes, and its output is exact."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import CrawlerError
from tests.commands import Command, wait_until_gone
from tests.conftest import wait_until
from tests.jobs import items, rows, run_job, values
from tests.sites import JITTER, PATIENCE, Reply, Site, Visit, links, web
from tests.victims import Stillborn, Unprepared


def expected(urls: set[str]) -> list[str]:
    """Return the items that `Follow` yields for pages."""
    return sorted([*urls, *(url + "#second" for url in urls)])


def check_whole(folder: Path, urls: set[str]) -> None:
    """The output is exact, and the store agrees with it."""
    assert values(items(folder)) == expected(urls)
    assert rows(folder, "SELECT count(*) FROM pending") == [(0,)]
    assert rows(folder, "SELECT count(*) FROM failed") == [(0,)]


def slowed(site: Site, seconds: float) -> None:
    """Make pages take their time, so that there is a crawl to be killed."""
    page = site.otherwise

    def slow(visit: Visit) -> object:
        time.sleep(seconds)
        return page(visit)

    site.otherwise = slow  # type: ignore[assignment]


def test_all_processes_killed_at_random_instants(tmp_path: Path, site: Site, other: Site) -> None:
    urls = web([site, other], 120)
    slowed(site, 0.03)
    slowed(other, 0.03)
    folder = tmp_path / "job"
    chance = random.Random(2)

    def command() -> Command:
        seeds = (site.url + "/0", other.url + "/0")
        return Command("Follow", folder, *seeds, workers=2, concurrency_per_host=2)

    def wait_for_pages(victim: Command, count: int) -> None:
        until = len(site.log) + len(other.log) + count
        wait_until(
            lambda: len(site.log) + len(other.log) >= until or victim.process.poll() is not None,
            lambda: f"the crawl stands still; it said:\n{victim.said}",
        )

    for kill in range(10):
        victim = command()
        if kill % 5:
            wait_for_pages(victim, chance.randint(1, 14))
            time.sleep(chance.uniform(0.0, 0.03))
        else:
            time.sleep(chance.uniform(0.0, 1.0))  # while it starts
        assert victim.process.poll() is None, "it ended before it could be killed"
        victim.kill()
    last = command()
    assert last.wait() == 0, last.said
    check_whole(folder, urls)


POINTS = [
    "items.write:1",
    "items.half:3",
    "items.synced:1",
    "commit.stored:1",
    "commit.committed:1",
    "commit.stored:6",
    "commit.committed:4",
    "items.half:1",
    "items.synced:5",
    "items.write:4",
]


def test_killed_at_each_point_of_a_commit(tmp_path: Path, site: Site) -> None:
    urls = web([site], 60)
    folder = tmp_path / "job"
    page_by_page: dict[str, Any] = {"delay": 0.001, "commit_interval": 0}
    for point in POINTS:
        command = Command("Follow", folder, site.url + "/0", kill=point, **page_by_page)
        assert command.wait() == -signal.SIGKILL, f"{point} was never reached: {command.said}"
    last = Command("Follow", folder, site.url + "/0", **page_by_page)
    assert last.wait() == 0, last.said
    check_whole(folder, urls)


def test_the_delay_is_kept_over_a_kill(tmp_path: Path, site: Site) -> None:
    """Also when the killed process had no time to note that it had asked."""
    web([site], 4)
    page, folder = site.otherwise, tmp_path / "job"
    commands: list[Command] = []

    def held(visit: Visit) -> Reply | str | bytes:
        """The first response is lost."""
        if len(site.visits(visit.path)) == 1:
            wait_until(lambda: commands[-1].process.returncode is not None, "it was not killed")
        return page(visit) if visit.path == "/0" else Reply("no rules", 404)

    for path in ("/robots.txt", "/0"):
        site.pages[path] = held
        commands.append(Command("Follow", folder, site.url + "/0", delay=1.2))
        site.wait_for(path)
        commands[-1].kill()
    last = Command("Follow", folder, site.url + "/0", delay=1.2, max_pages=2)
    assert last.wait() == 0, last.said
    paths = [visit.path for visit in site.log]
    assert paths[:4] == ["/robots.txt", "/robots.txt", "/0", "/0"]
    assert len(paths) == 5
    assert site.least_gap >= 1.2 - JITTER


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_workers_end_when_the_main_process_is_killed_alone(
    tmp_path: Path, site: Site, number: signal.Signals
) -> None:
    web([site], 200)
    slowed(site, 0.02)
    command = Command("Follow", tmp_path / "job", site.url + "/0", workers=2)
    site.wait_for("/0")
    workers = command.children
    assert len(workers) >= 2
    os.kill(command.pid, number)
    command.process.wait(PATIENCE)
    wait_until_gone(workers)


def test_a_page_is_not_given_up_because_kills_cost_its_session(tmp_path: Path, site: Site) -> None:
    """Where a cookie is good for one page, the newest one dies with the process that got it."""
    folder = tmp_path / "job"
    commands: list[Command] = []
    cookies = [""]
    others = [f"/{number}" for number in range(300)]  # more than five runs are given ahead

    def log_in(visit: Visit) -> Reply:
        if visit.method == "GET":
            return Reply("<form method=post><input type=password name=password></form>")
        cookies.append(f"member-{visit.number}")
        return Reply("welcome", headers=(("Set-Cookie", f"sid={cookies[-1]}; Path=/"),))

    def page(visit: Visit) -> Reply:
        if visit.cookies.get("sid") != cookies[-1]:
            return Reply("log in", 401)
        if visit.path == "/late" and len(commands) <= 5:
            wait_until(lambda: login_is_kept() or len(commands) == 1, "no page after the login")
            commands[-1].kill()
            cookies.append("given to the dead")
        time.sleep(0.01)
        return Reply(links("/late", *others))

    def login_is_kept() -> bool:
        stored = rows(folder, "SELECT cookie FROM cookies")
        return any(cookies[-1].encode() in cookie for (cookie,) in stored)

    site.pages = {"/login": log_in, "/robots.txt": Reply("", 404)}
    site.otherwise = page
    while not commands or commands[-1].wait() == -signal.SIGKILL:
        seed, origin = site.url + "/", {"origin": site.url}
        commands.append(Command("Member", folder, seed, arguments=origin))
    assert len(commands) == 6
    assert commands[-1].wait() == 0, commands[-1].said
    check_whole(folder, {site.url + path for path in ("/", "/late", *others)})


# Workers that die


@pytest.mark.parametrize("which", [0, 1])
def test_a_killed_worker_is_replaced_and_nothing_is_lost(
    tmp_path: Path, site: Site, which: int
) -> None:
    def kill(command: Command) -> None:
        worker = command.workers[which]
        os.kill(worker, signal.SIGKILL)
        wait_until_gone([worker])

    crawl_and_kill_twice(tmp_path, site, kill)


def crawl_and_kill_twice(tmp_path: Path, site: Site, kill: Callable[[Command], None]) -> None:
    """Crawl 120 pages, and kill a process of the crawl while the server has one, two times."""
    urls = web([site], 120)
    slowed(site, 0.005)
    page, killed = site.otherwise, threading.Semaphore(0)

    def held(visit: Visit) -> Reply | str | bytes:
        """The crawl cannot end before the process is killed."""
        if len(site.visits(visit.path)) == 1:
            assert killed.acquire(timeout=PATIENCE)
        return page(visit)

    site.pages = {"/10": held, "/40": held}
    command = Command(
        "Follow", tmp_path / "job", site.url + "/0", workers=2, concurrency_per_host=4
    )
    for path in ("/10", "/40"):
        site.wait_for(path)
        wait_until(lambda: len(command.workers) == 2, "the workers are not replaced")
        kill(command)
        killed.release()
    assert command.wait() == 0, command.said
    check_whole(tmp_path / "job", urls)


def test_a_killed_fetching_process_is_replaced_and_nothing_is_lost(
    tmp_path: Path, site: Site
) -> None:
    """Its workers end, and the new one has workers of its own."""

    def kill(command: Command) -> None:
        family = [*command.fetchers, *command.workers]
        os.kill(family[0], signal.SIGKILL)
        wait_until_gone(family)

    crawl_and_kill_twice(tmp_path, site, kill)
    assert set(site.asked.values()) <= {1, 2, 3}


def test_a_worker_ends_within_a_call_when_the_fetching_process_is_killed(
    tmp_path: Path, site: Site
) -> None:
    """Its callback calls again and again, whatever it catches."""
    site.pages["/"] = "x"
    folder, came = tmp_path / "job", threading.Semaphore(0)
    command: list[Command] = []

    def api(visit: Visit) -> str:
        if len(site.visits("/api")) == 1:
            came.release()
            wait_until(lambda: site.visits("/again"), "the page is not handled again")
        return "x"

    site.pages["/api"] = api
    command.append(Command("Calling", folder, site.url + "/", workers=1))
    assert came.acquire(timeout=PATIENCE)
    family = [*command[0].fetchers, *command[0].workers]
    assert len(family) == 2
    os.kill(family[0], signal.SIGKILL)
    wait_until_gone(family)
    assert command[0].wait() == 0, command[0].said
    assert values(items(folder)) == [site.url + "/"]


@pytest.mark.parametrize("way", ["exit", "abort", "kill"])
def test_a_page_that_kills_its_worker_fails_alone(tmp_path: Path, site: Site, way: str) -> None:
    urls = web([site], 30)
    site.pages["/0"] = links(f"/{way}", *(f"/{n}" for n in range(1, 30)))
    site.pages[f"/{way}"] = "deadly"
    folder = tmp_path / "job"
    command = Command("Dying", folder, site.url + "/0", workers=2, concurrency_per_host=4)
    assert command.wait() == 0, command.said
    assert values(items(folder)) == expected(urls)
    assert rows(folder, "SELECT url, cause FROM failed") == [(f"{site.url}/{way}", "worker died")]


def test_many_deadly_pages_at_once_fail_alone(tmp_path: Path, site: Site) -> None:
    deadly = [f"/exit/{n}" for n in range(4)]
    site.pages["/0"] = links(*deadly, *(f"/{n}" for n in range(1, 10)))
    site.otherwise = lambda visit: "x"
    folder = tmp_path / "job"
    command = Command("Dying", folder, site.url + "/0", workers=1, concurrency_per_host=4)
    assert command.wait() == 0, command.said
    assert values(items(folder)) == expected({f"{site.url}/{n}" for n in range(10)})
    assert rows(folder, "SELECT cause, count(*) FROM failed") == [("worker died", 4)]


def test_a_host_is_not_asked_twice_at_a_time_while_a_worker_is_replaced(
    tmp_path: Path, site: Site
) -> None:
    site.pages["/0"] = links(
        *(f"/{n}" for n in range(1, 8)), "/exit", *(f"/{n}" for n in range(8, 25))
    )
    site.otherwise = lambda visit: "x"
    slowed(site, 0.05)
    folder = tmp_path / "job"
    command = Command("Dying", folder, site.url + "/0", workers=2, delay=0.01)
    assert command.wait() == 0, command.said
    assert len(items(folder)) == 2 * 25
    assert site.most_at_once == 1


def test_processes_that_cannot_start_are_an_error_and_not_started_for_ever(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages["/"] = "x"
    monkeypatch.setenv("STILLBORN", "worker")
    with pytest.raises(CrawlerError, match=r"worker processes die.*exit code 5"):
        run_job(Stillborn, tmp_path / "a", site.url + "/", workers=2)
    assert site.asked["/"] <= 7, "once for each worker"
    monkeypatch.setenv("STILLBORN", "fetcher")
    with pytest.raises(CrawlerError, match=r"fetching processes die.*exit code 5"):
        run_job(Stillborn, tmp_path / "a", site.url + "/", workers=2)
    with pytest.raises(CrawlerError, match=r"fetching processes die.*exit code 6"):
        run_job(Unprepared, tmp_path / "b", site.url + "/", workers=2)
    monkeypatch.delenv("STILLBORN")
    run_job(Stillborn, tmp_path / "a", site.url + "/", workers=2)
    assert len(items(tmp_path / "a")) == 2
