"""Transport: a ``requests.Session`` that sends a request at a time and protects credentials."""

from __future__ import annotations

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
from crawler.http.cookie_jar import ChangeTrackingCookieJar
from crawler.http.deadline import FetchContext, on_thread
from crawler.http.environment import Environment, no_auth
from crawler.http.fast_path import FastPath
from crawler.http.http1 import RawResponse
from crawler.http.redirects import headers_elsewhere, is_credential
from crawler.request import Request
from crawler.scope import CredentialOrigins


class Transport(requests.Session):
    """Sends the requests of a session.

    Proxies, ``netrc`` and certificate authorities of the environment are looked up once a host,
    unless ``trust_env`` is False. ``credentials`` decides to which origins the session's auth and
    private headers are sent.
    """

    cookies: ChangeTrackingCookieJar

    def __init__(self, *, wall: Callable[[], float] = time.time) -> None:
        """``wall`` is the clock by which cookies expire."""
        super().__init__()
        self.cookies = ChangeTrackingCookieJar(wall=wall)
        self.credentials = CredentialOrigins()
        self._environment = Environment()
        self._fast_path = FastPath(self, self._environment)

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

    def fetch(
        self, request: Request, timeout: tuple[float, float], context: FetchContext
    ) -> requests.Response | RawResponse:
        """Send ``request`` and follow no redirect; the body is not read yet.

        ``timeout`` is that to connect and that of each read, seconds.
        """
        if self.credentials.allow(request.url) or not self.private_headers():
            response = self._fast_path.send(request, self.cookies, timeout, context)
            if response is not None:
                lines = response.set_cookies
                changed = bool(lines) and self.cookies.store_from(response.url, lines)
                self.cookies_received(changed=changed)
                return response
        return self.send_once(self.prepare(request), timeout, context)

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
        timeout: tuple[float, float],
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
