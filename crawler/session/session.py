"""Session: a ``requests.Session`` whose cookies and login state can be kept as data."""

from __future__ import annotations

import contextlib
import copy
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from crawler import urls
from crawler.errors import FetchError
from crawler.http.adapter import PoolAdapter
from crawler.http.body import read
from crawler.http.deadline import FetchContext, Watchdog, of_thread, on_thread
from crawler.http.http1 import RawResponse
from crawler.http.transport import Transport
from crawler.messages import SessionChange, SessionUpdate
from crawler.parsing.forms import Form
from crawler.parsing.response import Response
from crawler.records import LoginState
from crawler.request import Hop, Request
from crawler.session.accounts import Account
from crawler.session.concurrency import FetchCoordinator
from crawler.session.login_progress import LoginProgress
from crawler.session.masking import Mask
from crawler.session.prompts import Prompt, no_prompt
from crawler.settings import Settings


class Throttle:
    """Keeps a delay between the requests of ``login`` or a callback, and the page after a login."""

    def __init__(self, delay: float) -> None:
        """``delay`` is in seconds."""
        self._delay = delay
        self._last_at = -math.inf

    def wait(self) -> None:
        """Wait until the delay has passed since the last call."""
        wait = self._last_at + self._delay - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        self._last_at = time.monotonic()


MOST_OF_REDIRECT = 64 * 1024
"""Bytes of a redirect's own body that are read; nobody looks at it."""


