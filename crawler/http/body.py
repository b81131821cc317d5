"""Read the body of a response: decoded, to its end, up to a limit."""

from __future__ import annotations

from typing import Any

import requests

from crawler.errors import FetchError
from crawler.http.http1 import RawResponse

_BLOCK = 64 * 1024
"""Bytes that are read at a time."""


def read_body(
    raw: requests.Response | RawResponse, url: str, limit: int, *, cut: bool = False
) -> bytes:
    """Return the decoded body; at most ``limit`` bytes and a block are in memory.

    A longer body is ``cut`` there, or an error. After the end of the body the connection returns to
    its pool; before, it is closed, as it cannot be used again. Raises FetchError, and the errors of
    connections and ``urllib3``. ``url`` is for messages.
    """
    blocks: list[bytes] = []
    size = 0
    try:
        while block := raw.raw.read(_BLOCK, decode_content=True):
            size += len(block)
            blocks.append(block)
            if size > limit:
                if cut:
                    break
                raise FetchError(
                    "body too large", f"{url}: the body is longer than {limit:,} bytes (max_body)"
                )
    except BaseException:
        raw.raw.close()
        raise
    if size <= limit and _is_cut_short(raw.raw):
        raw.raw.close()
        raise FetchError(
            "truncated", f"{url}: the compressed body ended before its end", retryable=True
        )
    if size > limit:
        raw.raw.close()
    else:
        raw.raw.release_conn()
    return b"".join(blocks)[:limit]


def _is_cut_short(raw: Any) -> bool:
    """Return True if a compressed body has ended early, which urllib3 does not notice.

    Each of its decoders has that of a library in ``_obj``, which knows whether it has seen the end.
    A decoder without ``_obj`` is assumed to have.
    """
    decoder = getattr(raw, "_decoder", None)
    if decoder is None or not raw.tell():  # an empty body is complete, and usual for a redirect
        return False
    decoders = getattr(decoder, "_decoders", (decoder,))
    return not all(_is_at_end(getattr(decoder, "_obj", None)) for decoder in decoders)


def _is_at_end(decompressor: Any) -> bool:
    if hasattr(decompressor, "is_finished"):  # brotli
        return bool(decompressor.is_finished())
    return bool(getattr(decompressor, "eof", True))
