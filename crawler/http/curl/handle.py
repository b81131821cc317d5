"""An easy handle of libcurl: its options, set as rarely as possible, and its callbacks."""

from __future__ import annotations

import base64
import math
import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import certifi
import pycurl
from requests.utils import get_auth_from_url

from crawler import urls
from crawler.errors import FetchError
from crawler.http.address_policy import AddressPolicy
from crawler.http.curl import failures
from crawler.http.curl.servers import MAX_IDLE_AGE
from crawler.http.curl.transfer import Route, Transfer

_BUFFER = 128 * 1024


class Handle:
    """An easy handle of libcurl, set up for a route; only what differs is set for a transfer."""

    def __init__(
        self, route: Route, addresses: AddressPolicy, expect: Callable[[float], None]
    ) -> None:
        """``expect`` is called with the time at which a transfer will have taken too long."""
        self.route = route
        self.transfer: Transfer | None = None
        self.server = ("", 0)
        """Name and port of the transfer's server."""
        self.began = 0.0
        self.is_added = False
        self.is_fresh = False
        self._idle_age = MAX_IDLE_AGE
        self.is_http1 = False
        """HTTP/2 has failed, and the transfer goes by HTTP/1.1."""
        self.is_worn = False
        """It has had options that the next transfer must not have."""
        self.broken: tuple[int, str] | None = None
        """Code and reason for which the connection of a mender broke."""
        self._addresses = addresses
        self._expect = expect
        self._headers: list[bytes] | None = None
        self._is_streamed = True
        self._connect_timeout = 0.0
        self._has_target = False
        self._is_by_http_proxy = route.proxy.lower().startswith("http")
        self.curl = curl = pycurl.Curl()
        curl.handle = self
        set_up(curl, route)
        curl.setopt(pycurl.HEADERFUNCTION, self._on_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._on_data)
        curl.setopt(pycurl.PREREQFUNCTION, self._on_sending)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._on_open)
        self._near: socket.socket | None = None
        if route.is_mended:
            self.is_worn = True
            curl.setopt(pycurl.SOCKOPTFUNCTION, _is_connected)
            curl.setopt(pycurl.FORBID_REUSE, 1)

    def connector(self, transfer: Transfer, addresses: list[str] | None) -> Handle:
        """Return a handle that only makes the connection that ``transfer`` needs."""
        route = self.route._replace(is_mended=False, is_http1=True)
        connector = Handle(route, self._addresses, self._expect)
        connector.server, connector.transfer = self.server, transfer
        connector.curl.setopt(pycurl.URL, transfer.message.url)
        connector.curl.setopt(pycurl.CONNECT_ONLY, 1)
        connector.curl.unsetopt(pycurl.PREREQFUNCTION)
        connector._set_connection(transfer, addresses)
        return connector

    def prepare_mended(self, transfer: Transfer, near: socket.socket) -> None:
        """Set what ``transfer`` needs over a connection that is there, ``near``."""
        curl, message = self.curl, transfer.message
        self._near = near
        self.prepare(transfer, None)
        curl.setopt(pycurl.CONNECT_TO, ["::127.0.0.1:9"])  # what is connected needs no address
        path = message.url.find("/", 8)
        curl.setopt(pycurl.URL, f"http://{urls.netloc(message.url)}{message.url[path:]}")
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.REQUEST_TARGET, self._target(message.url))
        lines = [*message.headers]
        if not any(line[:5].lower() == b"host:" for line in lines):
            lines.append(b"Host: " + urls.netloc(message.url).encode())
        if self._is_by_http_proxy and message.url.startswith("http:"):
            lines += _proxy_credentials(self.route.proxy)
        curl.setopt(pycurl.HTTPHEADER, lines)

    def prepare(self, transfer: Transfer, addresses: list[str] | None) -> None:
        """Set what this transfer needs. ``addresses`` are new ones of its host."""
        curl, message = self.curl, transfer.message
        self.transfer, self.began = transfer, monotonic()
        if transfer.limit is not None:
            curl.setopt(pycurl.HEADERFUNCTION, transfer.lines.append)
            self._is_streamed = False
        elif not self._is_streamed:
            curl.setopt(pycurl.HEADERFUNCTION, self._on_header)
            self._is_streamed = True
        self._set_url(message.url)
        if message.headers is not self._headers:
            curl.setopt(pycurl.HTTPHEADER, message.headers)
            self._headers = message.headers
        self._set_connection(transfer, addresses)
        # A kept connection may die under a request that must not be sent twice.
        is_fresh = not message.is_repeatable
        if is_fresh != self.is_fresh:
            curl.setopt(pycurl.FRESH_CONNECT, int(is_fresh))
            self.is_fresh = is_fresh
        if message.method != "GET" or message.body is not None:
            self.is_worn = True
            _set_method(curl, message.method, message.body)

    def _set_connection(self, transfer: Transfer, addresses: list[str] | None) -> None:
        curl = self.curl
        if transfer.limits.connect != self._connect_timeout:
            seconds = transfer.limits.connect
            milliseconds = 0x7FFFFFFF if seconds == math.inf else max(1, int(seconds * 1000))
            curl.setopt(pycurl.CONNECTTIMEOUT_MS, milliseconds)
            self._connect_timeout = seconds
        if addresses is not None:
            host, port = self.server
            listing = ",".join(f"[{one}]" if ":" in one else one for one in addresses)
            curl.setopt(pycurl.RESOLVE, [f"+{host}:{port}:{listing}"])

    def _set_url(self, url: str) -> None:
        # Once a handle has had a target of its own, it cannot be without one.
        if self._has_target or self._is_by_http_proxy or ("%" in url and _is_changed_by_curl(url)):
            self._has_target = True
            self.curl.setopt(pycurl.REQUEST_TARGET, self._target(url))
        self.curl.setopt(pycurl.URL, url)

    def _target(self, url: str) -> str:
        """Return the target of a request for ``url``: a proxy gets all of it."""
        is_absolute = self._is_by_http_proxy and url.startswith("http:")
        return url if is_absolute else url[url.find("/", 8) :]

    def close_idle(self, age: int) -> None:
        """Let libcurl close all connections that were idle for ``age`` seconds."""
        if age != self._idle_age:
            self.curl.setopt(pycurl.MAXAGE_CONN, age)
            self._idle_age = age

    def forget_names(self, lifetime: float) -> None:
        """Let libcurl forget the addresses that are older than ``lifetime``, after the transfer.

        It looks at all of them for that.
        """
        self.is_worn = True
        self.curl.setopt(pycurl.DNS_CACHE_TIMEOUT, int(lifetime) + 1)

    def speak_http1(self, *, is_tls13: bool) -> None:
        """Use HTTP/1.1 for the rest of this transfer.

        Without TLS 1.3, a server that wants a certificate says so before the request is sent.
        """
        self.is_worn = self.is_http1 = True
        self.curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        if not is_tls13:
            versions = pycurl.SSLVERSION_TLSv1_2 | pycurl.SSLVERSION_MAX_TLSv1_2
            self.curl.setopt(pycurl.SSLVERSION, versions)

    def close(self) -> None:
        """Free the handle."""
        if self._near is not None:
            self._near.close()
        self.curl.handle = None
        self.curl.close()

    # libcurl calls these

    def _on_sending(self, *connection: object) -> int:
        transfer = self.transfer
        if transfer is None:
            return int(pycurl.PREREQFUNC_ABORT)
        if transfer.sent_at:  # libcurl would send it again
            if not transfer.message.is_repeatable:
                return int(pycurl.PREREQFUNC_ABORT)
            transfer.is_resent = True
        self._expect(transfer.on_sending(monotonic()))
        return int(pycurl.PREREQFUNC_OK)

    def _on_header(self, line: bytes) -> int | None:
        transfer = self.transfer
        return None if transfer is not None and transfer.on_header(line, monotonic()) else -1

    def _on_data(self, data: bytes) -> int | None:
        transfer = self.transfer
        goes_on = False if transfer is None else transfer.on_data(data, monotonic())
        return None if goes_on else int(pycurl.WRITEFUNC_PAUSE) if goes_on is None else -1

    def _on_open(self, purpose: int, address: Any) -> int:
        transfer = self.transfer
        if transfer is None:
            return int(pycurl.SOCKET_BAD)
        if self._near is not None:
            return self._near.detach()
        if not self.route.proxy:
            number = address.addr[0]
            number = number.decode() if isinstance(number, bytes) else number
            host, port = self.server
            try:
                self._addresses.choose(
                    host, port, [(address.family, address.socktype, 0, "", (number, port))]
                )
            except FetchError as error:
                transfer.fail(error)
                return int(pycurl.SOCKET_BAD)
        try:
            return socket.socket(address.family, address.socktype, address.protocol).detach()
        except OSError as error:
            no_handle = failures.handles_error(error.errno or 0)
            if no_handle is not None:
                transfer.fail(no_handle)
            return int(pycurl.SOCKET_BAD)


