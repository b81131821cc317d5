"""Redirects: the request that follows a response. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from crawler import urls
from crawler.errors import FetchError
from crawler.request import Hop, Request, packed
from crawler.scope import is_credential

STATUSES = frozenset({301, 302, 303, 307, 308})
_ABOUT_A_BODY = frozenset(
    {"content-encoding", "content-language", "content-length", "content-location", "content-type",
     "transfer-encoding"}
)  # fmt: skip


def is_redirect(status: int, headers: Mapping[str, str]) -> bool:
    """Return True for a response that redirects. An empty Location does not, as in browsers."""
    return status in STATUSES and bool(headers.get("location"))


def redirected(request: Request, status: int, location: str, limit: int) -> Request:
    """Return the request that follows, by RFC 9110, section 15.4 and the Fetch standard.

    301 and 302 turn POST into GET, 303 turns all but HEAD into GET, 307 and 308 change nothing.
    A request that is more than its URL, such as a POST, is not filtered as one that is known.
    Credentials in headers or cookies of the request are not sent to another origin, and of the
    Referer its origin at most. Raises FetchError for a location that is not an http(s) URL, and
    after ``limit`` hops.
    """
    if len(request.history) >= limit:
        raise FetchError(
            "too many redirects",
            f"{urls.redacted(request.url)}: more than max_redirects, {limit}, redirects in a row",
        )
    target = leads_to(request.url, location)
    if target is None:
        raise FetchError(
            "bad redirect",
            f"{urls.redacted(request.url)}: the redirect leads to {location[:200]!r}, "
            "which is not an http(s) URL",
        )
    changed = replace(
        request,
        url=target,
        history=[*request.history, Hop(request.url, status)],
        first=request.first or (packed(request) if _must_be_stored(request) else None),
        dont_filter=request.dont_filter or not _is_its_url(request),
    )
    if _becomes_get(request.method, status):
        changed = _without_body(changed)
    if not urls.same_origin(request.url, target):
        headers = headers_elsewhere(changed.headers or {}, target) or None
        changed = replace(changed, headers=headers, cookies=None)
    return changed


def _must_be_stored(request: Request) -> bool:
    """Return True if ``request`` may be sent again and is more than its URL."""
    return request.replay and not request.is_plain


def _is_its_url(request: Request) -> bool:
    """Return False for a request that is more than its URL: where it leads to is its own response.

    Five forms that are sent lead to five results, though all may have the same address.
    """
    return request.is_plain and request.replay and not (request.safe or request.idempotent)


def leads_to(url: str, location: str) -> str | None:
    """Return the URL of ``location``, relative to ``url``; None if it is not an http(s) URL."""
    return urls.resolve(url, escaped(location)) or urls.resolve(url, location)


def _becomes_get(method: str, status: int) -> bool:
    return (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST")


def escaped(location: str) -> str:
    """Return ``location``, whose characters are bytes, with those above 127 as escapes.

    UTF-8 is decoded instead, where all of it is valid: a host's name needs that.
    """
    if location.isascii():
        return location
    try:
        raw = location.encode("latin-1")
    except UnicodeEncodeError:  # of an adapter that has decoded it
        return location
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(chr(byte) if byte < 128 else f"%{byte:02X}" for byte in raw)


def _without_body(request: Request) -> Request:
    headers = _without(request.headers, _ABOUT_A_BODY)
    # The GET after a POST may be sent twice; the one after a GET with replay=False may not.
    replay = request.replay or request.method != "GET"
    return replace(request, method="GET", data=None, json=None, headers=headers, replay=replay)


def headers_elsewhere(headers: Mapping[str, str | None], target: str) -> dict[str, str | None]:
    """Return those of a request's ``headers`` that follow a redirect to another origin."""
    remaining = {name: value for name, value in headers.items() if not is_credential(name)}
    for name in [name for name in remaining if name.lower() == "referer"]:
        value = remaining.pop(name)
        referer = None if value is None else urls.referrer(value, target)
        if value is None or referer is not None:
            remaining[name] = referer
    return remaining


def _without(
    headers: Mapping[str, str | None] | None, names: frozenset[str]
) -> dict[str, str | None] | None:
    if headers is None:
        return None
    return {name: value for name, value in headers.items() if name.lower() not in names} or None


def is_same_when_direct(request: Request) -> bool:
    """Return True if fetching the final URL directly would give the same page."""
    page = urls.canonical(request.url)  # many redirects only lead to another spelling
    is_loop = bool(request.history) and urls.canonical(request.history[0].url) == page
    return request.is_plain and not (is_loop or request.dont_filter or request.cb_kwargs)
