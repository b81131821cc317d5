"""Set-Cookie: what a response's line means, and which cookies go where. Pure.

As browsers do it: RFC 6265, sections 5.1 to 5.4, and where they have moved on since, what its
successor says (draft-ietf-httpbis-rfc6265bis): sizes, prefixes of names, cookies of https that
plain http cannot set. The standard library reads what Netscape wrote in 1994.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from crawler import urls
from crawler.records import Cookie

LONGEST = 4096
"""Bytes of a cookie's name and value together; a longer one is ignored (6265bis, 5.7)."""
LONGEST_ATTRIBUTE = 1024
"""Bytes of an attribute's value; a longer one is ignored (6265bis, 5.6)."""
LONGEST_LIFE = 400 * 24 * 60 * 60
"""Seconds that a cookie is kept, whatever it asks for (6265bis, 5.5)."""
DOTLESS = ".local"
"""What the standard library adds to a host's name that has no dot."""

CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
"""What a browser accepts nowhere in a Set-Cookie line, nor we in a Cookie line."""
_SPACE = " \t"
_SECONDS = re.compile(r"-?[0-9]+")
_URL = re.compile(
    r"([a-z][a-z0-9+.-]*)://(?:[^/?#]*@)?(\[[^\]/?#]*\]|[^/?#:]*)[^/?#]*([^?#]*)", re.I
)


class CookieOrigin(NamedTuple):
    """As much of a URL as cookies depend on: is it https, its host in lower case, its path."""

    secure: bool
    host: str
    path: str


def place_of(url: str) -> CookieOrigin:
    """The place that an absolute URL names."""
    match = _URL.match(url)
    if match is None:
        return CookieOrigin(False, "", "/")
    scheme, host, path = match.groups()
    return CookieOrigin(scheme.lower() == "https", host.lower(), path or "/")


def read(line: str, place: CookieOrigin, now: float) -> Cookie | None:
    """The cookie that a Set-Cookie line from ``place`` sets; None if it is to be ignored.

    Its value is None when it has expired at ``now``, seconds since the epoch: it is deleted.
    """
    line = line.partition("\r")[0]  # where the standard library ends a header too
    pair, _, rest = line.partition(";")
    name, equals, value = pair.partition("=")
    name, value = name.strip(_SPACE), value.strip(_SPACE)
    if not equals or not name or len(name) + len(value) > LONGEST or CONTROL.search(line):
        return None
    said = _attributes(rest)
    domain, host_only = _domain(said.domain, place.host)
    secure = said.secure
    if not domain or (secure and not place.secure):
        return None
    prefix = name[:9].lower()
    if prefix.startswith("__secure-") and not secure:
        return None
    if prefix.startswith("__host-") and not (secure and host_only and said.path == "/"):
        return None
    expires = said.expires if said.max_age is None else now + said.max_age
    if expires is not None:
        expires = float(int(min(expires, now + LONGEST_LIFE)))
        if expires <= now:
            return Cookie(name, None, domain, said.path or default_path(place.path))
    return Cookie(
        name,
        value,
        domain,
        said.path or default_path(place.path),
        expires=expires,
        secure=secure,
        http_only=said.http_only,
        host_only=host_only,
    )


class CookieAttributes(NamedTuple):
    """What the attributes of a line say, the last of each name that means something."""

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
        if len(value) > LONGEST_ATTRIBUTE:
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
    """Seconds, cut to what matters: Python refuses to read numbers of thousands of digits."""
    return -1 if digits.startswith("-") else min(int(digits[:20]), LONGEST_LIFE)


# Where a cookie belongs


def _domain(asked: str, host: str) -> tuple[str, bool]:
    """The domain of a cookie as jars have it, and whether it is that host alone.

    ``asked`` is the attribute. The domain is empty when a cookie may not be set for it (5.3,
    steps 5 and 6): it is not the host nor above it, or everybody's (``co.uk``).
    """
    asked = asked.removeprefix(".").lower()
    is_name = "." in host and not is_address(host)
    if not asked or asked == host:
        everyones = not asked or not is_name or is_public_suffix(asked)
        return (own_domain(host), True) if everyones else (f".{asked}", False)
    if is_name and host.endswith(f".{asked}") and not is_public_suffix(asked):
        return f".{asked}", False
    return "", False


def own_domain(host: str) -> str:
    """The domain, as jars have it, of a cookie that belongs to ``host`` alone."""
    return host + DOTLESS if host and "." not in host and not is_address(host) else host


def is_address(host: str) -> bool:
    """True for an IP address as it stands in a URL: no name, so that nothing is above it."""
    return host.startswith("[") or host.rpartition(".")[2].isdigit()


@lru_cache(maxsize=1024)
def is_public_suffix(domain: str) -> bool:
    """True for a domain below which anybody may have a name, as for ``com`` and ``github.io``."""
    # Below such a domain, and only there, each name is a site of its own.
    return "." not in domain or urls.site(f"http://x.{domain}/") == f"x.{domain}"


@lru_cache(maxsize=1024)
def domains(host: str) -> tuple[tuple[str, bool], ...]:
    """The domains, as jars have them, whose cookies go to ``host``.

    With each: whether cookies of that one host alone are among them. The empty domain is that of
    cookies that a spider has set without one, for every host.
    """
    own = dict.fromkeys((host, own_domain(host), ""), True)
    if not is_address(host):
        labels = host.split(".")
        above = [".".join(labels[start:]) for start in range(len(labels))]
        own = {**own, **dict.fromkeys((f".{one}" for one in above), False)}
        # Those that a spider has set with a domain, and those of the dotless form above.
        own = {**dict.fromkeys(above[1:], False), **own}
    return tuple(own.items())


def default_path(path: str) -> str:
    """The path of a cookie that names none, for one from a URL with ``path`` (5.1.4)."""
    return path[: max(path.rfind("/"), 1)] if path.startswith("/") else "/"


def path_matches(path: str, cookie_path: str) -> bool:
    """True if a cookie of ``cookie_path`` goes to a URL with ``path`` (5.1.4)."""
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
    """Seconds since the epoch that the date in an Expires attribute means; None if none.

    By the parts that it has, in whatever order and with whatever between them (5.1.1).
    """
    hour: str | None = None
    minute = second = "0"
    day = month = year = None
    for token in _DELIMITERS.split(text):
        if hour is None and (match := _TIME.match(token)):
            hour, minute, second = match.groups()
        elif day is None and (match := _DAY.match(token)):
            day = int(match[1])
        elif month is None and (found := _month(token)):
            month = found
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
    place = _MONTHS.find(token[:3].lower()) if len(token) > 2 else -1
    return None if place % 3 else place // 3 + 1
