"""``crawl()`` as scripts and notebooks use it."""

from __future__ import annotations

import gc
import itertools
import threading
import tracemalloc
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from crawler import Failure, LoginError, Request, Response, Session, SettingsError, Spider, crawl
from crawler.errors import FailedPagesWarning, JobLockedError, SeedError, SpiderError
from tests.conftest import wait_until
from tests.jobs import QUICK, Title, items, values
from tests.sites import PATIENCE, Reply, Site, Visit, links, web

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_items_come_one_by_one_during_the_crawl(site: Site) -> None:
    urls = web([site], 50)
    found = crawl(Title, [site.url + "/0"], **QUICK)
    assert next(iter(found)) == {"url": site.url + "/0"}
    assert len(site.asked) < 50
    assert values([{"url": site.url + "/0"}, *found]) == sorted(urls)


def test_it_works_as_often_as_wanted_and_keeps_nothing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    urls = web([site], 10)
    for _ in range(3):
        assert values(list(crawl(Title, [site.url + "/0"], **QUICK))) == sorted(urls)
    assert set(site.asked.values()) == {3}
    assert list(tmp_path.iterdir()) == []


def test_two_crawls_at_the_same_time_do_not_know_of_each_other(site: Site, other: Site) -> None:
    here, there = web([site], 20), web([other], 20)
    one = crawl(Title, site.url + "/0", **QUICK)
    two = crawl(Title, other.url + "/0", **QUICK)
    pairs = list(zip(one, two, strict=True))
    assert values([a for a, _ in pairs]) == sorted(here)
    assert values([b for _, b in pairs]) == sorted(there)


@pytest.mark.parametrize("workers", [0, 2])
def test_leaving_the_loop_early_stops_everything(site: Site, workers: int) -> None:
    """The fixture checks that no thread, process or socket is left."""

    left = threading.Event()

    def page(visit: Visit) -> str:
        if len(site.visits()) > 3:
            left.wait(PATIENCE)
        return "x"

    site.pages["/"] = links(*(f"/{n}" for n in range(100)))
    site.otherwise = page
    found = cast(
        Generator[Any, None, None], crawl(Title, site.url + "/", **{**QUICK, "workers": workers})
    )
    assert len(list(itertools.islice(found, 2))) == 2
    found.close()
    wait_until(lambda: not _threads("worker"), "the worker goes on")
    asked = len(site.log)
    left.set()
    wait_until(lambda: not _fetching(), lambda: f"still there: {_fetching()}")
    assert len(site.log) == asked  # nothing that was waiting behind the one in flight


def test_leaving_the_loop_early_does_not_wait_for_a_slow_answer(site: Site) -> None:
    site.pages = {"/": "x", "/slow": Reply(raw=lambda sock: sock.recv(1))}  # until it is cut
    found = cast(
        Generator[Any, None, None],
        crawl(Title, [site.url + "/slow", site.url + "/"], concurrency_per_host=2, **QUICK),
    )
    next(found)
    site.wait_for("/slow")
    found.close()
    wait_until(lambda: not _fetching(), lambda: f"still there: {_fetching()}")


def _fetching() -> list[threading.Thread]:
    return _threads("fetch-")


def _threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def test_a_job_is_kept_and_continues(site: Site, tmp_path: Path) -> None:
    urls = web([site], 30)
    job = tmp_path / "job"
    first = list(crawl(Title, site.url + "/0", job=job, max_pages=11, **QUICK))
    second = list(crawl(Title, site.url + "/0", job=job, **QUICK))
    assert (len(first), len(second)) == (11, 19)
    assert values(first + second) == values(items(job)) == sorted(urls)
    assert list(crawl(Title, site.url + "/0", job=job, **QUICK)) == []
    assert set(site.asked.values()) == {1}


def test_a_job_that_was_left_early_continues(site: Site, tmp_path: Path) -> None:
    urls = web([site], 60)
    for take in (3, 10, 1):
        found = cast(
            Generator[Any, None, None], crawl(Title, site.url + "/0", job=tmp_path, **QUICK)
        )
        list(itertools.islice(found, take))
        found.close()
    list(crawl(Title, site.url + "/0", job=tmp_path, **QUICK))
    assert values(items(tmp_path)) == sorted(urls)


def test_a_job_is_run_by_one_at_a_time(site: Site, tmp_path: Path) -> None:
    web([site], 10)
    running = cast(Generator[Any, None, None], crawl(Title, site.url + "/0", job=tmp_path, **QUICK))
    next(running)
    with pytest.raises(JobLockedError, match="being run by process"):
        list(crawl(Title, site.url + "/0", job=tmp_path, **QUICK))
    assert len(list(running)) == 9


