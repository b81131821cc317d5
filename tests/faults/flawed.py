"""The spiders once more, with a flaw in what writes their output: ``FLAW`` says which.

The crash machine has to find each of them.
"""

from __future__ import annotations

import os
from typing import Any

from crawler import sink
from crawler.sink import JSONLines
from tests.faults.spiders import Open

__all__ = ["Open"]


class _Uncut:
    """Stands for the module ``os`` in ``crawler.sink``: nothing is ever cut off."""

    def __init__(self, system: Any) -> None:
        self._system = system

    def __getattr__(self, name: str) -> Any:
        return getattr(self._system, name)

    def ftruncate(self, file: int, length: int) -> None:
        """Leave the file as it is."""


def _late(self: JSONLines, lines: bytes) -> None:
    """Write the lines of each commit in the next one."""
    waiting: bytes = getattr(self, "waiting", b"")
    setattr(self, "waiting", lines)  # noqa: B010
    if waiting:
        os.write(self._file, waiting)
        self.length += len(waiting)


match os.environ.get("FLAW"):
    case "uncut":
        setattr(sink, "os", _Uncut(vars(sink)["os"]))  # noqa: B010
    case "late":
        setattr(JSONLines, "append", _late)  # noqa: B010
