"""The wait for hosts whose robots.txt is unreachable: the rules, and whole runs."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from crawler import CrawlerError, crawl
from crawler.cli.report import summary_text
from crawler.parsing.robots import MAX_AGE
from crawler.scheduling.robots_retry import NETWORK_WAIT, UnreachableRobots
from tests.commands import Command
from tests.conftest import wait_until
from tests.jobs import QUICK, Title, failures, items, rows, run_job, values
from tests.sites import JITTER, Reply, Site, Visit, closed_port, links, web

A = "https://a.example"
BROKEN = Reply("broken", 500)


def tried(
    hosts: UnreachableRobots, cause: str, times: int, *, wait: float = 10.0
) -> UnreachableRobots:
    """Host 1 was asked ``times`` times, every ``wait`` seconds from 0 on."""
    for n in range(times):
        hosts.failed(1, A, cause, n * wait, (n + 1) * wait)
    return hosts


# When nobody waits any more


def test_all_tries_are_made_whatever_they_take() -> None:
    hosts = tried(UnreachableRobots(retries=3, limit=0.0), "http 503", 3, wait=3600.0)
    assert hosts.given_up() == []
    assert tried(hosts, "http 503", 1).given_up() == [1]


def test_a_run_waits_for_the_limit_and_not_for_a_try_behind_it() -> None:
    assert tried(UnreachableRobots(retries=1, limit=300.0), "timeout", 30).given_up() == []
    assert tried(UnreachableRobots(retries=1, limit=300.0), "timeout", 31).given_up() == [1]


def test_without_a_limit_it_waits_for_ever() -> None:
    assert tried(UnreachableRobots(retries=0, limit=None), "timeout", 10_000).given_up() == []


def test_a_host_that_nothing_is_known_against_is_waited_for() -> None:
    hosts = UnreachableRobots(retries=0, limit=0.0)
    assert hosts.given_up() == []
    hosts.restore(1, A, "timeout")
    assert hosts.given_up() == [], "this run has not asked yet"


def test_a_robots_txt_that_came_is_forgotten() -> None:
    hosts = tried(UnreachableRobots(retries=0, limit=0.0), "timeout", 5)
    assert (hosts.tries(1), hosts.description) == (5, f"{A} (timeout)")
    hosts.forget(1)
    assert (hosts.tries(1), hosts.description, hosts.given_up() == [1]) == (0, "", False)


@pytest.mark.parametrize("cause", ["dns", "refused", "connect timeout", "proxy"])
def test_a_host_is_nowhere_only_if_others_answer(cause: str) -> None:
    hosts = tried(UnreachableRobots(retries=3, limit=None), cause, 4)
    assert not hosts.does_not_exist(1)
    assert hosts.given_up() == [1], "it may be the network of this machine, which nobody waits for"
    hosts.has_network = True
    assert hosts.does_not_exist(1)
    assert hosts.given_up() == [], "its next try decides"


def test_a_host_is_nowhere_after_all_tries_alone() -> None:
    hosts = tried(UnreachableRobots(retries=3, limit=None), "dns", 3)
    hosts.has_network = True
    assert not hosts.does_not_exist(1)


@pytest.mark.parametrize("cause", ["http 500", "timeout", "connection", "truncated"])
def test_a_host_that_has_answered_once_exists(cause: str) -> None:
    hosts = tried(UnreachableRobots(retries=1, limit=None), cause, 1)
    hosts.has_network = True
    assert not tried(hosts, "refused", 9).does_not_exist(1)


def test_an_answer_of_any_status_shows_that_there_is_a_network() -> None:
    for cause, shows in (("timeout", False), ("connection", False), ("http 503", True)):
        hosts = tried(UnreachableRobots(retries=0, limit=None), cause, 1)
        assert hosts.has_network is shows


def test_only_where_no_host_gave_a_sign_none_has_answered() -> None:
    assert UnreachableRobots(retries=0, limit=0.0).no_answer
    hosts = tried(UnreachableRobots(retries=0, limit=0.0), "dns", 1)
    hosts.restore(2, A, "dns")
    assert hosts.no_answer
    hosts = tried(UnreachableRobots(retries=0, limit=0.0), "dns", 1)
    hosts.restore(3, A, "http 503")
    assert not hosts.no_answer, "one had answered in an earlier run"
    hosts = tried(UnreachableRobots(retries=0, limit=0.0), "timeout", 1)
    hosts.failed(1, A, "dns", 1.0, 2.0)
    assert not hosts.no_answer, "it had taken the connection before"
    hosts = tried(UnreachableRobots(retries=0, limit=0.0), "dns", 1)
    hosts.has_network = True
    assert not hosts.no_answer


def test_the_wait_for_the_network_doubles_up_to_the_longest() -> None:
    hosts = UnreachableRobots(retries=3, limit=None, first_wait=1.0)
    now, waits = 0.0, []
    for _ in range(40):
        waits.append(hosts.no_network(1, A, now))
        now += waits[-1]
    assert waits[:4] == [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == max(waits) == NETWORK_WAIT
    assert hosts.no_network(1, A, now - 1.0) == 1.0, "it was sent before the last failure"
    assert hosts.tries(1) == 40


def test_what_fails_without_a_network_is_no_try_of_a_host() -> None:
    hosts = UnreachableRobots(retries=1, limit=0.0)
    hosts.has_network = True
    for now in (0.0, 10.0, 30.0):
        hosts.no_network(1, A, now)
    assert not hosts.has_network
    hosts.failed(1, A, "timeout", 100.0, 101.0)
    assert hosts.tries(1) == 1
    assert hosts.given_up() == []
    hosts.failed(1, A, "timeout", 101.0, 102.0)
    assert hosts.given_up() == [1]


def test_a_run_that_had_a_network_waits_for_it() -> None:
    """A run that never had one does not: it may have none."""
    for had_network in (True, False):
        hosts = UnreachableRobots(retries=1, limit=None)
        hosts.has_network = had_network
        for now in (0.0, 10.0, 30.0, 70.0):
            hosts.no_network(1, A, now)
        assert hosts.given_up() == ([] if had_network else [1])


def test_a_host_that_waits_for_the_network_waits_no_more_once_a_page_came() -> None:
    hosts = UnreachableRobots(retries=1, limit=None)
    hosts.no_network(1, A, 0.0)
    hosts.failed(2, A, "http 503", 0.0, 1.0)
    for host_id in (1, 2, 3):
        hosts.forget_network(host_id)
    assert (hosts.tries(1), hosts.tries(2), len(hosts.failures)) == (0, 1, 1)


def test_few_hosts_are_named_that_left_memory() -> None:
    hosts = UnreachableRobots(retries=0, limit=0.0)
    for n in range(9):
        hosts.failed(n, f"https://{n}.example", "http 500", 0.0, 1.0)
        hosts.evict(n)
        hosts.evict(n)
    named = [f"https://{n}.example (http 500)" for n in range(3)]
    assert hosts.description == f"{', '.join(named)} and 6 more"
    assert not hosts.failures


def test_few_hosts_are_named() -> None:
    hosts = UnreachableRobots(retries=0, limit=0.0)
    for n in range(5):
        hosts.failed(n, f"https://{n}.example", "http 500", 0.0, 1.0)
    named = [f"https://{n}.example (http 500)" for n in range(3)]
    assert hosts.description == f"{', '.join(named)} and 2 more"


# Whole runs

whole_run = pytest.mark.usefixtures("no_leaks", "quick_back_off")


@pytest.fixture
def quick_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra delay after 503 starts at a second, which is long for a test."""
    monkeypatch.setattr("crawler.scheduling.politeness.FIRST_BACK_OFF", 0.01)


