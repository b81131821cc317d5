"""Limit endless sites, by depth, URL length, repeated path segments and requests per page.

Sites without end are seldom meant ill: a calendar has a link to the next month, a relative link
that should be an absolute one makes each path longer than the last. A skipped URL is
counted by the name of its setting, and the first of each kind is told.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Self

from crawler import urls
from crawler.errors import FetchError
from crawler.settings import Settings

log = logging.getLogger(__name__)

WHY = {
    "max_depth": "it is more than {} links away from a seed",
    "max_url_length": "its URL has more than {} characters",
    "max_repeated_segments": "its path has the same segment more than {} times",
    "max_requests_per_page": "its page has more than {} new requests",
    "max_pages_per_host": "its host has had {} requests",
}
"""The objection of each limit, by the name of its setting."""


@dataclass(frozen=True, slots=True)
class CrawlLimits:
    """The limits for what is found on pages; ``None`` is no limit."""

    max_depth: int | None = None
    max_url_length: int | None = None
    max_repeated_segments: int | None = None
    max_requests_per_page: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The limits that the settings name."""
        return cls(
            settings.max_depth,
            settings.max_url_length,
            settings.max_repeated_segments,
            settings.max_requests_per_page,
        )

    def violated(self, url: str, depth: int) -> str:
        """The setting that is against a normalised URL, ``depth`` links from a seed, or nothing."""
        if self.max_depth is not None and depth > self.max_depth:
            return "max_depth"
        return self.violated_by_url(url)

    def check_redirect(self, url: str, target: str) -> None:
        """Raises FetchError where ``url`` redirects to what a guard is against."""
        if setting := self.violated_by_url(target):
            why = WHY[setting].format(getattr(self, setting))
            where = f"{urls.redacted(url)}: the redirect leads to {target[:200]!r}"
            raise FetchError("bad redirect", f"{where}, but {why} ({setting})")

    def violated_by_url(self, url: str) -> str:
        """The setting that is against a normalised URL, or nothing."""
        if self.max_url_length is not None and len(url) > self.max_url_length:
            return "max_url_length"
        most = self.max_repeated_segments
        # Most paths are too short for it, and to split them would cost more than all else here.
        if most is not None and url.count("/") > most + 2:
            segments = url.partition("?")[0].split("/")  # two more than there are, if anything
            if len(segments) - len(set(segments)) >= most and repeats(url) > most:
                return "max_repeated_segments"
        return ""

    def allows_another(self, found: int) -> bool:
        """True when a page of which ``found`` requests were new may have one more."""
        return self.max_requests_per_page is None or found < self.max_requests_per_page


def repeats(url: str) -> int:
    """How often the most frequent segment of a normalised URL's path stands in it."""
    path = url[url.find("/", 8) :].partition("?")[0]
    return max(Counter(path.split("/")[1:]).values())


class SkipCounter:
    """Counts the URLs that limits skip, and logs the first of each kind."""

    MOST_KNOWN = 10_000

    def __init__(self) -> None:
        self._left_out: dict[str, int] = {}
        self._told: set[str] = set()
        self._known: set[int] = set()

    def add(self, setting: str, url: str, limit: int | None) -> None:
        """``url`` is left out as ``setting`` says; one that is met again counts once."""
        key = hash((setting, url))
        if key in self._known:
            return
        if len(self._known) >= self.MOST_KNOWN:
            self._known.clear()
        self._known.add(key)
        self._left_out[setting] = self._left_out.get(setting, 0) + 1
        if setting not in self._told:
            self._told.add(setting)
            log.warning(
                "not followed: %.200s, as %s (%s); further ones are only counted",
                urls.redacted(url[:1000]),
                WHY[setting].format(f"{limit:,}"),
                setting,
            )

    def pop_counts(self) -> dict[str, int]:
        """What was left out since the last call, by the name of the setting."""
        left_out, self._left_out = self._left_out, {}
        return left_out
