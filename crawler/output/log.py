"""Write run.log: the events of the scheduling process and its workers.

An event begins at the start of a line; its further lines (a traceback) are indented below it, and
control characters are escaped. So no text of a site can look like an event, or command the terminal
that shows the log.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

from crawler.session.masking import Mask
from crawler.store.permissions import open_safely
from crawler.system_errors import to_crawler_error
from crawler.text import cut, printable

LONGEST = 40_000
"""Characters of an event."""
FORMAT = "%(asctime)s %(levelname)s %(processName)s %(name)s: %(message)s"


class _Events(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = cut(super().format(record), LONGEST)  # a site may put megabytes into a URL
        return printable(text).replace("\n", "\n  ")


class _Log(logging.FileHandler):
    """The file. A write that fails ends the run, unless an error is being logged."""

    def __init__(self, path: str | os.PathLike[str], *, must_write: bool) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self._runs_in = threading.get_ident() if must_write else None
        self._is_over = False

    def _open(self) -> TextIOWrapper:
        file = open_safely(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        return os.fdopen(file, "a", encoding=self.encoding)

    def emit(self, record: logging.LogRecord) -> None:
        if not self._is_over:  # a thread that was about to log would open the file once more
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (it is logging's)
        error = sys.exc_info()[1]
        if record.exc_info is None and threading.get_ident() == self._runs_in:
            crawler_error = error and to_crawler_error(error, Path(self.baseFilename))
            if crawler_error is not None:
                raise crawler_error from error

    def close(self) -> None:
        with self.lock or contextlib.nullcontext():
            self._is_over = True
        with contextlib.suppress(OSError):  # a write that failed fails again
            super().close()


@contextlib.contextmanager
def log_to(path: str | os.PathLike[str], mask: Mask, *, must_write: bool = True) -> Iterator[None]:
    """Append what this process logs to ``path``, masked; several processes may append to it.

    With ``must_write`` a full disk ends the run: logging in this thread raises
    SystemResourceError.
    """
    handler = _Log(path, must_write=must_write)
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