@whole_run
@pytest.mark.parametrize(("status", "workers"), [(500, 0), (500, 2), (501, 0), (503, 0)])
def test_requests_stay_pending_until_robots_txt_comes(
    tmp_path: Path, site: Site, workers: int, status: int
) -> None:
    """It comes later than all tries that a page would get."""
    site.pages["/robots.txt"] = lambda visit: (
        Reply("broken", status) if len(site.visits("/robots.txt")) <= 5 else "User-agent: *"
    )
    site.otherwise = lambda visit: "x"
    seeds = [f"{site.url}/{n}" for n in range(100)]
    summary = run_job(Title, tmp_path, *seeds, retries=1, robots_wait=None, workers=workers)
    assert values(items(tmp_path)) == sorted(seeds)
    assert [visit.path for visit in site.log[:6]] == ["/robots.txt"] * 6
    assert (summary.counters.failed, summary.waits_for, summary.exit_status) == (0, "", 0)


@whole_run
def test_a_run_ends_when_nothing_else_is_left_and_the_same_command_continues(
    tmp_path: Path, site: Site, other: Site
) -> None:
    site.pages = {"/robots.txt": BROKEN, "/": "x", "/a": "x"}
    web([other], 20)
    seeds = (site.url + "/", site.url + "/a", other.url + "/0")
    for _ in range(2):
        summary = run_job(Title, tmp_path, *seeds, retries=2)
        assert (summary.counters.done, summary.counters.failed) == (20, 0)
        assert (summary.counters.reason, summary.exit_status) == ("robots", 3)
        assert summary_text(summary).splitlines()[0] == (
            "crawl: title stopped, 2 requests pending, as robots.txt is unavailable at "
            f"{site.url} (http 500): run the same command to try again, or set "
            "obey_robots=false"
        )
    assert site.asked == {}
    del site.pages["/robots.txt"]
    summary = run_job(Title, tmp_path, *seeds)
    assert site.asked == {"/": 1, "/a": 1}
    assert (summary.counters.done, summary.counters.failed, summary.exit_status) == (22, 0, 0)