class Session(Transport):
    """One identity: cookies, headers, auth and pooled connections, as in ``requests``.

    What the documentation of ``requests.Session`` says holds here: ``headers``, ``auth``,
    ``proxies``, ``verify``, ``cert``, ``hooks``, ``mount``. ``key`` names the session in the
    store. Proxies, ``netrc`` and certificate authorities of the environment are looked up once a
    host, unless ``trust_env`` is False.

    What must survive a restart besides cookies: headers that ``login`` sets, and ``state``, a
    small dict of plain data that is the spider's own. Both are kept with the cookies.
    """

    def __init__(
        self,
        key: str,
        settings: Settings,
        adapter: HTTPAdapter | None = None,
        mask: Mask | None = None,
        watchdog: Watchdog | None = None,
        prompt: Prompt = no_prompt,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``prompt`` answers what ``ask`` asks; cookies expire by the clock ``wall``."""
        super().__init__(wall=wall)
        self.key = key
        self.headers["User-Agent"] = settings.user_agent
        self.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        self.account: Account | None = None
        self.state: dict[str, Any] = {}
        self.mask = mask or Mask()
        self.progress = LoginProgress()
        self.throttle = Throttle(settings.delay)
        self.turns = FetchCoordinator()
        self.max_redirects = settings.max_redirects
        self._settings = settings
        self._watchdog = watchdog
        self._prompt = prompt
        self._trusts: int | None = threading.get_ident()
        self._plain_headers: dict[str, str] = {}
        self._kept = LoginState()
        adapter = adapter or PoolAdapter()
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    # What a spider's login uses

    def open(self, url: str, **kwargs: Any) -> Response:
        """GET ``url`` as a person would open it, redirects followed, as a Response."""
        return self._visit("GET", url, **kwargs)

    def submit(
        self,
        form: Form,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        click: Any = None,
        **fields: Any,
    ) -> Response:
        """Send ``form`` with its own values and ``fields`` in place of some of them.

        ``data`` is for names that are no Python identifiers; ``click`` names the button.
        """
        values = {**(data or {}), **fields}
        for name in form.password_names:
            self.mask.add(str(values.get(name) or ""))
        request = form.to_request(values, click=click)
        if self.progress.page is not None:
            self.progress.add_login_page(self.progress.page.url)
        return self._visit(
            request.method, request.url, data=request.data, headers=request.headers or {}
        )

    def ask(self, question: str, *, hidden: bool = False) -> str:
        """What a person answers to ``question`` on the terminal of ``crawl login``.

        ``hidden`` does not show the answer, there or anywhere else. Raises InputRequiredError where
        nobody is there to be asked: the account waits until somebody is.
        """
        answer = self._prompt(question, hidden)
        if hidden:
            self.mask.add(answer)
        return answer

    def _visit(self, method: str, url: str, **kwargs: Any) -> Response:
        headers = dict(kwargs.pop("headers", None) or {})
        if self.progress.page is not None:
            headers.setdefault("Referer", self.progress.page.url)
        context = of_thread() or FetchContext()
        with on_thread(context), self._limited(context, url):
            raw = self.request(method, url, headers=headers, **{"stream": True, **kwargs})
            body = read(raw, urls.redacted(raw.url), self._settings.max_body)
        page = self.progress.page = self.as_response(raw, body, Request(url, method=method))
        return page

    def _limited(self, context: FetchContext, url: str) -> contextlib.AbstractContextManager[None]:
        if self._watchdog is None:
            return contextlib.nullcontext()
        return self._watchdog.enforce(context, self._settings.timeout, urls.redacted(url))

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """As in requests, with a timeout even where none is given."""
        named = urls.normalise(str(url)) or ""
        if self._trusts == threading.get_ident():
            self.home.add(urls.site(named))
            adapter = self.get_adapter(named) if named else None
            if isinstance(adapter, PoolAdapter):
                adapter.addresses.permit(named)
        kwargs.setdefault("timeout", (self._settings.connect_timeout, self._settings.read_timeout))
        return super().request(method, url, *args, **kwargs)

    def send(self, request: Any, **kwargs: Any) -> requests.Response:
        """As in requests, at the crawl's pace, which redirects keep to as well."""
        with (of_thread() or FetchContext()).paused():
            self.throttle.wait()
        return super().send(request, **kwargs)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """As in requests, which then reads the redirect's own body; here no more than its start."""
        target: str | None = super().get_redirect_target(resp)
        if target is not None and not getattr(resp, "_content_consumed", False):
            try:
                resp._content = read(resp, resp.url, MOST_OF_REDIRECT, cut=True)
            except (FetchError, HTTPError, HTTPException, OSError):  # nobody will miss it
                resp._content = b""
            resp._content_consumed = True  # type: ignore[attr-defined]
        return target

    # What the crawler uses

    def cookies_received(self, *, changed: bool) -> None:
        """Tell the other fetches of this session whether a cookie has a new value."""
        self.turns.cookies_received(changed=changed)

    @contextlib.contextmanager
    def user_urls_allowed(self) -> Iterator[None]:
        """What this thread asks for by URL is the user's own word, and may be a local address.

        In ``login`` it is. In a callback it may be what a page has said.
        """
        self._trusts = threading.get_ident()
        try:
            yield
        finally:
            self._trusts = None

    def as_response(
        self, raw: requests.Response | RawResponse, body: bytes, request: Request
    ) -> Response:
        """What spiders see of ``raw``."""
        hops = [Hop(hop.url, hop.status_code) for hop in raw.history]
        return Response(
            raw.url,
            body,
            status=raw.status_code,
            headers=raw.headers,
            request=request,
            history=[*request.history, *hops],
            session=self,
        )

    def freeze_defaults(self) -> None:
        """The spider has prepared the session: headers from now on are those of a login."""
        self._trusts = None
        self._plain_headers = self._text_headers()
        self.hide_credentials()

    def hide_credentials(self) -> None:
        """Mask the passwords that the spider has set on the session."""
        auth = self.auth[1] if isinstance(self.auth, tuple) else getattr(self.auth, "password", "")
        proxies = (urlsplit(proxy).password for proxy in self.proxies.values())
        for password in (auth, *proxies):
            if isinstance(password, str):
                self.mask.add(password)

    def load(self, news: SessionUpdate, *, now: float = math.inf) -> None:
        """Take over cookies and login state from the store; ``now`` is the wall-clock time."""
        self.cookies.load(news.cookies, acked=news.heard)
        self._kept = news.login
        self.progress.restore(news.login, now)
        self.headers.update(news.login.headers)
        self.state = copy.deepcopy(news.login.state)
        self.home = set(news.login.sites)

    def pop_changes(self) -> SessionChange | None:
        """What changed since the last call, or None; part of the next outcome's commit."""
        cookies = self.cookies.pop_changes()
        now = self._login_state()
        changed = now != self._kept
        if changed:
            self._kept = now
        if not cookies and not changed:
            return None
        return SessionChange(self.key, cookies, now if changed else None)

    def _login_state(self) -> LoginState:
        plain = self._plain_headers
        headers = {k: v for k, v in self._text_headers().items() if plain.get(k) != v}
        return LoginState(
            self.progress.logged_in_at,
            headers,
            copy.deepcopy(self.state),
            tuple(sorted(self.progress.login_pages)),
            tuple(sorted(self.home)),
            waiting=self.progress.waiting,
        )

    def _text_headers(self) -> dict[str, str]:
        return {
            k: v if isinstance(v, str) else v.decode("latin-1")
            for k, v in self.headers.items()
            if v is not None  # which leaves a header out
        }
