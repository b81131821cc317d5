"""A requests cookie jar that keeps to RFC 6265 as browsers do, and records its changes as data.

``set_cookie`` decides the meaning of a Set-Cookie line and which cookies go where; the standard
library, whose jar this one extends, has rules of its own for both.
"""

from __future__ import annotations

import copy
import http.cookiejar
import math
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import Any

from requests.cookies import RequestsCookieJar

from crawler.errors import SpiderError
from crawler.http.set_cookie import CONTROL, CookieOrigin, domains_for, parse_line, path_matches
from crawler.records import Cookie
from crawler.values.plain import checked, cut_repr, kind_of, shown, text_of

MAX_OF_DOMAIN = 180
"""Cookies of a domain; browsers keep that many. RFC 6265, section 6.1, asks for 50."""
MAX_COOKIES = 3000
"""Cookies of a jar; RFC 6265, section 6.1, asks for that many."""


class ChangeTrackingCookieJar(RequestsCookieJar):
    """A jar that remembers each cookie set or deleted until ``pop_changes`` is called.

    Threads that share a session may read and change it while another calls ``pop_changes`` or
    ``load``. When there are too many cookies, those that scripts can see are deleted before the
    others, old before new.
    """

    _cookies_lock: AbstractContextManager[Any]  # of the standard library's jar
    _cookies: dict[str, dict[str, dict[str, http.cookiejar.Cookie]]]

    def __init__(
        self,
        policy: http.cookiejar.CookiePolicy | None = None,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``wall`` is the clock by which cookies expire, seconds since the epoch."""
        super().__init__(policy)
        self._has_policy = policy is not None
        self._wall = wall
        self._serials: dict[tuple[str, str, str], int] = {}
        """Numbers that grow with each cookie that is set first."""
        self._last_serial = 0
        self._changes: list[Cookie] = []

    def set_policy(self, policy: http.cookiejar.CookiePolicy) -> None:
        """From now on, neither store nor send a cookie that ``policy`` refuses."""
        super().set_policy(policy)
        self._has_policy = True

    def copy(self) -> ChangeTrackingCookieJar:
        """Return another jar with the same cookies."""
        other = ChangeTrackingCookieJar(
            self.get_policy() if self._has_policy else None, wall=self._wall
        )
        other.update(self)
        return other

    def __iter__(self) -> Iterator[Any]:
        with self._cookies_lock:  # requests copies a jar by iterating over it
            return iter(list(super().__iter__()))

    # From responses, to requests

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Store the cookies of ``response`` to ``request``, both as ``urllib`` has them."""
        if lines := response.info().get_all("Set-Cookie"):
            self.store_from(request.get_full_url(), lines, request)

    def store_from(self, url: str, lines: Iterable[str], request: Any = None) -> bool:
        """Store the cookies of a response from ``url``, given its Set-Cookie lines.

        Return True if a cookie that was there has another value now. ``request``, as ``urllib``
        has it, is for a policy.
        """
        origin, now = CookieOrigin.of(url), self._wall()
        values: dict[tuple[str, str, str], str | None] = {}  # of cookies that were there before
        domains: set[str] = set()
        with self._cookies_lock:
            secure = {} if origin.secure else self._secure_paths(origin.host)
            for line in lines:
                cookie = parse_line(line, origin, now)
                if cookie is None or _is_shadowed(cookie, secure):
                    continue
                if (old := self._stored(cookie.key)) is not None:
                    values.setdefault(cookie.key, old.value)
                self._put(cookie, url, request)
                domains.add(cookie.domain)
            self._evict(domains)
            return any(
                (new := self._stored(key)) is not None and new.value != value
                for key, value in values.items()
            )

    def _stored(self, key: tuple[str, str, str]) -> http.cookiejar.Cookie | None:
        domain, path, name = key
        return self._cookies.get(domain, _EMPTY).get(path, {}).get(name)

    def _put(self, cookie: Cookie, url: str, request: Any) -> None:
        if cookie.value is None:
            with suppress(KeyError):
                self.clear(*cookie.key)
            return
        stored = _as_cookie(cookie)
        if self._has_policy:
            request = request or urllib.request.Request(url)
            if not self.get_policy().set_ok(stored, request):
                return
        self._store(stored)
        self._changes.append(cookie)

    def _secure_paths(self, host: str) -> dict[str, list[str]]:
        """Return the paths of a host's secure cookies by their names."""
        paths: dict[str, list[str]] = {}
        for domain, has_host_only in domains_for(host):
            for path, names in self._cookies.get(domain, _EMPTY).items():
                for cookie in names.values():
                    if cookie.secure and (has_host_only or cookie.domain_specified):
                        paths.setdefault(cookie.name, []).append(path)
        return paths

    def add_cookie_header(self, request: Any) -> None:
        """Add the Cookie header to ``request``, as ``urllib`` has it, unless it has one."""
        if not self._cookies or request.has_header("Cookie"):
            return
        header = self.header(request.get_full_url(), request)
        if header:
            request.add_unredirected_header("Cookie", header)

    def header(self, url: str, request: Any = None) -> str:
        """Return the Cookie header of a request for ``url``: longest paths first, then the oldest.

        Empty without cookies. It can always be encoded in Latin-1, as headers are.
        """
        if not self._cookies:
            return ""
        origin, now = CookieOrigin.of(url), self._wall()
        with self._cookies_lock:
            cookies, expired = [], []
            for cookie in self._matching(origin.host, origin.path):
                if cookie.expires is not None and cookie.expires <= now:
                    expired.append(cookie)
                elif origin.secure or not cookie.secure:
                    cookies.append(cookie)
            for cookie in expired:
                self.clear(cookie.domain, cookie.path, cookie.name)
            if len(cookies) > 1:
                cookies.sort(key=lambda cookie: (-len(cookie.path), self._serials[_key(cookie)]))
        if self._has_policy and cookies:
            cookies = self._allowed(cookies, request or urllib.request.Request(url), now)
        return _in_latin1("; ".join(map(_pair, cookies)))

    def _allowed(
        self, cookies: list[http.cookiejar.Cookie], request: Any, now: float
    ) -> list[http.cookiejar.Cookie]:
        """Return those that a policy set by the spider lets go out."""
        policy: Any = self.get_policy()
        policy._now = int(now)  # where the standard library's own jar puts it
        return [
            cookie
            for cookie in cookies
            if policy.domain_return_ok(cookie.domain, request)
            and policy.path_return_ok(cookie.path, request)
            and policy.return_ok(cookie, request)
        ]

    def _matching(self, host: str, path: str) -> Iterator[http.cookiejar.Cookie]:
        """Yield the cookies for a host and a path, of http or not, expired or not."""
        for domain, has_host_only in domains_for(host):
            for cookie_path, names in self._cookies.get(domain, _EMPTY).items():
                if path_matches(path, cookie_path):
                    for cookie in names.values():
                        if has_host_only or cookie.domain_specified:
                            yield cookie

    def _evict(self, domains: Iterable[str]) -> None:
        """Keep to the limits, after cookies of ``domains`` have been stored."""
        for domain in domains:
            paths = self._cookies.get(domain, _EMPTY)
            if sum(map(len, paths.values())) > MAX_OF_DOMAIN:
                cookies = [cookie for names in paths.values() for cookie in names.values()]
                self._evict_from(cookies, MAX_OF_DOMAIN)
        if len(self._serials) > MAX_COOKIES:
            self._evict_from([*self], MAX_COOKIES)

    def _evict_from(self, cookies: list[http.cookiejar.Cookie], limit: int) -> None:
        # Scripts can seldom see the cookies that keep a login.
        cookies.sort(key=lambda cookie: (_is_http_only(cookie), self._serials[_key(cookie)]))
        for cookie in cookies[:-limit]:
            self.clear(*_key(cookie))

    # By hand

    def set_cookie(self, cookie: http.cookiejar.Cookie, *args: object, **kwargs: object) -> None:
        """Set a cookie with the plain values that its parts mean. Raises SpiderError without any.

        Text that would break its header means none.
        """
        cookie = cookie if _is_plain(cookie) else _plain_cookie(cookie)
        with self._cookies_lock:
            self._store(cookie)
            self._changes.append(_as_data(cookie))

    def _store(self, cookie: http.cookiejar.Cookie) -> None:
        # Past requests, which takes \" out of values.
        http.cookiejar.CookieJar.set_cookie(self, cookie)
        self._last_serial += 1
        self._serials.setdefault(_key(cookie), self._last_serial)

    def clear(
        self, domain: str | None = None, path: str | None = None, name: str | None = None
    ) -> None:
        """Delete all cookies, or those of a domain, of its path, or one. Raises KeyError."""
        with self._cookies_lock:
            if domain is not None and path is not None and name is not None:
                cookies = [self._cookies[domain][path][name]]
            else:
                cookies = [cookie for cookie in self if _covers(cookie, domain, path)]
            super().clear(domain, path, name)
            for cookie in cookies:
                self._serials.pop(_key(cookie), None)
                self._changes.append(_as_data(cookie, deleted=True))

    # As data

    @property
    def has_changes(self) -> bool:
        """True if ``pop_changes`` would return something."""
        return bool(self._changes)

    def pop_changes(self) -> list[Cookie]:
        """Return the changes since the last call, in order."""
        with self._cookies_lock:
            changes, self._changes = self._changes, []
        return changes

    def records(self) -> list[Cookie]:
        """Return all cookies as data, in the order in which they were first set."""
        with self._cookies_lock:
            return [_as_data(cookie) for cookie in self]

    def apply(self, changes: Iterable[Cookie]) -> None:
        """Set and delete cookies, as ``pop_changes`` of another jar has them."""
        for change in changes:
            if change.value is not None:
                self.set_cookie(_as_cookie(change))
            else:
                with suppress(KeyError):
                    self.clear(*change.key)

    def load(self, cookies: Iterable[Cookie]) -> None:
        """Replace all cookies by ``cookies``, but keep the changes since ``pop_changes``.

        They are in the order in which they were first set.
        """
        with self._cookies_lock:
            latest = {cookie.key: cookie for cookie in cookies}
            latest.update((change.key, change) for change in self._changes)
            self._cookies = {}
            self._serials = {}
            for cookie in latest.values():
                if cookie.value is not None:
                    self._store(_as_cookie(cookie))


def _is_plain(cookie: http.cookiejar.Cookie) -> bool:
    """Return True for nearly all cookies."""
    parts = (cookie.name, cookie.value, cookie.domain, cookie.path)
    return (
        all(type(part) is str and part.isascii() for part in parts)
        and (cookie.expires is None or type(cookie.expires) is int)
        and CONTROL.search(f"{cookie.name}{cookie.value}") is None
    )


def _plain_cookie(cookie: http.cookiejar.Cookie) -> http.cookiejar.Cookie:
    """Return a cookie that a spider has set, whose parts may be numbers or strings of any kind."""
    name = checked(f"a cookie has the name {shown(cookie.name)}", text_of, cookie.name)
    place = f"the cookie {cut_repr(name)}"
    value: Any = "" if cookie.value is None else cookie.value
    value = checked(f"{place} has {kind_of(value)}", text_of, value)
    if CONTROL.search(f"{name}{value}"):
        raise SpiderError(f"{place} must be one line of text")
    plain = copy.copy(cookie)
    plain.name, plain.value = name, value
    plain.domain = checked(f"{place} has domain={shown(cookie.domain)}", text_of, cookie.domain)
    plain.path = checked(f"{place} has path={shown(cookie.path)}", text_of, cookie.path)
    plain.expires = checked(f"{place} has expires={shown(cookie.expires)}", _expiry, cookie.expires)
    return plain


def _expiry(value: Any) -> int | None:
    """Return a time in whole seconds; None for the end of the session."""
    if isinstance(value, datetime):
        value = value.timestamp()
    if value is None or value == math.inf:
        return None
    try:
        return max(-(2**53), min(int(float(text_of(value))), 2**53))
    except (SpiderError, ValueError, OverflowError):
        raise SpiderError("it must be a time in seconds since 1970") from None


_EMPTY: dict[str, dict[str, http.cookiejar.Cookie]] = {}


def _is_shadowed(cookie: Cookie, secure: Mapping[str, Iterable[str]]) -> bool:
    """Return True for a cookie of http that would replace one of https (6265bis, 5.7).

    ``secure`` has the paths of the secure cookies by their names. A response of http sets none.
    """
    return any(path_matches(cookie.path, path) for path in secure.get(cookie.name, ()))


def _key(cookie: http.cookiejar.Cookie) -> tuple[str, str, str]:
    return cookie.domain, cookie.path, cookie.name


def _pair(cookie: http.cookiejar.Cookie) -> str:
    return cookie.name if cookie.value is None else f"{cookie.name}={cookie.value}"


def _in_latin1(header: str) -> str:
    """Return UTF-8, a character for each byte, if Latin-1 cannot encode it, as browsers do."""
    try:
        header.encode("latin-1")
    except UnicodeEncodeError:
        return header.encode("utf-8", "replace").decode("latin-1")
    return header


def _is_http_only(cookie: http.cookiejar.Cookie) -> bool:
    return cookie.has_nonstandard_attr("HttpOnly")


def _covers(cookie: http.cookiejar.Cookie, domain: str | None, path: str | None) -> bool:
    return (domain is None or cookie.domain == domain) and (path is None or cookie.path == path)


def _as_data(cookie: http.cookiejar.Cookie, *, deleted: bool = False) -> Cookie:
    return Cookie(
        name=cookie.name,
        value=None if deleted else cookie.value or "",
        domain=cookie.domain,
        path=cookie.path,
        expires=cookie.expires,
        secure=bool(cookie.secure),
        http_only=_is_http_only(cookie),
        host_only=not cookie.domain_specified,
    )


def _as_cookie(cookie: Cookie) -> http.cookiejar.Cookie:
    return http.cookiejar.Cookie(
        version=0,
        name=cookie.name,
        value=cookie.value,
        port=None,
        port_specified=False,
        domain=cookie.domain,
        domain_specified=not cookie.host_only,
        domain_initial_dot=cookie.domain.startswith("."),
        path=cookie.path,
        path_specified=True,
        secure=cookie.secure,
        expires=None if cookie.expires is None else int(cookie.expires),
        discard=cookie.expires is None,
        comment=None,
        comment_url=None,
        rest={"HttpOnly": ""} if cookie.http_only else {},
    )
