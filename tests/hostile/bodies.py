"""Bodies that are endless, missing, truncated, compressed bombs, or of another length."""

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
TOO_LARGE = "stops reading at `max_body`; fails as `body too large`, without a retry"
TOO_SLOW = "closes the connection after `timeout`; fails as `timeout`"
BROKEN = "retries, then fails as `{}`; never takes half a page for a whole one"


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
    """Send a length that makes the standard library read into memory for ever."""
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


# Bombs: ten gigabytes of zeros, generated as they are read


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
        what = f"10 GB of zeros, compressed ({coding})"
        yield Behaviour(name, what, TOO_LARGE, bomb(coding, blocks), "body too large", tries=1)


CHUNKED = "Transfer-Encoding: chunked"
ALL: list[Behaviour] = [
    Behaviour("endless body", "an endless body", TOO_LARGE, endless, "body too large", tries=1),
    Behaviour("endless chunks", "endless chunks", TOO_LARGE, endless_chunks, "body too large"),
    Behaviour(
        "endless trailers",
        "endless headers after the last chunk",
        "stops after 64 KiB of them; fails as `headers too large`",
        endless_trailers,
        "headers too large",
        tries=1,
    ),
    Behaviour(
        "negative chunk",
        "a chunk of -1 bytes, then endless data",
        BROKEN.format("truncated"),
        negative_chunk,
        "truncated",
    ),
    Behaviour("large page", "a page of 50 MB", TOO_LARGE, large, "body too large", tries=1),
    *bombs(),
    Behaviour(
        "slow body", "a body at one byte per second", TOO_SLOW, slow_body, "timeout", settings=CUT
    ),
    Behaviour(
        "slow chunks", "one chunk per second", TOO_SLOW, slow_chunks, "timeout", settings=CUT
    ),
    Behaviour(
        "slow headers", "one header per second", TOO_SLOW, slow_headers, "timeout", settings=CUT
    ),
    Behaviour(
        "silent",
        "accepts the request and never answers",
        "waits for `read_timeout`, retries, then fails as `timeout`",
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
        tries=3,  # the first one over the connection of robots.txt, and at once over a fresh one
    ),
    broken(
        "long length", "a Content-Length larger than the body", "truncated",
        "Content-Length: 1000", "Connection: close", body=b"<p>half",
    ),
    Behaviour(
        "short length",
        "a Content-Length smaller than the body",
        "reads as many bytes as the length says, and ignores the rest",
        after_head("Content-Length: 8", body=b"<p>page!" + b"HTTP/1.1 200 OK\r\n" * 9),
    ),
    Behaviour(
        "no length",
        "neither a length nor chunks; the body ends with the connection",
        "reads until the connection ends",
        after_head(body=b"<p>page"),
    ),
    broken("odd length", "`Content-Length: many`", "connection",
           "Content-Length: many", "Connection: close", body=b"<p>page"),
    broken("length below zero", "`Content-Length: -1`", "connection",
           "Content-Length: -1", "Connection: close", body=b"<p>page"),
    broken("length beyond numbers", "a Content-Length of 5,000 digits", "connection",
           f"Content-Length: {'9' * 5000}", body=b"<p>page"),
    broken("cut chunk", "a truncated chunk", "truncated", CHUNKED, body=b"64\r\n<p>half"),
    broken(
        "no last chunk", "chunks without the final one", "truncated", CHUNKED,
        body=b"4\r\n<p>p\r\n"),
    broken("odd chunk", "a chunk of zz bytes", "truncated", CHUNKED,
           body=b"zz\r\n<p>page\r\n0\r\n\r\n"),
    broken("huge chunk", "a chunk with the length of an exabyte", "truncated", CHUNKED,
           body=b"FFFFFFFFFFFFFFF\r\n<p>page"),
    Behaviour(
        "not gzip",
        "a body that is not gzip, declared as gzip",
        "fails as `decoding`, without a retry",
        after_head("Content-Encoding: gzip", "Content-Length: 4", body=b"nope"),
        "decoding",
        tries=1,
    ),
    broken("cut gzip", "truncated gzip", "truncated", "Content-Encoding: gzip",
           "Connection: close", body=zlib.compress(ZEROS, wbits=31)[:500]),
]  # fmt: skip
