"""A machine that may lose power while a command runs on it.

The folders of the command are on its disk: see disk.py. What the command does to them is recorded,
and after a loss of power they have what the disk may have left.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.disk import Disk, DiskState
from tests.faults.recorder import Reader, Recorder

_LOG = "run.log"
"""Several processes write it, and their lines may be recorded in another order."""


class Machine:
    """Has the folders ``names`` in ``root``, each a file system of its own."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root = root
        self._folders = tuple(root / name for name in names)
        self._vault = root / "vault"
        self._vault.mkdir()
        self._restart(DiskState({}, frozenset({root})), {})

    def _restart(self, state: DiskState, first_paths: dict[int, Path]) -> None:
        self.disk = Disk(self.root, state, first_paths=first_paths)
        self._reader = Reader(self.disk, self._folders, self.root)

    @contextlib.contextmanager
    def recording(self) -> Iterator[Sequence[str]]:
        """Record a command, and wait for the end of all its processes.

        Yields the words before the command.
        """
        with Recorder(self.root / "trace") as recorder:
            yield recorder.words
        self._reader.read(recorder.lines)
        self._reader.settle(self._missed)
        missed = self._missed()
        assert not missed, f"not recorded: {missed}"
        self._keep()

    def time(self, at: int) -> float:
        """When the event after ``at`` began, in seconds since 1970; infinite after the last."""
        times = self._reader.times
        return times[at + 1] if at + 1 < len(times) else float("inf")

    def lose_power(self, chance: random.Random) -> None:
        """Leave the disk in one of the states that it may be in now, and go on from there."""
        state = self.disk.drawn(chance)
        self.put(state)
        self._restart(state, self.disk.first_paths)

    def put(self, state: DiskState) -> None:
        """Give the folders the content of ``state``. A file stays itself: its inode is the same."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        for folder in sorted(state.folders):
            folder.mkdir(exist_ok=True)
        for path, (number, content) in state.files.items():
            kept = self._vault / str(number)
            kept.write_bytes(content)
            os.link(kept, path)

    def _keep(self) -> None:
        """Hold all files that there are, so that none loses its inode with its name."""
        for path, (number, _) in self.disk.whole().files.items():
            kept = self._vault / str(number)
            if not kept.exists():
                os.link(path, kept)

    def _missed(self) -> list[Path]:
        """The files that are not as the events say."""
        said = {path: content for path, (_, content) in self.disk.whole().files.items()}
        found = {
            path: path.read_bytes()
            for folder in self._folders
            for path in folder.rglob("*")
            if path.is_file() and not path.name.endswith("-shm")
        }
        both = {**said, **found}
        return [path for path in both if path.name != _LOG and said.get(path) != found.get(path)]
