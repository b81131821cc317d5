"""Transport: a ``requests.Session`` that sends a request at a time and protects credentials."""

from __future__ import annotations

import copy
import functools
import re
import time
from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar
from typing import Any

import requests
from requests.auth import AuthBase
from requests.cookies import MockRequest, cookiejar_from_dict
from requests.hooks import dispatch_hook
from requests.structures import CaseInsensitiveDict
from requests.utils import get_auth_from_url

from crawler import urls
from crawler.errors import FetchError, SpiderError
from crawler.http.adapter import (
    Body,
    CurlAdapter,
    RawResponse,
    header_lines,
    limits_of,
)
from crawler.http.cookie_jar import ChangeTrackingCookieJar
from crawler.http.curl.transfer import Head, Message, Route, Transfer
from crawler.http.deadline import FetchContext, on_thread
from crawler.http.environment import Environment, no_auth
from crawler.http.redirects import headers_elsewhere, leads_to
from crawler.request import Request
from crawler.scope import CredentialOrigins, is_credential
from crawler.values.plain import fields, kind_of

_SLACK = 64 * 1024
"""Bytes by which a compressed body may be longer than what it decodes to, and is still read."""
_FIELD = re.compile(r"[^\s:][^:\r\n]*", re.ASCII)
_VALUE = re.compile(r"\S?[^\r\n]*")
_SET_BY_HTTP = {"host", "content-length", "transfer-encoding"}


class VersionedHeaders(CaseInsensitiveDict[Any]):
    """Headers that count their changes, so that nothing need compare them for each page."""

    version = 0

    def __setitem__(self, name: str, value: Any) -> None:
        """Set a header to the text that ``value`` means. Raises SpiderError if it means none."""
        is_text = type(name) is str and type(value) is str and (name + value).isascii()
        if not (is_text and _is_usual((name, value))):
            ((name, value),) = fields({name: value}, "session.headers").items()
        super().__setitem__(name, value)
        self.version += 1

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self.version += 1


