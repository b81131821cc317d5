"""Mutation testing, `make mutate`: change the core in small ways, and see which tests notice.

Each change is made in a copy of the repository. The tests that run the changed line decide, the
quickest first; if none of them fails, the mutant survives. The report keeps the survivors with the
reason that was written there for each, and the exit status is 1 if one has none.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.mutation import report
from tests.mutation.modules import MODULES
from tests.mutation.mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]
PRELOADED = (
    *("ada_url", "bs4", "click", "cryptography.fernet", "filelock", "hypothesis", "lxml.html"),
    *("msgspec", "multiprocessing", "parsel", "protego", "publicsuffixlist", "pycurl", "requests"),
    *("rich.console", "sqlite3", "tenacity", "w3lib.encoding", "w3lib.url"),
)
"""What every test imports, which is not mutated."""
LEAST_SECONDS, LEAST_CPU_SECONDS = 30.0, 8.0
"""Limits of a mutant, which may not end; three times what its tests take is added to each."""
TIMED_OUT = 99
Cover = dict[int, set[str]]


class Recorder:
    """A plugin of pytest that records which test runs which lines of a file, and how long it takes.

    Other processes are not seen.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self.lines: Cover = defaultdict(set)
        self.seconds: dict[str, tuple[float, float]] = {}
        """The time of each test, and that of the processor."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        def of_line(frame: Any, event: str, arg: object) -> Any:
            self.lines[frame.f_lineno].add(item.nodeid)
            return of_line

        def of_call(frame: Any, event: str, arg: object) -> Any:
            return of_line if frame.f_code.co_filename == self._path else None

        began = time.monotonic(), time.process_time()
        threading.settrace(of_call)
        sys.settrace(of_call)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)
            now = time.monotonic(), time.process_time()
            self.seconds[item.nodeid] = now[0] - began[0], now[1] - began[1]


def forked(call: Callable[[], int], output: Path, seconds: float, cpu_seconds: float) -> int:
    """Call a function in a fork of this process, and return its result; end what it leaves."""
    child = os.fork()
    if not child:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds), int(cpu_seconds)))
        file = os.open(output, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(file, 1)
        os.dup2(file, 2)
        code = 70
        try:
            code = int(call())
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    end = time.monotonic() + seconds
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid or time.monotonic() > end:
            break
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not pid:
        os.waitpid(child, 0)
        return TIMED_OUT
    return os.waitstatus_to_exitcode(status)


def run_tests(tests: list[str], *plugins: object) -> int:
    """Run tests until the first fails; return pytest's exit status."""
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what is imported already
    return int(pytest.main([*options, *tests], plugins=list(plugins)))


class Copy:
    """A copy of the repository, in which mutants are tried."""

    def __init__(self, folder: Path) -> None:
        left_out = shutil.ignore_patterns(".*", "__pycache__", "work", "data")
        shutil.copytree(ROOT, folder / "copy", ignore=left_out)
        self.folder = (folder / "copy").resolve()
        self._output = folder / "output"
        self._written = 1_000_000_000

    def write(self, path: str, text: str) -> None:
        """Write a module; no bytecode of an earlier text is taken for that of this one."""
        (self.folder / path).write_text(text)
        self._written += 10
        os.utime(self.folder / path, (self._written, self._written))

    def record(self, path: str, tests: list[str]) -> tuple[Cover, dict[str, tuple[float, float]]]:
        """Run the tests of a module; return which of them run each line, and their seconds."""
        result = self.folder.parent / "cover.json"

        def call() -> int:
            recorder = Recorder(self.folder / path)
            code = run_tests(tests, recorder)
            lines = {line: sorted(tests) for line, tests in recorder.lines.items()}
            result.write_text(json.dumps([lines, recorder.seconds]))
            return code

        if forked(call, self._output, 3600, 3600) != 0:
            sys.exit(f"the tests of {path} fail without any change:\n{self._output.read_text()}")
        lines, seconds = json.loads(result.read_text())
        return {int(line): set(tests) for line, tests in lines.items()}, seconds

    def kills(self, tests: list[str], seconds: list[tuple[float, float]]) -> bool:
        """Return True if a test fails, or does not end."""
        all_seconds, cpu_seconds = (3 * sum(column) for column in zip(*seconds, strict=True))
        limits = LEAST_SECONDS + all_seconds, LEAST_CPU_SECONDS + cpu_seconds
        return forked(lambda: run_tests(tests), self._output, *limits) != 0


def tests_of(mutant: Mutant, cover: Cover, seconds: dict[str, tuple[float, float]]) -> list[str]:
    """Return the tests that run the line of a mutant, the quickest first."""
    names = (
        set()
        if mutant.runs_on_import
        else set[str]().union(*(cover.get(line, set()) for line in mutant.lines))
    )
    return sorted(names or seconds, key=lambda name: seconds[name])


def name_of(mutant: Mutant) -> str:
    """Return how a mutant is named in the report."""
    return f"{mutant.function or 'the module'}: {mutant.change}"


def try_module(copy: Copy, path: str, most: int, earlier: report.Section | None) -> report.Section:
    """Try ``most`` mutants of a module, or those of ``earlier`` that have no reason."""
    text = (copy.folder / path).read_text()
    tests = MODULES[path]
    cover, seconds = copy.record(path, tests)
    every = mutants(text)
    if earlier is not None:
        explained = {change: why for change, why in earlier.survivors.items() if why}
        left = earlier.survivors.keys() - explained.keys()
        sample = [mutant for mutant in every if name_of(mutant) in left]
        gone = left - {name_of(mutant) for mutant in sample}  # as the code is another one now
        section = report.Section(path, len(every), earlier.tried - len(gone), explained)
    else:
        numbers = random.Random(path).sample(range(len(every)), min(most, len(every)))
        sample = [every[number] for number in sorted(numbers)]
        section = report.Section(path, len(every), len(sample))
    for number, mutant in enumerate(sample):
        copy.write(path, mutant.text)
        chosen = tests_of(mutant, cover, seconds)
        is_killed = copy.kills(chosen, [seconds[name] for name in chosen])
        if not is_killed:
            section.survivors[name_of(mutant)] = ""
        mark = "killed" if is_killed else "SURVIVED"
        print(
            f"{number + 1}/{len(sample)} {path}:{mutant.lines[0]} {mark} "
            f"{mutant.function}: {mutant.change}",
            flush=True,
        )
    copy.write(path, text)
    return section


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="parts of paths; all modules without any")
    parser.add_argument("--most", type=int, default=120, help="mutants of each module")
    parser.add_argument("--again", action="store_true", help="only survivors without a reason")
    arguments = parser.parse_args()
    os.nice(19)
    os.environ["PYTHONHASHSEED"] = "0"
    chosen = [
        path
        for path in MODULES
        if not arguments.modules or any(part in path for part in arguments.modules)
    ]
    for name in PRELOADED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        os.chdir(copy.folder)
        os.environ["PYTHONPATH"] = sys.path[0] = str(copy.folder)
        for path in chosen:
            earlier = report.read(ROOT)[path] if arguments.again else None
            report.update(ROOT, try_module(copy, path, arguments.most, earlier))
    return report.unexplained(ROOT, chosen)


if __name__ == "__main__":
    sys.exit(main())
