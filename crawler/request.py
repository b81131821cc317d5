"""A request: a fetch to make, as spiders yield it and as the frontier stores it."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from crawler import urls
from crawler.scope import is_credential

MOST_PRIORITY = 2**62
"""A store has 64 bits for a priority, above or below zero."""


class Hop(NamedTuple):
    """A redirect on the way to a response: the requested URL and its status code."""

    url: str
    status: int


class FormOrigin(msgspec.Struct, array_like=True):
    """The form that a request was made from, to be filled in again if its token has expired."""

    page: str
    """The page that the form is on."""
    position: int
    """Its place among the forms of that page."""
    given: list[tuple[str, Any]]
    """The values that the spider has filled in, and those of the button."""
    is_stale: bool = False
    """The form's own values are no longer good: the page is to be opened before it is sent."""


class Request(msgspec.Struct, omit_defaults=True, kw_only=False):
    """A fetch to make.

    ``callback`` is a method of the spider or its name; it is kept by name, so that a request
    survives a restart. ``data`` and ``json`` are the body as in ``requests`` (form fields or bytes;
    anything that JSON can say). A header that is None is omitted, also if the session has it.
    ``cb_kwargs`` are handed to the callback as keyword arguments and must be plain data. A higher
    ``priority`` goes first. ``dont_filter`` fetches the URL even if the job has already seen it.
    ``account`` names the account to ask with, by default the one that asked for the page that this
    was found on. ``safe`` is your word that a GET may be sent in a logged-in job though its URL
    looks as if it logged out or deleted something.

    ``replay=False`` is for what must not happen twice: it is never sent again once it may have
    been sent, not even after a crash.

    ``idempotent=True`` is for a POST or PATCH that only reads, such as a query of an API: it is
    tried again like a GET.

    The crawler sets ``depth``, ``tries``, ``asked`` (when the first hop was sent, wall clock, or
    infinite if a session was logged in all the way),
    ``first_tried`` (the same of the first try, if this is a later one), ``history`` and ``first``
    (the request before any redirect, packed, where its URL alone does not say it). A POST of a form
    has ``form``.
    """

    url: str
    callback: Any = "parse"
    method: str = "GET"
    headers: Mapping[str, str | None] | None = None
    data: Any = None
    json: Any = None
    cookies: dict[str, str] | None = None
    cb_kwargs: dict[str, Any] | None = None
    priority: int = 0
    safe: bool = False
    replay: bool = True
    dont_filter: bool = False
    account: str = ""
    idempotent: bool = False
    depth: int = 0
    tries: int = 0
    asked: float = 0.0
    first_tried: float = 0.0
    first: bytes | None = None
    history: list[Hop] = msgspec.field(default_factory=list)
    form: FormOrigin | None = None

    def __post_init__(self) -> None:
        if self.method != "GET" and isinstance(self.method, str):
            self.method = self.method.upper()
        if not isinstance(self.callback, str):
            self.callback = _name_of(self.callback)

    @property
    def is_plain(self) -> bool:
        """True for a GET that is fully described by its URL."""
        return (
            self.method == "GET"
            and self.headers is None
            and self.data is None
            and self.json is None
            and self.cookies is None
        )

    @property
    def is_usual(self) -> bool:
        """True if the types of all fields are right, as they are for a link that is followed."""
        return (
            self.is_plain
            and type(self.url) is str
            and type(self.callback) is str
            and type(self.priority) is int
            and -MOST_PRIORITY <= self.priority <= MOST_PRIORITY
            and type(self.depth) is int
            and type(self.tries) is int
            and type(self.account) is str
            and self.cb_kwargs is None
            and self.safe is False
            and self.replay is True
            and self.dont_filter is False
            and self.idempotent is False
            and self.first is None
            and self.form is None
            and not self.history
        )

    def to_curl(self, *, secrets: bool = False) -> str:
        """Return a command line of curl that sends this request, without its session's headers.

        Values of cookies and credentials are stars, unless ``secrets`` is True.
        """
        url = urls.normalise(self.url) or self.url
        url = url if secrets else urls.redacted(url)
        headers, body = dict(self.headers or {}), _body_of(self)
        words = ["curl", "--globoff", "--path-as-is"]
        if self.method != ("GET" if body is None else "POST"):
            words += ["-X", self.method]
        names = {name.lower() for name in headers}
        if self.json is not None and "content-type" not in names:
            headers["Content-Type"] = "application/json"
        if isinstance(self.data, str | bytes) and "content-type" not in names:
            words += ["-H", "Content-Type:"]
        for name, value in headers.items():
            is_secret = is_credential(name) and not secrets
            text = "*****" if is_secret else value
            words += ["-H", f"{name}:" if value is None else f"{name}: {text}"]
        if self.cookies:
            pairs = self.cookies.items()
            words += ["-b", "; ".join(f"{k}={v if secrets else '*****'}" for k, v in pairs)]
        if body is None:
            return shlex.join([*words, url])
        if body.decode("utf-8", "replace").isprintable():
            return shlex.join([*words, "--data-raw", body.decode(), url])
        encoded = base64.b64encode(body).decode()
        command = shlex.join([*words, "--data-binary", "@-", url])
        return f"echo {encoded} | base64 -d | {command}"


def _body_of(request: Request) -> bytes | None:
    """Return the body as requests encodes it; None without one."""
    if request.json is not None and not request.data:
        return json.dumps(request.json).encode()
    data = request.data
    if not data:
        return None
    if isinstance(data, str):
        return data.encode()
    return data if isinstance(data, bytes) else urlencode(data, doseq=True).encode()


def _name_of(callback: Callable[..., object] | None) -> str:
    return "parse" if callback is None else getattr(callback, "__name__", repr(callback))


def fingerprint(request: Request) -> bytes:
    """Return 16 bytes that are equal for equal requests: host, method, canonical URL, body.

    ``request.url`` must be normalised. The first four bytes depend on the host alone, so that one
    host's fingerprints are neighbours in the store. A GET without a body needs its URL only.
    """
    digest = hashlib.blake2b(urls.canonical(request.url).encode(), digest_size=12)
    if request.method != "GET" or request.data is not None or request.json is not None:
        digest.update(b"\0" + _sorted((request.method, request.data, request.json)))
    if request.account:  # named by the spider: each account sees another page
        digest.update(b"\1" + request.account.encode())
    return _host_prefix(urls.origin(request.url)) + digest.digest()


@lru_cache(maxsize=16_384)
def _host_prefix(origin: str) -> bytes:
    return hashlib.blake2b(origin.encode(), digest_size=4).digest()


packed = msgspec.msgpack.Encoder().encode
"""Return a request as bytes. Raises TypeError, ValueError or OverflowError if it holds more than
plain data."""
_sorted = msgspec.msgpack.Encoder(order="sorted").encode
unpacked = msgspec.msgpack.Decoder(Request).decode
"""Return the request in ``packed`` bytes."""
