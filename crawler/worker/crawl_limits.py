"""Limit endless sites, by depth, URL length, repeated path segments and requests per page.

Few endless sites are traps: a calendar links to the next month, and a relative link that should be
absolute makes each path longer than the last. A skipped URL is counted by the name of the setting,
and the first of each setting is logged.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Self

from crawler import urls
from crawler.errors import FetchError
from crawler.scope import DenyList
from crawler.settings import Settings

log = logging.getLogger(__name__)

WHY = {
    "max_depth": "it is more than {} links away from a seed",
    "max_url_length": "its URL has more than {} characters",
    "max_repeated_segments": "its path has the same segment more than {} times",
    "max_requests_per_page": "its page has more than {} new requests",
    "deny": "it matches {}",
    "max_pages_per_host": "its host has had {} requests",
}
"""Why a limit rejects a URL, by the name of its setting."""


@dataclass(frozen=True, slots=True)
class CrawlLimits:
    """The limits for requests that pages yield; ``None`` is no limit."""

    max_depth: int | None = None
    max_url_length: int | None = None
    max_repeated_segments: int | None = None
    max_requests_per_page: int | None = None
    deny: DenyList | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the limits of the settings."""
        return cls(
            settings.max_depth,
            settings.max_url_length,
            settings.max_repeated_segments,
            settings.max_requests_per_page,
            DenyList(settings.deny) if settings.deny else None,
        )

    def violated(self, url: str, depth: int) -> str:
        """Return the setting that rejects a normalised URL ``depth`` links from a seed, or ""."""
        if self.max_depth is not None and depth > self.max_depth:
            return "max_depth"
        if self.deny is not None and self.deny.denies(url):
            return "deny"
        return self.violated_by_url(url)

    def check_redirect(self, url: str, target: str) -> None:
        """Raise FetchError if ``url`` redirects to a URL that a limit rejects."""
        if setting := self.violated_by_url(target):
            why = WHY[setting].format(getattr(self, setting))
            where = f"{urls.redacted(url)}: the redirect leads to {target[:200]!r}"
            raise FetchError("bad redirect", f"{where}, but {why} ({setting})")

    def violated_by_url(self, url: str) -> str:
        """Return the setting that rejects a normalised URL, or ""."""
        if self.max_url_length is not None and len(url) > self.max_url_length:
            return "max_url_length"
        most = self.max_repeated_segments
        # Most paths are too short; splitting them would cost more than everything else here.
        if most is not None and url.count("/") > most + 2:
            segments = url.partition("?")[0].split("/")  # the scheme adds two
            if len(segments) - len(set(segments)) >= most and repeats(url) > most:
                return "max_repeated_segments"
        return ""

    def allows_another(self, number: int) -> bool:
        """Return True if a page with ``number`` new requests may have another."""
        return self.max_requests_per_page is None or number < self.max_requests_per_page


def repeats(url: str) -> int:
    """Return how often the most frequent segment occurs in the path of a normalised URL."""
    path = url[url.find("/", 8) :].partition("?")[0]
    return max(Counter(path.split("/")[1:]).values())


class SkipCounter:
    """Counts the URLs that limits skip, and logs the first of each kind."""

    MOST_REMEMBERED = 10_000
    """URLs that are remembered, so that each counts once."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._logged: set[str] = set()
        self._remembered: set[int] = set()

    def add(self, setting: str, url: str, limit: int | DenyList | None) -> None:
        """Count ``url`` as rejected by ``setting``, unless it has been counted before."""
        key = hash((setting, url))
        if key in self._remembered:
            return
        if len(self._remembered) >= self.MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered.add(key)
        self._counts[setting] = self._counts.get(setting, 0) + 1
        if setting not in self._logged:
            self._logged.add(setting)
            log.warning(
                "not followed: %.200s, as %s (%s); further ones are only counted",
                urls.redacted(url[:1000]),
                WHY[setting].format(
                    limit.reason(url) if isinstance(limit, DenyList) else f"{limit:,}"
                ),
                setting,
            )

    def pop_counts(self) -> dict[str, int]:
        """Return the number of URLs rejected since the last call, by the name of the setting."""
        counts, self._counts = self._counts, {}
        return counts
