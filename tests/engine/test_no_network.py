"""Names that do not resolve: one, which fails, or all, for which a run waits."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import Request, Session, Spider
from crawler.cli.report import summary_text
from tests.jobs import Title, failures, items, run_job, values
from tests.sites import Reply, Site, links

pytestmark = pytest.mark.usefixtures("no_leaks")

NOT_FOUND, TRY_AGAIN = socket.EAI_NONAME, socket.EAI_AGAIN


class Names:
    """A resolver: names that end in ``.test`` lead to loopback, unless ``missing`` says no."""

    def __init__(self, error: int) -> None:
        self.error = error
        self.missing: Callable[[str], bool] = lambda name: False
        self.asked: list[str] = []
        self._system = socket.getaddrinfo

    def look_up(self, host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        if not str(host).endswith(".test"):
            return self._system(host, port, *arguments, **options)
        self.asked.append(host)
        if self.missing(host):
            raise socket.gaierror(self.error, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port or 0))]


@pytest.fixture(params=[NOT_FOUND, TRY_AGAIN], ids=["not found", "try again"])
def names(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Names:
    """The names of this machine. No address is cached."""
    names = Names(request.param)
    monkeypatch.setattr(socket, "getaddrinfo", names.look_up)
    monkeypatch.setattr("crawler.http.curl.resolver.LIFETIME", -1.0)
    monkeypatch.setattr("crawler.http.curl.resolver._may_pass", lambda error: False)
    return names


@pytest.fixture
def hosts(site: Site) -> list[str]:
    """Four names of a site whose pages have links to three more."""
    site.otherwise = lambda visit: links("/1", "/2", "/3")
    return [f"http://h{n}.test:{site.port}" for n in range(4)]


def run_hosts(hosts: list[str], folder: Path, **settings: Any) -> Any:
    seeds = [f"{host}/0" for host in hosts]
    return run_job(Title, folder, *seeds, **{"retries": 1, "allow_private": True, **settings})


@pytest.mark.parametrize("obey_robots", [True, False])
@pytest.mark.parametrize("count", [1, 4])
def test_a_run_that_resolves_no_name_fails_nothing(
    tmp_path: Path, names: Names, hosts: list[str], obey_robots: bool, count: int
) -> None:
    names.missing = lambda name: True
    summary = run_hosts(hosts[:count], tmp_path, obey_robots=obey_robots)
    counters = summary.counters
    assert (counters.failed, counters.retried, counters.pending) == (0, 0, count)
    assert (counters.reason, summary.exit_status) == ("unreachable", 3)
    text = summary_text(summary)
    assert f"as no host answers: {hosts[0]} (dns)" in text
    assert "robots" not in text
    log = (tmp_path / "run.log").read_text()
    assert log.count("no host's name resolves: check the network") == 1
    names.missing = lambda name: False
    summary = run_hosts(hosts[:count], tmp_path, obey_robots=obey_robots)
    assert (summary.counters.done, summary.exit_status) == (4 * count, 0)


@pytest.mark.parametrize("obey_robots", [True, False])
def test_one_name_that_does_not_resolve_is_a_failure(
    tmp_path: Path, names: Names, hosts: list[str], obey_robots: bool
) -> None:
    names.missing = lambda name: name == "h2.test"
    summary = run_hosts(hosts, tmp_path, obey_robots=obey_robots, robots_wait=None)
    assert failures(tmp_path) == {"/0": "dns"}
    assert (summary.counters.done, summary.counters.pending) == (12, 0)


def test_a_name_fails_though_the_others_are_finished(
    tmp_path: Path, names: Names, hosts: list[str]
) -> None:
    names.missing = lambda name: name == "h2.test"
    assert run_hosts(hosts[:1], tmp_path).counters.done == 4
    run_hosts([hosts[0], hosts[2]], tmp_path / "b", concurrency=1)
    assert failures(tmp_path / "b") == {"/0": "dns"}


@pytest.mark.parametrize("obey_robots", [True, False])
def test_a_network_that_fails_meanwhile_is_waited_for(
    tmp_path: Path, names: Names, hosts: list[str], site: Site, obey_robots: bool
) -> None:
    """It comes back after more failures than a page has tries."""
    down: list[str] = []

    def is_missing(name: str) -> bool:
        if len(site.log) >= 7 and len(down) < 40:
            down.append(name)
            return True
        return False

    names.missing = is_missing
    summary = run_hosts(hosts, tmp_path, obey_robots=obey_robots, robots_wait=None)
    assert len(down) == 40
    assert (summary.counters.done, summary.counters.failed) == (16, 0)
    assert (summary.counters.retried, summary.exit_status, summary.waits_for) == (0, 0, "")
    assert values(items(tmp_path)) == sorted(f"{host}/{n}" for host in hosts for n in range(4))


def test_a_run_ends_when_the_network_does_not_come_back(
    tmp_path: Path, names: Names, hosts: list[str], site: Site
) -> None:
    names.missing = lambda name: len(site.log) >= 7
    summary = run_hosts(hosts, tmp_path)
    assert (summary.counters.failed, summary.counters.reason) == (0, "unreachable")
    assert summary.counters.pending > 0
    assert "as no host answers" in summary_text(summary)
    names.missing = lambda name: False
    assert run_hosts(hosts, tmp_path).counters.done == 16


class Orders(Spider):
    """Sends an order once, to a site with a login."""

    name = "orders"

    def login(self, session: Session) -> None:
        session.submit(session.open(f"{self.start_urls[0]}/login").form(), user="u", password="p")

    def is_logged_out(self, response: Any) -> bool:
        return bool(response.url.endswith("/login"))

    def start(self) -> Iterator[Request]:
        yield Request(f"{self.start_urls[0]}/order", method="POST", data={"a": "1"}, replay=False)

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}


@pytest.mark.parametrize("misses", [(1, 9), (2, 10), (3, 11), (4, 12)])
def test_a_login_and_an_order_wait_for_the_network(
    tmp_path: Path, names: Names, site: Site, misses: tuple[int, int]
) -> None:
    form = '<form method="post" action="/in"><input name="user"><input name="password"></form>'
    welcome = Reply('<a href="/logout">Log out</a>', headers=(("Set-Cookie", "sid=1"),))
    site.pages = {"/login": form, "/in": welcome, "/order": "<a href='/logout'>Log out</a>"}
    names.missing = lambda name: misses[0] < len(names.asked) <= misses[1]
    spider = type("Orders", (Orders,), {"start_urls": [f"http://shop.test:{site.port}"]})
    summary = run_job(spider, tmp_path, allow_private=True, retries=1, robots_wait=None)
    assert failures(tmp_path) == {}
    assert summary.counters.done == 1
    assert not summary.login_errors
    assert [visit.path for visit in site.log if visit.method == "POST"] == ["/in", "/order"]
