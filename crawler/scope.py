"""The scope of a job, and of a session's credentials: where requests may go. Pure.

Credentials prove an identity to any host that receives them, and a link, a redirect or a form may
name any host. So they go only where the user's own word leads.
"""

from __future__ import annotations

import heapq
import itertools
import os
import re
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

from crawler import urls
from crawler.errors import SettingsError, SpiderError

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_MOST_DECISIONS = 10_000
_MOST_RECENT = 65_536
"""Netlocs that are held in a set before they are sorted into an array."""


class NetlocSet:
    """A set of netlocs that takes 8 bytes for each: a job may have millions of them.

    It holds a keyed hash of each, in a few sorted arrays. So it takes another netloc for one of
    a million once in 2 to the power of 44. The key is random, so that no name can be made for that.
    Copies share the arrays, which never change.
    """

    def __init__(self, netlocs: Iterable[str] = ()) -> None:
        self._key = os.urandom(16)
        self._arrays: tuple[array[int], ...] = ()
        self._recent: set[int] = set()
        netlocs = iter(netlocs)
        while batch := set(map(self._hash, itertools.islice(netlocs, _MOST_RECENT))):
            self._recent = batch
            self._sort()

    def copy(self) -> NetlocSet:
        """Return a set of the same netlocs, which then changes by itself."""
        other = NetlocSet()
        other._key, other._arrays, other._recent = self._key, self._arrays, {*self._recent}
        return other

    def add(self, netloc: str) -> bool:
        """Add a netloc; return False if it was there."""
        if netloc in self:
            return False
        self._recent.add(self._hash(netloc))
        if len(self._recent) >= _MOST_RECENT:
            self._sort()
        return True

    def __contains__(self, netloc: str) -> bool:
        number = self._hash(netloc)
        if number in self._recent:
            return True
        for numbers in self._arrays:
            place = bisect_left(numbers, number)
            if place < len(numbers) and numbers[place] == number:
                return True
        return False

    def _hash(self, netloc: str) -> int:
        digest = blake2b(netloc.encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "big")

    def _sort(self) -> None:
        """Make an array of what is new, merged with those that are not much larger."""
        new = array("Q", sorted(self._recent))
        arrays = [*self._arrays]
        while arrays and len(arrays[-1]) <= 2 * len(new):
            new = array("Q", heapq.merge(arrays.pop(), new))
        self._arrays, self._recent = (*arrays, new), set()


class Scope:
    """The hosts that a job may send requests to.

    Built from domains (``example.com`` means it and its subdomains on any port, with a port it
    means exactly that name and port, ``*`` means everything), from the netlocs of the seeds (name
    and port exactly, http and https alike), or from both.
    """

    __slots__ = ("_decisions", "_domains", "_exact", "_netlocs", "everything")

    def __init__(self) -> None:
        self.everything = False
        """True if every http(s) URL is allowed."""
        self._domains: set[str] = set()
        self._exact: set[tuple[str, str]] = set()
        self._netlocs = NetlocSet()
        self._decisions: dict[str, bool] = {}

    @classmethod
    def of_domains(cls, domains: Iterable[str]) -> Scope:
        """Return the scope of ``allowed_domains``. Raises SpiderError for a bad pattern."""
        scope = cls()
        for pattern in [domains] if isinstance(domains, str) else domains:
            scope._add_pattern(pattern)
        return scope

    @classmethod
    def of_netlocs(cls, netlocs: Iterable[str]) -> Scope:
        """Return a scope of exactly these hosts, in the form of ``urls.netloc``."""
        scope = cls()
        scope._netlocs = NetlocSet(netlocs)
        return scope

    def add_netlocs(self, netlocs: NetlocSet) -> None:
        """Allow further hosts, instead of those that were added before."""
        self._netlocs = netlocs.copy()
        self._decisions.clear()

    def add_netloc(self, netloc: str) -> None:
        """Allow one more host, for instance the target of a seed's redirect."""
        self._netlocs.add(netloc)
        self._decisions.clear()

    def allows(self, url: str) -> bool:
        """Return True if the job may request ``url``, a normalised URL."""
        prefix = url[: url.find("/", 8)]
        is_allowed = self._decisions.get(prefix)
        if is_allowed is None:
            is_allowed = self._decide(urls.origin(url))
            if len(self._decisions) >= _MOST_DECISIONS:
                self._decisions.clear()
            self._decisions[prefix] = is_allowed
        return is_allowed

    def _decide(self, origin: str) -> bool:
        scheme, _, netloc = origin.partition("://")
        if self.everything or netloc in self._netlocs:
            return scheme in _DEFAULT_PORTS
        host, port = _split(netloc)
        if (host, port or _DEFAULT_PORTS.get(scheme, "")) in self._exact:
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
            self._exact.add((host, port))
        else:
            self._domains.add(host)


