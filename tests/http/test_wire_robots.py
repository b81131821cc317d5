"""Odd answers for robots.txt: its rules are read as a page would be, or it is waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crawler import Session, Spider
from crawler.parsing.robots import Robots
from crawler.records import RobotsFile
from tests.http.test_wire import ROWS, by_limits
from tests.http.wire_rows import PAGE
from tests.http.wire_server import Host, RawProxy, Row, Wire, hosts_of
from tests.jobs import rows as rows_of_store
from tests.jobs import run_job

RULES = Robots(PAGE).body
UNREACHABLE = "robots.txt"


class Hosts(Spider):
    """Asks for a page of each host."""

    allowed_domains = "*"
    way = ""
    proxies: dict[str, str] = {}

    def prepare(self, session: Session) -> None:
        session.proxies = dict(self.proxies)
        if self.way == "auth":
            session.auth = ("user", "word")

    def parse(self, response: Any) -> Iterator[Any]:
        yield from ()


class Members(Hosts):
    """The same, behind a login."""

    def login(self, session: Session) -> None:
        """Do nothing: the pages do not look at cookies."""

    def is_logged_out(self, response: Any) -> bool:
        return False


def read_rules(spider: type[Hosts], hosts: list[Host], folder: Path, limits: dict[str, Any]) -> Any:
    settings = {"retries": 0, **limits}
    run_job(spider, folder, *(f"{host.url}/after" for host in hosts), allow_private=True,
            concurrency=16, **settings)  # fmt: skip
    query = "SELECT origin, robots FROM hosts"
    decode = msgspec.msgpack.Decoder(RobotsFile).decode
    return {origin: decode(robots) for origin, robots in rows_of_store(folder, query) if robots}


def by(spider: type[Hosts], way: str = "", proxy: str = "") -> Any:
    def read(hosts: list[Host], folder: Path, limits: dict[str, Any]) -> dict[str, RobotsFile]:
        if not proxy:
            found = read_rules(type("Hosts", (spider,), {"way": way}), hosts, folder, limits)
            return {host.row.name: found[host.url] for host in hosts}
        proxies = {host.url.rpartition(":")[0]: RawProxy(proxy) for host in hosts}
        with Wire(*proxies.values()):
            urls = {name: raw_proxy.url for name, raw_proxy in proxies.items()}
            found = read_rules(type("Hosts", (spider,), {"proxies": urls}), hosts, folder, limits)
        return {host.row.name: found[host.url] for host in hosts}

    return read


WAYS: dict[str, Any] = {
    "plain": by(Hosts),
    "auth": by(Hosts, "auth"),
    "login": by(Members),
    "HTTP proxy": by(Hosts, proxy="http"),
    "SOCKS proxy": by(Hosts, proxy="socks5h"),
}


@pytest.fixture(scope="module")
def results(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], dict[str, tuple[RobotsFile, list[str]]]]]:
    """The rules of all rows by a way, and the targets of the requests; each way is gone once."""
    ready: dict[str, dict[str, tuple[RobotsFile, list[str]]]] = {}

    def results_of(way: str) -> dict[str, tuple[RobotsFile, list[str]]]:
        if way not in ready:
            ready[way] = {}
            for limits, rows in by_limits(ROWS):
                with hosts_of(rows, is_robots=True) as hosts:
                    rules = WAYS[way](hosts, tmp_path_factory.mktemp("job"), limits)
                for host in hosts:
                    asked = [asked.target for asked in host.asked]
                    ready[way][host.row.name] = rules[host.row.name], asked
        return ready[way]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crawler.scheduling.politeness.FIRST_BACK_OFF", 0.0)
        yield results_of


def expected(row: Row) -> tuple[str, bytes]:
    """Return the cause for which the rules of ``row`` are unreachable, and the rules."""
    if row.name.endswith("over plain"):  # text in no coding is read
        return "", RULES
    if row.cause == "body too large":  # its start is read
        return "", b""
    if row.cause or row.goes_to:
        return row.cause, b""
    if row.status < 300:
        return "", Robots(row.body).body
    return UNREACHABLE, Robots(b"User-agent: *\nDisallow: /").body


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
@pytest.mark.parametrize("way", WAYS)
def test_rules_are_read_rightly(
    way: str, row: Row, results: Callable[[str], dict[str, tuple[RobotsFile, list[str]]]]
) -> None:
    robots, asked = results(way)[row.name]
    assert (robots.cause, robots.body) == expected(row), robots.message
    if row.goes_to:
        target = asked[1].rpartition("127.0.")[2].partition("/")[2]
        assert target == row.goes_to.replace("/row", "/robots.txt")[1:]
