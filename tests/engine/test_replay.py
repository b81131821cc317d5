"""Requests with ``replay=False``: never sent twice, wherever a crash happens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import Request, Spider
from crawler.engine.committer import Committer
from crawler.errors import FetchError
from crawler.http.redirects import redirected
from crawler.records import Delivery, QueuedRequest
from crawler.scheduling.host_queue import PREFETCH
from crawler.scheduling.retry import RetryPolicy
from crawler.settings import Settings
from tests.commands import fetchers_of, wait_until_gone
from tests.conftest import wait_until
from tests.jobs import failures, items, rows, run_job
from tests.once import Buyer
from tests.scheduling.test_scheduler import a_host, a_scheduler, page, push, sent
from tests.sites import PATIENCE, Reply, Site, Visit, closed_port, redirect

ONCE_PY = Path(__file__).parents[1] / "once.py"
NOW = 1.0
UNSURE = "may have been sent"


def start(folder: Path, site: Site, kill: str = "", **settings: Any) -> subprocess.Popen[bytes]:
    options = [part for item in settings.items() for part in ("-s", "=".join(map(str, item)))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment |= {"KILL": kill} if kill else {}
    words = ["run", f"{ONCE_PY}:Buyer", site.url + "/", "--job", str(folder), *options]
    with (folder.parent / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, str(ONCE_PY), *words],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=environment,
            start_new_session=True,
        )


def command(folder: Path, site: Site, kill: str = "", **settings: Any) -> int:
    return start(folder, site, kill, **settings).wait(PATIENCE * 2)


def kill_all(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE)


def posts(site: Site) -> int:
    return sum(visit.method == "POST" for visit in site.log)


def a_shop(site: Site, form: str = "/buy") -> None:
    site.pages["/"] = f"<a href=/1>x</a><form action={form}></form>"
    site.pages["/1"] = "x"
    site.pages[form] = "bought"


def results(folder: Path) -> list[Any]:
    """The result of the purchase."""
    return [item for item in items(folder) if "url" not in item]


# Killed at each point


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("point", "sent", "cause"),
    [
        ("marking", 1, ""),
        ("marked", 0, UNSURE),
        ("answered", 1, UNSURE),
        ("commit", 1, UNSURE),
        ("committed", 1, ""),
    ],
)
def test_all_processes_killed(
    tmp_path: Path, site: Site, workers: int, point: str, sent: int, cause: str
) -> None:
    a_shop(site)
    folder = tmp_path / "job"
    assert command(folder, site, point, workers=workers) == -signal.SIGKILL
    assert command(folder, site, workers=workers) == 0
    assert command(folder, site, workers=workers) == 0
    assert posts(site) == sent
    if cause:
        assert results(folder) == [{"not bought": site.url + "/buy", "cause": cause}]
        assert failures(folder) == {"/buy": cause}
    else:
        assert results(folder) == [{"bought": site.url + "/buy"}]
        assert failures(folder) == {}
    assert sorted(item["url"] for item in items(folder) if "url" in item) == [
        site.url + "/",
        site.url + "/1",
    ]
    assert rows(folder, "SELECT count(*) FROM pending") == [(0,)]


def test_all_processes_killed_while_the_server_has_it(tmp_path: Path, site: Site) -> None:
    a_shop(site)
    folder = tmp_path / "job"
    victim: list[subprocess.Popen[bytes]] = []

    def kill(visit: Visit) -> Reply:
        kill_all(victim[0])
        return Reply("bought")

    site.pages["/buy"] = kill
    for _ in range(3):
        victim[:] = [start(folder, site, workers=2)]
        victim[0].wait(PATIENCE)
    assert victim[0].returncode == 0
    assert posts(site) == 1
    assert failures(folder) == {"/buy": UNSURE}
    said = (tmp_path / "said.txt").read_text()
    assert "1: 1 may have been sent" in said
    assert results(folder) == [{"not bought": site.url + "/buy", "cause": UNSURE}]


def test_a_worker_that_dies_of_it(tmp_path: Path, site: Site) -> None:
    a_shop(site, "/buy?deadly")
    folder = tmp_path / "job"
    assert command(folder, site, workers=2) == 0
    assert posts(site) == 1
    assert failures(folder) == {"/buy?deadly": UNSURE}
    assert results(folder) == [{"not bought": site.url + "/buy?deadly", "cause": UNSURE}]


def a_slow_shop(site: Site, forms: int) -> list[str]:
    """Let the site have so many forms that take a moment; return their paths."""
    paths = [f"/buy/{n}" for n in range(forms)]
    site.pages["/"] = "".join(f"<form action={path}></form>" for path in paths)

    def slow(visit: Visit) -> str:
        time.sleep(0.02)
        return "bought"

    for path in paths:
        site.pages[path] = slow
    return paths


def test_kills_at_random_instants(tmp_path: Path, site: Site) -> None:
    forms = a_slow_shop(site, 30)
    folder = tmp_path / "job"
    for number in range(4):
        victim = start(folder, site, workers=2, concurrency_per_host=4)
        until = time.monotonic() + PATIENCE
        while posts(site) < 5 * (number + 1) and time.monotonic() < until:
            time.sleep(0.003)
        kill_all(victim)
    assert command(folder, site, workers=2, concurrency_per_host=4) == 0
    sent = site.asked
    assert all(sent[form] <= 1 for form in forms)
    ended = results(folder)
    assert len(ended) == len(forms)
    for item in ended:
        if "bought" in item:
            assert sent[item["bought"].removeprefix(site.url)] == 1
    assert {item["cause"] for item in ended if "cause" in item} <= {UNSURE}


def kill_fetcher(process: subprocess.Popen[bytes]) -> None:
    """Kill the fetching process of a command, which starts another one."""
    for fetcher in fetchers_of(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(fetcher, signal.SIGKILL)
        wait_until_gone([fetcher])


def test_the_fetching_process_is_killed_while_the_server_has_it(tmp_path: Path, site: Site) -> None:
    a_shop(site)
    folder = tmp_path / "job"
    victim: list[subprocess.Popen[bytes]] = []

    def kill(visit: Visit) -> Reply:
        kill_fetcher(victim[0])
        return Reply("bought")

    site.pages["/buy"] = kill
    victim.append(start(folder, site, workers=1))
    assert victim[0].wait(2 * PATIENCE) == 0
    assert posts(site) == 1
    assert failures(folder) == {"/buy": UNSURE}
    assert results(folder) == [{"not bought": site.url + "/buy", "cause": UNSURE}]
    pages = sorted(item["url"] for item in items(folder) if "url" in item)
    assert pages == [site.url + "/", site.url + "/1"]
    assert rows(folder, "SELECT count(*) FROM pending") == [(0,)]


def test_the_fetching_process_is_killed_again_and_again(tmp_path: Path, site: Site) -> None:
    """One command goes on; each purchase is made at most once, and its result is known or not."""
    forms = a_slow_shop(site, 24)
    folder = tmp_path / "job"
    victim = start(folder, site, workers=2, concurrency_per_host=4)
    for number in range(3):
        wait_until(lambda: posts(site) >= 5 * (number + 1), "no further purchase")  # noqa: B023
        kill_fetcher(victim)
    assert victim.wait(2 * PATIENCE) == 0
    assert all(site.asked[form] <= 1 for form in forms)
    ended = results(folder)
    names = [item.get("bought") or item["not bought"] for item in ended]
    assert sorted(names) == sorted(site.url + form for form in forms)
    for item in ended:
        if "bought" in item:
            assert site.asked[item["bought"].removeprefix(site.url)] == 1
    assert {item["cause"] for item in ended if "cause" in item} <= {UNSURE}
    assert rows(folder, "SELECT count(*) FROM pending") == [(0,)]


# Given back, and tried again


def test_stopped_in_flight_is_not_sent_again(tmp_path: Path, site: Site) -> None:
    a_shop(site)
    ended = threading.Event()

    def held(visit: Visit) -> str:
        assert ended.wait(2 * PATIENCE)
        return "bought"

    site.pages["/buy"] = held
    folder = tmp_path / "job"
    victim = start(folder, site, workers=1, stop_timeout=0.1)
    site.wait_for("/buy")
    victim.send_signal(signal.SIGINT)
    victim.wait(PATIENCE)
    ended.set()
    assert command(folder, site, workers=1) == 0
    assert posts(site) == 1
    assert failures(folder) == {"/buy": UNSURE}


def test_refused_is_tried_again(tmp_path: Path) -> None:
    class Later(Buyer):
        def start(self) -> Iterator[Any]:
            url = f"http://127.0.0.1:{port}/buy"
            yield Request(url, self.bought, method="POST", data={"n": "1"}, replay=False)

        def bought(self, response: Any) -> Iterator[Any]:
            yield {"bought": response.url}

    with closed_port() as port:
        run_job(Later, tmp_path / "never", obey_robots=False, retries=2)
    assert failures(tmp_path / "never") == {"/buy": "refused"}
    assert rows(tmp_path / "never", "SELECT count(*) FROM pending") == [(0,)]
    with Site(port=port) as site:
        site.pages["/buy"] = "bought"
        run_job(Later, tmp_path / "now", obey_robots=False)
        assert posts(site) == 1


@pytest.mark.parametrize("answer", ["cut", "429", "500"])
def test_a_request_that_was_sent_is_not_tried_again(
    tmp_path: Path, site: Site, answer: str
) -> None:
    a_shop(site)
    site.pages["/buy"] = (
        Reply(raw=socket.socket.close)
        if answer == "cut"
        else Reply(status=int(answer), headers=(("Retry-After", "0"),))
    )
    run_job(Buyer, tmp_path, site.url + "/", retries=3)
    assert posts(site) == 1
    assert failures(tmp_path) == {"/buy": UNSURE if answer == "cut" else f"http {answer}"}


@pytest.mark.parametrize("answer", ["cut", "429", "500", "502"])
def test_a_post_that_only_reads_is_tried_again(tmp_path: Path, site: Site, answer: str) -> None:
    class Query(Spider):
        name = "query"

        def start(self) -> Iterator[Any]:
            yield Request(f"{site.url}/graphql", method="POST", json={"page": 1}, idempotent=True)

        def parse(self, response: Any) -> Any:
            return {"text": response.text}

    broken = Reply(raw=socket.socket.close) if answer == "cut" else Reply(status=int(answer))
    site.pages["/graphql"] = lambda visit: (
        broken if len(site.visits("/graphql")) == 1 else visit.body.decode()
    )
    run_job(Query, tmp_path)
    assert items(tmp_path) == [{"text": '{"page": 1}'}]


def test_sent_while_logged_out_is_not_sent_again(tmp_path: Path, site: Site) -> None:
    class Member(Buyer):
        def login(self, session: Any) -> None:
            session.open(site.url + "/login")

        def is_logged_out(self, response: Any) -> bool:
            return bool(response.status == 401)

    a_shop(site)
    site.pages["/login"] = "x"
    # Once it is bought, the session is over; a login does not change that.
    page = Reply("<a href=/1>x</a><form action=/buy></form>")
    site.pages["/"] = lambda visit: Reply("", 401) if posts(site) else page
    site.pages["/buy"] = Reply("", 401)
    run_job(Member, tmp_path, site.url + "/")
    assert posts(site) == 1
    assert failures(tmp_path) == {"/buy": "logged out"}


def test_a_request_whose_login_fails_is_sent_by_the_next_run(tmp_path: Path, site: Site) -> None:
    class Member(Spider):
        def start(self) -> Iterator[Any]:
            yield Request(site.url + "/buy", method="POST", replay=False)

        def login(self, session: Any) -> None:
            if session.open(site.url + "/login").text != "welcome":
                raise ValueError("wrong password")

        def parse(self, response: Any) -> Iterator[Any]:
            yield {"bought": response.url}

    site.pages["/login"] = "go away"
    site.pages["/buy"] = "bought"
    assert run_job(Member, tmp_path).exit_status == 4
    assert rows(tmp_path, "SELECT once FROM pending") == [(Delivery.AT_MOST_ONCE,)]
    assert posts(site) == 0
    site.pages["/login"] = "welcome"
    assert run_job(Member, tmp_path).exit_status == 0
    assert posts(site) == 1
    assert items(tmp_path) == [{"bought": site.url + "/buy"}]


@pytest.mark.parametrize(("status", "expected"), [(302, ["POST", "GET"]), (307, ["POST", "POST"])])
def test_redirects(tmp_path: Path, site: Site, status: int, expected: list[str]) -> None:
    a_shop(site)
    site.pages["/buy"] = redirect("/thanks", status)
    site.pages["/thanks"] = "x"
    run_job(Buyer, tmp_path, site.url + "/")
    methods = [visit.method for visit in site.log if visit.path in {"/buy", "/thanks"}]
    assert methods == expected
    assert results(tmp_path) == [{"bought": site.url + "/thanks"}]


def test_only_a_get_after_a_redirected_post_may_be_repeated() -> None:
    def after(method: str, status: int) -> bool:
        request = Request("https://x.example/a", method=method, replay=False)
        return redirected(request, status, "/b", 5).replay

    assert after("POST", 303)
    assert after("POST", 302)
    assert not after("POST", 307)
    assert not after("GET", 302)
    assert not after("GET", 303)


def test_the_retry_policy() -> None:
    policy = RetryPolicy(Settings())
    for cause in ("dns", "refused", "connect timeout"):
        error = FetchError(cause, "x", retryable=True)
        for method in ("GET", "POST"):
            assert policy.wait(error, Request("https://x/", method=method, replay=False))
    for cause in ("timeout", "connection", "truncated"):
        error = FetchError(cause, "x", retryable=True)
        assert policy.wait(error, Request("https://x/")) is not None
        assert policy.wait(error, Request("https://x/", replay=False)) is None


# The scheduler and the store


def test_none_waits_in_a_worker_beside_others() -> None:
    """Where it waits in the worker, a kill makes it one that may have been sent."""
    host = a_host(concurrency=2)
    made = a_scheduler(host, each=0)
    for id in range(1, 4):
        push(made, host, QueuedRequest(0, id, b""), NOW)
    push(made, host, QueuedRequest(0, 4, b"", Delivery.AT_MOST_ONCE), NOW)
    for id in range(5, 9):
        push(made, host, QueuedRequest(0, id, b""), NOW)
    out = sent(made, NOW)
    assert [page(assignment).id for assignment in out] == [1, 2, 3]
    made.finish(out[0].id, NOW)
    assert sent(made, NOW) == []
    made.finish(out[1].id, NOW)
    once, *more = sent(made, NOW)
    assert page(once) == QueuedRequest(0, 4, b"", Delivery.AT_MOST_ONCE)
    assert len(more) == 4 <= PREFETCH


def test_ordinary_requests_cost_no_commit(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_shop(site)
    marked: list[Any] = []
    mark = Committer.mark_sent

    def counted(self: Committer, assignments: Any) -> None:
        marked.append(assignments)
        mark(self, assignments)

    monkeypatch.setattr(Committer, "mark_sent", counted)
    run_job(Buyer, tmp_path, site.url + "/")
    assert [len(assignments) for assignments in marked] == [1]
