"""Session: a ``requests.Session`` whose cookies and login state can be stored as data."""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError

from crawler import urls
from crawler.errors import FetchError, InputRequiredError, SpiderError
from crawler.http import exchange_log
from crawler.http.adapter import (
    Body,
    CurlAdapter,
    RawResponse,
    most_seconds,
    raise_as_requests_do,
    read_body,
)
from crawler.http.deadline import FetchContext, of_thread, on_thread
from crawler.http.redirects import escaped, is_redirect
from crawler.http.transport import Transport
from crawler.messages import SessionChange
from crawler.parsing import login_marks
from crawler.parsing.forms import Form
from crawler.parsing.login_marks import DeclaredMarks
from crawler.parsing.response import Response
from crawler.records import LoginState, SessionRecord, SiteEvidence
from crawler.request import Hop, Request
from crawler.scope import is_credential
from crawler.session.accounts import Account
from crawler.session.concurrency import FetchCoordinator, Throttle
from crawler.session.login_progress import LoginProgress
from crawler.session.masking import Mask
from crawler.settings import Settings
from crawler.values.plain import text_of
from crawler.values.session_check import SETTINGS, checked_headers, checked_settings, checked_state

log = logging.getLogger(__name__)

Prompt = Callable[[str, bool], str]
"""A function that answers a question; the second argument says whether to hide the answer."""


def no_prompt(question: str, hidden: bool) -> NoReturn:
    """Raise InputRequiredError: there is no terminal."""
    raise InputRequiredError(question)


MIN_TOKEN = 6
"""Characters of a header's value that is masked; shorter ones are words such as ``none``."""

MAX_REDIRECT_BODY = 64 * 1024
"""Bytes that are read of a redirect's own body, which nothing uses."""


