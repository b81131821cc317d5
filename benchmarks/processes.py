"""Start a command; find, measure and kill all processes that it starts.

A variable in their environment, which children inherit, marks them. A walk down the process tree
would miss an orphan, and the kill test exists to find orphans.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

SAMPLE_EVERY = 0.1
"""Seconds between two samples of the memory."""

_TICKS = os.sysconf("SC_CLK_TCK")
_MARK = "CRAWLER_BENCHMARK_RUN"


@dataclass(frozen=True, slots=True)
class End:
    """The end of a command. ``cpu`` is in seconds, ``memory`` the highest sum of PSS, in bytes."""

    status: int
    seconds: float
    cpu: float
    memory: int


class LaunchedCommand:
    """A command that runs in ``folder`` and prints to the file ``log``."""

    def __init__(self, command: Sequence[str], folder: Path, log: Path) -> None:
        self.log = log
        self._mark = f"{_MARK}={uuid4().hex}"
        self.started_at = time.time()
        self._started = time.perf_counter()
        name, _, value = self._mark.partition("=")
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, name: value},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the benchmark, which then kills all
            )
        self._handle = os.pidfd_open(self._process.pid)

    def ended(self, within: float) -> bool:
        """Wait up to ``within`` seconds; True once the command's first process has ended."""
        return bool(select.select([self._handle], [], [], max(within, 0))[0])

    def pids(self) -> list[int]:
        """Return every living process of the command, orphans included."""
        mark = self._mark.encode()
        pids = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended, or belongs to another user
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    pids.append(int(folder.name))
        return pids

    def memory(self) -> int:
        """Return the proportional set size of all processes together, in bytes."""
        return sum(map(_pss, self.pids()))

    def finish(self, timeout: float = 900) -> End:
        """Wait for the end, and sample the memory meanwhile."""
        memory = 0
        deadline = time.monotonic() + timeout
        while not self.ended(SAMPLE_EVERY):
            memory = max(memory, self.memory())
            if time.monotonic() > deadline:
                self.kill()
        seconds = time.perf_counter() - self._started
        status, cpu = self._reap()
        return End(status, seconds, cpu, memory)

    def kill(self, order: random.Random | None = None) -> int:
        """Send SIGKILL to every process, in random order if ``order`` is given; count them."""
        killed: set[int] = set()
        while pids := self.pids():
            if order is not None:
                order.shuffle(pids)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed.update(pids)
        return len(killed)

    def kill_first(self) -> None:
        """Send SIGKILL to the command's first process only."""
        self._process.kill()
        self._reap()

    def close(self) -> None:
        """Kill every process that is left, and release the handle."""
        self.kill()
        if self._process.returncode is None:
            self._reap()
        os.close(self._handle)

    def _reap(self) -> tuple[int, float]:
        """Return status and CPU seconds of the process and the children that it waited for."""
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode, usage.ru_utime + usage.ru_stime

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines that the command printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def machine_busy() -> float:
    """Return the CPU seconds of all programs on all cores since the machine started."""
    user, nice, system, _, _, irq, softirq, steal, *_ = (
        int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS


def busy(pid: int) -> float:
    """Return the CPU seconds of a process and its living children."""
    children = Path("/proc", str(pid), "task", str(pid), "children").read_text().split()
    return sum(map(_own_busy, [str(pid), *children]))


def _own_busy(pid: str) -> float:
    fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _pss(pid: int) -> int:
    try:
        text = Path("/proc", str(pid), "smaps_rollup").read_text()
    except OSError:  # it has just ended
        return 0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


if sys.platform != "linux":
    raise SystemExit("The benchmarks read /proc and need Linux.")
