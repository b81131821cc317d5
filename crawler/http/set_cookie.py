"""The meaning of a Set-Cookie line, and which cookies go where. Pure functions.

They do as browsers do: RFC 6265, sections 5.1 to 5.4, and its successor
(draft-ietf-httpbis-rfc6265bis) for sizes, prefixes of names, and cookies of https that plain http
cannot set. The standard library follows Netscape's specification of 1994.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from crawler import urls
from crawler.records import Cookie

MAX_PAIR = 4096
"""Bytes of a cookie's name and value together; a longer one is ignored (6265bis, 5.7)."""
MAX_ATTRIBUTE = 1024
"""Bytes of an attribute's value; a longer one is ignored (6265bis, 5.6)."""
MAX_LIFE = 400 * 24 * 60 * 60
"""Seconds that a cookie is kept, whatever it asks for (6265bis, 5.5)."""
DOTLESS = ".local"
"""The ending that the standard library adds to a host's name without a dot."""

CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that browsers accept nowhere in a Set-Cookie line, nor we in a Cookie line."""
_SPACE = " \t"
_SECONDS = re.compile(r"-?[0-9]+")
_URL = re.compile(
    r"([a-z][a-z0-9+.-]*)://(?:[^/?#]*@)?(\[[^\]/?#]*\]|[^/?#:]*)[^/?#]*([^?#]*)", re.I
)


class CookieOrigin(NamedTuple):
    """The parts of a URL that cookies depend on: https or not, host in lower case, path."""

    secure: bool
    host: str
    path: str

    @classmethod
    def of(cls, url: str) -> CookieOrigin:
        """Return the origin of an absolute URL."""
        match = _URL.match(url)
        if match is None:
            return cls(False, "", "/")
        scheme, host, path = match.groups()
        return cls(scheme.lower() == "https", host.lower(), path or "/")


def parse_line(line: str, origin: CookieOrigin, now: float) -> Cookie | None:
    """Return the cookie that a Set-Cookie line from ``origin`` sets; None if it is to be ignored.

    Its value is None if it has expired at ``now``, seconds since the epoch: it is deleted.
    """
    line = line.partition("\r")[0]  # where the standard library ends a header too
    pair, _, rest = line.partition(";")
    name, equals, value = pair.partition("=")
    name, value = name.strip(_SPACE), value.strip(_SPACE)
    if not equals or not name or len(name) + len(value) > MAX_PAIR or CONTROL.search(line):
        return None
    attributes = _attributes(rest)
    domain, host_only = _domain(attributes.domain, origin.host)
    secure = attributes.secure
    if not domain or (secure and not origin.secure):
        return None
    prefix = name[:9].lower()
    if prefix.startswith("__secure-") and not secure:
        return None
    if prefix.startswith("__host-") and not (secure and host_only and attributes.path == "/"):
        return None
    path = attributes.path or default_path(origin.path)
    expires = attributes.expires if attributes.max_age is None else now + attributes.max_age
    if expires is not None:
        expires = float(int(min(expires, now + MAX_LIFE)))
        if expires <= now:
            return Cookie(name, None, domain, path)
    return Cookie(
        name,
        value,
        domain,
        path,
        expires=expires,
        secure=secure,
        http_only=attributes.http_only,
        host_only=host_only,
    )


class CookieAttributes(NamedTuple):
    """The attributes of a line: of each name the last that has a meaning."""

    domain: str
    path: str
    expires: float | None
    max_age: int | None
    secure: bool
    http_only: bool


def _attributes(text: str) -> CookieAttributes:
    domain = path = ""
    expires: float | None = None
    max_age: int | None = None
    flags = set()
    for part in text.split(";") if text else ():
        name, _, value = part.partition("=")
        name, value = name.strip(_SPACE).lower(), value.strip(_SPACE)
        if len(value) > MAX_ATTRIBUTE:
            continue
        if name == "domain":
            domain = value or domain
        elif name == "path":
            path = value if value.startswith("/") else ""
        elif name == "expires":
            expires = expires if (date := parse_date(value)) is None else date
        elif name == "max-age" and _SECONDS.fullmatch(value):
            max_age = _max_age(value)
        else:
            flags.add(name)
    return CookieAttributes(domain, path, expires, max_age, "secure" in flags, "httponly" in flags)


def _max_age(digits: str) -> int:
    """Return seconds, up to the limit: Python refuses to parse thousands of digits."""
    return -1 if digits.startswith("-") else min(int(digits[:20]), MAX_LIFE)


# Where a cookie belongs


def _domain(asked: str, host: str) -> tuple[str, bool]:
    """Return the domain of a cookie as jars have it, and whether it is for that host alone.

    ``asked`` is the attribute. The domain is empty if a cookie may not be set for it (5.3, steps 5
    and 6): it is neither the host nor above it, or it is a public suffix (``co.uk``).
    """
    asked = asked.removeprefix(".").lower()
    is_name = "." in host and not is_address(host)
    if not asked or asked == host:
        host_only = not asked or not is_name or is_public_suffix(asked)
        return (own_domain(host), True) if host_only else (f".{asked}", False)
    if is_name and host.endswith(f".{asked}") and not is_public_suffix(asked):
        return f".{asked}", False
    return "", False


def own_domain(host: str) -> str:
    """Return the domain, as jars have it, of a cookie for ``host`` alone."""
    return host + DOTLESS if host and "." not in host and not is_address(host) else host


def is_address(host: str) -> bool:
    """Return True for an IP address as it stands in a URL: no domain is above it."""
    return host.startswith("[") or host.rpartition(".")[2].isdigit()


@lru_cache(maxsize=1024)
def is_public_suffix(domain: str) -> bool:
    """Return True for a domain like ``com`` or ``github.io``, where anybody can get a name."""
    # Below such a domain, and only there, each name is a site of its own.
    return "." not in domain or urls.site(f"http://x.{domain}/") == f"x.{domain}"


@lru_cache(maxsize=1024)
def domains_for(host: str) -> tuple[tuple[str, bool], ...]:
    """Return the domains, as jars have them, whose cookies go to ``host``.

    With each: whether that includes cookies for that host alone. The empty domain is that of
    cookies that a spider has set without a domain, for every host.
    """
    own = dict.fromkeys((host, own_domain(host), ""), True)
    if not is_address(host):
        labels = host.split(".")
        above = [".".join(labels[start:]) for start in range(len(labels))]
        own = {**own, **dict.fromkeys((f".{domain}" for domain in above), False)}
        # Those that a spider has set with a domain, and those of the dotless form above.
        own = {**dict.fromkeys(above[1:], False), **own}
    return tuple(own.items())


def default_path(path: str) -> str:
    """Return the path of a cookie without one, from a URL with ``path`` (5.1.4)."""
    return path[: max(path.rfind("/"), 1)] if path.startswith("/") else "/"


def path_matches(path: str, cookie_path: str) -> bool:
    """Return True if a cookie of ``cookie_path`` goes to a URL with ``path`` (5.1.4)."""
    return path.startswith(cookie_path) and (
        len(path) == len(cookie_path)
        or cookie_path.endswith("/")
        or path.startswith("/", len(cookie_path))
    )


# Dates


_DELIMITERS = re.compile(r"[\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_DAY = re.compile(r"([0-9]{1,2})(?![0-9])")
_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])")
_MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"


def parse_date(text: str) -> float | None:
    """Return the date in an Expires attribute in seconds since the epoch; None if it has none.

    Its parts may be in any order, with anything between them (5.1.1).
    """
    hour: str | None = None
    minute = second = "0"
    day = month = year = None
    for token in _DELIMITERS.split(text):
        if hour is None and (match := _TIME.match(token)):
            hour, minute, second = match.groups()
        elif day is None and (match := _DAY.match(token)):
            day = int(match[1])
        elif month is None and (number := _month(token)):
            month = number
        elif year is None and (match := _YEAR.match(token)):
            year = int(match[1])
    if hour is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    if year <= 1600:
        return None
    try:
        date = datetime(year, month, day, int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:
        return None
    return date.timestamp()


def _month(token: str) -> int | None:
    index = _MONTHS.find(token[:3].lower()) if len(token) > 2 else -1
    return None if index % 3 else index // 3 + 1
