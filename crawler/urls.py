"""Resolve, normalise, compare and split URLs as browsers do.

Parsing and joining follow the WHATWG URL standard, by the ada library. A *normalised* URL is an
absolute http or https URL as ``resolve`` and ``normalise`` give it: host in lower case and
Punycode, no default port, no dot segments, ASCII only, no fragment. The functions that only slice
(``origin``, ``netloc``, ``site``) promise nothing for other URLs.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from ada_url import join_url, normalize_url

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

# The usual URL, which is its own normalised form: matching costs a fifth of parsing. Its last
# label starts with a letter, because a number there is an IPv4 address in one of many spellings.
# Percent signs are left out: %2e is a dot segment too.
_NORMAL = re.compile(
    r"https?://"
    r"(?:(?:[a-z0-9_-]+\.)*[a-z][a-z0-9_-]*|127\.0\.0\.1)"
    r"(?::(?!80/|443/)(?:[1-5][0-9]{4}|[1-9][0-9]{0,3}))?"
    r"/[A-Za-z0-9_.~!$&'()*+,;=:@/|\[\]-]*"
    r"(\?[A-Za-z0-9_.~!$&()*+,;=:@/?|\[\]^`{}-]*)?"
)
_is_normal = _NORMAL.fullmatch

_SURROGATE = re.compile("[\ud800-\udfff]")


def normalise(url: str) -> str | None:
    """Return the normalised form of one absolute URL; ``None`` if it is broken or not http(s)."""
    if _is_normal(url) and "/." not in url and "xn--" not in url:
        return url
    try:
        return _without_fragment(normalize_url(_SURROGATE.sub("\ufffd", url)))
    except ValueError:
        return None


def resolve(base: str, reference: str) -> str | None:
    """Return the normalised URL that ``reference`` means on a page with the base URL ``base``.

    ``None`` if the result is broken or not http(s): ``mailto:``, ``javascript:``, ``data:``.
    """
    return Base.of(base).join(reference)


def _without_fragment(url: str) -> str | None:
    if not url.startswith(("http://", "https://")):
        return None
    # Cut from the result, never from the reference: in "a #b" the space belongs to the path.
    end = url.find("#")
    return url if end < 0 else url[:end]


class Base:
    """A URL that references are resolved against, with a cache of the results.

    Pages of one site repeat their links. What a reference means depends, by its first characters,
    on nothing (``https://…``), on the base's origin (``/…``), on its directory (``a``, ``../a``)
    or on the whole base (empty, ``?…``, ``#…``, ``http:a``). All but the last are cached, for every
    base that has the part in question.
    """

    __slots__ = ("_here", "_root", "url")

    def __init__(self, url: str) -> None:
        self.url = normalise(url) or url
        path_ends = (self.url + "?").find("?")
        self._root = _memory.below(self.url[: self.url.find("/", 8) + 1])
        self._here = _memory.below(self.url[: self.url.rfind("/", 8, path_ends) + 1])

    @staticmethod
    @lru_cache(maxsize=64)
    def of(url: str) -> Base:
        """Return the ``Base`` for ``url``, the same object for a URL that was used lately."""
        return Base(url)

    def join(self, reference: str) -> str | None:
        """Resolve ``reference`` against this URL, as ``resolve`` does."""
        first = reference[:1]
        if first == "/":
            cache = self._root
        elif first in _STARTS_A_PATH and ":" not in reference:
            cache = self._here
        elif reference.startswith(("https://", "http://")):
            cache = _memory.absolute
        else:
            return self._parse(reference)
        try:
            return cache[reference]
        except KeyError:
            absolute = cache is _memory.absolute
            url = normalise(reference) if absolute else self._parse(reference)
            _memory.add(cache, reference, url)
            return url

    def _parse(self, reference: str) -> str | None:
        try:
            return _without_fragment(join_url(self.url, _SURROGATE.sub("\ufffd", reference)))
        except ValueError:
            return None


# A reference that starts with one of these has a path of its own, and without a colon no scheme.
# White space is not among them: browsers strip it, and what follows may be anything.
_STARTS_A_PATH = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-~%")


class _Memory:
    """The cached URLs of references, by the part of the base that they depend on.

    Holds ``MOST`` prefixes and references (about 15 MB), then starts again.
    """

    MOST = 50_000
    LONGEST = 500

    def __init__(self) -> None:
        self.absolute: dict[str, str | None] = {}
        self._below: dict[str, dict[str, str | None]] = {}
        self._count = 0

    def below(self, prefix: str) -> dict[str, str | None]:
        """Return the cache of references below ``prefix``."""
        cache = self._below.get(prefix)
        if cache is None:
            self._count_entry()
            cache = self._below[prefix] = {}
        return cache

    def add(self, cache: dict[str, str | None], reference: str, url: str | None) -> None:
        """Store ``url`` in ``cache``, unless it is very long."""
        # A base that is older than the last clearing has a dictionary that is no longer counted.
        if max(len(reference), len(url or "")) <= self.LONGEST and len(cache) < self.MOST:
            self._count_entry()
            cache[reference] = url

    def _count_entry(self) -> None:
        self._count += 1
        if self._count > self.MOST:
            self._below.clear()
            self.absolute.clear()
            Base.of.cache_clear()
            self._count = 1


_memory = _Memory()


def encode_query(reference: str, encoding: str) -> str:
    """Percent-encode the non-ASCII characters of the query of ``reference`` in ``encoding``.

    Browsers write the query of a link in the encoding of the page that it is on, and all other
    parts in UTF-8 (URL standard, query state). Characters that ``encoding`` lacks become ``&#…;``.
    """
    if reference.isascii() or "?" not in reference or encoding.lower().startswith("utf"):
        return reference
    path, mark, query = reference.partition("?")
    try:
        return (
            path
            + mark
            + _NON_ASCII.sub(
                lambda run: quote_from_bytes(run[0].encode(encoding, "xmlcharrefreplace"), safe=""),
                query,
            )
        )
    except (LookupError, UnicodeError):
        return reference


_NON_ASCII = re.compile(r"[^\x00-\x7f]+")


# Comparing


def canonical(url: str) -> str:
    """Return the form that all spellings of one address share; use it for comparing only.

    Beyond ``normalise``: percent-encoded unreserved characters are decoded and other encodings
    written in upper case (RFC 3986 section 6.2.2); in the query, ``+`` and ``%20`` are the same,
    empty parameters and an empty query do not count, and parameters are sorted by name.

    To take two addresses for one would lose a page; to take one for two costs a fetch. So these
    stay different: the values of a repeated parameter in another order, encoded and plain
    reserved characters, doubled slashes, a host with a dot at its end, http and https, tracking
    and session parameters. A broken URL is returned as it is.
    """
    usual = _is_normal(url)
    if usual and "/." not in url and "xn--" not in url:
        if usual[1] is None:
            return url
    else:
        whole = normalise(url)
        if whole is None:
            return url
        url = _ESCAPE.sub(_canonical_escape, whole) if "%" in whole else whole
    path, mark, query = url.partition("?")
    if not mark:
        return url
    query = _canonical_query(query)
    return f"{path}?{query}" if query else path


def _canonical_query(query: str) -> str:
    if "+" in query:
        query = query.replace("+", "%20")
    if "&" not in query:
        return query
    parameters = [parameter for parameter in query.split("&") if parameter]
    parameters.sort(key=_name_of)
    return "&".join(parameters)


def _name_of(parameter: str) -> str:
    return parameter.partition("=")[0]


# Not right after a bare percent sign, which a decoded character would complete to an escape.
_ESCAPE = re.compile("(?<!%)(?<!%[0-9A-Fa-f])%[0-9A-Fa-f]{2}")
_UNRESERVED = {
    f"%{ord(char):02X}": char
    for char in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
}


def _canonical_escape(match: re.Match[str]) -> str:
    escape = match[0].upper()
    return _UNRESERVED.get(escape, escape)


# The parts of a normalised URL


def origin(url: str) -> str:
    """Return scheme, name and port of a normalised URL: ``https://shop.example``.

    A port that is the default of the scheme is omitted, and so are user and password.
    """
    end = url.find("/", 8)
    start = url.find("@", 7, end)
    if start < 0:
        return url[:end] if end >= 0 else url
    return url[: url.find(":") + 3] + url[start + 1 : end]


def netloc(url: str) -> str:
    """Return name and port of a normalised URL: ``shop.example:8080``."""
    start = origin(url)
    return start[start.find(":") + 3 :]


def netloc_of(origin: str) -> str:
    """Return name and port of an origin: ``shop.example:8080``."""
    return origin[origin.find(":") + 3 :]


def same_origin(a: str, b: str) -> bool:
    """Return True if two normalised URLs share scheme, name and port."""
    return origin(a) == origin(b)


def is_downgrade(source: str, target: str) -> bool:
    """Return True if ``target`` is http and ``source`` is https."""
    return source.startswith("https:") and target.startswith("http:")


def referrer(page: str, target: str) -> str | None:
    """Return the Referer that a browser sends with a request for ``target`` from ``page``.

    The policy is ``strict-origin-when-cross-origin``: the page's URL without user, password and
    fragment; across origins its origin only; ``None`` from https to http, and for a broken URL.
    """
    source = normalise(page)
    if source is None or is_downgrade(source, target):
        return None
    start = origin(source)
    if not same_origin(source, target):
        return f"{start}/"
    return start + source[source.find("/", 8) :]


def site(url: str) -> str:
    """Return the registrable domain of a normalised URL: ``example.co.uk``.

    By the public suffix list, its private part included (``me.github.io`` is a site). An IP
    address, a name without dots and a public suffix itself are sites of their own.
    """
    return _site_of(netloc(url))


@lru_cache(maxsize=4096)
def _site_of(netloc: str) -> str:
    host = netloc if netloc.endswith("]") else netloc.rpartition(":")[0] or netloc
    if host.startswith("[") or host.rpartition(".")[2].isdigit():
        return host
    return _suffixes().privatesuffix(host) or host


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    # Reading the list takes longer than the rest of the start-up, and most jobs need no site.
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def redacted(url: str) -> str:
    """Return ``url`` for messages and logs, with user and password as ``***``."""
    if "@" not in url:
        return url
    whole = normalise(url)
    if whole is None:  # the end of its authority is unknown: hide rather too much
        return re.sub(r"^(\s*+[a-z]*+:?[/\\]*+).*@", r"\1***@", url, flags=re.S | re.I)
    start, end = whole.find(":") + 3, whole.find("/", 8)
    at = whole.find("@", start, end)
    return whole if at < 0 else f"{whole[:start]}***{whole[at:]}"
