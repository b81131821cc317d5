"""Choose the links that a job that logs in does not follow. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, Self

from crawler import urls
from crawler.errors import FetchError, SpiderError
from crawler.request import Request
from crawler.settings import Settings
from crawler.url_words.signs import signs
from crawler.worker.unsafe.pages import Page

Patterns = Sequence[str | re.Pattern[str]]
Effect = Literal["logs out", "destructive"]


class Objection(NamedTuple):
    """The reason not to follow a link."""

    effect: Effect
    sign: str
    """The part of the URL, or of the page, that shows the effect."""

    @property
    def meaning(self) -> str:
        """The effect as part of a sentence."""
        return MEANING[self.effect]

    @property
    def way_out(self) -> str:
        """The setting that allows such links."""
        return WAY_OUT[self.effect]


MEANING: dict[Effect, str] = {
    "logs out": "which would log out",
    "destructive": "which looks as if it changes something",
}
WAY_OUT: dict[Effect, str] = {
    "logs out": "follow_logout=true",
    "destructive": "follow_destructive=true",
}


class UnsafeLinkFilter:
    """Tells which links a logged-in job must not follow.

    ``logout_urls`` and ``safe_urls`` are the spider's own: text that occurs anywhere in the URL, or
    compiled regular expressions. ``follow_logout`` and ``follow_destructive`` are the settings of
    these names. Raises SpiderError if a pattern is anything else.
    """

    def __init__(
        self,
        logout_urls: Patterns = (),
        safe_urls: Patterns = (),
        *,
        follow_logout: bool = False,
        follow_destructive: bool = False,
    ) -> None:
        self._logout_urls = compiled("logout_urls", logout_urls)
        self._safe_urls = compiled("safe_urls", safe_urls)
        self._follow_logout = follow_logout
        self._follow_destructive = follow_destructive

    @classmethod
    def of(cls, logout_urls: Patterns, safe_urls: Patterns, settings: Settings) -> Self:
        """Return the filter of a job that logs in, by its spider and settings."""
        return cls(
            logout_urls,
            safe_urls,
            follow_logout=settings.follow_logout,
            follow_destructive=settings.follow_destructive,
        )

    def objection(self, url: str, page: Page | None = None) -> Objection | None:
        """Return the reason not to follow ``url``, which is normalised; ``page`` has the link."""
        logout, act = signs(url, "" if page is None else page.url)
        if page is not None and not logout:
            act = act or page.sign(url)
        if not (logout or act or self._logout_urls) or self._is_safe(url):
            return None
        if not self._follow_logout:
            logout = logout or self._pattern_of(url)
            if logout:
                return Objection("logs out", logout)
        if act and not self._follow_destructive:
            return Objection("destructive", act)
        return None

    def _is_safe(self, url: str) -> bool:
        return any(pattern.search(url) for pattern in self._safe_urls)

    def _pattern_of(self, url: str) -> str:
        """Return the first of ``logout_urls`` that ``url`` matches."""
        return next((rule.pattern for rule in self._logout_urls if rule.search(url)), "")

    def check_redirect(self, request: Request, target: Request) -> None:
        """Raise FetchError if a redirect leads to a URL that is not followed as a link.

        A request of that kind itself was wanted by the spider or the user, and so is its target,
        and that of a request with ``safe=True``.
        The same holds for a form that deletes: its response is often a redirect to
        ``?action=delete&done``, which deletes nothing any more. Nor is a token in the target an
        objection: the site itself has put it there.
        """
        if target.method != "GET" or request.safe:
            return
        objection = self.objection(target.url, Page(target.url))
        if objection is None:
            return
        first = self.objection(request.url)
        if first is not None and first.effect == objection.effect:
            return
        if objection.effect == "destructive" and request.method != "GET":
            return
        raise FetchError(
            objection.effect,
            f"{urls.redacted(request.url)} redirects to {urls.redacted(target.url)}, "
            f"{objection.meaning}; {objection.way_out} follows it",
        )


def compiled(name: str, patterns: Any) -> list[re.Pattern[str]]:
    """Return a spider's patterns as regular expressions; ``name`` is that of their attribute.

    Raises SpiderError.
    """
    if patterns is None:
        return []
    is_list = isinstance(patterns, Iterable) and not isinstance(patterns, str)
    return [_compiled(name, pattern) for pattern in (patterns if is_list else [patterns])]


def _compiled(name: str, pattern: object) -> re.Pattern[str]:
    if isinstance(pattern, str) and pattern:
        return re.compile(re.escape(pattern))
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        return pattern
    raise SpiderError(
        f"{name} holds {pattern!r}: give text that stands in the URL, or re.compile(…)"
    )
