"""Fetch: a request becomes a response through a session. One hop; errors get a cause."""

from __future__ import annotations

import ssl
from http.client import HTTPException, IncompleteRead, LineTooLong
from typing import Any

import requests
import urllib3.exceptions as lower

from crawler import urls
from crawler.errors import FetchError, SystemResourceError
from crawler.http.body import read_body
from crawler.http.deadline import FetchContext, Watchdog
from crawler.http.redirects import is_redirect, redirected
from crawler.parsing.response import Response
from crawler.parsing.robots import MAX_REDIRECTS, MAX_SIZE
from crawler.request import Request
from crawler.session.session import Session
from crawler.settings import Settings
from crawler.system_errors import out_of_handles, too_many_open_files
from crawler.worker.failures import status_error

_ERRORS = (requests.RequestException, lower.HTTPError, HTTPException, OSError, ValueError)


class Fetcher:
    """Sends requests within the limits of ``settings``: time, size, one hop at a time."""

    def __init__(self, settings: Settings, watchdog: Watchdog) -> None:
        self._settings = settings
        self._timeout = (settings.connect_timeout, settings.read_timeout)
        self._watchdog = watchdog

    def fetch(
        self,
        request: Request,
        session: Session,
        context: FetchContext,
        *,
        limit: int | None = None,
        cut: bool = False,
    ) -> Response:
        """The response to ``request``, a redirect included. Raises FetchError,
        or SystemResourceError when there is no file handle for it.

        ``context`` says afterwards when the request had been sent, also after an error.
        A body longer than ``limit`` (by default ``max_body``) is an error, or is ``cut`` there.
        """
        limit = self._settings.max_body if limit is None else limit
        url = urls.redacted(request.url)
        with self._watchdog.enforce(context, self._settings.timeout, url):
            try:
                raw = session.fetch(request, self._timeout, context)
                body = read_body(raw, url, limit, cut=cut)
            except FetchError:
                raise
            except _ERRORS as error:
                raise _with_cause(error, url) from error
        return session.as_response(raw, body, request)

    def fetch_robots(
        self, request: Request, session: Session, context: FetchContext
    ) -> tuple[int, bytes]:
        """Status and body of a robots.txt, redirects followed (RFC 9309, section 2.3.1.2).

        Raises FetchError, also for a server's error (5xx), so that it is tried again.
        """
        for _ in range(MAX_REDIRECTS + 1):
            response = self.fetch(request, session, context, limit=MAX_SIZE, cut=True)
            if response.status >= 500:
                raise status_error(request, response)
            if not is_redirect(response.status, response.headers):
                break
            location = response.headers["location"]
            request = redirected(request, response.status, location, MAX_REDIRECTS)
        return response.status, response.body


def _with_cause(error: Exception, url: str) -> FetchError | SystemResourceError:
    """An error that says in one word and one sentence what went wrong."""
    if out_of_handles(error):
        return too_many_open_files()
    for kind, cause, sentence, retryable in _CAUSES:
        if _is_or_holds(error, kind):
            return FetchError(cause, f"{url}: {sentence}", retryable=retryable)
    return FetchError("request", f"{url}: {error}", retryable=False)


def _is_or_holds(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Return True if ``error`` is or wraps a ``kind``; requests wraps urllib3's errors."""
    while error is not None:
        if isinstance(error, kind):
            return True
        inner: Any = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = error.args[0] if error.args else None
        if not isinstance(inner, BaseException):
            inner = error.__context__
        error = inner
    return False


# Most telling first: what is raised is often several of these, one within the other.
_CAUSES: tuple[tuple[type[BaseException], str, str, bool], ...] = (
    (lower.NameResolutionError, "dns", "the host's name does not resolve", True),
    (lower.ProxyError, "proxy", "the proxy does not answer", True),
    (lower.SSLError, "tls", "the server's certificate or TLS is not valid", False),
    (requests.exceptions.SSLError, "tls", "the server's certificate or TLS is not valid", False),
    (ssl.SSLError, "tls", "the server's certificate or TLS is not valid", False),
    (lower.NewConnectionError, "refused", "the host refuses the connection", True),
    (lower.ConnectTimeoutError, "connect timeout", "the host does not answer", True),
    (lower.ReadTimeoutError, "timeout", "the server stopped sending", True),
    (TimeoutError, "timeout", "the server stopped sending", True),
    (IncompleteRead, "truncated", "the connection ended before the body did", True),
    (lower.DecodeError, "decoding", "the body is not in the encoding that its headers say", False),
    (requests.exceptions.ContentDecodingError, "decoding", "the body cannot be decoded", False),
    (LineTooLong, "headers too large", "a line of its headers is too long", False),
    (lower.ProtocolError, "connection", "the server broke the connection", True),
    (requests.exceptions.ConnectionError, "connection", "the connection failed", True),
    (HTTPException, "connection", "the server broke the connection", True),
    (requests.exceptions.InvalidURL, "bad url", "requests cannot send to this URL", False),
    (OSError, "connection", "the connection failed", True),
)
