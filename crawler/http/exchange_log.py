"""The log of exchanges at debug level: heads as they were sent and as they came, without secrets.

What enters is a transfer that has its head or its error. The values of cookies and of headers that
prove an identity are replaced by stars, and of bodies only the size is logged.
"""

from __future__ import annotations

import logging
from time import monotonic

from crawler import urls
from crawler.http.curl.transfer import Transfer
from crawler.scope import is_credential

log = logging.getLogger("crawler.http")
STARS = "*****"
_MAX_VALUE = 500
_VERSIONS = {10: "HTTP/1.0", 11: "HTTP/1.1", 20: "HTTP/2", 30: "HTTP/3"}


def enable() -> None:
    """Log all exchanges of this process from now on."""
    log.setLevel(logging.DEBUG)


def log_exchange(transfer: Transfer) -> None:
    """Log what was sent and what came."""
    log.debug("%s", "\n".join([*_sent(transfer), *_received(transfer)]))


def _sent(transfer: Transfer) -> list[str]:
    message = transfer.message
    lines = [f"> {message.method} {urls.redacted(message.url)}"]
    if transfer.route.proxy:
        lines[0] += f" by {urls.redacted(transfer.route.proxy)}"
    for line in message.headers:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon and value:  # "Accept:" is libcurl's for none
            lines.append(f"> {name}: {masked(name, value.strip())}")
    if message.body:
        lines.append(f"> ({len(message.body):,} bytes)")
    return lines


def _received(transfer: Transfer) -> list[str]:
    if transfer.head is None:
        return [f"< {transfer.error}"]
    head = transfer.head
    seconds = monotonic() - transfer.started
    version = _VERSIONS.get(head.version, "HTTP")
    lines = [f"< {version} {head.status} {head.reason} ({seconds:.3f} s)"]
    return lines + [f"< {name}: {masked(name, value)}" for name, value in head.fields]


def masked(name: str, value: str) -> str:
    """Return the value of a header with stars for what proves an identity."""
    lower = name.lower()
    if lower == "cookie":
        pairs = (pair.partition("=") for pair in value.split(";"))
        return ";".join(f"{key}={STARS}" if sign else key for key, sign, _ in pairs)
    if lower in ("set-cookie", "set-cookie2"):
        pair, semicolon, attributes = value.partition(";")
        return f"{pair.partition('=')[0]}={STARS}{semicolon}{attributes}"
    if lower == "proxy-authorization" or is_credential(name):
        scheme, blank, _ = value.partition(" ")
        return f"{scheme} {STARS}" if blank else STARS
    return value if len(value) <= _MAX_VALUE else f"{value[:_MAX_VALUE]}…"
