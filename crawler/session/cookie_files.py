"""Cookie files: read and write the exports of browsers and their extensions, as text.

Two formats: Netscape's ``cookies.txt``, with a line for each cookie, and the JSON of browser
extensions (a list of objects, or the ``cookies`` of a Playwright state).
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from typing import Any

from crawler.errors import CookieFileError
from crawler.http.set_cookie import DOTLESS
from crawler.records import Cookie

HEADER = "# Netscape HTTP Cookie File"
HTTP_ONLY = "#HttpOnly_"


def read(text: str, name: str) -> list[Cookie]:
    """Return the cookies in a file's text, except those without a name.

    ``name`` is the file's, for messages. Raises CookieFileError for a text of neither format.
    """
    text = text.removeprefix("\ufeff")
    if text.lstrip()[:1] in {"[", "{"}:
        cookies = _from_json(text, name)
    else:
        cookies = _from_netscape(text, name)
    if not cookies:
        raise CookieFileError(f"{name} holds no cookies")
    return cookies


def netscape(cookies: Iterable[Cookie]) -> str:
    """Return the cookies as ``cookies.txt``. A cookie without expiry gets the time 0."""
    lines = [HEADER, *map(_line, cookies)]
    return "".join(f"{line}\n" for line in lines)


def as_json(cookies: Iterable[Cookie]) -> str:
    """Return the cookies as browser extensions write and read them."""
    return json.dumps(list(map(_entry, cookies)), indent=2) + "\n"


def domain_of(cookie: Cookie) -> str:
    """Return the domain of a cookie as browsers have it; with a dot, for all hosts below it."""
    return cookie.domain.removesuffix(DOTLESS) if cookie.host_only else cookie.domain


# Netscape


def _from_netscape(text: str, name: str) -> list[Cookie]:
    cookies = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if line.strip() and (not line.startswith("#") or line.startswith(HTTP_ONLY)):
            cookie = _from_line(line, f"{name}:{number}")
            cookies += [cookie] if cookie.name else []
    return cookies


def _from_line(line: str, location: str) -> Cookie:
    fields = line.removeprefix(HTTP_ONLY).split("\t", 6)
    if len(fields) == 6:  # an empty value, and an editor that strips white space
        fields.append("")
    if len(fields) != 7:
        raise CookieFileError(
            f"{location} is not a cookie: it needs seven fields with tabs between them, as in a "
            "browser's cookies.txt, or a JSON export"
        )
    domain, subdomains, path, secure, expires, name, value = fields
    return _cookie(
        location,
        name=name,
        value=value,
        domain=domain,
        path=path,
        expires=expires.strip(),
        secure=secure.upper() == "TRUE",
        http_only=line.startswith(HTTP_ONLY),
        host_only=subdomains.upper() != "TRUE",
    )


def _line(cookie: Cookie) -> str:
    fields = (
        domain_of(cookie),
        _flag(not cookie.host_only),
        cookie.path,
        _flag(cookie.secure),
        "0" if cookie.expires is None else f"{cookie.expires:.0f}",
        cookie.name,
        cookie.value or "",
    )
    return (HTTP_ONLY if cookie.http_only else "") + "\t".join(fields)


def _flag(value: bool) -> str:
    return "TRUE" if value else "FALSE"


# JSON


def _from_json(text: str, name: str) -> list[Cookie]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CookieFileError(f"{name} is not valid JSON: {error}") from None
    if isinstance(document, dict):
        document = document.get("cookies")
    if not isinstance(document, list):
        raise CookieFileError(
            f"{name} is not a list of cookies as a browser's extension exports it"
        )
    entries = enumerate(document, 1)
    cookies = [_from_entry(entry, f"{name}, cookie {number}") for number, entry in entries]
    return [cookie for cookie in cookies if cookie.name]


def _from_entry(entry: Any, location: str) -> Cookie:
    if not isinstance(entry, dict) or not {"name", "value", "domain"} <= entry.keys():
        raise CookieFileError(f"{location} is not an object with name, value and domain")
    domain = entry["domain"]
    dotted = isinstance(domain, str) and domain.startswith(".")
    host_only = entry.get("hostOnly")
    return _cookie(
        location,
        name=entry["name"],
        value=entry["value"],
        domain=domain,
        path=entry.get("path") or "/",
        expires=entry.get("expirationDate", entry.get("expires")),
        secure=bool(entry.get("secure")),
        http_only=bool(entry.get("httpOnly")),
        host_only=bool(host_only) if host_only is not None else not dotted,
    )


def _entry(cookie: Cookie) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": cookie.name,
        "value": cookie.value or "",
        "domain": domain_of(cookie),
        "path": cookie.path,
        "secure": cookie.secure,
        "httpOnly": cookie.http_only,
        "hostOnly": cookie.host_only,
        "session": cookie.expires is None,
    }
    if cookie.expires is not None:
        entry["expirationDate"] = cookie.expires
    return entry


# Both


def _cookie(location: str, *, expires: Any, host_only: bool, **fields: Any) -> Cookie:
    """Return the cookie of these fields. Raises CookieFileError if it could not be sent."""
    for key in ("name", "value", "domain", "path"):
        value = fields[key]
        if not isinstance(value, str) or any(ord(c) < 32 and c != "\t" for c in value):
            raise CookieFileError(f"{location}: its {key} must be one line of text")
    bare = fields["domain"].strip().lstrip(".").lower()
    if not bare:
        raise CookieFileError(f"{location}: its domain is empty")
    if bare.split() != [bare]:
        raise CookieFileError(f"{location}: its domain contains white space")
    fields["domain"], host_only = _jar_domain(bare, host_only)
    return Cookie(expires=_time(expires, location), host_only=host_only, **fields)


def _jar_domain(bare: str, host_only: bool) -> tuple[str, bool]:
    """Return a domain as cookie jars have it, and whether it is for that host alone."""
    if _is_address(bare):
        return bare, True
    if "." not in bare:
        return bare + DOTLESS, True
    return (bare, True) if host_only else (f".{bare}", False)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _time(value: Any, location: str) -> float | None:
    """Return seconds since the epoch; None for a cookie that ends with the browser."""
    try:
        seconds = float(value or 0)
        if seconds != seconds or abs(seconds) == float("inf"):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise CookieFileError(
            f"{location}: its expiry must be in seconds since 1970, not {value!r:.40}"
        ) from None
    return seconds if seconds > 0 else None
