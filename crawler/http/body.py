"""Bodies: read to their end, decoded, and no further than a limit."""

from __future__ import annotations

from typing import Any

import requests

from crawler.errors import FetchError
from crawler.http.http1 import RawResponse

_BLOCK = 64 * 1024


def read(raw: requests.Response | RawResponse, url: str, limit: int, *, cut: bool = False) -> bytes:
    """The decoded body; no more than ``limit`` bytes and a block are ever held.

    One that is longer is ``cut`` there, or an error. A body read to its end gives the connection
    back to its pool; one that was not is no longer of use, so its connection is closed. Raises
    FetchError, and what a connection and ``urllib3`` raise. ``url`` is for messages.
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
    """True when a compressed body ended in the middle; urllib3 takes what there is for all of it.

    Its decoders, of which there may be several, each keep one of a library in ``_obj``, which knows
    whether it has seen the end. One that keeps none is taken at its word.
    """
    decoder = getattr(raw, "_decoder", None)
    if decoder is None or not raw.tell():  # nothing at all is a body too: that of a redirect, often
        return False
    several = getattr(decoder, "_decoders", (decoder,))
    return not all(_has_seen_its_end(getattr(one, "_obj", None)) for one in several)


def _has_seen_its_end(decompressor: Any) -> bool:
    if hasattr(decompressor, "is_finished"):  # brotli
        return bool(decompressor.is_finished())
    return bool(getattr(decompressor, "eof", True))