class Session(Transport):
    """An identity at a site: cookies, headers, auth and pooled connections, as in ``requests``.

    ``headers``, ``auth``, ``proxies``, ``verify``, ``cert``, ``hooks`` and ``mount`` work as the
    documentation of ``requests.Session`` says. ``key`` names the session in the store. Proxies,
    ``netrc`` and certificate authorities of the environment are looked up once a host, unless
    ``trust_env`` is False.

    Besides cookies, these survive a restart: headers that ``login`` sets, and ``state``, a small
    dict of plain data for the spider's own use.
    """

    def __init__(
        self,
        key: str,
        settings: Settings,
        adapter: BaseAdapter | None = None,
        mask: Mask | None = None,
        prompt: Prompt = no_prompt,
        wall: Callable[[], float] = time.time,
        marks: DeclaredMarks | None = None,
        *,
        logs_in: bool = True,
    ) -> None:
        """``prompt`` answers what ``ask`` asks; cookies expire by the clock ``wall``.

        ``marks`` are what the spider declares about logged-in and logged-out pages.
        """
        super().__init__(wall=wall)
        if settings.log_level == "debug":
            exchange_log.enable()
        self.key = key
        self.headers["User-Agent"] = settings.user_agent
        self.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        self.account: Account | None = None
        self.state: dict[str, Any] = {}
        self.mask = mask or Mask()
        self.progress = LoginProgress(marks)
        self.throttle = Throttle(settings.delay)
        self._turns = FetchCoordinator() if logs_in else None
        self.max_redirects = settings.max_redirects
        self.follows_logout = settings.follow_logout
        self._settings = settings
        self._timeouts = (settings.connect_timeout, settings.read_timeout)
        self._prompt = prompt
        self._user_thread: int | None = threading.get_ident()
        self._plain_headers = self._text_headers()
        self._stored_login = LoginState()
        self._stored_headers: tuple[int, int | None] | None = None
        self._unstored = ""
        """The last message about a state that cannot be stored."""
        self.logs_in = logs_in
        """False if nothing but cookies, and headers or state set by hand, can change."""
        adapter = adapter or CurlAdapter()
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    @property
    def turns(self) -> FetchCoordinator:
        """The coordinator of the fetches of a session that logs in; others need none."""
        assert self._turns is not None, "a session that logs in"
        return self._turns

    def no_login(self) -> contextlib.AbstractContextManager[None]:
        """Let no login begin meanwhile, for a fetch that is no page."""
        return contextlib.nullcontext() if self._turns is None else self._turns.no_login()

    # For a spider's login

    def open(self, url: str, **kwargs: Any) -> Response:
        """GET ``url``, follow redirects and return the page, as a browser opens it."""
        return self._visit(self.request, "GET", url, **kwargs)

    def submit(
        self, form: Form, /, data: Any = None, *, click: Any = None, **fields: Any
    ) -> Response:
        """Send ``form`` with its own values, some replaced by ``fields``; return the page.

        ``data``, a mapping or pairs, is for names that are no Python identifiers; ``click`` names
        the button. Raises SpiderError for a form that would send a password from https to http,
        and FetchError for a local address that the page names and the user does not.
        """
        request = form_request(form, data, click, fields, self.mask)
        if self._is_users_thread():
            self._remember_login_form(form, request, dict(_pairs(data, fields)))
            self.credentials.follow(form.page, request.url)
        return self.send_form(request)

    def send_form(self, form: FormRequest) -> Response:
        """Send what a form has become; return the page. Raises FetchError as ``submit`` does."""
        try:
            return self._visit(
                self._send_request,
                *(form.method, form.url),
                data=form.data,
                headers=form.headers,
            )
        except FetchError as error:
            if error.cause != "private address":
                raise
            message = (
                f"{form.description} on {urls.redacted(form.page)} is not sent, as it leads to a "
                f"private address: {error}"
            )
            raise FetchError(error.cause, message, retryable=False) from error

    def _remember_login_form(
        self, form: Form, request: FormRequest, values: Mapping[str, Any]
    ) -> None:
        evidence = self.progress.evidence
        evidence.add_login_form(form.element, form.page)
        target = urlsplit(request.url)
        is_of_login = target.query or login_marks.names_login(target.path)
        if request.method == "POST" and is_of_login:
            evidence.add_login_page(request.url)  # its page may have a new URL at each visit
        typed = login_marks.name_typed(form.element, values)
        if form.password_names:  # else what is typed may be a code, or a name before the password
            evidence.name = typed or self.progress.name_typed or evidence.name
        else:
            self.progress.name_typed = typed

    def ask(self, question: str, *, hidden: bool = False) -> str:
        """Return the answer to ``question`` on the terminal of ``crawl login``.

        ``hidden`` does not show the answer, there or anywhere else. Raises InputRequiredError in a
        run, which has no terminal: the account waits until ``crawl login`` asks.
        """
        answer = self._prompt(str(question), hidden)
        if hidden:
            self.mask.add(answer)
        return answer

    def _visit(
        self, send: Callable[..., requests.Response], method: str, url: str, **kwargs: Any
    ) -> Response:
        headers = CaseInsensitiveDict(kwargs.pop("headers", None) or {})
        if self.progress.page is not None:
            referer = urls.referrer(self.progress.page.url, urls.normalise(url) or url)
            if referer is not None:
                headers.setdefault("Referer", referer)
        context = of_thread() or FetchContext()
        limited = context.limited(self._settings.timeout, urls.redacted(url))
        with on_thread(context), limited:
            raw = send(method, url, headers=headers, **{"stream": True, **kwargs})
            body = read_body(raw, urls.redacted(raw.url), self._settings.max_body)
        page = self.progress.page = self.as_response(raw, body, Request(url, method=method))
        return page

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """Send as requests does, with a timeout even if none is given."""
        target = urls.normalise(str(url)) or ""
        if target and self._is_users_thread():
            self.credentials.visit(target)
            if str(method).upper() == "POST":  # sites redirect to where their form is sent to
                self.progress.evidence.add_login_page(target)
            adapter = self.get_adapter(target)
            if isinstance(adapter, CurlAdapter):
                adapter.addresses.permit(target)
        return self._send_request(method, url, *args, **kwargs)

    def _send_request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """Send to a URL that may be a page's word, so that a local address is refused."""
        kwargs.setdefault("timeout", self.own_timeout() or self._timeouts)
        return super().request(method, url, *args, **kwargs)

    def _is_users_thread(self) -> bool:
        """Return True in ``login`` and ``prepare``, whose URLs are the user's own."""
        return self._user_thread == threading.get_ident()

    def send(self, request: Any, **kwargs: Any) -> requests.Response:
        """Send as requests does, with the crawl's delay before it, also for redirects.

        A response that is not streamed may take ``timeout`` in all, with its redirects.
        """
        is_streamed = kwargs.pop("stream", self.stream)
        context, url = of_thread() or FetchContext(), urls.redacted(request.url or "")
        if is_streamed or context.deadline < math.inf:
            return self._send(request, is_streamed, kwargs)
        seconds, timeout = self._settings.timeout, kwargs.get("timeout")
        if timeout != self._timeouts:  # of the call or the session: what it allows is allowed
            seconds = max(seconds, most_seconds(timeout))
        try:
            with on_thread(context), context.limited(seconds, url):
                return self._send(request, is_streamed, kwargs)
        except FetchError as error:
            raise_as_requests_do(error, request)

    def _send(self, request: Any, is_streamed: bool, kwargs: dict[str, Any]) -> requests.Response:
        with (of_thread() or FetchContext()).paused():
            self.throttle.wait()
        response = super().send(request, stream=True, **kwargs)
        if not is_streamed:
            self._read(response)
        return response

    def _read(self, response: requests.Response) -> None:
        """Read the body as requests does, up to ``max_body``."""
        if not isinstance(response.raw, Body):
            _ = response.content
        elif not response._content_consumed:  # type: ignore[attr-defined]
            url, limit = urls.redacted(response.url), self._settings.max_body
            try:
                response._content = read_body(response, url, limit)
            except FetchError as error:
                raise_as_requests_do(error, response.request)
            response._content_consumed = True  # type: ignore[attr-defined]

    def rebuild_auth(self, prepared_request: Any, response: requests.Response) -> None:
        """Keep credentials from another origin, unless the login's own site leads there."""
        if self._is_users_thread():
            self.credentials.follow(response.url, prepared_request.url)
        super().rebuild_auth(prepared_request, response)

    def private_headers(self) -> dict[str, str | None]:
        """Return the headers that prove an identity, and those that ``login`` has set."""
        plain = self._plain_headers
        return {
            name: None if is_credential(name) else plain.get(name)
            for name, value in self.headers.items()
            if is_credential(name) or plain.get(name) != value
        }

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return what requests does, which then reads the redirect's own body; limit that here."""
        if not is_redirect(resp.status_code, resp.headers):
            return None
        target = escaped(resp.headers["location"])
        if not getattr(resp, "_content_consumed", False):
            try:
                resp._content = read_body(resp, resp.url, MAX_REDIRECT_BODY, cut=True)
            except (FetchError, HTTPError, HTTPException, OSError):  # nothing uses it
                resp._content = b""
            resp._content_consumed = True  # type: ignore[attr-defined]
        return target

    # For the crawler

    def cookies_received(self, *, changed: bool) -> None:
        """Let the other fetches of this session wait if a cookie has another value now."""
        if self._turns is not None:
            self._turns.cookies_received(changed=changed)

    @contextlib.contextmanager
    def user_urls_allowed(self) -> Iterator[None]:
        """Take URLs that this thread requests for the user's own, which may be local addresses.

        In ``login`` they are. In a callback they may come from a page.
        """
        self._user_thread = threading.get_ident()
        try:
            yield
        finally:
            self._user_thread = None

    def as_response(
        self, raw: requests.Response | RawResponse, body: bytes, request: Request
    ) -> Response:
        """Return the Response that spiders get for ``raw``."""
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
        """Take headers that are set from now on for those of a login: ``prepare`` is done."""
        self._user_thread = None
        self._plain_headers = self._text_headers()
        self.hide_credentials()

    def check(self) -> None:
        """Take what the spider has set on the session for the plain values that it means.

        Raises SpiderError with a sentence that names the setting, header or part of the state.
        """
        headers: Any = self.headers
        for name, value in checked_headers(headers).items():
            if headers[name] != value:
                headers[name] = value
        # In its place, for a hook of the spider's may have it; without the trees of BeautifulSoup.
        for name, value in checked_state(self.state).items():
            self.state[name] = value
        settings = {name: getattr(self, name, None) for name in SETTINGS}
        for name, value in checked_settings(settings).items():
            setattr(self, name, value)

    def hide_credentials(self) -> None:
        """Mask the passwords and tokens that the spider has set on the session. Never raises."""
        auth: Any = self.auth
        is_pair = isinstance(auth, tuple) and len(auth) == 2
        passwords = [auth[1] if is_pair else getattr(auth, "password", "")]
        proxies: Any = self.proxies
        for proxy in proxies.values() if isinstance(proxies, Mapping) else ():
            with contextlib.suppress(ValueError, AttributeError, TypeError):
                passwords.append(urlsplit(proxy).password)
        for password in passwords:
            if isinstance(password, str):
                self.mask.add(str.__str__(password))
        self._mask_headers(self._text_headers())

    def _mask_headers(self, headers: Mapping[str, str]) -> None:
        """Mask the tokens in ``headers``: the whole value, without a scheme such as ``Bearer``."""
        for name, value in headers.items():
            if name.lower() == "cookie":
                tokens = [pair.strip().partition("=")[2] for pair in value.split(";")]
            else:
                tokens = [value.strip().rpartition(" ")[2]] if is_credential(name) else []
            for token in tokens:
                if len(token) >= MIN_TOKEN:
                    self.mask.add(token)

    def load(self, record: SessionRecord, *, now: float = math.inf) -> None:
        """Take over cookies and login state from the store; ``now`` is the wall-clock time."""
        self.cookies.load(record.cookies)
        self._stored_login = record.login
        self.progress.restore(record.login, now)
        for name, value in record.login.headers.items():
            try:
                self.headers[name] = value
            except SpiderError as error:  # an older version has stored it
                log.warning("%s: a header of the login is omitted: %s", self.key, error)
        self._mask_headers(record.login.headers)
        self.state = copy.deepcopy(record.login.state)
        self.credentials.restore(record.login.origins)

    def pop_changes(self) -> SessionChange | None:
        """Return what changed since the last call, or None; part of the next outcome's commit."""
        cookies = self.cookies.pop_changes() if self.cookies.has_changes else []
        headers = id(self.headers), getattr(self.headers, "version", None)
        is_plain = not (self.logs_in or self.state or self._stored_login.state)
        if is_plain and headers == self._stored_headers and headers[1] is not None:
            return SessionChange(self.key, cookies) if cookies else None
        self._stored_headers = headers
        login = self._login_state_or_stored()
        changed = login != self._stored_login
        if changed:
            self._stored_login = login
            self._mask_headers(login.headers)
        if not cookies and not changed:
            return None
        return SessionChange(self.key, cookies, login if changed else None)

    def _login_state_or_stored(self) -> LoginState:
        """Return the login's state; as it was stored if a hook has put into it what cannot be."""
        try:
            return self._login_state()
        except SpiderError as error:
            if (message := str(error)) != self._unstored:
                self._unstored = message
                log.error("%s: what the login has changed is not stored: %s", self.key, message)
            return self._stored_login

    def _login_state(self) -> LoginState:
        plain, evidence = self._plain_headers, self.progress.evidence
        headers = {
            name: value for name, value in self._text_headers().items() if plain.get(name) != value
        }
        return LoginState(
            self.progress.logged_in_at,
            headers,
            checked_state(self.state) if self.state or self._stored_login.state else {},
            tuple(sorted(self.progress.evidence.login_pages)),
            self.credentials.visited,
            self.progress.waiting,
            evidence.record() if evidence.probes or evidence.login_forms else SiteEvidence(),
        )

    def _text_headers(self) -> dict[str, str]:
        """Return the headers that are text; others are refused by ``check``, or omit a header."""
        headers: Any = self.headers
        return {
            str.__str__(name): text_of(value, "latin-1")
            for name, value in (headers.items() if isinstance(headers, Mapping) else ())
            if isinstance(name, str) and isinstance(value, (str, bytes))
        }


