"""Bodies that do not end, do not come, break off, blow up, or are not as long as they say."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from typing import Any

import brotli  # type: ignore[import-untyped]

from tests.hostile.web import BLOCK, Behaviour, Wire

try:
    from compression import zstd  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from backports import zstd

ZEROS = bytes(1024 * 1024)
CUT = {"timeout": 1.0, "read_timeout": 30.0, "retries": 0}
TOO_LARGE = "stops reading at `max_body` and fails it as `body too large`; not tried again"
TOO_SLOW = "cuts the connection after `timeout`; fails it as `timeout`"
BROKEN = "tries again, then fails it as `{}`; half a page is never taken for a page"


def endless(wire: Wire) -> None:
    wire.head("Connection: close")
    wire.flood(itertools.repeat(BLOCK))


def endless_chunks(wire: Wire) -> None:
    wire.head("Transfer-Encoding: chunked")
    wire.flood(itertools.repeat(b"10000\r\n" + BLOCK + b"\r\n"))


def endless_trailers(wire: Wire) -> None:
    wire.head("Transfer-Encoding: chunked")
    wire.send(b"1\r\nx\r\n0\r\n")
    wire.flood(b"X-%d: y\r\n" % number for number in itertools.count())


def negative_chunk(wire: Wire) -> None:
    """The standard library would read without end, into memory."""
    wire.head("Transfer-Encoding: chunked")
    wire.flood(itertools.chain([b"-1\r\n"], itertools.repeat(BLOCK)))


def after_head(*headers: str, body: bytes = b"") -> Any:
    def serve(wire: Wire) -> None:
        wire.head(*headers)
        wire.send(body)

    return serve


def slow_body(wire: Wire) -> None:
    wire.head("Content-Length: 100000")
    wire.drip(itertools.repeat(b"x"))


def slow_chunks(wire: Wire) -> None:
    wire.head("Transfer-Encoding: chunked")
    wire.drip(itertools.repeat(b"1\r\nx\r\n"))


def slow_head(wire: Wire) -> None:
    wire.drip(b"X-%d: y\r\n" % number for number in itertools.count())


def slow_headers(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\n")
    wire.drip(b"X-%d: y\r\n" % number for number in itertools.count())


def silent(wire: Wire) -> None:
    wire.pause(60)


# Bombs: ten gigabytes of zeros, made as they are read


def gzip_blocks() -> Iterator[bytes]:
    packer = zlib.compressobj(9, wbits=31)
    first = packer.compress(ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)
    return itertools.chain([first], itertools.repeat(again, 10 * 1024 - 1))


def gzip_twice() -> Iterator[bytes]:
    packer = zlib.compressobj(9, wbits=31)
    return (packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH) for block in gzip_blocks())


def deflate_blocks() -> Iterator[bytes]:
    packer = zlib.compressobj(9)
    return (packer.compress(ZEROS) + packer.flush(zlib.Z_SYNC_FLUSH) for _ in range(10 * 1024))


def brotli_blocks() -> Iterator[bytes]:
    packer = brotli.Compressor(quality=1)
    return (packer.process(ZEROS) + packer.flush() for _ in range(10 * 1024))


def zstd_blocks() -> Iterator[bytes]:
    return itertools.repeat(zstd.compress(ZEROS), 10 * 1024)


def bomb(coding: str, blocks: Any) -> Any:
    def serve(wire: Wire) -> None:
        wire.head("Connection: close", f"Content-Encoding: {coding}")
        wire.flood(blocks())

    return serve


def large(wire: Wire) -> None:
    block = b"<p>A paragraph like any other.</p>\n" * 2048
    size = 50 * 1024 * 1024 // len(block) * len(block)
    wire.head(f"Content-Length: {size}")
    wire.flood(itertools.repeat(block, size // len(block)))


def broken(name: str, what: str, cause: str, *headers: str, body: bytes) -> Behaviour:
    serve = after_head(*headers, body=body)
    return Behaviour(name, what, BROKEN.format(cause), serve, cause, tries=2)


def bombs() -> Iterator[Behaviour]:
    for coding, blocks in (
        ("gzip", gzip_blocks),
        ("deflate", deflate_blocks),
        ("br", brotli_blocks),
        ("zstd", zstd_blocks),
        ("gzip, gzip", gzip_twice),
    ):
        name = f"bomb of {coding.replace(', ', ' in ')}"
        what = f"10 GB of zeros, packed ({coding})"
        yield Behaviour(name, what, TOO_LARGE, bomb(coding, blocks), "body too large", tries=1)


CHUNKED = "Transfer-Encoding: chunked"
ALL: list[Behaviour] = [
    Behaviour("endless body", "a body without end", TOO_LARGE, endless, "body too large", tries=1),
    Behaviour("endless chunks", "chunks without end", TOO_LARGE, endless_chunks, "body too large"),
    Behaviour(
        "endless trailers",
        "headers without end, behind the last chunk",
        "stops after 64 KiB of them and fails it as `headers too large`",
        endless_trailers,
        "headers too large",
        tries=1,
    ),
    Behaviour(
        "negative chunk",
        "a chunk of -1 bytes, then bytes without end",
        BROKEN.format("truncated"),
        negative_chunk,
        "truncated",
    ),
    Behaviour("large page", "a page of 50 MB", TOO_LARGE, large, "body too large", tries=1),
    *bombs(),
    Behaviour(
        "slow body", "a body, one byte a second", TOO_SLOW, slow_body, "timeout", settings=CUT
    ),
    Behaviour(
        "slow chunks", "chunks, one a second", TOO_SLOW, slow_chunks, "timeout", settings=CUT
    ),
    Behaviour(
        "slow headers", "headers, one a second", TOO_SLOW, slow_headers, "timeout", settings=CUT
    ),
    Behaviour(
        "silent",
        "takes the request and says nothing",
        "waits for `read_timeout`, tries again, then fails it as `timeout`",
        silent,
        "timeout",
        settings={"read_timeout": 0.3},
        tries=2,
    ),
    Behaviour(
        "reset",
        "resets the connection",
        BROKEN.format("connection"),
        Wire.reset,
        "connection",
        tries=2,
    ),
    broken(
        "long length", "a Content-Length larger than the body", "truncated",
        "Content-Length: 1000", "Connection: close", body=b"<p>half",
    ),
    Behaviour(
        "short length",
        "a Content-Length smaller than the body",
        "takes what the length says for the page, and what follows for nothing",
        after_head("Content-Length: 8", body=b"<p>page!" + b"HTTP/1.1 200 OK\r\n" * 9),
    ),
    Behaviour(
        "no length",
        "neither a length nor chunks: the end is that of the connection",
        "reads to the end of the connection, and takes that for the page",
        after_head(body=b"<p>page"),
    ),
    Behaviour(
        "odd length",
        "`Content-Length: many`",
        "the same",
        after_head("Content-Length: many", "Connection: close", body=b"<p>page"),
    ),
    Behaviour(
        "length below zero",
        "`Content-Length: -1`",
        "the same",
        after_head("Content-Length: -1", "Connection: close", body=b"<p>page"),
    ),
    Behaviour(
        "length beyond numbers",
        "a Content-Length of 5,000 digits",
        "fails it as `request`: no such body can be",
        after_head(f"Content-Length: {'9' * 5000}", body=b"<p>page"),
        "request",
        tries=1,
    ),
    broken("cut chunk", "a chunk that is cut", "truncated", CHUNKED, body=b"64\r\n<p>half"),
    broken(
        "no last chunk", "chunks without the last", "truncated", CHUNKED, body=b"4\r\n<p>p\r\n"),
    broken("odd chunk", "a chunk of zz bytes", "truncated", CHUNKED,
           body=b"zz\r\n<p>page\r\n0\r\n\r\n"),
    broken("huge chunk", "a chunk that says that it is an exabyte", "truncated", CHUNKED,
           body=b"FFFFFFFFFFFFFFF\r\n<p>page"),
    Behaviour(
        "not gzip",
        "gzip that is none",
        "fails it as `decoding`; not tried again",
        after_head("Content-Encoding: gzip", "Content-Length: 4", body=b"nope"),
        "decoding",
        tries=1,
    ),
    broken("cut gzip", "gzip that is cut", "truncated", "Content-Encoding: gzip",
           "Connection: close", body=zlib.compress(ZEROS, wbits=31)[:500]),
]  # fmt: skip
