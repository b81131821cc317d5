"""Content decodings: the bytes of a page from the bytes of its message, a block at a time.

The rules are those of browsers: data behind the end of a compressed stream is ignored, unknown
codings are passed over, and no bytes at all are no page in any coding. No step makes more than a
block, so that a bomb costs only what its reader takes of it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

try:
    import brotli  # type: ignore[import-untyped]
except ImportError:
    import brotlicffi as brotli  # type: ignore[import-not-found]
try:
    from compression import zstd  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from backports import zstd

BLOCK = 64 * 1024
"""Bytes that a step makes at most."""
MAX_CODINGS = 5
"""Codings of a body, one within the other."""

_GZIP_MAGIC = b"\x1f\x8b\x08"
_GZIP_FOOTER = 8
_BINARY = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
MAX_GZIP_HEADER = 128 * 1024
"""Bytes of a gzip header, which may hold a file name and a comment."""


class DecodingError(ValueError):
    """The body is not in the coding that its headers name."""


class CutShortError(ValueError):
    """The compressed body ended before its end."""


def accepted() -> str:
    """Return the Accept-Encoding that names what ``decoded`` can read."""
    return "gzip, deflate, br, zstd"


def decoded(blocks: Iterable[bytes], content_encoding: str) -> Iterator[bytes]:
    """Yield the decoded ``blocks``; ``content_encoding`` is the value of the header.

    Raises DecodingError and CutShortError.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    codings = [_DECODERS[name] for name in names if name in _DECODERS]
    if len(codings) > MAX_CODINGS:
        raise DecodingError("too many content codings")
    stream = iter(blocks)
    for number, decoder in enumerate(reversed(codings)):
        is_doubled = number > 0 and decoder is _gunzipped
        stream = _if_gzip(stream) if is_doubled else decoder(stream)
    return stream


def decoded_or_text(blocks: Iterable[bytes], content_encoding: str) -> Iterator[bytes]:
    """Yield ``blocks`` decoded, or as they are if they are text in no coding at all.

    Raises DecodingError and CutShortError. All blocks are in memory meanwhile.
    """
    raw = list(blocks)
    is_first = True
    try:
        for block in decoded(raw, content_encoding):
            is_first = False
            yield block
    except (DecodingError, CutShortError):
        if not is_first or any(_BINARY.search(block) for block in raw):
            raise
        yield from raw


