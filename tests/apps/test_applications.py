"""Crawls behind the logins of real applications: killed, and logged out by the server."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.apps.applications import (
    APPBUILDER,
    DJANGO,
    TOKENS,
    Application,
    Kind,
    NotInstalledError,
    environment,
)
from tests.apps.visitors import PASSWORD, USER
from tests.commands import Command
from tests.conftest import wait_until
from tests.jobs import items, rows

if sys.platform == "win32":
    pytest.skip("process groups are killed", allow_module_level=True)

SPIDERS = Path(__file__).with_name("visitors.py")

TIMES = 5
"""The number of times that a crawl is killed, or its sessions are ended."""


Serve = Callable[..., Application]
Crawl = Callable[..., Command]


def each_kind(further: Kind) -> pytest.MarkDecorator:
    """Return the parameter ``kind``: each application, ``further`` with ``make thorough`` alone."""
    parameters = [
        pytest.param(kind, marks=[pytest.mark.thorough] if kind is further else [])
        for kind in (DJANGO, APPBUILDER, TOKENS)
    ]
    return pytest.mark.parametrize("kind", parameters, ids=lambda kind: kind.spider)


@pytest.fixture(scope="session")
def python() -> Path:
    """The Python that has the applications."""
    try:
        return environment()
    except NotInstalledError as error:
        pytest.skip(f"the applications cannot be installed: {error}")


@pytest.fixture
def serve(python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serves an application until the test ends; spiders find it."""
    running: list[Application] = []

    def start(kind: Kind, **options: float) -> Application:
        app = Application(kind, python, tmp_path / "app", **options)
        running.append(app.__enter__())
        monkeypatch.setenv("APP_URL", app.url)
        monkeypatch.setenv("APP_USER", USER)
        monkeypatch.setenv("APP_PASSWORD", PASSWORD)
        return app

    yield start
    for app in running:
        app.__exit__()


@pytest.fixture
def crawl(tmp_path: Path) -> Iterator[Crawl]:
    """The command that crawls an application, the same each time. None is left behind."""
    begun: list[Command] = []

    def begin(app: Application, **settings: Any) -> Command:
        spider, seed = f"{SPIDERS}:{app.kind.spider}", app.url + app.kind.start
        chosen = {"workers": 2, "concurrency_per_host": 4, **settings}
        begun.append(Command(spider, tmp_path / "job", seed, **chosen))
        return begun[-1]

    yield begin
    for command in begun:
        command.kill()


def check_whole(app: Application, folder: Path, last: Command) -> None:
    """The output equals the database: every item once, and no other line."""
    assert last.wait() == 0, last.said
    expected = app.expected()
    assert len(expected) > 150
    found = items(folder)
    assert sorted(map(str, found)) == sorted(map(str, expected))
    assert rows(folder, "SELECT url, cause FROM failed") == []
    assert rows(folder, "SELECT count(*) FROM pending") == [(0,)]


def wait(command: Command, condition: Callable[[], object], what: str) -> None:
    """Wait for something that must come about while ``command`` runs."""
    wait_until(
        lambda: condition() or command.process.poll() is not None,
        lambda: f"no {what}; it said:\n{command.said}",
    )
    assert command.process.poll() is None, f"it ended before {what}:\n{command.said}"


@each_kind(further=DJANGO)
def test_killed_five_times_and_logged_in_once(
    tmp_path: Path, serve: Serve, crawl: Crawl, kind: Kind
) -> None:
    app = serve(kind, latency=0.01)
    folder = tmp_path / "job"
    chance = random.Random(kind.spider)
    for kill in range(TIMES):
        before = app.pages
        command = crawl(app)
        if kill == 0:  # a login is kept with the first page that is committed
            wait(command, lambda: _size(folder / "items.jsonl"), "an item")
        until = before + chance.randint(1, 20)
        wait(command, lambda: app.pages >= until, f"{until} pages")  # noqa: B023 (called at once)
        time.sleep(chance.uniform(0.0, 0.03))
        assert command.process.poll() is None, f"it ended before it was killed:\n{command.said}"
        command.kill()
    check_whole(app, folder, crawl(app))
    assert len(app.logins) == 1


@each_kind(further=APPBUILDER)
def test_logged_out_five_times_and_logged_in_as_often(
    tmp_path: Path, serve: Serve, crawl: Crawl, kind: Kind
) -> None:
    """No excess at all: requests in flight when a session ends share the login that comes."""
    app = serve(kind, latency=0.01)
    folder = tmp_path / "job"
    chance = random.Random(kind.spider)
    command = crawl(app)
    for end in range(TIMES):
        wait(command, lambda: len(app.logins) > end, f"login {end + 1}")  # noqa: B023
        until = app.pages + chance.randint(5, 20)
        wait(command, lambda: app.pages >= until, f"{until} pages")  # noqa: B023
        app.end_sessions()
    check_whole(app, folder, command)
    assert len(app.logins) == 1 + TIMES


@pytest.mark.parametrize("kind", [DJANGO, TOKENS], ids=lambda kind: kind.spider)
def test_sessions_that_live_two_seconds(
    tmp_path: Path, serve: Serve, crawl: Crawl, kind: Kind
) -> None:
    app = serve(kind, latency=0.06, session_seconds=2)
    folder = tmp_path / "job"
    check_whole(app, folder, crawl(app, concurrency_per_host=2))
    logins = app.logins
    assert len(logins) >= 3, "150 pages, two at a time, take at least 4.5 s"
    # A cookie's max-age counts from a whole second, so it may die up to a second early.
    assert min(after - before for before, after in pairwise(logins)) >= 1.0


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