def _proxy_credentials(proxy: str) -> list[bytes]:
    """Return the header with user and password of ``proxy``, if it has any."""
    user, password = get_auth_from_url(proxy)
    if not user:
        return []
    value = base64.b64encode(f"{user}:{password}".encode())
    return [b"Proxy-Authorization: Basic " + value]


def _is_connected(*socket: object) -> int:
    return int(pycurl.SOCKOPT_ALREADY_CONNECTED)


def set_up(curl: Any, route: Route) -> None:
    """Set what does not change between the transfers of ``route``.

    Raises FetchError for a file of ``verify`` or ``cert`` that is not there.
    """
    for option, value in (
        (pycurl.NOSIGNAL, 1),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.HTTP_CONTENT_DECODING, 0),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.USERAGENT, ""),
        (pycurl.PROXY, route.proxy),  # the empty string: not that of the environment
        (pycurl.NOPROXY, ""),
        (pycurl.BUFFERSIZE, _BUFFER),
        (pycurl.MAXAGE_CONN, MAX_IDLE_AGE),
        (pycurl.DNS_CACHE_TIMEOUT, -1),  # else libcurl looks at all names after each transfer
        (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
        (
            pycurl.HTTP_VERSION,
            pycurl.CURL_HTTP_VERSION_1_1 if route.is_http1 else pycurl.CURL_HTTP_VERSION_2TLS,
        ),
    ):
        curl.setopt(option, value)
    _set_verify(curl, route)
    if route.cert is not None:
        cert, key = (route.cert, None) if isinstance(route.cert, str) else route.cert
        curl.setopt(pycurl.SSLCERT, _existing(cert))
        if key is not None:
            curl.setopt(pycurl.SSLKEY, _existing(key))