def test_start_urls_arguments_and_settings_of_the_class(site: Site) -> None:
    class Mine(Spider):
        delay = 0
        max_depth = 0

        def __init__(self, base: str) -> None:
            self.start_urls = [base + "/a", base + "/b"]

        def parse(self, response: Response) -> Iterator[Any]:
            yield {"url": response.url}
            yield Request(response.url + "/deeper")

    site.otherwise = lambda visit: "x"
    found = crawl(Mine, arguments={"base": site.url}, commit_interval=0.01)
    assert values(list(found)) == [site.url + "/a", site.url + "/b"]


@pytest.mark.parametrize(
    ("spider", "seeds", "settings", "error", "match"),
    [
        (Title, [], {}, SeedError, "nothing to start from"),
        (Title, ["http://[x/"], {}, SeedError, "broken URL"),
        (Title, ["no-such-file.txt"], {}, SeedError, "there is no file"),
        (Title, ["http://127.0.0.1/"], {"dleay": 1}, SettingsError, "did you mean delay"),
        (Title, ["http://127.0.0.1/"], {"delay": -1}, SettingsError, "delay"),
        (object, ["http://127.0.0.1/"], {}, SpiderError, "not a spider"),
    ],
)
def test_bad_input_is_an_error_at_once_and_leaves_nothing(
    spider: Any, seeds: list[str], settings: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        list(crawl(spider, seeds, **settings))


def test_a_class_that_workers_cannot_import_needs_workers_0(site: Site) -> None:
    class Local(Title):
        pass

    with pytest.raises(SpiderError, match="workers=0"):
        list(crawl(Local, site.url + "/", workers=2))
    assert site.log == []


def test_a_failed_login_is_raised_after_all_other_items(site: Site) -> None:
    class Locked(Title):
        def login(self, session: Session) -> None:
            raise ValueError("wrong password")

    site.pages["/"] = "x"
    with pytest.raises(LoginError, match="wrong password"):
        list(crawl(Locked, site.url + "/", **QUICK))
    assert site.asked == {}


def test_a_failed_login_names_no_page_in_a_folder_that_is_gone(site: Site, tmp_path: Path) -> None:
    class Locked(Title):
        def login(self, session: Session) -> None:
            session.open(site.url + "/login")
            raise LoginError("wrong password")

    site.pages = {"/login": "x", "/": "x"}
    with pytest.raises(LoginError, match=r"wrong password \(at \S+, status 200\)$"):
        list(crawl(Locked, site.url + "/", **QUICK))
    with pytest.raises(LoginError, match=f"saved as {tmp_path}/pages/login-account.html"):
        list(crawl(Locked, site.url + "/", job=tmp_path, **QUICK))


class Mistaken(Spider):
    def parse(self, response: Response) -> None:
        raise AttributeError(f"no price in {response.url[-2:]}")


def test_failed_pages_are_a_warning_at_the_end_at_the_line_of_the_call(site: Site) -> None:
    site.pages = {"/a": "x"}
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            with pytest.warns(FailedPagesWarning) as caught:
                assert list(crawl(Mistaken, site.url + "/a", **QUICK)) == []
        (warning,) = caught
        assert str(warning.message) == (
            f"crawl(): 1 of 1 pages failed: {site.url}/a: AttributeError in parse(): no price in "
            "/a; for all of them write failed(), or give job="
        )
        assert warning.filename == __file__


def test_failed_pages_are_no_warning_with_failed_or_with_a_job(site: Site, tmp_path: Path) -> None:
    class Listening(Mistaken):
        def failed(self, failure: Failure) -> dict[str, str]:
            return {"url": failure.request.url}

    site.pages = {"/a": "x"}
    assert list(crawl(Listening, site.url + "/a", **QUICK)) == [{"url": site.url + "/a"}]
    assert list(crawl(Mistaken, site.url + "/a", job=tmp_path, **QUICK)) == []


def test_memory_is_given_back(site: Site) -> None:
    site.pages["/"] = links(*(f"/{n}" for n in range(30)))
    site.otherwise = lambda visit: "x" * 100_000
    list(crawl(Title, site.url + "/", **QUICK))
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(3):
            list(crawl(Title, site.url + "/", **QUICK))
            site.log.clear()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2_000_000  # three crawls have read nine million bytes
