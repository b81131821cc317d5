"""Trace one page through all processes: which function of which module calls which.

``python -m tests.trace FOLDER`` crawls a small chain of pages with one worker process and prints,
as JSON, the calls that its third page takes, when hosts, session and connection are known. What is
between two modules of ``crawler`` counts: a call whose nearest caller of ours is in another module.
A generator that goes on is no call.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import crawler

PACKAGE = Path(crawler.__file__).parent
PAGE = 3
"""The number of the page that is traced, counted from 1."""
PAGES = 6
CARRIERS = frozenset(
    {"QueuedRequest", "PageAssignment", "Task", "TaskBatch", "Request", "Response"}
    | {"Fetch", "Answer", "Page", "PageResult", "Done", "Output", "Outcome"}
)
"""The types of a page and of everything that it becomes."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call from one module into another."""

    caller: str
    callee: str
    """The module, without its ``crawler.``."""
    function: str
    carries: bool
    """Return True if an argument is the page, or derived from it."""


@dataclass
class Trace:
    """The calls of one page, in the process that schedules, the one that fetches, and a worker."""

    engine: list[Call] = field(default_factory=list)
    fetcher: list[Call] = field(default_factory=list)
    worker: list[Call] = field(default_factory=list)

    @property
    def calls(self) -> list[Call]:
        """All calls, in the order of the processes."""
        return self.engine + self.fetcher + self.worker

    @property
    def modules(self) -> list[str]:
        """The modules that call or are called."""
        return sorted({name for call in self.calls for name in (call.caller, call.callee)})

    @property
    def stations(self) -> list[tuple[str, Call]]:
        """The functions that take the page from another module, each once, with their process."""
        engine = [("engine", call) for call in self.engine if call.carries]
        fetcher = [("fetcher", call) for call in self.fetcher if call.carries]
        worker = [("worker", call) for call in self.worker if call.carries]
        parsed = [call.function for _, call in fetcher].index("FetchProcess.take_result")
        back = [call.callee for _, call in engine].index("engine.outcomes")
        way = [*engine[:back], *fetcher[:parsed], *worker, *fetcher[parsed:], *engine[back:]]
        return list({(call.callee, call.function): (at, call) for at, call in way}.values())


class Recorder:
    """Records the calls of this process between two calls of one function, by its profiler."""

    def __init__(self, border: Callable[..., Any], number: int, path: Path) -> None:
        """The window begins with call ``number`` of ``border`` and ends with the one after it."""
        self._border: CodeType = border.__code__
        self._left = number
        self._path = path
        self._calls: list[dict[str, Any]] = []
        self._resumed: set[int] = set()
        self._frames: list[FrameType] = []
        self._lock = threading.Lock()

    def arm(self) -> None:
        """Begin with this thread and those that will be started."""
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call" or self._left < 0:
            return
        with self._lock:
            if frame.f_code is self._border:
                self._left -= 1
                if self._left < 0:
                    self._path.write_text(json.dumps(self._calls), encoding="utf-8")
                    return
            if self._left == 0:
                self._record(frame)

    def _record(self, frame: FrameType) -> None:
        callee = _module(frame)
        if callee is None or id(frame) in self._resumed:
            return
        self._resumed.add(id(frame))
        self._frames.append(frame)  # so that no other frame gets its id
        caller_frame = frame.f_back
        while caller_frame is not None and _module(caller_frame) is None:
            caller_frame = caller_frame.f_back
        caller = None if caller_frame is None else _module(caller_frame)
        if caller is None or caller == callee:
            return
        self._calls.append(
            {
                "caller": caller,
                "callee": callee,
                "function": frame.f_code.co_qualname.removesuffix(".<lambda>"),
                "carries": _carries(frame),
            }
        )


def _module(frame: FrameType) -> str | None:
    """The module of a frame, if it is one of ours and no comprehension's."""
    path = Path(frame.f_code.co_filename)
    if frame.f_code.co_name == "<module>" or not path.is_relative_to(PACKAGE):
        return None
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def _carries(frame: FrameType) -> bool:
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    values = [frame.f_locals.get(name) for name in names if name != "self"]
    several = [item for value in values if isinstance(value, list | tuple) for item in value]
    return any(type(value).__name__ in CARRIERS for value in [*values, *several])


def trace(folder: Path) -> Trace:
    """Run the crawl in another process, and read its record. ``folder`` is empty."""
    command = [sys.executable, "-m", "tests.trace", str(folder)]
    root = PACKAGE.parent
    environment = {**os.environ, "PYTHONPATH": str(root), "TRACE": str(folder)}
    subprocess.run(command, check=True, cwd=root, env=environment, timeout=120)
    engine, fetcher, worker = (
        [Call(**call) for call in json.loads((folder / f"{name}.json").read_text())]
        for name in ("engine", "fetcher", "worker")
    )
    return Trace(engine, fetcher, worker)


def _crawl(folder: Path) -> None:
    from crawler.engine.engine import run
    from crawler.scheduling.frontier import Frontier
    from tests.jobs import plan
    from tests.sites import Site, links
    from tests.traced import Traced

    with Site() as site:
        site.pages = {f"/{n}": links(f"/{n + 1}") for n in range(1, PAGES)}
        config = plan(Traced, folder / "job", f"{site.url}/1", workers=1)
        # After each commit idle hosts are evicted, and each page has a commit of its own.
        Recorder(Frontier.evict_idle_hosts, PAGE - 1, folder / "engine.json").arm()
        run(config)


if __name__ == "__main__":
    _crawl(Path(sys.argv[1]))
