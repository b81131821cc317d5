"""Find the shapes of URLs that take most of a job's pages and give no items: calendars, diffs.

A site without an end is no fault of a single page, so no limit sees it early. The shapes of some of
the pages do: of all at first, later of a sample, so that a page costs nothing that can be measured.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from crawler.request import unpacked
from crawler.url_words.shapes import shape_of

log = logging.getLogger(__name__)

MOST_SHAPES = 512
"""Shapes that are counted; when there are more, the rarer half is forgotten."""
ALL = 500
"""The first pages of a run, of which each is looked at."""
ONE_OF = 32
"""Of how many later pages one is looked at."""
LEAST_PAGES = 100
"""Pages without which nothing can be said."""
MOST_ITEMS = 0.02
"""Items per page that are as good as none."""
LEAST_SHARE = 0.05
"""The share of a job's pages that a shape must have to be named."""
LEAST_TOGETHER = 0.5
"""The share that the named shapes must have together."""
MOST_NAMED = 3
GROWTH = 1.1
"""The growth of the number of pages until the shapes are compared anew."""


class ShapeCount(NamedTuple):
    """The pages with URLs of one shape, and the items that they gave."""

    pages: int
    items: int


class TrapFinder:
    """Counts pages and items by the shapes of their URLs."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        """``state`` is that of an earlier run."""
        state = state or {}
        self._pages: int = state.get("pages", 0)
        self._items: int = state.get("items", 0)
        self._shapes = {
            shape: ShapeCount(pages, items)
            for shape, (pages, items) in state.get("shapes", {}).items()
        }
        self._compared_at = 0.0
        self._logged: set[str] = set()

    def add(self, request: bytes, items: int, weight: int = 1) -> None:
        """Count a page that stands for ``weight`` pages; ``request`` is encoded."""
        try:
            shape = shape_of(unpacked(request).url)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return  # of an earlier version, and failed
        self._pages += weight
        self._items += items * weight
        before = self._shapes.get(shape, ShapeCount(0, 0))
        self._shapes[shape] = ShapeCount(before.pages + weight, before.items + items * weight)
        if len(self._shapes) > MOST_SHAPES:
            ordered = sorted(self._shapes.items(), key=lambda row: -row[1].pages)
            self._shapes = dict(ordered[: MOST_SHAPES // 2])

    def state(self) -> dict[str, Any]:
        """Return plain data for ``__init__``."""
        return {"pages": self._pages, "items": self._items, "shapes": self._shapes}

    @property
    def is_due(self) -> bool:
        """True if enough pages have come since ``traps`` was called."""
        return self._pages >= max(LEAST_PAGES, self._compared_at * GROWTH)

    def traps(self) -> dict[str, int]:
        """Return the shapes that take most pages and give no items, with their percentages."""
        self._compared_at = self._pages
        shares = {
            shape: count.pages / self._pages
            for shape, count in self._shapes.items()
            if self._is_suspect(shape, count)
        }
        traps: dict[str, int] = {}
        if self._pages >= LEAST_PAGES and sum(shares.values()) >= LEAST_TOGETHER:
            for shape in sorted(shares, key=lambda shape: (-shares[shape], shape))[:MOST_NAMED]:
                traps[shape] = round(100 * shares[shape])
                self._log(shape, traps[shape])
        return traps

    def _is_suspect(self, shape: str, count: ShapeCount) -> bool:
        if count.pages < LEAST_SHARE * self._pages or count.items > MOST_ITEMS * count.pages:
            return False
        # Some jobs give no items at all, and are right to request one page after another.
        return "{" in shape and (bool(self._items) or "{date}" in shape or "?" in shape)

    def _log(self, shape: str, percent: int) -> None:
        if shape not in self._logged:
            self._logged.add(shape)
            log.warning(
                "%d %% of the pages have URLs such as %s and give no items; the setting deny "
                "leaves them out",
                percent,
                shape,
            )
