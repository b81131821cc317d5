"""Scope: which URLs a job may ask for. Pure: it looks at the URL and at nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from crawler import urls
from crawler.errors import SpiderError

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_MOST_REMEMBERED = 10_000


class Scope:
    """The hosts that a job may ask.

    Built from domains (``example.com`` means it and its subdomains on any port, with a port it
    means exactly that name and port, ``*`` means everything), from the netlocs of the seeds (name
    and port exactly, http and https alike), or from both.
    """

    __slots__ = ("_domains", "_known", "_netlocs", "_places", "everything")

    def __init__(self) -> None:
        self.everything = False
        """True when every http(s) URL is allowed."""
        self._domains: set[str] = set()
        self._places: set[tuple[str, str]] = set()
        self._netlocs: set[str] = set()
        self._known: dict[str, bool] = {}

    @classmethod
    def of_domains(cls, domains: Iterable[str]) -> Scope:
        """The scope that ``allowed_domains`` describes. Raises SpiderError for a bad pattern."""
        scope = cls()
        for pattern in [domains] if isinstance(domains, str) else domains:
            scope._add_pattern(pattern)
        return scope

    @classmethod
    def of_netlocs(cls, netlocs: Iterable[str]) -> Scope:
        """Exactly these hosts, as ``urls.netloc`` gives them: ``shop.example:8080``."""
        scope = cls()
        scope._netlocs.update(netlocs)
        return scope

    def add_netloc(self, netloc: str) -> None:
        """Allow one more host, for instance the one that a seed redirected to."""
        self._netlocs.add(netloc)
        self._known.clear()

    def allows(self, url: str) -> bool:
        """True when the job may ask for ``url``, a normalised URL."""
        prefix = url[: url.find("/", 8)]
        known = self._known.get(prefix)
        if known is None:
            known = self._decide(urls.origin(url))
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[prefix] = known
        return known

    def _decide(self, origin: str) -> bool:
        scheme, _, netloc = origin.partition("://")
        if self.everything or netloc in self._netlocs:
            return scheme in _DEFAULT_PORTS
        host, port = _split(netloc)
        if (host, port or _DEFAULT_PORTS.get(scheme, "")) in self._places:
            return True
        while host:
            if host in self._domains:
                return True
            host = host.partition(".")[2]
        return False

    def _add_pattern(self, pattern: str) -> None:
        if pattern == "*":
            self.everything = True
            return
        host, port = _checked(pattern)
        if port:
            self._places.add((host, port))
        else:
            self._domains.add(host)


def _split(netloc: str) -> tuple[str, str]:
    """Host and port; the port is empty where none is written."""
    host, colon, port = netloc.rpartition(":")
    return (host, port) if colon and not port.endswith("]") else (netloc, "")


def _checked(pattern: str) -> tuple[str, str]:
    """Host and port of one pattern of ``allowed_domains``, the host as it stands in URLs."""
    if not isinstance(pattern, str):
        raise SpiderError(f"allowed_domains must hold names such as 'example.com', not {pattern!r}")
    if "/" in pattern:
        whole = urls.normalise(pattern if "://" in pattern else f"http://{pattern}")
        instead = f": write {urls.netloc(whole)!r}" if whole else ""
        raise SpiderError(
            f"allowed_domains holds {urls.redacted(pattern)!r}, which is a URL "
            f"and not a domain{instead}"
        )
    if pattern.startswith("*."):
        raise SpiderError(
            f"allowed_domains holds {pattern!r}: write {pattern[2:]!r}, "
            "which includes its subdomains"
        )
    host, port = _split(pattern.strip().removeprefix("."))
    # Port 1 keeps a name that is wrong from being read as something else that is right.
    whole = urls.normalise(f"http://{host}:1/") if host and not set(host) & set("@?#\\") else None
    if whole is None or (port and not (port.isdecimal() and 0 < int(port) < 65_536)):
        raise SpiderError(f"allowed_domains holds {pattern!r}, which is no domain: name a host")
    return _split(urls.netloc(whole))[0], port
