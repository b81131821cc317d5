"""Stopping: Ctrl-C once and twice, SIGTERM, and a server that does not let go."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler.cli.main import INTERRUPTED
from crawler.engine.signals import StopSignal
from crawler.fetching.workers import MOST_AHEAD
from crawler.http.curl.resolver import MAX_LOOKUPS
from tests.commands import Command, children_of, wait_until_gone
from tests.conftest import wait_until
from tests.engine.test_crash import check_whole, slowed
from tests.jobs import Title, done, items, rows, run_job, values
from tests.sites import PATIENCE, Reply, Site, Visit, links, web

HANGING = """
import time
from pathlib import Path
from typing import Any

from crawler import Spider

HERE = Path(__file__).with_suffix("")


def hang(where):
    if HERE.with_suffix("." + where).exists():
        HERE.with_suffix(".hangs").touch()
        time.sleep(600)


class Hanging(Spider):
    delay = 0
    origin = ""

    def start(self):
        for number in range(30):
            yield f"{self.origin}/{number}"
            if number == 20:
                hang("start")

    def parse(self, response):
        yield {"url": response.url}

    def closed(self, stats):
        hang("closed")


hang("import")
"""
"""A spider that hangs where a file beside it says."""


@pytest.fixture
def gate(site: Site) -> Iterator[threading.Event]:
    """Holds back the answer to /slow until it is set."""
    event = threading.Event()

    def slow(visit: Visit) -> str:
        event.wait(60)
        return "slow"

    site.pages["/slow"] = slow
    yield event
    event.set()


def stop_when_asked(stop: StopSignal, site: Site, path: str) -> threading.Thread:
    """Stop the crawl as soon as ``path`` is asked for."""

    def watch() -> None:
        site.wait_for(path)
        stop.stop()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def press_until_it_ends(command: Command) -> None:
    """Press Ctrl-C until the command ends: two that come together count as one."""
    presses = 0
    while command.process.poll() is None and presses * 0.3 < PATIENCE:
        command.press_ctrl_c()
        presses += 1
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.process.wait(0.3)
    assert presses >= 2


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("way", ["ctrl-c", "SIGTERM"])
def test_one_signal_finishes_what_is_in_flight_and_a_resume_does_the_rest(
    tmp_path: Path, site: Site, workers: int, way: str
) -> None:
    urls = web([site], 150)
    slowed(site, 0.02)
    page, signalled = site.otherwise, threading.Event()

    def held(visit: Visit) -> Reply | str | bytes:
        """The crawl cannot end before the signal."""
        assert signalled.wait(PATIENCE)
        return page(visit)

    site.pages["/140"] = held
    folder = tmp_path / "job"
    command = Command("Follow", folder, site.url + "/0", workers=workers, concurrency_per_host=3)
    site.wait_for("/5")
    workers_then = command.children
    if way == "ctrl-c":
        command.press_ctrl_c()
    else:
        command.signal(signal.SIGTERM)
    signalled.set()
    assert command.wait() == 3, command.said
    wait_until_gone(workers_then)
    # What had been asked for was finished and committed: nothing of it is asked for again.
    done = len(items(folder)) // 2
    assert done == len(site.asked) < 150
    assert rows(folder, "SELECT value FROM job WHERE name = 'running'") == [("false",)]
    last = Command("Follow", folder, site.url + "/0", workers=workers, concurrency_per_host=8)
    assert last.wait() == 0, last.said
    check_whole(folder, urls)
    assert set(site.asked.values()) == {1}


@pytest.mark.parametrize("workers", [0, 2])
def test_two_signals_stop_at_once_and_lose_nothing(
    tmp_path: Path, site: Site, workers: int, gate: threading.Event
) -> None:
    site.pages["/"] = "x"
    folder = tmp_path / "job"
    seeds = (site.url + "/", site.url + "/slow")
    command = Command("Follow", folder, *seeds, workers=workers, stop_timeout=600)
    site.wait_for("/slow")
    wait_until(lambda: done(folder) == 1, "the first page is not committed")
    children = command.children
    press_until_it_ends(command)
    assert command.wait() == 3, command.said
    wait_until_gone(children)
    gate.set()
    last = Command("Follow", folder, *seeds, workers=workers)
    assert last.wait() == 0, last.said
    check_whole(folder, set(seeds))
    assert site.asked == {"/": 1, "/slow": 2}


def test_a_slow_server_does_not_hold_the_stop_longer_than_stop_timeout(
    tmp_path: Path, site: Site, gate: threading.Event
) -> None:
    site.pages["/"] = "x"
    stop = StopSignal()
    starter = stop_when_asked(stop, site, "/slow")
    seeds = (site.url + "/", site.url + "/slow")
    summary = run_job(Title, tmp_path, *seeds, stop=stop, stop_timeout=0.3, timeout=1000)
    starter.join()
    stop.close()
    assert not gate.is_set()  # it ended without the answer
    assert (summary.exit_status, summary.counters.reason) == (3, "stopped")
    assert values(items(tmp_path)) == [site.url + "/"]


def test_a_stop_while_a_host_waits_for_its_turn_does_not_wait_for_it(
    tmp_path: Path, site: Site
) -> None:
    web([site], 3)
    stop = StopSignal()
    starter = stop_when_asked(stop, site, "/0")
    summary = run_job(
        Title,
        tmp_path,
        site.url + "/0",
        stop=stop,
        obey_robots=False,  # or its rules are what is asked for first
        delay=600,
        stop_timeout=600,
    )
    starter.join()
    stop.close()
    assert summary.exit_status == 3
    assert len(items(tmp_path)) == 1
    assert len(site.visits()) == 1


def test_a_stopped_job_leaves_no_children_behind(tmp_path: Path, site: Site) -> None:
    """Also when the signal comes while the workers are only starting."""
    web([site], 50)
    folder = tmp_path / "job"
    for _ in range(2):
        command = Command("Follow", folder, site.url + "/0", workers=2)
        while not command.children and command.process.poll() is None:
            pass
        children = children_of(command.pid) if command.process.poll() is None else []
        command.press_ctrl_c()
        assert command.wait() in (0, 3, INTERRUPTED), command.said
        wait_until_gone(children)
    last = Command("Follow", folder, site.url + "/0", workers=2)
    assert last.wait() == 0, last.said
    assert len(items(folder)) == 100


def hanging(folder: Path, site: Site, where: str) -> Command:
    """The command of a spider that hangs there, as soon as it does."""
    site.otherwise = lambda visit: "x"
    spider = folder / "hanging.py"
    spider.write_text(HANGING)
    (folder / "hanging.hangs").unlink(missing_ok=True)
    (folder / f"hanging.{where}").touch()
    name, arguments = f"{spider}:Hanging", {"origin": site.url}
    command = Command(name, folder / "job", workers=2, arguments=arguments)
    wait_until((folder / "hanging.hangs").exists, lambda: command.said)
    (folder / f"hanging.{where}").unlink()
    return command


def go_on(folder: Path, site: Site) -> None:
    """The same command does the rest."""
    arguments = {"origin": site.url}
    last = Command(f"{folder / 'hanging.py'}:Hanging", folder / "job", arguments=arguments)
    assert last.wait() == 0, last.said
    found = values(items(folder / "job"))
    assert found == sorted(f"{site.url}/{number}" for number in range(30))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_the_command_while_a_spider_is_imported(
    tmp_path: Path, site: Site, number: signal.Signals
) -> None:
    command = hanging(tmp_path, site, "import")
    children = command.children
    command.signal(number)
    assert command.wait() == INTERRUPTED, command.said
    wait_until_gone(children)
    assert not (tmp_path / "job").exists()


@pytest.mark.parametrize("where", ["start", "closed"])
def test_a_second_signal_stops_what_does_not_come_to_an_end(
    tmp_path: Path, site: Site, where: str
) -> None:
    command = hanging(tmp_path, site, where)
    children = command.children
    while command.process.poll() is None:
        command.press_ctrl_c()
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.process.wait(0.3)
    assert command.wait() == INTERRUPTED, command.said
    wait_until_gone(children)
    go_on(tmp_path, site)
    assert set(site.asked.values()) == {1}


def test_a_signal_at_a_prompt_is_what_it_is_without_us() -> None:
    """Before a run has begun: accounts are asked for their passwords there."""
    with StopSignal(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_user_code_is_left_at_the_second_signal_and_the_loop_at_none() -> None:
    with StopSignal() as stop:
        with stop.user_code():
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.level == 2
        with pytest.raises(KeyboardInterrupt), stop.user_code():
            os.kill(os.getpid(), signal.SIGINT)


def test_two_signals_stop_at_once_though_a_callback_holds_the_interpreter(
    tmp_path: Path, site: Site
) -> None:
    """Until then the other worker goes on, with pages that fill every buffer."""
    page = "x" * 20_000
    site.otherwise = lambda visit: page
    folder, pids = tmp_path / "job", tmp_path / "pid"
    urls = [f"{site.url}/hold", *(f"{site.url}/{number}" for number in range(100))]
    command = Command("Holding", folder, *urls, workers=2, arguments={"pids": pids}, delay=0)
    wait_until(pids.is_file, "no callback has begun")
    # Those that the other worker had got before stay with it.
    wait_until(lambda: done(folder) >= 100 - MOST_AHEAD, "the other worker does not go on")
    children = command.children
    assert int(pids.read_text()) in children
    press_until_it_ends(command)
    assert command.wait() == 3, command.said
    wait_until_gone(children)


def test_two_signals_stop_at_once_though_the_fetching_process_reads_nothing(
    tmp_path: Path, site: Site
) -> None:
    folder = tmp_path / "job"
    command = Command("Deaf", folder, workers=1, arguments={"origin": site.url})
    wait_until(lambda: any(map(is_stopped, command.fetchers)), "there is no fetching process")
    press_until_it_ends(command)
    assert command.wait() == 3, command.said
    assert rows(folder, "SELECT count(*) FROM pending") == [(1,)]


def is_stopped(pid: int) -> bool:
    """Return True for a process that SIGSTOP has stopped."""
    return "\nState:\tT" in Path(f"/proc/{pid}/status").read_text()


def test_names_that_do_not_resolve_block_nothing(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than there are look-ups at a time; neither other hosts nor the end wait."""
    look_up, may_end = socket.getaddrinfo, threading.Event()

    def hang(host: Any, *rest: Any) -> Any:
        if str(host).endswith(".example"):
            assert may_end.wait(PATIENCE)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up(host, *rest)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    stop = StopSignal()

    def page(visit: Visit) -> str:
        number = int(visit.path[1:])
        if number == 30:
            stop.stop()
            stop.stop()
        return links(f"/{number + 1}")

    site.otherwise = page
    names = [f"http://{number}.example/" for number in range(2 * MAX_LOOKUPS)]
    with contextlib.closing(stop):
        run_job(Title, tmp_path, f"{site.url}/0", *names, stop=stop)
    assert len(site.log) >= 31
    may_end.set()
