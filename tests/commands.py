"""The `crawl` command in tests: in a process of its own, to be watched, stopped and killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from tests.conftest import wait_until
from tests.sites import PATIENCE

VICTIMS = Path(__file__).with_name("victims.py")


class Command:
    """One `crawl run` of a spider, in a process group of its own.

    Its name is of one in victims.py; another one is named with its file (``FILE:NAME``).
    """

    def __init__(
        self,
        spider: str,
        folder: Path,
        *seeds: str,
        workers: int = 0,
        kill: str = "",
        kill_child: str = "",
        arguments: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
        tracer: Sequence[str] = (),
        **settings: object,
    ) -> None:
        """``kill`` and ``kill_child`` are as in tests/faults/traps.py, for spiders run by
        victims.py; ``arguments`` are those of the spider, ``environment`` is added to ours.
        ``tracer`` is a command that runs ours, and leaves it our child."""
        chosen = {"workers": workers, **settings}
        options = [*_options("-s", chosen), *_options("-a", arguments or {})]
        where = spider if ":" in spider else f"{VICTIMS}:{spider}"
        words = ["run", where, *seeds, "--job", str(folder), *options]
        words += [] if output is None else ["--output", str(output)]
        self.log = folder.with_suffix(".txt")
        traps = {"KILL": kill, "KILL_CHILD": kill_child}
        variables = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            **{name: trap for name, trap in traps.items() if trap},
            **(environment or {}),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*tracer, sys.executable, str(VICTIMS), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=variables,
                cwd=folder.parent,
                start_new_session=True,
            )
        self.pid = self.process.pid

    def wait(self) -> int:
        """The exit status, as soon as it has ended."""
        try:
            return self.process.wait(PATIENCE * 2)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the command did not end; it said:\n{self.said}") from None

    def kill(self) -> None:
        """SIGKILL for all its processes at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        """A signal for the command alone, as `kill` sends it."""
        self.process.send_signal(number)

    def press_ctrl_c(self) -> None:
        """SIGINT for the whole process group, as a terminal sends it."""
        os.killpg(self.pid, signal.SIGINT)

    @property
    def said(self) -> str:
        """The output so far, with that of all earlier commands in this folder."""
        return self.log.read_text(errors="replace")

    @property
    def children(self) -> list[int]:
        """All processes below it: the fetching one, its workers, and those of Python itself."""
        return descendants_of(self.pid)

    @property
    def fetchers(self) -> list[int]:
        """Its fetching process, if there is one now."""
        return fetchers_of(self.pid)

    @property
    def workers(self) -> list[int]:
        """Its worker processes, the oldest first; none when it has ended."""
        below = (pid for fetcher in self.fetchers for pid in children_of(fetcher))
        return sorted(filter(_is_ours, below))


def _options(flag: str, values: Mapping[str, object]) -> list[str]:
    return [part for item in values.items() for part in (flag, "=".join(map(str, item)))]


def children_of(pid: int) -> list[int]:
    """The children of a process, whichever of its threads has started them."""
    children: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children += map(int, (thread / "children").read_text().split())
    return children


def fetchers_of(pid: int) -> list[int]:
    """The fetching process of a command, if there is one now."""
    return sorted(filter(_is_ours, children_of(pid)))


def descendants_of(pid: int) -> list[int]:
    """The children of a process, their children, and so on."""
    children = children_of(pid)
    return [*children, *(below for child in children for below in descendants_of(child))]


def is_running(pid: int) -> bool:
    """Return False for a process that has ended, even if its status was not collected yet."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _is_ours(pid: int) -> bool:
    """Return True for a spawned or forked process; Python has one process more, where it spawns."""
    try:
        return b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def members_of(groups: Container[int]) -> list[int]:
    """The running processes of process groups: all that has come of commands, orphans too."""
    running = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return [pid for pid in running if _group_of(pid) in groups]


def _group_of(pid: int) -> int:
    """The process group of a running process; 0 for one that has ended."""
    try:
        state, _, group, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if state == "Z" else int(group)


def wait_until_gone(pids: list[int]) -> None:
    """Wait until all these processes have ended."""
    wait_until(
        lambda: not any(map(is_running, pids)),
        lambda: f"still running: {list(filter(is_running, pids))}",
    )
