"""``docs/code.md`` is a map of the code as it is, and the way of a page stays as short as it is."""

from __future__ import annotations

import pytest

from tests.codemap import PAGE, page, traced
from tests.test_architecture import PACKAGE
from tests.trace import Trace


@pytest.fixture(scope="module")
def trace() -> Trace:
    return traced()


def test_the_map_is_that_of_the_code(trace: Trace) -> None:
    kept = PAGE.read_text(encoding="utf-8")
    assert kept == page(trace), "make map writes it anew"


def test_every_module_is_on_it_and_says_what_it_is(trace: Trace) -> None:
    rows = [line for line in page(trace).splitlines() if line.startswith("| [")]
    assert len(rows) >= len(list(PACKAGE.rglob("*.py"))) - 1
    assert not [row for row in rows if row.endswith("|  |")]


def test_the_way_of_a_page_does_not_grow(trace: Trace) -> None:
    """The goals are 35 modules, 80 calls, and 14 stations in 11 modules.

    They were set when two processes handled a page, and the standard library sent it. A third
    process has come (decision 26), and the loop that drives libcurl is ours. The types of a request
    are checked where it is yielded, and the content type of a page is parsed as in browsers.
    """
    assert len(trace.modules) <= 57
    assert len(trace.engine) <= 62, "49, and a turn of the engine's loop that finds nothing to do"
    assert len(trace.fetcher) <= 96, "64 to 84, by how the bytes of the page come"
    assert len(trace.worker) <= 38
    assert len(trace.stations) <= 24
    assert len({call.callee for _, call in trace.stations}) <= 19


def test_all_processes_are_traced(trace: Trace) -> None:
    names = [call.function for _, call in trace.stations]
    order = ("Fetcher.begin", "Worker.handle", "FetchProcess.take_result", "OutcomeHandler.handle")
    assert sorted(order, key=names.index) == list(order)
    assert {"Response.__init__", "ResultCollector.collect", "Committer.add"} <= set(names)
