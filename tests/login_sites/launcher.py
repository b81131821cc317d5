"""Starts crawls fast: a process that has imported everything, and forks itself for each of them.

``python -m tests.login_sites.launcher`` reads orders from its standard input, a line each, and
writes a line with the process of the crawl and another one with its status. ``Launcher`` is that
as a context manager.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from crawler.parsing.login_marks import logout_marks
from crawler.parsing.response import Response
from crawler.worker.unsafe.links import UnsafeLinkFilter
from crawler.worker.unsafe.pages import Page
from tests.jobs import run_job
from tests.login_sites import spiders

LONGEST = 90.0
"""Seconds after which a crawl counts as stuck, and is ended."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one run."""

    killed: bool
    stuck: bool
    report: dict[str, Any]
    """The report of the run itself; empty if it was killed."""


class Launcher:
    """Runs crawls one after another, each in a process of its own."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.login_sites.launcher"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate(timeout=20)

    def run(self, order: dict[str, Any], began: Callable[[int], None]) -> Ended:
        """Crawl as ``order`` says, wait for the end; ``began`` receives the process id."""
        report = Path(order["folder"]).with_suffix(".report")
        report.unlink(missing_ok=True)
        pid = int(self._ask(json.dumps({**order, "report": str(report)})))
        began(pid)
        stuck = threading.Event()

        def end() -> None:
            stuck.set()
            os.kill(pid, signal.SIGKILL)

        timer = threading.Timer(LONGEST, end)
        timer.start()
        status = int(self._ask("go"))
        timer.cancel()
        if status and not stuck.is_set():
            return Ended(killed=True, stuck=False, report={})
        content = json.loads(report.read_text()) if report.exists() else {}
        return Ended(killed=False, stuck=stuck.is_set(), report=content)

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the launcher has ended"
        return line


def _crawl(order: dict[str, Any]) -> dict[str, Any]:
    """Run the crawl in this process; return how it ended."""
    spider = getattr(spiders, order["spider"])
    arguments, settings = order["arguments"], order["settings"]
    summary = run_job(
        spider, Path(order["folder"]), *order["seeds"], arguments=arguments, **settings
    )
    return {
        "status": summary.exit_status,
        "failures": summary.failures,
        "login_errors": summary.login_errors,
        "logins": summary.counters.logins,
        "done": summary.counters.done,
        "failed": summary.counters.failed,
        "pending": summary.counters.pending,
        "summary": repr(summary),
    }


def _child(order: dict[str, Any]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    try:
        report = _crawl(order)
    except BaseException:
        report = {"error": traceback.format_exc()}
    Path(order["report"]).write_text(json.dumps(report))


def _fill_caches() -> None:
    """Compile the patterns and the words that every crawl needs, once for all forks."""
    page = Response(
        "http://site.example/",
        b"<form id=login><input name=user><input type=password></form><a href=/logout>Log out</a>",
        headers={"Content-Type": "text/html"},
    )
    page.select_one(".error")
    page.css("#text::text, body::attr(data-serial)")
    page.form("#login").to_request({"user": "x"})
    logout_marks(page)
    for link in page.links():
        UnsafeLinkFilter().objection(link.url, Page(page.url, page))


def _serve() -> None:
    _fill_caches()
    gc.freeze()  # a collection in a fork would copy all pages of memory
    while order := sys.stdin.readline():
        is_ready, ready = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(is_ready, 1)
            _child(json.loads(order))
            os._exit(0)
        print(pid, flush=True)
        sys.stdin.readline()  # the crawl may begin: its process is known
        os.write(ready, b"!")
        os.close(is_ready)
        os.close(ready)
        print(os.waitpid(pid, 0)[1], flush=True)


if __name__ == "__main__":
    _serve()
