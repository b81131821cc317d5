"""Tune Python's garbage collector: in workers it runs between pages, not while one is parsed.

A soup is thousands of objects that refer to each other. At the interpreter's own thresholds, each
page's tree is scanned again and again while it is in use, and moved to generations that are rarely
collected.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

YOUNG = 5_000
"""The number of new objects from which ``collect_garbage`` collects."""
OLDER = 20
"""Collections of one generation until the next older one is collected as well."""


def freeze() -> None:
    """Exclude all present objects from collection, also from that at the end of the process.

    Called before a fork: a collection in the child would copy the memory that it shares.
    """
    gc.freeze()


def configure_worker() -> None:
    """Start from a clean heap, and leave collection to ``collect_garbage``."""
    gc.collect()
    freeze()
    gc.set_threshold(200 * YOUNG, OLDER, OLDER)


def configure_fetching() -> None:
    """Start from a clean heap, and collect rarely: few objects here are in cycles."""
    gc.collect()
    freeze()
    gc.set_threshold(20 * YOUNG, OLDER, OLDER)


@contextlib.contextmanager
def reduced_gc() -> Iterator[None]:
    """Collect rarely in the block, which makes millions of objects and no cycles."""
    thresholds = gc.get_threshold()
    gc.set_threshold(200 * YOUNG, OLDER, OLDER)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def collect_garbage() -> None:
    """Collect if there are many new objects; called while no page is being handled.

    At Python's own thresholds, outside of workers, this does nothing.
    """
    young, middle, old = gc.get_count()
    if young > YOUNG:
        gc.collect(2 if old > OLDER else 1 if middle > OLDER else 0)