def _if_gzip(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Decode a second gzip, unless the header only names the first one twice."""
    start, blocks = _first_bytes(blocks, len(_GZIP_MAGIC))
    yield from _gunzipped(blocks) if start == _GZIP_MAGIC else blocks


def _first_bytes(blocks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes, and all ``blocks``, these bytes included."""
    head = b""
    for block in blocks:
        head += block
        if len(head) >= size:
            break
    return head[:size], chain((head,) if head else (), blocks)


def _gunzipped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Decode all members (RFC 1952, section 2.2); what follows them is no gzip and ignored.

    A wrong checksum or length behind a member is ignored as in browsers, which do not look at it.
    """
    is_first = True
    rest = next(blocks, b"")
    while True:
        try:
            rest, is_empty = _without_gzip_header(rest, blocks)
            if is_empty:
                return
            machine = zlib.decompressobj(-zlib.MAX_WBITS)
            yield from _inflated(machine, chain((rest,), blocks), may_be_empty=False)
        except DecodingError:
            if is_first:
                raise
            return _drain(blocks)
        is_first = False
        rest = _at_least(_GZIP_FOOTER, machine.unused_data, blocks)
        if len(rest) < _GZIP_FOOTER:
            raise CutShortError("the checksum is cut")
        rest = _at_least(len(_GZIP_MAGIC), rest[_GZIP_FOOTER:], blocks)
        if not rest.startswith(_GZIP_MAGIC):
            return _drain(blocks)


def _at_least(size: int, data: bytes, blocks: Iterator[bytes]) -> bytes:
    """Return ``data`` and, if there are any, as many blocks as make up ``size`` bytes."""
    while len(data) < size and (block := next(blocks, None)) is not None:
        data += block
    return data


def _without_gzip_header(data: bytes, blocks: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return what follows the header of a member, and whether there is not even a header."""
    while (size := _gzip_header_size(data)) is None:
        block = next(blocks, None)
        if block is None:
            if data:
                raise CutShortError("the header is cut")
            return b"", True
        data += block
    return data[size:], False


def _gzip_header_size(data: bytes) -> int | None:
    """Return the size of a gzip header (RFC 1952, section 2.3); None if it is not complete."""
    if not data.startswith(_GZIP_MAGIC[: len(data)]):
        raise DecodingError("incorrect header check")
    if len(data) < 10:
        return None
    flags, size = data[3], 10
    if flags & 0xE0:
        raise DecodingError("unknown header flags set")
    if flags & 4:  # extra fields
        size += 2 + int.from_bytes(data[size : size + 2], "little")
    for is_there in (flags & 8, flags & 16):  # a file name, a comment
        if is_there:
            size = data.find(b"\0", size) + 1 or len(data) + 1
    size += flags & 2  # a checksum
    if size > MAX_GZIP_HEADER:
        raise DecodingError("the header is too long")
    return size if size <= len(data) else None


def _inflated(
    machine: Any, blocks: Iterable[bytes], *, may_be_empty: bool = True
) -> Iterator[bytes]:
    """Decode up to the end of the stream, or of ``blocks``. Raises CutShortError in between."""
    is_empty = may_be_empty
    for block in blocks:
        is_empty = is_empty and not block
        while True:
            try:
                data = machine.decompress(block, BLOCK)
            except zlib.error as error:
                raise DecodingError(str(error)) from None
            if data:
                yield data
            block = machine.unconsumed_tail
            if machine.eof:
                return
            if not block and len(data) < BLOCK:
                break
    if not is_empty:
        raise CutShortError("the stream has no end")


def _deflated(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Decode zlib, or the bare stream that some servers send under the same name."""
    start, blocks = _first_bytes(blocks, 2)
    if not start:
        return
    is_zlib = start[0] & 0x0F == 8 and int.from_bytes(start, "big") % 31 == 0
    yield from _inflated(zlib.decompressobj(zlib.MAX_WBITS * (1 if is_zlib else -1)), blocks)
    _drain(blocks)


def _brotli(blocks: Iterator[bytes]) -> Iterator[bytes]:
    history: list[bytes] = []
    machine, size = brotli.Decompressor(), 0
    for block in blocks:
        history.append(block)
        try:
            for data in _brotli_steps(machine, block):
                size += len(data)
                yield data
        except brotli.error as error:
            yield from _end_of_brotli(history, size, str(error))
            return _drain(blocks)
        if machine.is_finished():
            return _drain(blocks)
    if any(history):
        raise CutShortError("the stream has no end")


def _brotli_steps(machine: Any, block: bytes) -> Iterator[bytes]:
    """Yield what ``block`` decodes to; there may be more as long as there is anything."""
    data = b"x"
    while not machine.is_finished() and (data or not machine.can_accept_more_data()):
        data = machine.process(block, output_buffer_limit=BLOCK)
        block = b""
        if data:
            yield data


def _end_of_brotli(history: list[bytes], size: int, reason: str) -> Iterator[bytes]:
    """Yield what follows ``size`` decoded bytes, where data follow the end of the stream.

    The library refuses such a block and does not say where its stream ends, so the last one is
    read again, byte by byte. Raises DecodingError with ``reason`` if no stream ends there.
    """
    machine, last = brotli.Decompressor(), history[-1]
    try:
        for piece in [*history[:-1], *(last[at : at + 1] for at in range(len(last)))]:
            for data in _brotli_steps(machine, piece):
                if rest := data[size:]:
                    yield rest
                size -= min(size, len(data))
            if machine.is_finished():
                return
    except brotli.error:
        pass
    raise DecodingError(reason)


def _zstandard(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Decode all frames; what follows them is ignored."""
    machine, is_empty, is_first = zstd.ZstdDecompressor(), True, True
    for block in blocks:
        while block or not (machine.needs_input or machine.eof):
            is_empty = False
            try:
                data = machine.decompress(block, max_length=BLOCK)
            except zstd.ZstdError as error:
                if not is_first:
                    return _drain(blocks)
                raise DecodingError(str(error)) from None
            block = b""
            if data:
                yield data
            if machine.eof:
                block, machine, is_first = machine.unused_data, zstd.ZstdDecompressor(), False
                is_empty = True
    if not is_empty:
        if is_first:
            raise CutShortError("the stream has no end")
        # A frame that follows another: cut, or only padding that looks like the start of one.
        raise CutShortError("the last frame has no end")


def _drain(blocks: Iterator[bytes]) -> None:
    """Read to the end, so that the connection can be used again."""
    for _ in blocks:
        pass


_DECODERS: dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    "gzip": _gunzipped,
    "x-gzip": _gunzipped,
    "deflate": _deflated,
    "br": _brotli,
    "zstd": _zstandard,
}
