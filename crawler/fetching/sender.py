"""Send: a request becomes a response through a session. One hop; errors get a cause."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from http.client import HTTPException, IncompleteRead, LineTooLong
from typing import Any, NamedTuple

import requests
import urllib3.exceptions as lower

from crawler import urls
from crawler.errors import FetchError, SystemResourceError
from crawler.http import exchange_log
from crawler.http.adapter import read_body, too_large
from crawler.http.curl import failures
from crawler.http.curl.transfer import Transfer
from crawler.http.deadline import FetchContext, late_error
from crawler.http.redirects import STATUSES
from crawler.parsing.forms import filled_in_again
from crawler.request import Request
from crawler.session.session import Session
from crawler.settings import Settings
from crawler.system_errors import out_of_handles, too_many_open_files

_ERRORS = (requests.RequestException, lower.HTTPError, HTTPException, OSError, ValueError)


class Answer(NamedTuple):
    """A response as it came: its ``body`` still has the ``coding`` of its Content-Encoding."""

    url: str
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    coding: str = ""
    hops: list[tuple[str, int]] = []

    @property
    def location(self) -> str | None:
        """Where the response redirects to; None if it does not."""
        if self.status not in STATUSES:
            return None
        values = (value for name, value in self.headers if name.lower() == "location")
        return next(values, None) or None  # an empty one is none, as in browsers


Then = Callable[["Answer | BaseException", float], None]
"""Called with a response or an error, and the time when the request was sent; 0 if it was not."""


class Sender:
    """Sends requests within the limits of ``settings``: time, size, one hop at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout = (settings.connect_timeout, settings.read_timeout)

    def begin(
        self, request: Request, session: Session, then: Then, *, limit: int, cut: bool = False
    ) -> bool:
        """Begin to send a usual request; ``then`` is called in the loop's thread.

        A body longer than ``limit`` bytes is an error, or is ``cut`` there. Returns False, and
        sends nothing, for a request that needs the features of requests: that blocks a thread.
        Raises FetchError, or SystemResourceError when there is no file handle for it.
        """
        if not request.replay or (request.form is not None and request.form.is_stale):
            return False
        context = FetchContext()
        context.deadline = time.monotonic() + self._settings.timeout

        def received(transfer: Transfer) -> None:
            answer: Answer | BaseException
            try:
                answer = self._answer(transfer, session, limit, cut=cut)
            except BaseException as error:  # of a cookie policy of the spider's, for instance
                answer = error
            then(answer, transfer.sent_at)

        try:
            transfer = session.transfer(request, self._timeout, context, limit, received)
        except FetchError:
            raise
        except _ERRORS as error:  # of a file of the environment, for instance
            raise _with_cause(error, urls.redacted(request.url)) from error
        if transfer is None:
            return False
        adapter: Any = session.get_adapter(request.url)
        adapter.pool.submit(transfer)
        return True

    def _answer(
        self, transfer: Transfer, session: Session, limit: int, *, cut: bool
    ) -> Answer | Exception:
        url, head = transfer.message.url, transfer.head
        if exchange_log.log.isEnabledFor(logging.DEBUG):
            exchange_log.log_exchange(transfer)
        if transfer.is_late:
            return late_error(urls.redacted(url), self._settings.timeout)
        if transfer.error is not None or head is None:
            return transfer.error or failures.error_of(failures.CONNECTION, urls.redacted(url))
        session.store_cookies(url, head)
        coding = ", ".join(head.values("content-encoding"))
        body = b"".join(transfer.blocks())
        most = limit if not coding or transfer.limit is None else transfer.limit
        if len(body) > most:
            if not cut:
                return too_large(urls.redacted(url), limit)
            body = body[:limit]
        return Answer(url, head.status, list(head.joined().items()), body, coding)

    def send(
        self,
        request: Request,
        session: Session,
        context: FetchContext,
        *,
        limit: int | None = None,
        cut: bool = False,
        may_be_text: bool = False,
    ) -> Answer:
        """Send ``request``, and block until the response, which is decoded, has come.

        A body longer than ``limit``, by default ``max_body``, is an error, or is ``cut`` there. One
        that ``may_be_text`` may be in no coding, whatever its header says. ``context`` says
        afterwards when the request had been sent, also after an error. Raises FetchError, or
        SystemResourceError when there is no file handle for it.
        """
        request = _filled_in(request, session)
        limit, url = limit or self._settings.max_body, urls.redacted(request.url)
        with context.limited(self._settings.timeout, url):
            try:
                raw = session.fetch(request, self._timeout, context, limit)
                body = read_body(raw, url, limit, cut=cut, may_be_text=may_be_text)
            except FetchError:
                raise
            except _ERRORS as error:
                raise _with_cause(error, url) from error
        hops = [(hop.url, hop.status_code) for hop in raw.history]
        return Answer(raw.url, raw.status_code, list(raw.headers.items()), body, hops=hops)


EXPIRED = 419
"""The status by which sites refuse a form whose token has expired."""


def may_fill_in_again(request: Request) -> bool:
    """Return True for a form that may be opened and filled in again, and has not been before."""
    form = request.form
    if form is None or form.is_stale or request.history or not request.replay:
        return False
    return urls.same_origin(form.page, request.url)


def _filled_in(request: Request, session: Session) -> Request:
    """Return the request of a form whose token has expired with what its page has now."""
    form = request.form
    if form is None or not form.is_stale or request.history:
        return request
    session.throttle.wait()
    page = session.open(form.page)
    session.throttle.wait()
    return filled_in_again(request, page.root if page.is_html else None) or request


def _with_cause(error: Exception, url: str) -> FetchError | SystemResourceError:
    """An error that says in one word and one sentence what went wrong."""
    if isinstance(error.__cause__, FetchError):  # of our adapter, as requests has it
        return error.__cause__
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