class FormRequest(NamedTuple):
    """What is sent for a form, and the form's name and page for messages."""

    method: str
    url: str
    data: Any
    headers: dict[str, str | None]
    page: str
    description: str


def form_request(
    form: Form, data: Any, click: Any, fields: Mapping[str, Any], mask: Mask
) -> FormRequest:
    """Return what ``Session.submit`` sends; passwords are masked from now on.

    Raises SpiderError for a form that would send a password from https to http.
    """
    pairs = _pairs(data, fields)
    for name, value in pairs:
        if name in form.password_names:
            mask.add(str(value or ""))
    request = form.to_request(pairs, click=click)
    if form.password_names and urls.is_downgrade(form.page, request.url):
        raise SpiderError(
            f"{form} on {urls.redacted(form.page)} would send a password unencrypted, to "
            f"{urls.redacted(request.url)}: if that is right, send it with session.post"
        )
    headers = dict(request.headers or {})
    return FormRequest(request.method, request.url, request.data, headers, form.page, repr(form))


def _pairs(data: Any, fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return ``data``, without the names that ``fields`` replace, and ``fields``.

    ``data`` that is neither a mapping nor pairs is the value of a field with that name.
    """
    if isinstance(data, Mapping):
        data = data.items()
    elif not isinstance(data, (list, tuple)) or not all(
        isinstance(pair, tuple) and len(pair) == 2 for pair in data
    ):
        data = [] if data is None else [("data", data)]
    return [*((name, value) for name, value in data if name not in fields), *fields.items()]