class Transport(requests.Session):
    """Sends the requests of a session.

    Proxies, ``netrc`` and certificate authorities of the environment are looked up once a host,
    unless ``trust_env`` is False. ``credentials`` decides to which origins the session's auth and
    private headers are sent.
    """

    def __init__(self, *, wall: Callable[[], float] = time.time) -> None:
        """``wall`` is the clock by which cookies expire."""
        super().__init__()
        self.headers = VersionedHeaders(self.headers)
        self.cookies = ChangeTrackingCookieJar(wall=wall)
        self.credentials = CredentialOrigins()
        self._environment = Environment()
        self._plain = PlainGet(self._environment)  # no cycle: thousands of sessions come and go

    @property  # type: ignore[override]
    def cookies(self) -> ChangeTrackingCookieJar:
        """The jar. Another one, or a dict, that is set in its place is copied into it."""
        return self._jar

    @cookies.setter
    def cookies(self, cookies: Any) -> None:  # requests has a plain attribute
        if isinstance(cookies, ChangeTrackingCookieJar):
            self._jar = cookies
            return
        if not isinstance(cookies, (CookieJar, Mapping)):
            raise SpiderError(f"session.cookies is {kind_of(cookies)}, but must be a jar or a dict")
        if "_jar" not in vars(self):  # the jar of requests itself
            return
        copied = list(cookies) if isinstance(cookies, CookieJar) else dict(cookies)
        self._jar.clear()
        if isinstance(copied, dict):
            self._jar.update(copied)
        else:
            for cookie in copied:
                self._jar.set_cookie(copy.copy(cookie))

    def cookies_received(self, *, changed: bool) -> None:
        """Called when the cookies of a response are stored; ``changed`` if one is another now."""

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """Merge as requests does, but prefer the session's settings to the environment's."""
        proxies, verify = self._environment.merge(self, url, proxies, verify)
        return {
            "proxies": proxies,
            "stream": self.stream if stream is None else stream,
            "verify": verify,
            "cert": self.cert if cert is None else cert,
        }

    def rebuild_auth(self, prepared_request: Any, response: requests.Response) -> None:
        """Remove credentials as requests does, also answers to challenges of another host."""
        url, headers = prepared_request.url or "", prepared_request.headers
        self._remove_credentials(
            prepared_request, [hop.url for hop in (*response.history, response)]
        )
        cookies = headers.get("Cookie")  # the jar's, for this URL
        if not urls.same_origin(response.url, url):
            prepared_request.headers = CaseInsensitiveDict(headers_elsewhere(headers, url))
            if cookies is not None:
                prepared_request.headers["Cookie"] = cookies
        if self.credentials.allow(url):
            super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
        elif not urls.same_origin(response.url, url):
            _remove_auth(prepared_request)
            private = self.private_headers()
            private.pop("Cookie", None)
            _replace(prepared_request.headers, private)

    def rebuild_method(self, prepared_request: Any, response: requests.Response) -> None:
        """Choose the method as requests does, and go where browsers go."""
        target = leads_to(response.url, response.headers["location"])
        if target is not None:
            prepared_request.url = target
        super().rebuild_method(prepared_request, response)

    def _remove_credentials(self, prepared: requests.PreparedRequest, hops: list[str]) -> None:
        """Send no credentials to another host than that of ``hops``, nor to http after https."""
        url = prepared.url or ""
        if self.should_strip_auth(hops[0], url):  # type: ignore[no-untyped-call]
            _remove_auth(prepared)
        if url.startswith("http:") and any(hop.startswith("https:") for hop in hops):
            prepared.headers.pop("Cookie", None)

    def private_headers(self) -> dict[str, str | None]:
        """Return the session's headers that only its own origins get.

        The values are those to send to another origin: None, to omit the header.
        """
        return {name: None for name in self.headers if is_credential(name)}

    def own_timeout(self) -> Any:
        """Return the timeout that the user has set on the session in a usual way, or None.


        That is ``session.timeout = 30``, or ``session.request = partial(session.request,
        timeout=5)``.
        """
        request = self.__dict__.get("request")
        if isinstance(request, functools.partial) and "timeout" in request.keywords:
            return request.keywords["timeout"]
        return self.__dict__.get("timeout")

    def fetch(
        self,
        request: Request,
        timeout: Any,
        context: FetchContext,
        limit: int | None = None,
    ) -> requests.Response | RawResponse:
        """Send ``request`` and follow no redirect; the body is still to be read.

        ``timeout`` is that to connect and that of each read, seconds, where the session has none of
        its own. Of the body, not much more than ``limit`` bytes will be read. Raises FetchError and
        the exceptions of requests; ``may have been sent`` for a request that is sent once.
        """
        if request.replay:
            return self._fetch(request, timeout, context, limit)
        try:
            return self._fetch(request, timeout, context, limit)
        except (FetchError, requests.RequestException) as error:
            reason = error if isinstance(error, FetchError) else error.__cause__
            if context.sent_at and isinstance(reason, FetchError) and reason.retryable:
                raise FetchError(
                    "may have been sent",
                    f"{reason}: the {request.method} may have been sent, and is not sent again "
                    "(replay=False)",
                ) from error
            raise

    def _fetch(
        self, request: Request, timeout: Any, context: FetchContext, limit: int | None
    ) -> requests.Response | RawResponse:
        context.is_repeatable = request.replay
        transfer = self.transfer(request, timeout, context, limit)
        if transfer is None:
            timeout = self.own_timeout() or timeout
            return self.send_once(self.prepare(request), timeout, context)
        adapter: CurlAdapter = self.get_adapter(request.url)  # type: ignore[assignment]
        head = adapter.exchange(transfer, context)
        self.store_cookies(request.url, head)
        return RawResponse(request.url, head, Body(transfer, head, context))

    def transfer(
        self,
        request: Request,
        timeout: Any,
        context: FetchContext,
        limit: int | None,
        on_done: Callable[[Transfer], None] | None = None,
    ) -> Transfer | None:
        """Return the transfer for a usual request, to be submitted; None if it needs requests.

        The arguments are those of ``fetch`` and of ``Transfer``. Raises FetchError.
        """
        if not self.credentials.allow(request.url) and self.private_headers():
            return None
        timeout = self.own_timeout() or timeout
        return self._plain.transfer(self, request, timeout, context, limit, on_done)

    def store_cookies(self, url: str, head: Head) -> None:
        """Store the cookies of the response from ``url``."""
        if (lines := head.values("set-cookie")) and self.cookies.store_from(url, lines):
            self.cookies_received(changed=True)

    def prepare(self, request: Request) -> requests.PreparedRequest:
        """Return ``request`` with this session's headers, cookies and auth."""
        allowed = self.credentials.allow(request.url)
        auth = self._environment.auth(self, request.url) if allowed else _auth_in(request.url)
        prepared = self.prepare_request(
            requests.Request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.data,
                json=request.json,
                cookies=request.cookies,
                auth=auth,
            )
        )
        if request.history:
            self._remove_credentials(prepared, [hop.url for hop in request.history])
            prepared.prepare_auth(auth)
        return prepared

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare as requests does, but keep credentials private, and use this session's jar."""
        if not self.credentials.allow(urls.normalise(str(request.url)) or ""):
            self._withhold_credentials(request)
        prepared = super().prepare_request(request)
        if not (request.params or self.params) and (url := urls.normalise(str(request.url))):
            prepared.url = url  # requests would write escapes anew
        given = CaseInsensitiveDict({**self.headers, **(request.headers or {})})
        if given.get("Cookie") is None:
            prepared.headers.pop("Cookie", None)
        jar = self.cookies
        if own := request.cookies:
            jar = jar.copy()
            jar.update(own if isinstance(own, CookieJar) else cookiejar_from_dict(own))  # type: ignore[no-untyped-call]
        prepared.prepare_cookies(jar)
        return prepared

    def _withhold_credentials(self, request: requests.Request) -> None:
        """Let ``request`` go without the session's auth and private headers, but with its own."""
        headers = CaseInsensitiveDict(self.private_headers())
        headers.update(request.headers or {})
        request.headers = headers
        request.auth = request.auth or _auth_in(str(request.url))

    def send_once(
        self,
        prepared: requests.PreparedRequest,
        timeout: Any,
        context: FetchContext,
    ) -> requests.Response:
        """Send a request through requests and follow no redirect; the body is not read yet.

        ``requests.Session.send`` would read a redirect's body whatever its size.
        """
        url = prepared.url or ""
        options: dict[str, Any] = {"timeout": timeout}
        options |= self.merge_environment_settings(url, None, True, None, None)
        with on_thread(context):
            raw: requests.Response = self.get_adapter(url).send(prepared, **options)
            raw = dispatch_hook("response", prepared.hooks, raw, **options)  # type: ignore[no-untyped-call]
        changed = [self._store_cookies(response) for response in (*raw.history, raw)]
        self.cookies_received(changed=any(changed))
        return raw

    def _store_cookies(self, response: requests.Response) -> bool:
        """Store the cookies of ``response``; return True if one has another value now."""
        original = getattr(response.raw, "_original_response", None)
        lines = original.msg.get_all("Set-Cookie") if original else None
        if not lines:
            return False
        request = MockRequest(response.request)
        return self.cookies.store_from(request.get_full_url(), lines, request)  # type: ignore[no-untyped-call]