def _split(netloc: str) -> tuple[str, str]:
    """Return host and port; the port is empty if there is none."""
    host, colon, port = netloc.rpartition(":")
    return (host, port) if colon and not port.endswith("]") else (netloc, "")


def _checked(pattern: str) -> tuple[str, str]:
    """Return host and port of a pattern of ``allowed_domains``, the host in its form in URLs."""
    if not isinstance(pattern, str):
        raise SpiderError(f"allowed_domains must hold names such as 'example.com', not {pattern!r}")
    if "/" in pattern:
        whole = urls.normalise(pattern if "://" in pattern else f"http://{pattern}")
        hint = f": write {urls.netloc(whole)!r}" if whole else ""
        raise SpiderError(
            f"allowed_domains holds {urls.redacted(pattern)!r}, which is a URL "
            f"and not a domain{hint}"
        )
    if pattern.startswith("*."):
        raise SpiderError(
            f"allowed_domains holds {pattern!r}: write {pattern[2:]!r}, "
            "which includes its subdomains"
        )
    host, port = _split(pattern.strip().removeprefix("."))
    # With a port, a wrong name is not parsed as another part of a valid URL.
    whole = urls.normalise(f"http://{host}:1/") if host and not set(host) & set("@?#\\") else None
    if whole is None or (port and not (port.isdecimal() and 0 < int(port) < 65_536)):
        raise SpiderError(f"allowed_domains holds {pattern!r}, which is not a domain: name a host")
    return _split(urls.netloc(whole))[0], port


class DenyList:
    """The URLs that the setting ``deny`` leaves out: regular expressions, or shapes of URLs.

    A shape has names for what differs, as the summary writes it: ``/thisday/{date}``,
    ``/wiki/{x}?do=diff&rev={n}``, ``?sort={x}``. Its path is the whole path of a URL, or any if it
    has none; its parameters are among those of the URL, in any order.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises SettingsError for a pattern that is no regular expression."""
        self._patterns = {pattern: _compiled_denial(pattern) for pattern in patterns}

    def denies(self, url: str) -> bool:
        """Return True for a normalised URL that is left out."""
        return any(pattern.search(url) for pattern in self._patterns.values())

    def reason(self, url: str) -> str:
        """Return the first pattern that ``url`` matches."""
        return next(text for text, pattern in self._patterns.items() if pattern.search(url))


def _compiled_denial(pattern: str) -> re.Pattern[str]:
    if _PLACEHOLDER.search(pattern) or _WITH_QUERY.fullmatch(pattern):
        return re.compile(_of_shape(pattern))
    try:
        return re.compile(pattern)
    except re.error as error:
        raise SettingsError(
            f"setting deny: {pattern!r} is neither a regular expression ({error}) nor a shape such "
            "as /thisday/{date}"
        ) from None


_SHAPES = {
    "n": r"\d+",
    "date": r"\d{4}[-./]?\d{1,2}(?:[-./]?\d{1,2})?",
    "x": r"[^/?&;=#]+",
    "token": r"[^/?&;=#]+",
}
_PLACEHOLDER = re.compile(r"\{(n|date|x|token)\}")

_WITH_QUERY = re.compile(r"[^\\^$*+()\[\]|?]*\?[\w.-]+(=[^\\^$*+()\[\]|?]*)?", re.ASCII)
"""An address with a query, which is not meant as a regular expression: ``/start?do=edit``."""


