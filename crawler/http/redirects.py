"""Redirects: where one leads, and what is sent there. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from crawler import urls
from crawler.errors import FetchError
from crawler.request import Hop, Request, packed

STATUSES = frozenset({301, 302, 303, 307, 308})
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
_ABOUT_A_BODY = frozenset(
    {"content-encoding", "content-language", "content-length", "content-location", "content-type",
     "transfer-encoding"}
)  # fmt: skip


def is_redirect(status: int, headers: Mapping[str, str]) -> bool:
    """True when a response sends its reader elsewhere."""
    return status in STATUSES and "location" in headers


def redirected(request: Request, status: int, location: str, most: int) -> Request:
    """The request that follows a redirect, as RFC 9110, section 15.4 and the Fetch standard say.

    301 and 302 turn POST into GET, 303 turns all but HEAD into GET, 307 and 308 change nothing.
    Credentials given as headers or cookies of the request stay with the origin that they were
    meant for. Raises FetchError for a location that cannot be asked, and after ``most`` hops.
    """
    if len(request.history) >= most:
        raise FetchError(
            "too many redirects",
            f"{urls.redacted(request.url)}: more than max_redirects, {most}, redirects in a row",
        )
    target = leads_to(request.url, location)
    if target is None:
        raise FetchError(
            "bad redirect",
            f"{urls.redacted(request.url)}: the redirect leads to {location[:200]!r}, "
            "which is no http(s) URL",
        )
    changed = replace(
        request,
        url=target,
        history=[*request.history, Hop(request.url, status)],
        first=request.first or (packed(request) if _is_worth_keeping(request) else None),
    )
    if _becomes_get(request.method, status):
        changed = _without_body(changed)
    if not urls.same_origin(request.url, target):
        changed = _without_credentials(changed)
    return changed


def _is_worth_keeping(request: Request) -> bool:
    """True when the URL alone would not ask for the same once more, and it may be asked again."""
    return request.replay and not request.is_plain


def leads_to(url: str, location: str) -> str | None:
    """The URL that a page at ``url`` sends its reader to; None if it is no http(s) URL."""
    return urls.resolve(url, _as_text(location))


def _becomes_get(method: str, status: int) -> bool:
    return (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST")


def _as_text(location: str) -> str:
    """Header bytes reach us as latin-1; a location with other letters is meant as UTF-8."""
    try:
        return location.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return location


def _without_body(request: Request) -> Request:
    headers = _without(request.headers, _ABOUT_A_BODY)
    # What came of a POST may be read twice, but a GET that must not be sent twice stays one.
    replay = request.replay or request.method != "GET"
    return replace(request, method="GET", data=None, json=None, headers=headers, replay=replay)


def _without_credentials(request: Request) -> Request:
    return replace(request, headers=_without(request.headers, _CREDENTIALS), cookies=None)


def _without(headers: dict[str, str] | None, names: frozenset[str]) -> dict[str, str] | None:
    if headers is None:
        return None
    return {name: value for name, value in headers.items() if name.lower() not in names} or None


def says_no_more(request: Request) -> bool:
    """True when a page reached by redirects says no more than the same page asked directly."""
    page = urls.canonical(request.url)  # many a redirect only leads to another spelling
    been_there = any(urls.canonical(hop.url) == page for hop in request.history)
    return request.is_plain and not (been_there or request.dont_filter or request.cb_kwargs)
