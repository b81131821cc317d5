"""Decide which of the requests that a callback yields go to the frontier, and encode them."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Collection

import msgspec

from crawler import urls
from crawler.errors import SpiderError
from crawler.parsing.response import Response
from crawler.records import NewRequest, SkippedLink
from crawler.request import Request, fingerprint, packed
from crawler.scope import Scope
from crawler.spider import Spider, callback_signature, check_arguments
from crawler.url_words.shapes import LONGEST, masked, shape_of
from crawler.values.plain import message_of, shown
from crawler.values.request_check import check_request
from crawler.worker.crawl_limits import CrawlLimits, SkipCounter
from crawler.worker.unsafe.links import Objection, UnsafeLinkFilter
from crawler.worker.unsafe.pages import Page

log = logging.getLogger(__name__)

MOST_SENT = 100_000
"""URLs that a worker remembers, so that it sends them to the frontier once."""
MOST_SHAPES = 1000
"""Shapes of unsafe links whose first one a worker logs."""
USUAL_LENGTH = 200
"""The expected length of a URL in characters; if they are longer, fewer are remembered."""


class RequestFilter:
    """Checks requests when they are yielded, and drops those that cannot be new.

    ``scope`` is None if only the scheduling process knows the allowed hosts, ``safety`` in a job
    that does not log in. ``skipped_unsafe`` counts the URLs that ``safety`` rejects,
    ``skipped_by_limit`` those that a limit rejects.
    """

    def __init__(
        self,
        spider: Spider,
        scope: Scope | None,
        limits: CrawlLimits,
        accounts: Collection[str] = (),
        *,
        safety: UnsafeLinkFilter | None = None,
    ) -> None:
        self._accounts = accounts
        self._spider = spider
        self._scope = scope
        self._limits = limits
        self._safety = safety
        self.skipped_unsafe: list[SkippedLink] = []
        self.skipped_by_limit = SkipCounter()
        self._skipped: set[str] = set()
        self._page: Page | None = None
        self._logged_shapes: set[str] = set()
        self._sent: set[str] = set()
        self._sent_length = 0
        self._callbacks: dict[str, inspect.Signature] = {}
        self._plain_callbacks: set[str] = set()
        """Callbacks that are called with the response alone, and may be."""

    def accept(
        self, request: Request, depth: int, number: int = 0, response: Response | None = None
    ) -> NewRequest | None:
        """Return ``request`` for the frontier; None if out of scope, unsafe, sent or over a limit.

        ``response`` is the page that has yielded it, ``number`` the number of its new requests
        before.

        Raises SpiderError if the request has no callback of the spider, no http(s) URL, an unknown
        account, or values that are not plain data.
        """
        plain = (
            request.is_plain
            and type(request.url) is str
            and type(request.callback) is str
            and not (request.dont_filter or request.account or request.cb_kwargs)
        )
        # Most links of a page were sent before.
        if plain and request.url in self._sent and request.callback in self._plain_callbacks:
            return None
        if not request.is_usual:
            check_request(request)
        self._check_callback(request)
        url = urls.normalise(request.url)
        if url is None:
            raise SpiderError(
                f"the request for {shown(request.url)} has no absolute http(s) URL; "
                "response.follow() resolves relative ones"
            )
        request.url = url
        request.depth = request.depth or depth
        new_request = self._checked(request, number, response)
        if plain and new_request is not None:
            self._remember(url)
        return new_request

    def accept_seed(self, request: Request) -> NewRequest | None:
        """Return a seed for the frontier, as ``accept`` does; it is checked and normalised."""
        self._check_callback(request)
        return self._checked(request, 0, None)

    def _checked(
        self, request: Request, number: int, response: Response | None
    ) -> NewRequest | None:
        url = request.url
        if self._scope is not None and not self._scope.allows(url):
            return None
        if setting := self._limits.violated(url, request.depth):
            self._count_skipped(setting, url)
            return None
        if request.account and request.account not in self._accounts:
            raise SpiderError(_no_account(request.account, self._accounts))
        if self._safety is not None and self._is_unsafe(request, response, self._safety):
            return None
        if not self._limits.allows_another(number):
            self._count_skipped("max_requests_per_page", url)
            return None
        return encoded(request)

    def pop_skipped(self) -> tuple[list[SkippedLink], dict[str, int]]:
        """Return the unsafe links skipped since the last call, and the number by limit."""
        self._page = None  # which would keep its tree
        skipped_unsafe, self.skipped_unsafe = self.skipped_unsafe, []
        return skipped_unsafe, self.skipped_by_limit.pop_counts()

    def forget(self) -> None:
        """Accept all URLs again, since the last requests may have been dropped."""
        self._sent.clear()
        self._sent_length = 0
        self._skipped.clear()

    def _count_skipped(self, setting: str, url: str) -> None:
        self.skipped_by_limit.add(setting, url, getattr(self._limits, setting))

    def _is_unsafe(
        self, request: Request, response: Response | None, safety: UnsafeLinkFilter
    ) -> bool:
        """Return True for a link that may act; list each URL once."""
        if request.method != "GET" or request.safe:
            return False
        url = request.url
        objection = safety.objection(url, self._page_of(response))
        if objection is None:
            return False
        if url not in self._skipped:
            self._list_skipped(url, objection)
        return True

    def _page_of(self, response: Response | None) -> Page | None:
        """Return what ``response`` says of its links; the same object for all of them."""
        if response is None:
            return None
        if self._page is None or self._page.response is not response:
            self._page = Page(response.url, response)
        return self._page

    def _list_skipped(self, url: str, objection: Objection) -> None:
        """Add a link to those that are not followed, and log the first of its shape.

        Its tokens may be others each time, so they are no part of its fingerprint.
        """
        if len(self._skipped) >= MOST_SENT:
            self._skipped.clear()
        self._skipped.add(url)
        shape, example = shape_of(url), masked(url)
        fingerprint = hashlib.blake2b(urls.canonical(example).encode(), digest_size=16).digest()
        link = SkippedLink(fingerprint, shape, objection.effect, objection.sign, example[:LONGEST])
        self.skipped_unsafe.append(link)
        if shape not in self._logged_shapes and len(self._logged_shapes) < MOST_SHAPES:
            self._logged_shapes.add(shape)
            further = f"; further ones like {shape} are only counted" if "{" in shape else ""
            log.warning(
                "not followed: %s, %s, by %r (%s)%s",
                link.example,
                objection.meaning,
                objection.sign,
                objection.way_out,
                further,
            )

    def _remember(self, url: str) -> None:
        if len(self._sent) >= MOST_SENT or self._sent_length >= MOST_SENT * USUAL_LENGTH:
            self.forget()
        self._sent.add(url)
        self._sent_length += len(url)

    def _check_callback(self, request: Request) -> None:
        name = request.callback
        if name in self._plain_callbacks and not request.cb_kwargs:
            return
        signature = self._callbacks.get(name)
        if signature is None:
            signature = callback_signature(self._spider, name)
            self._callbacks[name] = signature
        check_arguments(signature, name, request.cb_kwargs or {})
        if not request.cb_kwargs:
            self._plain_callbacks.add(name)


def encoded(request: Request) -> NewRequest:
    """Return ``request``, which is checked, for the frontier. Raises SpiderError."""
    try:
        return NewRequest(
            fingerprint=fingerprint(request),
            origin=urls.origin(request.url),
            rank=-request.priority,
            callback=request.callback,
            request=msgspec.Raw(packed(request)),
            once=not request.replay,
            dont_filter=request.dont_filter,
            account=request.account,
        )
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        place = urls.redacted(request.url)
        raise SpiderError(f"the request for {place} cannot be kept: {message_of(error)}") from None


def _no_account(name: str, accounts: Collection[str]) -> str:
    if not accounts:
        return f"a request names the account {name!r}, but there are no accounts with names"
    return f"a request names the account {name!r}, but there are only {', '.join(accounts)}"