@whole_run
def test_a_job_that_does_not_obey_continues_without_rules(tmp_path: Path, site: Site) -> None:
    site.pages = {"/robots.txt": BROKEN, "/": "x"}
    assert run_job(Title, tmp_path, site.url + "/").exit_status == 3
    assert run_job(Title, tmp_path, site.url + "/", obey_robots=False).exit_status == 0
    assert len(items(tmp_path)) == 1


@whole_run
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["1", "date"])
@pytest.mark.parametrize("logs_in", [False, True])
def test_a_retry_after_of_robots_txt_is_waited_for(
    tmp_path: Path, site: Site, status: int, form: str, logs_in: bool
) -> None:
    def robots(visit: Visit) -> Reply | str:
        if len(site.visits("/robots.txt")) > 1:
            return "User-agent: *\nDisallow: /no"
        at = datetime.now(UTC) + timedelta(seconds=2)  # dates have whole seconds: 1 at least
        value = format_datetime(at, usegmt=True) if form == "date" else form
        return Reply("User-agent: *", status, (("retry-after", value),))

    site.pages = {"/robots.txt": robots, "/": links("/no", "/yes"), "/yes": "x", "/no": "x"}
    spider = type("Member", (Title,), {"login": lambda self, session: None}) if logs_in else Title
    run_job(spider, tmp_path, site.url + "/", robots_wait=None)
    first, second = site.visits("/robots.txt")
    assert second.came - first.came >= 1.0 - JITTER
    assert [visit.path for visit in site.log[:2]] == ["/robots.txt", "/robots.txt"]
    assert failures(tmp_path) == {"/no": "disallowed by robots.txt"}
    assert values(items(tmp_path)) == [site.url + "/", site.url + "/yes"]


@whole_run
def test_too_many_requests_without_a_time_mean_no_rules(tmp_path: Path, site: Site) -> None:
    site.pages = {"/robots.txt": Reply("User-agent: *\nDisallow: /", 429), "/": "x"}
    assert run_job(Title, tmp_path, site.url + "/").counters.done == 1


def cut(sock: socket.socket) -> None:
    """The connection ends without a word."""


@whole_run
@pytest.mark.parametrize("answer", [Reply("busy", 503), BROKEN, Reply(raw=cut)])
def test_rules_that_cannot_be_read_again_hold_on(tmp_path: Path, site: Site, answer: Reply) -> None:
    site.pages["/robots.txt"] = "User-agent: *\nDisallow: /no"
    site.pages["/"] = links("/no", *(f"/{n}" for n in range(20)))
    site.otherwise = lambda visit: "x"
    run_job(Title, tmp_path, site.url + "/", max_pages=1)
    make_old(tmp_path)
    site.pages["/robots.txt"] = answer
    summary = run_job(Title, tmp_path, site.url + "/")
    assert failures(tmp_path) == {"/no": "disallowed by robots.txt"}
    assert (summary.counters.done, summary.exit_status) == (21, 0)
    assert len(site.visits("/robots.txt")) == 2, "once again, and then not for a while"


def make_old(folder: Path) -> None:
    """A day has passed since the job had its rules."""
    with closing(sqlite3.connect(folder / "job.db")) as db:
        db.execute("UPDATE hosts SET robots_at = robots_at - ?", (MAX_AGE,))
        db.commit()
    (folder / "job.stamp").unlink()


