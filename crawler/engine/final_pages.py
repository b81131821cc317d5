"""Decide whether the output of a page counts that redirects have led to, or that waits to be asked.

A page is handled once for a callback, however it is reached. What decides is what was done: a
request for the page that is known may still wait, and may fail when its turn comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from crawler.records import NewRequest, QueuedRequest
from crawler.request import Request, fingerprint, unpacked
from crawler.session.login_progress import first_url
from crawler.store.protocols import Store


class FinalPages:
    """The pages at the end of redirects. Each method is part of a transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._has_superseded = store.seen.has_superseded()

    def counts(self, page: NewRequest, done: Iterable[tuple[int, int, int]]) -> bool:
        """Return True if the output of ``page``, which redirects have led to, is no duplicate.

        ``done`` are the requests, by host, rank and id, that this transaction will remove.
        """

        def open_id(number: int) -> int | None:
            request_id = self._store.queue.find(page.origin, number, _is_for(page.fingerprint))
            if request_id is None or any(row[2] == request_id for row in done):
                return None
            self._has_superseded = True
            return request_id

        return self._store.seen.add_final(page, open_id)

    def has_come(self, queued: QueuedRequest) -> bool:
        """Return True if a redirect has brought the page of a request before.

        A request that is more than its URL, or that was redirected itself, has another page.
        """
        if not (self._has_superseded and self._store.seen.is_superseded(queued.id)):
            return False
        return unpacked(queued.request).is_usual

    def mark_failed(self, queued: QueuedRequest) -> None:
        """Let a redirect to the page of a request count that has failed for good."""
        try:
            request = _as_yielded(queued.request)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return  # of an earlier version
        if request is not None:
            self._store.seen.mark_failed(fingerprint(request), queued.id)


def _is_for(page: bytes) -> Callable[[bytes], bool]:
    """Return a function that is True for a stored request that began with the URL of ``page``."""

    def is_wanted(data: bytes) -> bool:
        try:
            request = _as_yielded(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return False
        return request is not None and fingerprint(request) == page

    return is_wanted


def _as_yielded(data: bytes) -> Request | None:
    """Return a stored request as it was before redirects; None if it is more than its URL."""
    request = unpacked(data)
    if request.first is not None or not request.is_plain:
        return None
    return replace(request, url=first_url(request), history=[]) if request.history else request
