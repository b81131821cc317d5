"""Witness: a page that has come before tells a login that does not work from a page that is closed.

A site may refuse one page to an account that it lets see all others, and in the same words as it
tells somebody who is not logged in. Once a new login has not brought the page back, the question is
whether others still come.
"""

from __future__ import annotations

from crawler.parsing.response import Response
from crawler.request import Request

MOST = 10_000
"""Pages at which sessions have ended that are remembered."""


class ProbePage:
    """What one session has seen. ``url`` is the page to ask for; empty when none is known.

    ``is_sure`` says that strangers do not get that page: a login has brought it back.
    """

    def __init__(self) -> None:
        self.url = ""
        self.is_sure = False
        self._ends: set[str] = set()

    def saw_end(self, request: Request) -> None:
        """The session has ended, as the answer to ``request`` tells, and there will be a login."""
        if len(self._ends) < MOST:
            self._ends.add(_first(request))

    def saw_end_at(self, request: Request) -> bool:
        """True when a login was made for the sake of ``request``, which has not come since."""
        return _first(request) in self._ends

    def saw_page(self, request: Request, response: Response) -> None:
        """A page has come."""
        is_sure = _first(request) in self._ends
        self._ends.discard(_first(request))
        if (is_sure or not self.is_sure) and _is_harmless(request) and response.status < 300:
            self.url, self.is_sure = request.url, is_sure


def _first(request: Request) -> str:
    return request.history[0].url if request.history else request.url


def _is_harmless(request: Request) -> bool:
    return request.is_plain and request.replay and not request.history
