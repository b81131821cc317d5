"""``response.session`` in a callback: the session lives in the fetching process, which sends."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Iterable, Mapping
from http.cookiejar import CookieJar
from typing import Any, NamedTuple

import requests
from requests.auth import HTTPDigestAuth
from requests.hooks import default_hooks, dispatch_hook
from requests.sessions import merge_hooks
from requests.structures import CaseInsensitiveDict
from requests.utils import guess_filename, to_key_val_list

from crawler.errors import InputRequiredError, SpiderError
from crawler.http.cookie_jar import ChangeTrackingCookieJar
from crawler.messages import Page
from crawler.parsing.forms import Form
from crawler.parsing.response import Response
from crawler.records import Cookie
from crawler.request import Hop, Request
from crawler.session.accounts import Account, SessionKey
from crawler.session.masking import Mask
from crawler.session.session import FormRequest, form_request
from crawler.values.session_check import checked_headers, checked_settings, checked_state

CallRemote = Callable[[str, bytes], bytes]
"""Makes a pickled call of the session with a key, and returns its pickled result."""


class SessionSnapshot(NamedTuple):
    """What a session is made of, as a callback sees it."""

    cookies: list[Cookie]
    headers: dict[str, Any]
    state: dict[str, Any]
    settings: dict[str, Any]


class PlainPage(NamedTuple):
    """A page that ``open`` or ``submit`` has brought."""

    url: str
    method: str
    body: bytes
    status: int
    headers: dict[str, str]
    history: list[Hop]

    @classmethod
    def of(cls, response: Response) -> PlainPage:
        """Return the data of ``response``."""
        return cls(
            response.url,
            response.request.method,
            response.body,
            response.status,
            dict(response.headers),
            response.history,
        )

    def response(self, session: Any) -> Response:
        """Return the page as ``open`` does."""
        return Response(
            self.url,
            self.body,
            status=self.status,
            headers=self.headers,
            request=Request(self.url, method=self.method),
            history=self.history,
            session=session,
        )


_PARTS = frozenset({"cookies", "headers", "state"})
SETTINGS = frozenset(
    {"auth", "proxies", "params", "verify", "cert", "trust_env", "max_redirects", "timeout"}
)
"""The attributes of a session that a callback may read and set."""
_MAX_SESSIONS = 1_000


class RemoteSession(requests.Session):
    """The session of a response, for callbacks.

    Its requests are sent by the fetching process, so with the same cookies, auth, hooks and
    connections as the crawl's own. ``cookies``, ``headers``, ``state`` and the settings are read
    when they are first used on a page; what the callback changes in them counts from its next
    request on, and at the latest from its end.
    """

    def __init__(self, key: str, account: Account | None, mask: Mask, call: CallRemote) -> None:
        # The attributes of requests.Session are looked up in the fetching process.
        vars(self).update(
            key=key,
            account=account,
            mask=mask,
            page=None,
            hooks={"response": []},
            adapters={},
            stream=False,
            _call=call,
            _snapshot=None,
            _changed_settings={},
            _masked=0,
        )

    def __getattr__(self, name: str) -> Any:
        if name in _PARTS or name in SETTINGS:
            self._load()
            return vars(self)[name]
        raise AttributeError(f"response.session has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in SETTINGS:
            self._changed_settings[name] = value
        elif name in _PARTS:
            part = getattr(self, name)  # so that the change can be seen
            if name == "cookies":
                cookies = [*value] if isinstance(value, CookieJar) else {**value}
                part.clear()
                _add_cookies(part, cookies)
                return
        super().__setattr__(name, value)

    def _load(self) -> None:
        snapshot: SessionSnapshot = self._remote("snapshot")
        jar = ChangeTrackingCookieJar()
        jar.load(snapshot.cookies)
        settings = {name: copy.copy(value) for name, value in snapshot.settings.items()}
        vars(self).update(
            {**settings, **self._changed_settings},
            _snapshot=snapshot,
            cookies=jar,
            headers=CaseInsensitiveDict(snapshot.headers),
            state=copy.deepcopy(snapshot.state),
        )

    def flush(self) -> None:
        """Hand over what the callback has changed, and forget the rest: it may change meanwhile."""
        attributes = vars(self)
        snapshot: SessionSnapshot | None = attributes["_snapshot"]
        settings = attributes["_changed_settings"]
        if snapshot is None and not settings and not self._new_secrets():
            return
        try:
            cookies, headers, state = self._changed_parts(snapshot, settings)
        finally:  # also if a part is refused
            for name in (*_PARTS, *SETTINGS):
                attributes.pop(name, None)
            attributes.update(_snapshot=None, _changed_settings={})
        is_changed = cookies or settings or headers is not None or state is not None
        if is_changed or self._new_secrets():
            self._remote("apply", cookies, headers, state, settings)

    def _changed_parts(
        self, snapshot: SessionSnapshot | None, settings: dict[str, Any]
    ) -> tuple[list[Cookie], dict[str, str | None] | None, dict[str, Any] | None]:
        """Return the changes of cookies, headers and state, and add those of ``settings``.

        Raises SpiderError for values that a session cannot have.
        """
        attributes = vars(self)
        cookies: list[Cookie] = []
        headers = state = None
        if snapshot is not None:
            cookies = attributes["cookies"].pop_changes()
            if (plain_headers := checked_headers(self.headers)) != snapshot.headers:
                headers = plain_headers
            if (plain_state := checked_state(self.state)) != snapshot.state:
                state = plain_state
            for name in ("proxies", "params"):  # those that may be changed in place
                if attributes[name] != snapshot.settings[name]:
                    settings[name] = attributes[name]
        settings.update(checked_settings(settings))
        return cookies, headers, state

    def _new_secrets(self) -> tuple[str, ...]:
        """Return the texts to be masked if the fetching process may not know them yet."""
        typed = self.mask.typed
        return typed if len(typed) != self._masked else ()

    def _remote(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        secrets = self._new_secrets()
        try:
            call = dumped((name, args, kwargs, secrets))
        except Exception as error:
            raise SpiderError(
                f"response.session: {name} is sent to the process that makes requests, and cannot "
                f"be: {error}; set it up in prepare() instead"
            ) from error
        vars(self)["_masked"] = len(self.mask.typed)
        is_value, value = pickle.loads(self._call(self.key, call))
        if not is_value:
            exception, cause = value
            raise exception from cause
        return value

    def _after_changes(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Make a call that sees what the callback has changed."""
        self.flush()
        return self._remote(name, *args, **kwargs)

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """Send as requests does, by the fetching process; the body is read before it returns.

        Hooks of the callback's own run here, for the last response.
        """
        arguments = {**dict(zip(_ARGUMENTS, args, strict=False)), **kwargs}
        arguments.pop("stream", None)
        hooks = arguments.pop("hooks", None)
        if arguments.get("data") is not None:
            arguments["data"] = _whole(arguments["data"])
        if arguments.get("files"):
            arguments["files"] = _whole_files(arguments["files"])
        response = self._after_changes("request", method, url, **arguments)
        return self._received(response, hooks)

    def send(self, request: Any, **kwargs: Any) -> requests.Response:
        """Send a prepared request."""
        kwargs.pop("stream", None)
        sent = request.copy()
        sent.hooks = default_hooks()
        sent.body = None if sent.body is None else _whole(sent.body)
        return self._received(self._after_changes("send", sent, **kwargs), request.hooks)

    def _received(self, response: requests.Response, hooks: Any) -> requests.Response:
        response.raw = _Raw(response.content)
        merged = merge_hooks(hooks, self.hooks)  # type: ignore[no-untyped-call]
        result: requests.Response = dispatch_hook(  # type: ignore[no-untyped-call]
            "response", merged, response
        )
        return result

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare a request with the session's cookies, headers and auth."""
        prepared: requests.PreparedRequest = self._after_changes("prepare_request", request)
        return prepared

    def open(self, url: str, **kwargs: Any) -> Response:
        """GET ``url``, follow redirects and return the page, as a browser opens it."""
        page: PlainPage = self._after_changes("open", url, **kwargs)
        self.page = page.response(self)
        return self.page

    def submit(
        self, form: Form, /, data: Any = None, *, click: Any = None, **fields: Any
    ) -> Response:
        """Send ``form`` as ``Session.submit`` does, and return the page."""
        request: FormRequest = form_request(form, data, click, fields, self.mask)
        page: PlainPage = self._after_changes("submit", request)
        self.page = page.response(self)
        return self.page

    def ask(self, question: str, *, hidden: bool = False) -> str:
        """Raise InputRequiredError: only a login may ask."""
        raise InputRequiredError(str(question))

    def mount(self, prefix: Any, adapter: Any) -> None:
        """Raise SpiderError: an adapter cannot be sent to the fetching process."""
        raise SpiderError(
            f"response.session.mount({str(prefix)!r}, …) has no effect in a callback: another "
            "process makes the requests; mount adapters in prepare()"
        )

    def close(self) -> None:
        """Do nothing: the connections are those of the crawl."""


