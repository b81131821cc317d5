"""run.log: what went on, from the scheduling process and its workers.

An event begins at the start of a line; what else it says (a traceback) is indented below it. So
nothing that a site says can look like an event, or command the terminal that shows the log.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

from crawler.masking import Mask
from crawler.terminal import printable

FORMAT = "%(asctime)s %(levelname)s %(processName)s %(name)s: %(message)s"


class _Events(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record)).replace("\n", "\n  ")


@contextlib.contextmanager
def log_to(path: str | os.PathLike[str], mask: Mask) -> Iterator[None]:
    """Append what this process logs to ``path``, masked; several processes may append to it."""
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(_Events(FORMAT))
    handler.addFilter(mask)
    ours = logging.getLogger("crawler")
    before = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.setLevel(before)
        handler.close()
