"""Every behaviour of the hostile web: how it ends, and that nothing else suffers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler import Settings, Spider
from crawler.cli import report
from crawler.errors import FetchError
from crawler.request import Request
from crawler.session.session import Session
from tests import sites
from tests.hostile.crawls import ALL, SETTINGS, Certificates, Ending, Reader, crawl, names
from tests.hostile.heads import GRANTED
from tests.hostile.web import Behaviour, Web, Wire
from tests.jobs import Title, failures, items, rows, run_job, values
from tests.sending import answered
from tests.sites import Site, Visit, links, redirect

BY_NAME = {behaviour.name: behaviour for behaviour in ALL}
BACK_OFF = 0.4
"""Seconds; a second in fact, which is long for a test."""
pytestmark = pytest.mark.usefixtures("no_leaks", "back_off")


@pytest.fixture
def back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.scheduling.politeness.FIRST_BACK_OFF", BACK_OFF)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def each(*names: str) -> pytest.MarkDecorator:
    chosen = [BY_NAME[name] for name in names]
    return pytest.mark.parametrize("behaviour", chosen, ids=[one.name for one in chosen])


_crawled: dict[str, tuple[Ending, Web]] = {}


def crawled(behaviour: Behaviour, folder: Path, certificates: Certificates) -> tuple[Ending, Web]:
    """Crawl a behaviour, once in a process: several tests look at the same crawl."""
    if behaviour.name not in _crawled:
        with Web([behaviour], certificates) as web:
            url, bundle = web.url(behaviour), str(certificates.known.bundle)
            _crawled[behaviour.name] = crawl(behaviour, url, folder, bundle), web
    return _crawled[behaviour.name]


@each(*BY_NAME)
def test_it_ends_as_the_table_says(
    behaviour: Behaviour, tmp_path: Path, certificates: Certificates
) -> None:
    ending, web = crawled(behaviour, tmp_path, certificates)
    assert ending.summary.counters.finished is not behaviour.waits
    assert web.intruders == 0, "somebody asked what nobody may ask"
    assert web.leaked == []
    path = "/" + web.url(behaviour).split("/", 3)[3]
    if behaviour.waits:
        assert f"({behaviour.cause})" in ending.summary.waits_for
        assert (ending.causes, ending.summary.counters.pending) == ({}, 1)
        assert ending.summary.exit_status == 3
    elif behaviour.cause:
        assert behaviour.cause in ending.causes.values(), ending.causes
    else:
        assert set(ending.causes.values()) <= {"private address", "disallowed by robots.txt"}
        assert path in {"/" + item["url"].split("/", 3)[3] for item in ending.items}
    assert "Traceback" not in ending.log
    if behaviour.tries:
        assert web.asked[behaviour.name, path] == behaviour.tries
    if behaviour.name.startswith("retry-after"):
        check_wait(behaviour, web)


def check_wait(behaviour: Behaviour, web: Web) -> None:
    """A wait that can be granted is kept."""
    first, second = web.times[behaviour.name, "/"]
    is_granted = "31536000" in behaviour.name or "9999 " in behaviour.name
    assert second - first >= (GRANTED if is_granted else BACK_OFF) - sites.JITTER


def items_of(name: str, folder: Path, certificates: Certificates) -> list[dict[str, Any]]:
    return crawled(BY_NAME[name], folder, certificates)[0].items


def left_out(name: str, folder: Path, certificates: Certificates) -> tuple[dict[str, int], str]:
    ending, _ = crawled(BY_NAME[name], folder, certificates)
    return ending.summary.counters.skipped_by_limit, ending.log


# What is read of it


def test_utf_16_without_a_mark_is_read(tmp_path: Path, certificates: Certificates) -> None:
    first = min(items_of("UTF-16", tmp_path, certificates), key=lambda item: len(item["url"]))
    assert (first["encoding"], first["title"], first["links"]) == ("utf-16-le", "Grüße", 1)


def test_utf_7_is_not_read(tmp_path: Path, certificates: Certificates) -> None:
    (item,) = items_of("dangerous encoding", tmp_path, certificates)
    assert item["text"] == "+ADw-script+AD4-"


def test_bytes_that_are_not_utf_8_are_reported(tmp_path: Path, certificates: Certificates) -> None:
    first = min(items_of("wrong encoding", tmp_path, certificates), key=lambda i: len(i["url"]))
    assert first["title"] == "Gr\ufffd\ufffde"


@pytest.mark.parametrize("name", ["billion laughs", "stealing XML"])
def test_entities_are_left_alone(name: str, tmp_path: Path, certificates: Certificates) -> None:
    (item,) = items_of(name, tmp_path, certificates)
    assert "root:" not in item["read"]
    assert "ha" not in item["read"]


@pytest.mark.parametrize("name", ["deep page", "deep and unmatched", "deep table", "deep fonts"])
def test_a_page_that_is_too_deep_is_reported(
    name: str, tmp_path: Path, certificates: Certificates
) -> None:
    ending, _ = crawled(BY_NAME[name], tmp_path, certificates)
    assert "is nested deeper than 2,048 elements" in ending.log
    assert 1000 < ending.items[0]["soup"] <= 2048


def test_links_behind_a_base_of_a_megabyte_are_those_of_the_page(
    tmp_path: Path, certificates: Certificates
) -> None:
    urls = [item["url"] for item in items_of("long base", tmp_path, certificates)]
    assert max(map(len, urls)) < 100


def test_as_many_cookies_are_kept_as_browsers_keep(
    tmp_path: Path, certificates: Certificates
) -> None:
    kept = [item["cookies"] for item in items_of("ten thousand cookies", tmp_path, certificates)]
    assert kept == [180] * 10


# What is asked of it


@pytest.mark.parametrize("name", ["robots of 10 MB", "robots of one line"])
def test_of_a_large_robots_txt_the_beginning_is_read(
    name: str, tmp_path: Path, certificates: Certificates
) -> None:
    _, web = crawled(BY_NAME[name], tmp_path, certificates)
    assert web.sent["/robots.txt"] < 6_000_000, "500 KiB of ten megabytes, and what was on its way"


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("robots of 10 MB", False),
        ("robots of one line", True),
        ("robots as a page", True),
        ("robots with 429", True),
    ],
)
def test_rules_that_could_be_read_are_kept(
    name: str, allowed: bool, tmp_path: Path, certificates: Certificates
) -> None:
    ending, web = crawled(BY_NAME[name], tmp_path, certificates)
    assert web.asked[name, "/allowed"] == 1
    assert web.asked[name, "/private/"] == allowed
    told = [] if allowed else ["disallowed by robots.txt"]
    assert list(ending.causes.values()) == told


@pytest.mark.parametrize("name", ["robots that redirects", "robots within", "robots in a file"])
def test_nothing_is_requested_without_rules(
    name: str, tmp_path: Path, certificates: Certificates
) -> None:
    _, web = crawled(BY_NAME[name], tmp_path, certificates)
    assert {path for _, path in web.asked} == {"/robots.txt"}


# What limits leave out is told


@pytest.mark.parametrize(
    ("name", "setting", "pages"),
    [
        ("calendar", "max_depth", 51),
        ("session ids", "max_pages_per_host", 50),
        ("many links", "max_requests_per_page", 101),
        ("long links", "max_url_length", 2),
    ],
)
def test_links_beyond_a_limit_are_counted_and_the_first_is_logged(
    name: str, setting: str, pages: int, tmp_path: Path, certificates: Certificates
) -> None:
    ending, _ = crawled(BY_NAME[name], tmp_path, certificates)
    assert ending.summary.counters.done == pages
    assert set(ending.summary.counters.skipped_by_limit) == {setting}
    assert ending.summary.counters.skipped_by_limit[setting] > 0
    assert ending.log.count(setting) == 1


def test_the_summary_tells_of_it(tmp_path: Path, certificates: Certificates) -> None:
    ending, _ = crawled(BY_NAME["calendar"], tmp_path, certificates)
    assert "left out   1 link: 1 max_depth" in report.summary_text(ending.summary)


# Everything else goes on


def test_a_tarpit_holds_one_slot_of_its_own_host_and_no_worker(tmp_path: Path) -> None:
    """Nothing comes of it until every page of the other host has been asked for."""
    with Site() as pit, Site(address="127.0.0.2") as other:
        pages = [f"/{n}" for n in range(40)]
        other.pages["/"] = links(*pages)
        other.otherwise = lambda visit: "x"

        def wait_for_others(visit: Visit) -> str:
            for path in pages:
                other.wait_for(path)
            return "at last"

        pit.pages["/"] = wait_for_others
        seeds = (f"{pit.url}/", f"{other.url}/")
        run_job(Title, tmp_path, *seeds, workers=1, concurrency=2)
    assert len(items(tmp_path)) == 42
    assert failures(tmp_path) == {}


def test_many_tarpits_at_one_host_hold_one_slot(tmp_path: Path) -> None:
    """A host whose every page is a tarpit has as many slots as it may have, and no more."""
    with Site() as pit, Site(address="127.0.0.2") as other:
        other.pages["/"] = links(*(f"/{n}" for n in range(20)))
        other.otherwise = lambda visit: "x"

        def wait_for_others(visit: Visit) -> str:
            for n in range(20):
                other.wait_for(f"/{n}")
            return "at last"

        pit.otherwise = wait_for_others
        seeds = (*(f"{pit.url}/{n}" for n in range(30)), f"{other.url}/")
        run_job(Title, tmp_path, *seeds, workers=1, concurrency=3)
        assert pit.most_at_once == 1
    assert len(items(tmp_path)) == 51


QUICK_TO_END = ["endless body", "negative chunk", "redirect loop", "endless headers", "deep page",
                "long base", "not gzip", "robots with 500", "session ids", "reset"]  # fmt: skip


def test_a_crawl_of_the_whole_web_reads_all_of_what_is_well(tmp_path: Path) -> None:
    """Hostile hosts beside an ordinary one, in two workers."""
    with Web([BY_NAME[name] for name in QUICK_TO_END]) as web, Site() as well:
        expected = sites.web([well], 30)
        hostile = [web.url(one) for one in web.behaviours]
        seeds = (*hostile, f"{well.url}/0")
        settings = {**SETTINGS, "workers": 2, "max_pages_per_host": 30}
        summary = run_job(Reader, tmp_path, *seeds, **settings)
    assert summary.counters.pending == 1
    assert "(http 500)" in summary.waits_for
    assert expected <= {item["url"] for item in items(tmp_path)}


@each("no such name", "two answers", "many addresses")
def test_a_host_that_is_nowhere_fails_where_others_answer(
    behaviour: Behaviour, tmp_path: Path, site: Site
) -> None:
    """It may not be this machine that has no network."""
    site.pages["/"] = "x"
    with Web([behaviour]) as web, names(behaviour.names):
        settings = {**SETTINGS, **behaviour.settings}
        seeds = (site.url + "/", web.url(behaviour))
        summary = run_job(Title, tmp_path, *seeds, **settings)
    assert summary.counters.finished
    assert summary.failures == {behaviour.cause: 1}


class Member(Spider):
    def login(self, session: Any) -> None:
        session.open(self.start_urls[0])

    def parse(self, response: Any) -> None: ...


@each("endless body", "bomb of gzip")
def test_a_login_page_without_end_is_not_read_to_it(behaviour: Behaviour, tmp_path: Path) -> None:
    with Web([behaviour]) as web:
        member = type("Member", (Member,), {"start_urls": [web.url(behaviour)]})
        summary = run_job(member, tmp_path, max_body=1024 * 1024)
    (error,) = summary.login_errors
    assert "the body is longer than 1,048,576 bytes (max_body)" in error


# Reset at any byte

WHOLE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"7\r\n<p>page\r\n5\r\n, and\r\n0\r\n\r\n"
)


@pytest.mark.parametrize("how", ["reset", "closed"])
def test_a_connection_that_ends_at_any_byte_gives_no_page(how: str) -> None:
    at = [0]

    def cut(wire: Wire) -> None:
        wire.send(WHOLE[: at[0]])
        if how == "reset":
            wire.reset()

    behaviour = Behaviour("cut", "", "", cut)
    with (
        Web([behaviour]) as web,
        Session("s", Settings(read_timeout=5.0)) as session,
    ):
        for at[0] in range(len(WHOLE) - len(b"\r\n")):
            with pytest.raises(FetchError) as caught:
                answered(Request(web.url(behaviour)), session, Settings())
            assert caught.value.cause in {"connection", "truncated"}
            assert caught.value.retryable


# Pages of one host


@pytest.mark.parametrize("workers", [0, 2])
def test_the_pages_of_a_host_are_counted_over_all_runs(
    workers: int, tmp_path: Path, site: Site
) -> None:
    site.otherwise = lambda visit: links(*(f"{visit.path}{n}" for n in range(5)))
    limits: dict[str, Any] = {
        "max_pages_per_host": 20,
        "workers": workers,
        "concurrency_per_host": 4,
    }
    run_job(Title, tmp_path, f"{site.url}/", max_pages=7, **limits)
    summary = run_job(Title, tmp_path, f"{site.url}/", **limits)
    assert summary.counters.done == 20
    assert len(set(values(items(tmp_path)))) == 20
    assert summary.counters.skipped_by_limit["max_pages_per_host"] > 0


def test_each_host_has_its_own_count(tmp_path: Path, site: Site, other: Site) -> None:
    for one in (site, other):
        one.otherwise = lambda visit: links(*(f"{visit.path}{n}" for n in range(5)))
    seeds = (f"{site.url}/", f"{other.url}/")
    assert run_job(Title, tmp_path, *seeds, max_pages_per_host=8).counters.done == 16


def test_redirects_to_a_host_count_there(tmp_path: Path, site: Site, other: Site) -> None:
    class Wandering(Title):
        allowed_domains = "*"

    site.pages["/"] = links(*(f"/{n}" for n in range(10)))
    site.otherwise = lambda visit: redirect(f"{other.url}{visit.path}")
    other.otherwise = lambda visit: "x"
    seeds = (f"{site.url}/", f"{other.url}/")
    run_job(Wandering, tmp_path, *seeds, max_pages_per_host=11, concurrency_per_host=1)
    assert len(other.visits()) == 11
    (tmp_path / "again").mkdir()
    summary = run_job(Wandering, tmp_path / "again", *seeds, max_pages_per_host=6)
    assert summary.counters.skipped_by_limit["max_pages_per_host"] > 0


# Local addresses


class Loopback(Title):
    name = "loopback"
    allowed_domains = ("127.0.0.1", "127.0.0.2")


def test_a_seed_may_be_at_a_local_address_in_every_worker(
    tmp_path: Path, site: Site, other: Site
) -> None:
    """The page that has the link may be in a worker that has not seen the seed."""

    paths = [f"/{n}" for n in range(30)]
    site.pages["/"] = links(*(f"{other.url}{path}" for path in paths))
    other.otherwise = lambda visit: "x"
    seeds = (f"{site.url}/", f"{other.url}/seed")
    run_job(Loopback, tmp_path, *seeds, workers=2, concurrency_per_host=4)
    assert len(items(tmp_path)) == 32


def test_a_seed_of_an_earlier_run_is_one(tmp_path: Path, site: Site) -> None:
    class Declared(Title):
        allowed_domains = ("127.0.0.1",)

    sites.web([site], 20)
    run_job(Declared, tmp_path, f"{site.url}/0", max_pages=3)
    run_job(Declared, tmp_path, f"{site.url}/0")
    assert len(items(tmp_path)) == 20


def test_allow_private_allows_it(tmp_path: Path, site: Site, other: Site) -> None:
    site.pages["/"] = links(f"{other.url}/")
    other.pages["/"] = "x"
    run_job(Loopback, tmp_path, f"{site.url}/", allow_private=True)
    assert len(items(tmp_path)) == 2


def test_the_message_says_what_to_do(tmp_path: Path, site: Site, other: Site) -> None:
    site.pages["/"] = links(f"{other.url}/")
    summary = run_job(Loopback, tmp_path, f"{site.url}/")
    assert summary.failures == {"private address": 1}
    assert other.log == []
    (message,) = rows(tmp_path, "SELECT message FROM failed")[0]
    assert "make it a seed, or set allow_private" in message
