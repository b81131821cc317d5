"""Prober: look at a page as the account and as an anonymous visitor, to see who is logged in."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.client import HTTPException
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from crawler import urls
from crawler.errors import FetchError
from crawler.parsing.response import Response
from crawler.request import Request
from crawler.session.accounts import Account
from crawler.session.evidence import redirect_target
from crawler.session.login_progress import first_url, is_harmless
from crawler.session.session import Session

log = logging.getLogger(__name__)

MOST_TRIED = 3
"""Pages of a host that are tried as its probe page, until it counts as showing no difference."""
NETWORK_ERRORS = (
    *(FetchError, requests.RequestException, HTTPError, HTTPException),
    *(ConnectionError, TimeoutError),
)


class Judge(Protocol):
    """The part of a spider that knows its site."""

    @property
    def probe_url(self) -> str:
        """The page that shows whether a session is logged in; or empty."""

    def is_logged_out(self, response: Response) -> bool:
        """Return True if ``response`` shows that the session has ended."""


class Prober:
    """Finds the probe pages of hosts, and looks at them."""

    def __init__(
        self,
        judge: Judge,
        lock: AbstractContextManager[Any],
        *,
        has_own_check: bool = False,
        stranger: Callable[[Account | None], AbstractContextManager[Session]] | None = None,
    ) -> None:
        """``has_own_check`` says that the spider decides which pages are logged-out ones.

        ``stranger`` holds a session that never logs in, but is set up as that of the account.
        """
        self._judge = judge
        self._lock = lock
        self.has_own_check = has_own_check
        self._stranger = stranger

    def is_logged_out(self, response: Response) -> bool:
        """Ask the spider whether ``response`` shows that the session has ended."""
        with self._lock:
            return self._judge.is_logged_out(response)

    def is_known(self, session: Session, url: str) -> bool:
        """Return True if the host of ``url`` has a probe page."""
        probe = session.progress.evidence.probe(url)
        return bool(self._url(session, url)) if self.has_own_check else probe.can_tell

    def _url(self, session: Session, url: str) -> str:
        """Return the probe page of the host of ``url``; empty if there is none."""
        return session.progress.evidence.probe(url).url or self._declared(url)

    def _declared(self, url: str) -> str:
        """Return the spider's ``probe_url`` if it is at the host of ``url``."""
        declared = self._judge.probe_url or ""  # None names no page either
        return declared if urlsplit(declared).netloc == urlsplit(url).netloc else ""

    def look(self, session: Session, url: str) -> bool | None:
        """Open the probe page of the host of ``url``, and return whether it is the account's.

        Returns None if it does not tell, as after an error of the server.
        """
        evidence = session.progress.evidence
        sent_at = time.monotonic()
        page = self._open(session, self._url(session, url))
        if page is None or page.status == 429 or page.status >= 500:
            return None
        if self.has_own_check:
            is_member: bool | None = page.status < 400 and not self.is_logged_out(page)
        else:
            is_member = evidence.probe(url).is_member_view(evidence.view(page))
        if is_member:
            session.progress.mark_proven(url, sent_at)
        return is_member

    def try_page(self, session: Session, request: Request) -> bool | None:
        """Find out by the page of ``request``, if no probe page is known, who is logged in.

        It becomes the probe page if it shows the account. Returns None if it does not tell.
        """
        url = self._declared(request.url) or first_url(request)
        if not is_harmless(request):
            return None
        probe, evidence = session.progress.evidence.probe(url), session.progress.evidence
        sent_at = time.monotonic()
        page = self._open(session, url)
        if page is None or page.status >= 400:
            return None
        if self.has_own_check:
            is_member = not self.is_logged_out(page) and self._takes_stranger_for_one(session, url)
            probe.url = url if is_member else ""
        else:
            stranger = self._open_as_stranger(session, url)
            if stranger is None or not probe.choose(
                url, evidence.view(page), evidence.view(stranger)
            ):
                return None
            is_member = not evidence.view(page).login_form
        if not is_member:
            probe.forget()
            return None
        probe.is_settled = True
        session.progress.mark_proven(url, sent_at)
        return True

    def sees_member(self, session: Session, request: Request, *, is_likely: bool) -> bool:
        """Return True if the session is logged in; ``is_likely`` if no probe page is known."""
        if self.is_known(session, request.url):
            return bool(self.look(session, request.url))
        return is_likely and bool(self.try_page(session, request))

    def calibrate(self, session: Session, request: Request, response: Response) -> None:
        """Compare a page that has come with the same page as an anonymous visitor gets it."""
        evidence = session.progress.evidence
        probe = evidence.probe(request.url)
        probe.tried += 1
        url = self._declared(request.url) or request.url
        if self.has_own_check:
            if self._takes_stranger_for_one(session, url):
                probe.url = url
        else:
            member = response if url == request.url else self._open(session, url)
            stranger = self._open_as_stranger(session, url)
            if member is not None and stranger is not None and stranger.status < 500:
                probe.choose(url, evidence.view(member), evidence.view(stranger))
        probe.is_settled = bool(probe.url) or probe.tried >= MOST_TRIED
        if self.has_own_check or not probe.is_settled:
            return
        if probe.can_tell:
            log.info(
                "%s: the account and anonymous visitors are told apart at %s by %s",
                *(session.key, urls.redacted(url), probe.describe()),
            )
        else:
            log.warning(
                "%s: %s comes to the account as to anonymous visitors, so a session that ends may "
                'go unnoticed; name a page that only the account gets: probe_url = "…", or what '
                'its pages have: member_mark = "a.logout"',
                *(session.key, urls.redacted(url)),
            )

    def _takes_stranger_for_one(self, session: Session, url: str) -> bool:
        """Return True if the spider's own check tells a stranger by the page at ``url``."""
        page = self._open_as_stranger(session, url)
        if page is None or page.status == 429 or page.status >= 500:
            return False
        return page.status >= 400 or self.is_logged_out(page)

    def differs_from_stranger(self, session: Session, response: Response) -> bool:
        """Return True if anonymous visitors get another answer than ``response`` at its URL."""
        if self._stranger is None:
            return False
        view = session.progress.evidence.view
        with self._stranger(session.account) as stranger:
            session.throttle.wait()
            try:
                page = stranger.open(response.url, allow_redirects=False)
            except NETWORK_ERRORS:
                return False
            finally:
                session.throttle.wait()
        if page.status == 429 or page.status >= 500:
            return False
        return (view(page).status, view(page).address) != (
            view(response).status,
            view(response).address,
        )

    def describe_stranger(self, session: Session, url: str) -> str:
        """Say by what the probe page shows that the session is not logged in."""
        by = session.progress.evidence.probe(url).describe()
        page = urls.redacted(self._url(session, url))
        return f"{page} still comes as to anonymous visitors{by and f' ({by})'}"

    def _open(self, session: Session, url: str, *, leave: bool = True) -> Response | None:
        """Return the page at ``url`` after redirects; None after an error.

        Redirects to other hosts are followed if ``leave`` is true, as a provider that still knows
        the user sends back from there. What does not come back counts as the redirect that left.
        """
        session.throttle.wait()  # counts from now on: the page in question was just asked for
        try:
            page = at_home = session.open(url, allow_redirects=False)
            for _ in range(session.max_redirects):
                target = redirect_target(page)
                if target is None:
                    break
                is_away = urlsplit(target).netloc != urlsplit(url).netloc
                if is_away and not leave:
                    break
                try:
                    page = session.open(target, allow_redirects=False)
                except NETWORK_ERRORS:
                    if is_away:
                        break
                    raise
                at_home = at_home if is_away else page
        except NETWORK_ERRORS:
            return None
        finally:
            session.throttle.wait()
        return at_home

    def _open_as_stranger(self, session: Session, url: str) -> Response | None:
        if self._stranger is None:
            return None
        with self._stranger(session.account) as stranger:
            return self._open(stranger, url, leave=False)