_ARGUMENTS = (
    *("params", "data", "headers", "cookies", "files", "auth", "timeout", "allow_redirects"),
    *("proxies", "hooks", "stream", "verify", "cert", "json"),
)
"""The arguments of ``requests.Session.request`` after the URL, in their order."""


class _Raw(io.BytesIO):
    """The body as ``Response.raw``, decoded already."""

    decode_content = False


class _Pickler(pickle.Pickler):
    """Pickles auth of requests, too, which has data of its thread in it."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is HTTPDigestAuth:
            return HTTPDigestAuth, (value.username, value.password)
        return NotImplemented


def dumped(value: Any) -> bytes:
    """Return ``value`` pickled. Raises what pickling it raises."""
    file = io.BytesIO()
    _Pickler(file).dump(value)
    return file.getvalue()


def _add_cookies(jar: ChangeTrackingCookieJar, cookies: Any) -> None:
    if isinstance(cookies, Mapping):
        jar.update(cookies)
    else:
        for cookie in cookies:
            jar.set_cookie(copy.copy(cookie))


def _whole(data: Any) -> Any:
    """Return the content of a file or an iterator; anything else as it is."""
    if hasattr(data, "read"):
        return data.read()
    if isinstance(data, (str, bytes, bytearray, list, tuple, Mapping)):
        return data
    return b"".join(data) if isinstance(data, Iterable) else data


def _whole_files(files: Any) -> list[tuple[str, Any]]:
    """Return the argument ``files`` of requests with the content of each file."""
    whole = []
    for name, value in to_key_val_list(files):  # type: ignore[no-untyped-call]
        if isinstance(value, (tuple, list)):
            filename, content, *more = value
            whole.append((name, (filename, _whole(content), *more)))
        else:
            filename = guess_filename(value) or name  # type: ignore[no-untyped-call]
            whole.append((name, (filename, _whole(value))))
    return whole


class RemoteSessions:
    """The sessions that the callbacks of a worker have used."""

    def __init__(self, accounts: Iterable[Account], mask: Mask, call: CallRemote) -> None:
        self.accounts = {account.name: account for account in accounts}
        self._mask = mask
        self._call = call
        self._sessions: dict[str, RemoteSession] = {}

    def of(self, page: Page) -> RemoteSession:
        """Return the session of ``page``. It keeps nothing from one page to the next."""
        session = self._sessions.get(page.session)
        if session is None:
            if len(self._sessions) >= _MAX_SESSIONS:
                self._sessions.clear()
            account = self.accounts.get(SessionKey.parse(page.session).account)
            session = RemoteSession(page.session, account, self._mask, self._call)
            self._sessions[page.session] = session
        return session
