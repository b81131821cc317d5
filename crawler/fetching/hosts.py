"""A host in the fetching process: its session, and the rules of its robots.txt."""

from __future__ import annotations

from functools import lru_cache

from crawler import urls
from crawler.errors import DisallowedError, FetchError
from crawler.messages import HostUpdate
from crawler.parsing.robots import Robots


@lru_cache(256)
def _rules(body: bytes) -> Robots:
    """Return the rules of a robots.txt; many hosts have the same, above all none."""
    return Robots(body)


class HostInfo:
    """One host, from the last update of the scheduling process."""

    def __init__(self, update: HostUpdate, agent: str) -> None:
        self.origin = update.origin
        self.session = update.session
        self.account = update.account
        self.seeded = update.seeded
        self._agent = agent
        self._robots = update.robots
        self._rules = None if update.robots is None else _rules(update.robots.body)

    def check(self, url: str) -> None:
        """Raise DisallowedError if robots.txt forbids ``url``, FetchError if it is unavailable."""
        if self._robots is not None and self._robots.cause:
            message = f"{urls.redacted(url)} is not requested: {self._robots.message}"
            raise FetchError(self._robots.cause, message)
        if self._rules is not None and not self._rules.allows(url, self._agent):
            raise DisallowedError(f"{urls.redacted(url)}: robots.txt disallows it")
