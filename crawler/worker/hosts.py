"""What a worker knows of a host: whose session it belongs to, and what its robots.txt allows."""

from __future__ import annotations

from crawler import urls
from crawler.errors import DisallowedError, FetchError
from crawler.messages import HostUpdate
from crawler.parsing.robots import Robots


class HostInfo:
    """One host, as the scheduling process has told of it."""

    def __init__(self, news: HostUpdate, agent: str) -> None:
        self.origin = news.origin
        self.session = news.session
        self.account = news.account
        self.seeded = news.seeded
        self._agent = agent
        self._robots = news.robots
        self._rules = None if news.robots is None else Robots(news.robots.body)

    def check(self, url: str) -> None:
        """Raises DisallowedError, or FetchError while nobody can know what is allowed."""
        if self._robots is not None and self._robots.cause:
            message = f"{urls.redacted(url)} is not asked: {self._robots.message}"
            raise FetchError(self._robots.cause, message)
        if self._rules is not None and not self._rules.allows(url, self._agent):
            raise DisallowedError(f"{urls.redacted(url)}: robots.txt disallows it")
