"""Servers: where they are, how to speak to them, and when each was used last."""

from __future__ import annotations

import ipaddress
import itertools
from urllib.parse import urlsplit

from crawler import urls
from crawler.http.curl import failures

MAX_IDLE_AGE = 3600
"""Seconds that an idle connection stays usable; servers end theirs long before."""
_MAX_ORIGINS = 20_000
_LEAST_SERVERS = 1_000
"""Servers whose connections stay open, however few hosts are at work."""
_CLOSING = 2.0
"""Seconds for which old connections are closed; libcurl looks for them once a second."""

Server = tuple[str, int]
"""Name and port of a server."""


def address_of(url: str) -> tuple[str, int, bool]:
    """Return host and port of ``url``, and whether the host is a number. Raises FetchError."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise failures.error_of(failures.BAD_URL, urls.redacted(url)) from None
    host = parts.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host, port, False
    return host, port, True


class _Servers(set[Server]):
    """Some servers; when they are many, they are forgotten, and found out again."""

    def add(self, server: Server) -> None:
        if len(self) >= _MAX_ORIGINS:
            self.clear()
        super().add(server)


class Servers:
    """The servers of one loop, which keeps ``max_idle`` connections at the most."""

    def __init__(self, max_idle: int) -> None:
        self.mended: set[Server] = _Servers()
        """Servers whose heads libcurl does not read."""
        self.only_http1: set[Server] = _Servers()
        self.are_many = False
        """Many servers are new, so that libcurl should forget the names of old ones."""
        self._max_servers = self._most_servers = max_idle * 3 // 4
        self._by_origin: dict[str, tuple[str, int, bool]] = {}
        self._used: dict[Server, float] = {}
        """When each server was used last, the one that was used least recently first."""
        self._idle_age = MAX_IDLE_AGE
        self._closing_until = 0.0

    def address(self, url: str) -> tuple[str, int, bool]:
        """Return host and port of ``url``, and whether the host is a number. Raises FetchError."""
        origin = url[: url.find("/", 8)]
        if (address := self._by_origin.get(origin)) is None:
            if len(self._by_origin) >= _MAX_ORIGINS:
                self._by_origin.clear()
                self.are_many = True
            address = self._by_origin[origin] = address_of(url)
        return address

    def keep_for(self, hosts: int) -> None:
        """Keep connections for as many hosts as are at work, and for a few that were."""
        self._most_servers = min(max(_LEAST_SERVERS, hosts * 5 // 4), self._max_servers)

    def used(self, server: Server, now: float) -> None:
        """Note that a server was used.

        If too many were, let the connections that were used least recently be closed, an eighth of
        all. At its own limit, libcurl closes a single one after each transfer, and looks at all of
        them to find it.
        """
        self._used.pop(server, None)
        self._used[server] = now
        if len(self._used) <= self._most_servers:
            return
        oldest = list(itertools.islice(self._used, len(self._used) // 8 + 1))
        self._idle_age = max(1, int(now - self._used[oldest[-1]]))
        self._closing_until = now + _CLOSING
        for old in oldest:
            del self._used[old]

    def idle_age(self, now: float) -> int:
        """Return the seconds after which an idle connection is to be closed."""
        return self._idle_age if now < self._closing_until else MAX_IDLE_AGE
