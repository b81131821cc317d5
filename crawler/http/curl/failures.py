"""Failures of a transfer: one table from libcurl's codes to our causes."""

from __future__ import annotations

import errno
import re
from typing import NamedTuple
from urllib.parse import urlsplit

import pycurl

from crawler.errors import FetchError, NoNetworkError, SystemResourceError
from crawler.system_errors import has_no_handles, too_many_open_files

# Codes of libcurl that pycurl has no names for.
E_HTTP2_STREAM, E_PROXY, E_TOO_LARGE = 92, 97, 100


class Kind(NamedTuple):
    """The meaning of a failure: its cause in a word, a sentence, and whether it may pass."""

    cause: str
    sentence: str
    retryable: bool = True


DNS = Kind("dns", "the host's name does not resolve")
REFUSED = Kind("refused", "the host refuses the connection")
CONNECT_TIMEOUT = Kind("connect timeout", "the host does not answer: timed out")
TIMEOUT = Kind("timeout", "the server stopped sending: timed out")
PROXY = Kind("proxy", "the proxy does not answer")
TRUNCATED = Kind("truncated", "the connection ended before the body did")
CONNECTION = Kind("connection", "the server broke the connection")
NO_HTTP = Kind("connection", "the server's answer is not valid HTTP")
HANDSHAKE = Kind("tls", "the TLS handshake failed")
CERTIFICATE = Kind(
    "tls",
    "the server's certificate is not valid: to trust an authority of your own, set session.verify "
    "to its file",
    retryable=False,
)
REFUSED_CERTIFICATE = Kind(
    "tls",
    "the server does not accept the certificate of session.cert, or its lack",
    retryable=False,
)
OWN_FILE = Kind("certificate", "a file of session.verify or session.cert is unusable", False)
TOO_LARGE = Kind("headers too large", "its headers are too long", False)
BAD_URL = Kind("bad url", "no request can be sent to this URL", False)
BAD_HOST = Kind("request", "its host cannot be looked up: a label is empty or too long", False)
DECODING = Kind("decoding", "the body is not in the encoding that its headers say", False)

_KINDS: dict[int, Kind] = {
    pycurl.E_UNSUPPORTED_PROTOCOL: NO_HTTP,  # what is not HTTP/1 is taken for HTTP/0.9
    pycurl.E_URL_MALFORMAT: BAD_URL,
    pycurl.E_COULDNT_RESOLVE_PROXY: PROXY,
    pycurl.E_COULDNT_RESOLVE_HOST: DNS,
    pycurl.E_COULDNT_CONNECT: REFUSED,
    pycurl.E_FTP_WEIRD_SERVER_REPLY: NO_HTTP,
    pycurl.E_HTTP2: NO_HTTP,
    pycurl.E_PARTIAL_FILE: TRUNCATED,
    pycurl.E_OPERATION_TIMEDOUT: TIMEOUT,
    pycurl.E_SSL_CONNECT_ERROR: HANDSHAKE,
    pycurl.E_GOT_NOTHING: CONNECTION,
    pycurl.E_SEND_ERROR: CONNECTION,
    pycurl.E_RECV_ERROR: CONNECTION,
    pycurl.E_SSL_CERTPROBLEM: OWN_FILE,
    pycurl.E_SSL_CIPHER: HANDSHAKE,
    pycurl.E_PEER_FAILED_VERIFICATION: CERTIFICATE,
    pycurl.E_BAD_CONTENT_ENCODING: NO_HTTP,  # here of the transfer encoding
    pycurl.E_SSL_CACERT_BADFILE: OWN_FILE,
    pycurl.E_SSL_ISSUER_ERROR: CERTIFICATE,
    E_HTTP2_STREAM: NO_HTTP,
    E_PROXY: PROXY,
    E_TOO_LARGE: TOO_LARGE,
}
_CERTIFICATE_ALERT = re.compile("alert.*(certificate|unknown ca)")
_BAD_CHUNK = re.compile("(Malformed|Illegal or missing|invalid|chunk).*(chunk|hex)", re.I)
_TOO_LONG = "Too large response headers"


def kind_of(code: int, reason: str, *, is_sent: bool, is_proxied: bool) -> Kind:
    """Return the kind of a failure with libcurl's ``code`` and ``reason``.

    ``is_sent`` says that the request may have reached its server, or the proxy in its place: only
    before that, a proxy is to blame.
    """
    if reason.startswith(_TOO_LONG):
        return TOO_LARGE
    if _BAD_CHUNK.match(reason):
        return TRUNCATED
    if _CERTIFICATE_ALERT.search(reason):
        return REFUSED_CERTIFICATE
    kind = _KINDS.get(code, CONNECTION)
    if is_proxied and kind is REFUSED:  # also where it was sent over an older connection before
        return PROXY
    if not is_sent:
        if is_proxied and kind in (CONNECTION, TIMEOUT, NO_HTTP):
            return PROXY
        if kind is TIMEOUT:
            return CONNECT_TIMEOUT
    return kind


def error_of(kind: Kind, url: str, reason: str = "") -> FetchError:
    """Return the error of a ``kind`` at ``url``, which is redacted; ``reason`` is libcurl's."""
    detail = f" ({reason})" if reason else ""
    return FetchError(kind.cause, f"{url}: {kind.sentence}{detail}", retryable=kind.retryable)


def no_network_error(url: str) -> NoNetworkError:
    """Return the error of a request for ``url``, which is redacted, if no name resolves at all."""
    return NoNetworkError(
        f"{url}: no host's name resolves: check the network and the name servers of this machine"
    )


def without_password(reason: str, proxy: str) -> str:
    """Return ``reason`` unless the password of ``proxy`` is in it."""
    password = urlsplit(proxy).password if proxy else None
    return "" if password and password in reason else reason


def handles_error(number: int) -> SystemResourceError | None:
    """Return the error for ``errno`` when this process has no file handle left, else None."""
    if number in (errno.EMFILE, errno.ENFILE) or has_no_handles():
        return too_many_open_files()
    return None