def _remove_auth(prepared: requests.PreparedRequest) -> None:
    """Remove Authorization, and what would answer a challenge."""
    prepared.headers.pop("Authorization", None)
    hooks = prepared.hooks["response"]
    prepared.hooks["response"] = [hook for hook in hooks if not _is_of_auth(hook)]


def _replace(headers: CaseInsensitiveDict[str], values: Mapping[str, str | None]) -> None:
    """Replace ``headers`` by ``values``, where None omits one."""
    for name, value in values.items():
        if value is None:
            headers.pop(name, None)
        elif name in headers:
            headers[name] = value


def _auth_in(url: str) -> Any:
    """Return user and password in ``url``; without them an auth that adds none."""
    auth = get_auth_from_url(url)
    return auth if any(auth) else no_auth


def _is_of_auth(hook: Any) -> bool:
    """Return True for the hook by which Digest answers a challenge."""
    return isinstance(getattr(hook, "__self__", None), AuthBase)


# Plain GETs: most requests of a crawl are a GET that the URL describes completely, in a session
# without auth, hook or adapter of its own. The same bytes go by the same pool, without
# the objects that requests makes for it.


class PlainGet:
    """Sends a session's usual requests."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._version: tuple[int, int | None] | None = None
        self._lines: list[bytes] | None = None
        self._routes: dict[str, tuple[Any, Route | None]] = {}

    def transfer(
        self,
        session: Transport,
        request: Request,
        timeout: Any,
        context: FetchContext,
        limit: int | None,
        on_done: Callable[[Transfer], None] | None,
    ) -> Transfer | None:
        """Return the transfer of ``session`` for ``request``; None if it is no usual request.

        ``timeout`` is that of requests, and not much more than ``limit`` bytes of the body are
        read. Raises FetchError.
        """
        url = request.url
        if not request.is_plain or ("@" in url and "@" in url.split("/", 3)[2]):
            return None
        if request.history and url.startswith("http:") and _came_from_https(request):
            return None
        if session.auth or session.params or session.hooks["response"]:
            return None
        adapter: Any = session.get_adapter(url)
        lines = self._header_lines(session.headers)
        if type(adapter) is not CurlAdapter or lines is None:
            return None
        route = self._route(session, adapter, url)
        if route is None:
            return None
        if cookies := session.cookies.header(url):
            lines = [*lines, b"Cookie: " + cookies.encode("latin-1")]
        message = Message("GET", url, lines, None, request.replay)
        kept = None if limit is None else limit + _SLACK
        return Transfer(message, route, limits_of(timeout, context), limit=kept, on_done=on_done)

    def _route(self, session: Transport, adapter: CurlAdapter, url: str) -> Route | None:
        """Return the way to the host of ``url``; None where ``netrc`` has credentials for it."""
        settings = (
            *(adapter, session.verify, session.cert, session.trust_env),
            tuple(session.proxies.items()),
        )
        origin = urls.origin(url)
        route_settings, route = self._routes.get(origin, (None, None))
        if route_settings != settings:
            route = None
            if not isinstance(self._environment.auth(session, url), tuple):
                proxies, verify = self._environment.merge(session, url)
                route = adapter.route(url, verify, session.cert, proxies)
            self._routes[origin] = settings, route
        return route

    def _header_lines(self, headers: Any) -> list[bytes] | None:
        """Return the session's own ``headers``; None if they need requests."""
        version = getattr(headers, "version", None)  # the user may have set other headers
        if version is None or (id(headers), version) != self._version:
            self._version = id(headers), version
            fields = tuple(headers.items())
            self._lines = header_lines(fields) if all(map(_is_usual, fields)) else None
        return self._lines


def _came_from_https(request: Request) -> bool:
    return any(hop.url.startswith("https:") for hop in request.history)


def _is_usual(field: tuple[str, Any]) -> bool:
    name, value = field
    return value is None or (
        isinstance(name, str)
        and isinstance(value, str)
        and _FIELD.fullmatch(name) is not None
        and _VALUE.fullmatch(value) is not None
        and name.lower() not in _SET_BY_HTTP
    )
