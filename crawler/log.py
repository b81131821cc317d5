"""run.log: what went on, one line an event, from the scheduling process and its workers."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

from crawler.masking import Mask

FORMAT = "%(asctime)s %(levelname)s %(processName)s %(name)s: %(message)s"


@contextlib.contextmanager
def log_to(path: str | os.PathLike[str], mask: Mask) -> Iterator[None]:
    """Append what this process logs to ``path``, masked; several processes may append to it."""
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter(FORMAT))
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
