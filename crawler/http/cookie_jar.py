"""A requests cookie jar that keeps to RFC 6265 as browsers do, and says what changed.

Cookies can so be kept as data. What a Set-Cookie line means and which cookies go where is decided
in ``setcookie``; the standard library, which the jar extends, has rules of its own for both.
"""

from __future__ import annotations

import http.cookiejar
import time
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any

from requests.cookies import RequestsCookieJar, extract_cookies_to_jar

from crawler.http import set_cookie as setcookie
from crawler.http.set_cookie import CookieOrigin
from crawler.records import Cookie

MOST_OF_DOMAIN = 180
"""Cookies of one domain; browsers keep that many. RFC 6265, section 6.1, asks for 50."""
MOST = 3000
"""Cookies of a jar; RFC 6265, section 6.1, asks for that many."""


class ChangeTrackingCookieJar(RequestsCookieJar):
    """A jar that remembers each cookie set or deleted until ``pop_changes`` is called.

    Threads that share a session may change and read it while another one drains or loads it.
    When there are too many, cookies that scripts can see go before the others, old before new.
    """

    _cookies_lock: AbstractContextManager[Any]  # made by the standard library's jar
    _cookies: dict[str, dict[str, dict[str, http.cookiejar.Cookie]]]

    def __init__(self, policy: http.cookiejar.CookiePolicy | None = None) -> None:
        super().__init__(policy)
        self._asked = policy is not None
        self._births = 0
        self._born: dict[tuple[str, str, str], int] = {}
        self._changes: list[Cookie] = []
        self._unheard: deque[Cookie] = deque()
        self._drained = 0

    def set_policy(self, policy: http.cookiejar.CookiePolicy) -> None:
        """From now on ``policy`` is asked too: what it refuses is neither kept nor sent."""
        super().set_policy(policy)
        self._asked = True

    def copy(self) -> ChangeTrackingCookieJar:
        """Another jar with the same cookies."""
        other = ChangeTrackingCookieJar(self.get_policy() if self._asked else None)
        other.update(self)
        return other

    def __iter__(self) -> Iterator[Any]:
        with self._cookies_lock:  # requests copies a jar by iterating over it
            return iter(list(super().__iter__()))

    # From responses, to requests

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Take the cookies that ``response`` to ``request`` sets, both as ``urllib`` has them."""
        lines = response.info().get_all("Set-Cookie")
        if not lines:
            return
        place, now = setcookie.place_of(request.get_full_url()), time.time()
        with self._cookies_lock:
            touched = set()
            for line in lines:
                cookie = setcookie.read(line, place, now)
                if cookie is not None and (place.secure or not self._is_shadowed(cookie, place)):
                    self._put(cookie, request)
                    touched.add(cookie.domain)
            self._make_room(touched)

    def _put(self, cookie: Cookie, request: Any) -> None:
        if cookie.value is None:
            with suppress(KeyError):
                self.clear(*cookie.key)
            return
        made = _as_cookie(cookie)
        if not self._asked or self.get_policy().set_ok(made, request):
            self.set_cookie(made)

    def _is_shadowed(self, cookie: Cookie, place: CookieOrigin) -> bool:
        """True for a cookie of http that would stand in for one of https (6265bis, 5.7)."""
        names = self._found(place.host, cookie.path)
        return any(known.secure and known.name == cookie.name for known in names)

    def add_cookie_header(self, request: Any) -> None:
        """Give ``request``, as ``urllib`` has it, its Cookie header, unless it has one."""
        if not self._cookies or request.has_header("Cookie"):
            return
        header = self.header(request.get_full_url(), request)
        if header:
            request.add_unredirected_header("Cookie", header)

    def header(self, url: str, request: Any = None) -> str:
        """The Cookie header of a request for ``url``, longest paths first, then the oldest.

        Empty if there is none. It can always be encoded in Latin-1, as headers are.
        """
        if not self._cookies:
            return ""
        place, now = setcookie.place_of(url), time.time()
        with self._cookies_lock:
            found, expired = [], []
            for cookie in self._found(place.host, place.path):
                if cookie.expires is not None and cookie.expires <= now:
                    expired.append(cookie)
                elif place.secure or not cookie.secure:
                    found.append(cookie)
            for cookie in expired:
                self.clear(cookie.domain, cookie.path, cookie.name)
            if len(found) > 1:
                found.sort(key=lambda one: (-len(one.path), self._born[_key(one)]))
        if self._asked and found:
            found = self._allowed(found, request or urllib.request.Request(url), now)
        return _in_latin1("; ".join(map(_pair, found)))

    def _allowed(
        self, cookies: list[http.cookiejar.Cookie], request: Any, now: float
    ) -> list[http.cookiejar.Cookie]:
        """Those that a policy set by the spider lets go out."""
        policy: Any = self.get_policy()
        policy._now = int(now)  # where the standard library's own jar puts it
        return [
            cookie
            for cookie in cookies
            if policy.domain_return_ok(cookie.domain, request)
            and policy.path_return_ok(cookie.path, request)
            and policy.return_ok(cookie, request)
        ]

    def _found(self, host: str, path: str) -> Iterator[http.cookiejar.Cookie]:
        """The cookies for a host and a path, of http or not, expired or not."""
        for domain, has_own in setcookie.domains(host):
            for cookie_path, names in self._cookies.get(domain, _NONE).items():
                if setcookie.path_matches(path, cookie_path):
                    for cookie in names.values():
                        if has_own or cookie.domain_specified:
                            yield cookie

    def _make_room(self, touched: Iterable[str]) -> None:
        for domain in touched:
            paths = self._cookies.get(domain, _NONE)
            self._give_up(
                [one for names in paths.values() for one in names.values()], MOST_OF_DOMAIN
            )
        if len(self._born) > MOST:
            self._give_up([*self], MOST)

    def _give_up(self, cookies: list[http.cookiejar.Cookie], most: int) -> None:
        if len(cookies) > most:
            # What keeps a login is seldom to be seen by scripts.
            cookies.sort(key=lambda one: (_is_http_only(one), self._born[_key(one)]))
            for cookie in cookies[:-most]:
                self.clear(*_key(cookie))

    # By hand

    def set_cookie(self, cookie: http.cookiejar.Cookie, *args: object, **kwargs: object) -> None:
        """Set a cookie as it is. Raises ValueError for one that would break its header."""
        if setcookie.CONTROL.search(f"{cookie.name}{cookie.value}"):
            raise ValueError(f"the cookie {cookie.name!r} must be text of one line")
        with self._cookies_lock:
            self._store(cookie)
            self._changes.append(_as_data(cookie))

    def _store(self, cookie: http.cookiejar.Cookie) -> None:
        # Past requests, which takes \" out of values.
        http.cookiejar.CookieJar.set_cookie(self, cookie)
        self._births += 1
        self._born.setdefault(_key(cookie), self._births)

    def clear(
        self, domain: str | None = None, path: str | None = None, name: str | None = None
    ) -> None:
        """Delete all cookies, or those of a domain, of its path, or one. KeyError if none is."""
        with self._cookies_lock:
            if domain is not None and path is not None and name is not None:
                gone = [self._cookies[domain][path][name]]
            else:
                gone = [c for c in self if _covers(c, domain, path)]
            super().clear(domain, path, name)
            for cookie in gone:
                self._born.pop(_key(cookie), None)
                self._changes.append(_as_data(cookie, deleted=True))

    # As data

    def store_from(self, responses: Iterable[Any]) -> bool:
        """Take over the cookies that responses set; True if one that was there has changed."""
        setting = [response for response in responses if "set-cookie" in response.headers]
        if not setting:
            return False
        with self._cookies_lock:  # what another thread takes meanwhile is no change of these
            before = self._values()
            for response in setting:
                extract_cookies_to_jar(  # type: ignore[no-untyped-call]
                    self, response.request, response.raw
                )
            after = self._values()
        return any(after.get(key, value) != value for key, value in before.items())

    def _values(self) -> dict[tuple[str, str, str], str | None]:
        return {_key(cookie): cookie.value for cookie in self}

    def pop_changes(self) -> list[Cookie]:
        """The changes since the last call, in order."""
        with self._cookies_lock:
            changes, self._changes = self._changes, []
            self._drained += len(changes)
            self._unheard.extend(changes)
        return changes

    def load(self, cookies: Iterable[Cookie], heard: int = 0) -> None:
        """Become ``cookies``, except for own changes that their sender had not heard of.

        ``heard`` counts the drained changes that are in ``cookies`` already. They stand in the
        order in which they were first set.
        """
        with self._cookies_lock:
            while self._unheard and self._drained - len(self._unheard) < heard:
                self._unheard.popleft()
            known = {cookie.key: cookie for cookie in cookies}
            known.update((change.key, change) for change in (*self._unheard, *self._changes))
            self._cookies = {}
            self._born = {}
            for cookie in known.values():
                if cookie.value is not None:
                    self._store(_as_cookie(cookie))


_NONE: dict[str, dict[str, http.cookiejar.Cookie]] = {}


def _key(cookie: http.cookiejar.Cookie) -> tuple[str, str, str]:
    return cookie.domain, cookie.path, cookie.name


def _pair(cookie: http.cookiejar.Cookie) -> str:
    return cookie.name if cookie.value is None else f"{cookie.name}={cookie.value}"


def _in_latin1(header: str) -> str:
    """As UTF-8, a character for each byte, if Latin-1 does not do: so browsers send it."""
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
