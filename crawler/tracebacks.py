"""The text of tracebacks, without the crawler's own frames before those of a spider."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from crawler.text import cut, encodable

PACKAGE = Path(__file__).parent
"""The folder of the crawler's own code."""
LONGEST = 20_000
"""Characters of a traceback; its exception may have a whole page as its text."""


def traceback_of(error: BaseException, mask: Callable[[str], str] = str) -> str:
    """Return the traceback of a spider's error, masked, without our frames before its own."""
    return _text(error, spider_frames(error) or error.__traceback__, mask)


def whole_traceback_of(error: BaseException, mask: Callable[[str], str] = str) -> str:
    """Return the whole traceback of an error, masked."""
    return _text(error, error.__traceback__, mask)


def spider_frames(error: BaseException) -> TracebackType | None:
    """Return the traceback from the first frame that is not ours; None if all are."""
    trace = error.__traceback__
    while trace is not None and Path(trace.tb_frame.f_code.co_filename).is_relative_to(PACKAGE):
        trace = trace.tb_next
    return trace


def _text(error: BaseException, trace: TracebackType | None, mask: Callable[[str], str]) -> str:
    try:
        lines = traceback.format_exception(type(error), error, trace)
    except BaseException:  # Python asks an exception for its truth, which a spider's may refuse
        lines = [*traceback.format_tb(trace), type(error).__name__]
    text = "".join(lines)
    return cut(encodable(mask(text)), LONGEST)  # masked first: a cut secret would not be known
