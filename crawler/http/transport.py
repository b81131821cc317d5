"""Transport: a ``requests.Session`` that sends a request at a time and protects credentials."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.cookiejar import CookieJar
from typing import Any

import requests
from requests.auth import AuthBase
from requests.cookies import MockRequest, cookiejar_from_dict
from requests.hooks import dispatch_hook
from requests.structures import CaseInsensitiveDict

from crawler import urls
from crawler.http.cookie_jar import ChangeTrackingCookieJar
from crawler.http.deadline import FetchContext, on_thread
from crawler.http.environment import Environment
from crawler.http.fast_path import FastPath
from crawler.http.http1 import RawResponse
from crawler.request import Request


class Transport(requests.Session):
    """Sends the requests of a session.

    Proxies, ``netrc`` and certificate authorities of the environment are looked up once a host,
    unless ``trust_env`` is False. ``home`` is the set of sites that the login has visited: its
    credentials are sent to no other.
    """

    cookies: ChangeTrackingCookieJar

    def __init__(self, *, wall: Callable[[], float] = time.time) -> None:
        """``wall`` is the clock by which cookies expire."""
        super().__init__()
        self.cookies = ChangeTrackingCookieJar(wall=wall)
        self.home: set[str] = set()
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
        hops = [hop.url for hop in (*response.history, response)]
        self._remove_credentials(prepared_request, hops)
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]

    def _remove_credentials(self, prepared: requests.PreparedRequest, hops: list[str]) -> None:
        """Send no credentials to another host than that of ``hops``, nor to http after https."""
        url = prepared.url or ""
        if self.should_strip_auth(hops[0], url):  # type: ignore[no-untyped-call]
            prepared.headers.pop("Authorization", None)
            hooks = prepared.hooks["response"]
            prepared.hooks["response"] = [hook for hook in hooks if not _is_of_auth(hook)]
        if url.startswith("http:") and any(hop.startswith("https:") for hop in hops):
            prepared.headers.pop("Cookie", None)

    def fetch(
        self, request: Request, timeout: tuple[float, float], context: FetchContext
    ) -> requests.Response | RawResponse:
        """Send ``request`` and follow no redirect; the body is not read yet.

        ``timeout`` is that to connect and that of each read, seconds.
        """
        if not self.home or urls.site(request.url) in self.home:
            response = self._fast_path.send(request, self.cookies, timeout, context)
            if response is not None:
                lines = response.set_cookies
                changed = bool(lines) and self.cookies.store_from(response.url, lines)
                self.cookies_received(changed=changed)
                return response
        return self.send_once(self.prepare(request), timeout, context)

    def prepare(self, request: Request) -> requests.PreparedRequest:
        """Return ``request`` with this session's headers, cookies and auth."""
        auth = self._environment.auth(self, request.url)
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
        if self.home and urls.site(request.url) not in self.home:
            self._remove_credentials(prepared, [f"https://{min(self.home)}/"])
        return prepared

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare as requests does, but let this session's jar choose the cookies."""
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


def _is_of_auth(hook: Any) -> bool:
    """Return True for the hook by which Digest answers a challenge."""
    return isinstance(getattr(hook, "__self__", None), AuthBase)
