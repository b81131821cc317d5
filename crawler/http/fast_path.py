"""Direct: the usual request, over a pooled connection and past the general machinery.

Most requests are a GET that their URL says all about, in a session without proxy, auth, hook or
adapter of its own. What goes over the wire for them is the same here as by ``requests``, for a
tenth of the processor time. Everything else goes the general way, ``Session.send_once``.
"""

from __future__ import annotations

import re
from typing import Any

import requests
from requests.utils import select_proxy

from crawler import urls
from crawler.http.adapter import PoolAdapter
from crawler.http.cookie_jar import ChangeTrackingCookieJar
from crawler.http.deadline import FetchContext
from crawler.http.environment import Environment
from crawler.http.http1 import RawResponse, exchange
from crawler.request import Request

# What requests and urllib3 send as it stands: no character that they would encode, no escape that
# they would decode or write in upper case, no empty query.
_CHARACTER = (
    r"[A-Za-z0-9_.~!$&'()*+,;=:@/-]"
    r"|%(?:[0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-DF])"
)
_TARGET = re.compile(rf"https?://[a-z0-9_.:-]+(/(?:{_CHARACTER})*(?:\?(?:{_CHARACTER}|\?)+)?)")
_FIELD = re.compile(r"[^\s:][^:\r\n]*", re.ASCII)
_VALUE = re.compile(r"\S?[^\r\n]*")
_OF_THE_WIRE = {"host", "content-length", "transfer-encoding"}


class FastPath:
    """Sends a session's usual requests."""

    def __init__(self, session: requests.Session, environment: Environment) -> None:
        self._session = session
        self._environment = environment
        self._fields: tuple[Any, ...] | None = None
        self._head: bytes | None = None
        self._routes: dict[str, tuple[Any, dict[str, Any] | None]] = {}

    def send(
        self,
        request: Request,
        jar: ChangeTrackingCookieJar,
        timeout: tuple[float, float],
        context: FetchContext,
    ) -> RawResponse | None:
        """What comes back for ``request``, its body not read yet; None if it is not a usual one.

        ``timeout`` is that to connect and that for each piece to come, seconds. Raises what a
        connection and ``http.client`` raise.
        """
        match = _TARGET.fullmatch(request.url)
        if match is None or not request.is_plain or request.history:
            return None
        session = self._session
        if session.auth or session.params or session.hooks["response"]:
            return None
        pool = self._pool(request.url)
        head = self._fixed_head()
        if pool is None or head is None:
            return None
        parts = [b"GET ", match[1].encode(), b" HTTP/1.1\r\nHost: ", _netloc(request.url), head]
        if cookies := jar.header(request.url):
            parts += [b"Cookie: ", cookies.encode("latin-1"), b"\r\n"]
        parts.append(b"\r\n")
        return exchange(pool, b"".join(parts), request.url, timeout, context)

    def _pool(self, url: str) -> Any:
        """The pool of connections to the host; None where the session goes another way."""
        session = self._session
        adapter = session.get_adapter(url)
        if type(adapter) is not PoolAdapter:
            return None
        settings = (
            *(adapter, session.verify, session.cert, session.trust_env),
            tuple(session.proxies.items()),
        )
        origin = urls.origin(url)
        known, place = self._routes.get(origin, (None, None))
        if known != settings:
            place = self._place(adapter, url)
            self._routes[origin] = settings, place
        return None if place is None else adapter.pool(url, **place)

    def _place(self, adapter: PoolAdapter, url: str) -> dict[str, Any] | None:
        """What finds the pool; None behind a proxy, with credentials of ``netrc``, unverified."""
        proxies, verify = self._environment.merge(self._session, url)
        if (
            select_proxy(url, proxies)
            or not verify
            or isinstance(self._environment.auth(self._session, url), tuple)
        ):
            return None
        prepared = requests.PreparedRequest()
        prepared.url = url
        host, of_tls = adapter.build_connection_pool_key_attributes(
            prepared, verify, self._session.cert
        )
        return {"host": host, "of_tls": of_tls, "verify": verify, "cert": self._session.cert}

    def _fixed_head(self) -> bytes | None:
        """The session's own headers as they are sent; None if they are out of the ordinary."""
        fields = tuple(self._session.headers.items())
        if fields != self._fields:
            self._fields, self._head = fields, _encoded(fields)
        return self._head


def _encoded(fields: tuple[tuple[str, Any], ...]) -> bytes | None:
    lines = [""]  # the end of the line before
    for name, value in fields:
        if value is None:
            continue
        if not (
            isinstance(name, str)
            and isinstance(value, str)
            and _FIELD.fullmatch(name)
            and _VALUE.fullmatch(value)
            and name.lower() not in _OF_THE_WIRE
        ):
            return None
        lines.append(f"{name}: {value}")
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def _netloc(url: str) -> bytes:
    return urls.netloc(url).encode()