def _set_verify(curl: Any, route: Route) -> None:
    if route.verify is False:
        for option in (pycurl.SSL_VERIFYPEER, pycurl.PROXY_SSL_VERIFYPEER):
            curl.setopt(option, 0)
        for option in (pycurl.SSL_VERIFYHOST, pycurl.PROXY_SSL_VERIFYHOST):
            curl.setopt(option, 0)
        return
    bundle = certifi.where() if route.verify is True else _existing(route.verify)
    options = (
        (pycurl.CAPATH, pycurl.PROXY_CAPATH)
        if Path(bundle).is_dir()
        else (pycurl.CAINFO, pycurl.PROXY_CAINFO)
    )
    for option in options:
        curl.setopt(option, bundle)


def _existing(path: str) -> str:
    if not Path(path).exists():
        raise FetchError("certificate", f"there is no file {path}, which the session names")
    return path


def _set_method(curl: Any, method: str, body: bytes | None) -> None:
    if method == "HEAD":
        curl.setopt(pycurl.NOBODY, 1)
        return
    if body is not None or method == "POST":
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.POSTFIELDS, body or b"")
    curl.setopt(pycurl.CUSTOMREQUEST, method)


def _is_changed_by_curl(url: str) -> bool:
    """Return True if libcurl would write the escapes of ``url`` anew: %2F for %2f."""
    return any(set("abcdef") & set(escape[:2]) for escape in url.split("%")[1:])
