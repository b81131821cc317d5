"""Fixtures and settings that all tests share."""

from __future__ import annotations

import compileall
import gc
import multiprocessing
import os
import sys
import threading
import time
import unittest
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.sites import PATIENCE, Site
from tests.tls import Authority

# The time that an example takes depends on the machine, not on the code.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# The same examples on every run: a failure is due to a change, never to chance.
settings.register_profile("gate", settings.get_profile("any machine"), derandomize=True)
# New examples on every run; `make fuzz` sets it, and the seconds for each test.
settings.register_profile("search", settings.get_profile("any machine"), print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))
SEARCH_SECONDS = float(os.environ.get("SEARCH_SECONDS", "0"))


LONGEST = {
    "test_applications.py",
    "test_docs.py",
    "test_manuals.py",
    "test_member_sites.py",
    "test_torture.py",
}
"""Modules with tests of several seconds each."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Repeat a property with new examples until ``SEARCH_SECONDS`` are over."""
    end = time.monotonic() + SEARCH_SECONDS
    if item.get_closest_marker("hypothesis") is None:
        return
    while time.monotonic() < end:
        machine = getattr(item, "instance", None)
        if isinstance(machine, unittest.TestCase):
            item.obj()  # type: ignore[attr-defined]  # as pytest keeps the errors of a TestCase
        else:
            item.runtest()


def pytest_configure(config: pytest.Config) -> None:
    """Compile the code once, as pip does with what it installs.

    Tests start hundreds of interpreters. Where Python may not write bytecode, each of them would
    compile a checkout again, and each process of pytest would rewrite all asserts.
    """
    sys.dont_write_bytecode = False
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(config.rootpath / "crawler", quiet=1)
        compileall.compile_dir(config.rootpath / "tests", maxlevels=1, quiet=1)
        compileall.compile_dir(config.rootpath / "benchmarks", maxlevels=0, quiet=1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--thorough``, which ``make thorough`` uses."""
    parser.addoption("--thorough", action="store_true", help="every case in every way")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest tests first: no process waits for them at the end.

    Deselect what is for ``make thorough`` alone: a case in further ways than those of the gate.
    """
    if not config.getoption("--thorough"):
        further = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=further)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: tests wait a lot."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    """Thousands of tests and their vectors stay to the end: no collection need look at them."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def site() -> Iterator[Site]:
    """A site without pages yet."""
    with Site() as running:
        yield running


@pytest.fixture
def other() -> Iterator[Site]:
    """A second site, by another name."""
    with Site(address="127.0.0.2") as running:
        yield running


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A private certificate authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fails a test that leaves threads, processes or open files and sockets of the crawler."""
    resource_tracker.ensure_running()  # one for the whole process, and it stays
    gc.collect()
    files, threads = _files(), set(threading.enumerate())
    yield
    wait_until(
        lambda: not (set(threading.enumerate()) - threads),
        lambda: f"threads left: {set(threading.enumerate()) - threads}",
    )
    assert not multiprocessing.active_children()
    gc.collect()
    wait_until(
        lambda: not (_files() - files), lambda: f"files left open: {sorted(_files() - files)}"
    )


def wait_until(condition: Callable[[], object], what: Callable[[], str] | str) -> None:
    """Wait until a condition holds; fail with the message ``what`` if it never does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what if isinstance(what, str) else what()
        time.sleep(0.005)


def _files() -> set[str]:
    """Return the open files and sockets of this process, from the system."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{entry.name} -> {entry.readlink()}")
        except OSError:  # the descriptor that listed the folder
            continue
    return found
