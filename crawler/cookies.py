"""A requests cookie jar that says what changed, so that cookies can be kept as data."""

from __future__ import annotations

import http.cookiejar
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from requests.cookies import RequestsCookieJar, extract_cookies_to_jar

from crawler.messages import Cookie


class RecordingJar(RequestsCookieJar):
    """A jar that remembers each cookie set or deleted until ``drain`` is called.

    Threads that share a session may change and read it while another one drains or loads it.
    """

    _cookies_lock: AbstractContextManager[Any]  # made by the standard library's jar

    def __init__(self, policy: http.cookiejar.CookiePolicy | None = None) -> None:
        super().__init__(policy)
        self._changes: list[Cookie] = []
        self._unheard: deque[Cookie] = deque()
        self._drained = 0

    def __iter__(self) -> Iterator[Any]:
        with self._cookies_lock:  # requests copies a jar by iterating over it
            return iter(list(super().__iter__()))

    @property
    def has_any(self) -> bool:
        """False when there is surely no cookie."""
        return bool(self._cookies)

    def set_cookie(self, cookie: http.cookiejar.Cookie, *args: object, **kwargs: object) -> None:
        with self._cookies_lock:
            super().set_cookie(cookie, *args, **kwargs)
            self._changes.append(_as_data(cookie))

    def clear(
        self, domain: str | None = None, path: str | None = None, name: str | None = None
    ) -> None:
        with self._cookies_lock:
            gone = [c for c in self if _covers(c, domain, path, name)]
            super().clear(domain, path, name)
            self._changes.extend(_as_data(cookie, deleted=True) for cookie in gone)

    def take(self, responses: Iterable[Any]) -> bool:
        """Take over the cookies that responses set; True if one that was there has changed."""
        setting = [response for response in responses if "set-cookie" in response.headers]
        if not setting:
            return False
        before = self._values()
        for response in setting:
            extract_cookies_to_jar(  # type: ignore[no-untyped-call]
                self, response.request, response.raw
            )
        after = self._values()
        return any(after.get(key, value) != value for key, value in before.items())

    def _values(self) -> dict[tuple[str, str, str], str | None]:
        return {(cookie.domain, cookie.path, cookie.name): cookie.value for cookie in self}

    def drain(self) -> list[Cookie]:
        """The changes since the last call, in order."""
        with self._cookies_lock:
            changes, self._changes = self._changes, []
            self._drained += len(changes)
            self._unheard.extend(changes)
        return changes

    def load(self, cookies: Iterable[Cookie], heard: int = 0) -> None:
        """Become ``cookies``, except for own changes that their sender had not heard of.

        ``heard`` counts the drained changes that are in ``cookies`` already.
        """
        with self._cookies_lock:
            while self._unheard and self._drained - len(self._unheard) < heard:
                self._unheard.popleft()
            known = {cookie.key: cookie for cookie in cookies}
            known.update((change.key, change) for change in (*self._unheard, *self._changes))
            self._cookies: dict[str, dict[str, dict[str, http.cookiejar.Cookie]]] = {}
            for cookie in known.values():
                if cookie.value is not None:
                    http.cookiejar.CookieJar.set_cookie(self, _as_cookie(cookie))


def _covers(
    cookie: http.cookiejar.Cookie, domain: str | None, path: str | None, name: str | None
) -> bool:
    return (
        (domain is None or cookie.domain == domain)
        and (path is None or cookie.path == path)
        and (name is None or cookie.name == name)
    )


def _as_data(cookie: http.cookiejar.Cookie, *, deleted: bool = False) -> Cookie:
    return Cookie(
        name=cookie.name,
        value=None if deleted else cookie.value or "",
        domain=cookie.domain,
        path=cookie.path,
        expires=cookie.expires,
        secure=bool(cookie.secure),
        http_only=cookie.has_nonstandard_attr("HttpOnly"),
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
