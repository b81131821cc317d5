"""The `crawl` command in tests: in a process of its own, to be watched, stopped and killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
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
        **settings: object,
    ) -> None:
        chosen = {"workers": workers, **settings}
        options = [part for item in chosen.items() for part in ("-s", "=".join(map(str, item)))]
        where = spider if ":" in spider else f"{VICTIMS}:{spider}"
        words = ["run", where, *seeds, "--job", str(folder), *options]
        self.log = folder.with_suffix(".txt")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        if kill:
            environment["KILL"] = kill
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(VICTIMS), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
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
        """What it has printed so far, with all commands before it in this folder."""
        return self.log.read_text(errors="replace")

    @property
    def children(self) -> list[int]:
        """Its child processes: the workers, and what Python itself needs."""
        return children_of(self.pid)


def children_of(pid: int) -> list[int]:
    """The children of a process."""
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listing.read_text().split()]


def is_running(pid: int) -> bool:
    """False for a process that has ended, also if nobody has asked for its status yet."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pids: list[int]) -> None:
    """Wait until all these processes have ended."""
    wait_until(
        lambda: not any(map(is_running, pids)),
        lambda: f"still running: {list(filter(is_running, pids))}",
    )