def _of_shape(shape: str) -> str:
    """Return a regular expression for the URLs of a shape."""
    address, _, query = shape.partition("?")
    host, slash, path = address.rpartition("://")[2].partition("/")
    pattern = "^[^:]+://" + (_of_part(host) or "[^/]+")
    # Parameters of a path, such as ";jsessionid=…", are no part of a shape.
    parts = [_of_part(part) + "(?:;[^/?]*)?" for part in path.split("/")]
    pattern += "/" + "/".join(parts) + r"(?:\?|$)" if slash else r"/[^?]*(?:\?|$)"
    for pair in filter(None, query.replace(";", "&").split("&")):
        pattern += rf"(?=(?:[^#]*[&;])?{_of_part(pair)}(?:[&;]|$))"
    return pattern


def _of_part(text: str) -> str:
    # Even parts are literal, odd ones the names of placeholders.
    return "".join(
        _SHAPES[part] if number % 2 else re.escape(part)
        for number, part in enumerate(_PLACEHOLDER.split(text))
    )


class CredentialOrigins:
    """The origins that the credentials of one session go to."""

    def __init__(self) -> None:
        self._visited: set[str] = set()
        self._secure_sites: set[str] = set()
        self._sites: set[str] = set()
        self._named: Counter[str] = Counter()

    @property
    def visited(self) -> tuple[str, ...]:
        """The origins that the login has visited, sorted."""
        return tuple(sorted(self._visited))

    def restore(self, visited: Iterable[str]) -> None:
        """Take over the origins that the login had visited when they were stored."""
        self._visited, self._sites, self._secure_sites = set(), set(), set()
        for origin in visited:
            # Version 0.1.0 stored sites.
            self.visit(origin if "://" in origin else f"https://{origin}")

    def visit(self, url: str) -> None:
        """Add the origin of ``url``, which the spider's ``login`` requests by its own word."""
        origin, site = urls.origin(url), urls.site(url)
        self._visited.add(origin)
        self._sites.add(site)
        if origin.startswith("https:"):
            self._secure_sites.add(site)

    def follow(self, source: str, target: str) -> None:
        """Add the origin of ``target``, to which the page ``source`` leads the login.

        A page may lead to another host of its site, or from http to https, on the same port. Other
        origins are not added: the user has not named them.
        """
        is_same_site = urls.site(source) == urls.site(target)
        if (
            is_same_site
            and not urls.is_downgrade(source, target)
            and _port(source) == _port(target)
        ):
            self.visit(target)

    def name(self, origin: str) -> None:
        """Add the origin of a seed."""
        self._named[origin] += 1

    def forget(self, origin: str) -> None:
        """Remove the origin of a seed whose host this worker no longer serves."""
        self._named[origin] -= 1
        if not self._named[origin]:
            del self._named[origin]

    def allow(self, url: str) -> bool:
        """Return True if the credentials may be sent to ``url``.

        After a login these are the origins that it has visited, and seeds at the same sites; never
        http where the login has visited https. In a session whose login has visited nothing, they
        are the seeds, and any https host on the default port.
        """
        origin = urls.origin(url)
        if not self._visited:
            return origin in self._named or (origin.startswith("https:") and not _port(origin))
        if origin.startswith("http:") and urls.site(url) in self._secure_sites:
            return False
        return origin in self._visited or (origin in self._named and urls.site(url) in self._sites)


def _port(url: str) -> str:
    """Return the port of a normalised URL; empty for the default port of its scheme."""
    match = re.search(r":(\d+)$", urls.netloc(url))
    return match[1] if match else ""


_CREDENTIAL = re.compile(
    r"authori[sz]ation|cookie2?|.*(?:auth|token|secret|passw|credential|signature|session|csrf|xsrf"
    r"|api[-_]?key|access[-_]?key).*",
    re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def is_credential(name: str) -> bool:
    """Return True for the name of a header that proves an identity, such as ``X-Api-Key``."""
    return _CREDENTIAL.fullmatch(name) is not None