@whole_run
def test_nothing_is_lost_while_this_machine_has_no_network(tmp_path: Path) -> None:
    """Or while the only server is down, which looks the same."""
    with Site() as site:
        seeds = [f"{site.url}/{n}" for n in range(50)]
    with closed_port(site.port):
        summary = run_job(Title, tmp_path, *seeds, retries=1)
    assert summary.waits_for == f"{site.url} (refused)"
    assert (summary.counters.failed, summary.counters.pending) == (0, 50)
    assert (summary.counters.reason, summary.exit_status) == ("unreachable", 3)
    assert "robots" not in summary_text(summary)
    assert f"as no host answers: {site.url} (refused)" in summary_text(summary)
    with Site(port=site.port) as back:
        back.otherwise = lambda visit: "x"
        assert run_job(Title, tmp_path, *seeds).exit_status == 0
    assert values(items(tmp_path)) == sorted(seeds)


@whole_run
def test_a_host_that_is_nowhere_fails_as_others_answer(tmp_path: Path, site: Site) -> None:
    with Site(address="127.0.0.2") as dead:
        pass
    site.pages["/"] = "x"
    seeds = (site.url + "/", dead.url + "/b", dead.url + "/a")
    summary = run_job(Title, tmp_path, *seeds, retries=1, robots_wait=None)
    assert failures(tmp_path) == {"/a": "refused", "/b": "refused"}
    assert summary.counters.finished


@whole_run
def test_names_that_do_not_resolve_are_named_as_that(tmp_path: Path) -> None:
    summary = run_job(Title, tmp_path, "http://a.invalid/", "http://b.invalid/", retries=0)
    assert summary.counters.reason == "unreachable"
    first = summary_text(summary).splitlines()[0]
    assert "2 requests pending, as no host answers: " in first
    for name in ("a", "b"):
        assert f"http://{name}.invalid (dns)" in first
    assert "robots" not in summary_text(summary)


@pytest.fixture
def seven() -> Iterator[list[Site]]:
    """Seven hosts, four without a reachable robots.txt."""
    sites = [Site(address=f"127.0.0.{n + 1}", otherwise=lambda visit: "x") for n in range(7)]
    for number, site in enumerate(sites):
        site.__enter__()
        if number < 4:
            site.pages["/robots.txt"] = BROKEN
    yield sites
    for site in sites:
        site.__exit__()


@whole_run
def test_hosts_without_rules_make_room_for_others(
    tmp_path: Path, seven: list[Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawler.scheduling.frontier.MOST_HOSTS", 2)
    monkeypatch.setattr("crawler.scheduling.frontier.MOST_IDLE", 1)
    summary = run_job(Title, tmp_path, *(f"{one.url}/" for one in seven), retries=1)
    assert (summary.counters.done, summary.counters.pending) == (3, 4)
    assert summary.waits_for.endswith(" (http 500) and 1 more")


@whole_run
def test_the_wait_for_robots_txt_outlives_a_kill(tmp_path: Path, site: Site) -> None:
    """Nothing else is committed meanwhile, so it has to be by itself."""
    site.pages = {"/robots.txt": BROKEN, "/": "x"}
    folder = tmp_path / "job"
    command = Command("Follow", folder, site.url + "/", delay=0, retry_wait=1)
    site.wait_for("/robots.txt")
    wait_until(lambda: rows(folder, "SELECT 1 FROM hosts WHERE granted >= 1"), "it is not kept")
    command.kill()
    del site.pages["/robots.txt"]
    assert Command("Follow", folder, site.url + "/", delay=0).wait() == 0
    assert [visit.path for visit in site.log] == ["/robots.txt", "/robots.txt", "/"]
    assert site.log[1].came - site.log[0].came >= 1.0 - JITTER


@whole_run
def test_a_generator_says_what_it_did_not_yield(site: Site, other: Site) -> None:
    site.pages = {"/robots.txt": BROKEN, "/": "x"}
    other.pages = {"/": "x"}
    found = crawl(Title, [site.url + "/", other.url + "/"], **QUICK)
    assert next(found) == {"url": other.url + "/"}
    with pytest.raises(CrawlerError, match="1 request pending, as robots"):
        next(found)
