"""When Python's cyclic garbage is collected: between pages, not within one.

A soup is thousands of objects that point at each other. Collected at the interpreter's own
thresholds, each page's tree is walked again and again while it is alive, and moved to generations
that are hardly ever looked at.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

YOUNG = 5_000
"""New objects that are worth a collection."""
OLDER = 20
"""Collections of one generation until the next older one is looked at too."""


def freeze() -> None:
    """What is there by now stays: no collection walks it again, that of a process's end neither.

    Before a fork, so that the child has nothing to walk of what it shares with its parent.
    """
    gc.freeze()


def configure_worker() -> None:
    """Start from a clean heap, and collect hardly ever by itself."""
    gc.collect()
    freeze()
    gc.set_threshold(200 * YOUNG, OLDER, OLDER)


@contextlib.contextmanager
def reduced_gc() -> Iterator[None]:
    """Collect hardly ever within, for what makes millions of objects and no cycles."""
    before = gc.get_threshold()
    gc.set_threshold(200 * YOUNG, OLDER, OLDER)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def collect_garbage() -> None:
    """Collect if it is worth it; to be called while no page is being handled.

    Where Python is left to its own thresholds this does nothing.
    """
    young, middle, old = gc.get_count()
    if young > YOUNG:
        gc.collect(2 if old > OLDER else 1 if middle > OLDER else 0)
