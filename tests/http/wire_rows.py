"""Answers of servers and what is right: framing, odd headers, encodings, broken connections."""

from __future__ import annotations

import gzip
import re
import zlib

import brotli  # type: ignore[import-untyped]

from tests.http.wire_server import Row, ok

try:
    from compression import zstd  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from backports import zstd

PAGE = (
    b"<urlset><url><loc>http://books.example/1</loc></url>"
    + b"<p>some text</p>" * 40
    + b"</urlset>\nUser-agent: *\nDisallow: /secret\n"
)
"""A page that is a sitemap and a robots.txt too."""
ENTRIES = ["http://books.example/1"]
HTML = b"Content-Type: text/html"
LENGTH = b"Content-Length: %d" % len(PAGE)
MEGA = 1024 * 1024


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, *lines, b"", b""])


def chunks(body: bytes, size: int = 100, end: bytes = b"0\r\n\r\n") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


def page(name: str, answer: bytes, then: str = "keep", body: bytes = PAGE, **headers: str) -> Row:
    """Return a row whose body is right, with its headers."""
    return Row(name, answer, body=body, then=then, headers=dict(headers))


def encoded(name: str, encoding: bytes, body: bytes, right: bytes = PAGE, cause: str = "") -> Row:
    """Return a row of a body in the content encoding ``encoding``."""
    lines = [b"Content-Encoding: " + value for value in encoding.split(b"|") if value]
    return Row(name, ok(body, *lines), body=b"" if cause else right, cause=cause)


def broken(name: str, answer: bytes, cause: str, then: str = "close", reason: str = "") -> Row:
    return Row(name, answer, cause=cause, then=then, reason=reason)


CHUNKED = b"Transfer-Encoding: chunked"
FRAMING = [
    page("a length", ok(PAGE)),
    page("no length", head(HTML) + PAGE, "close"),
    page("HTTP/1.0", head(HTML, status=b"HTTP/1.0 200 OK") + PAGE, "close"),
    page("HTTP/1.0, kept", head(LENGTH, b"Connection: keep-alive", status=b"HTTP/1.0 200 OK") + PAGE),
    page("a length twice", head(LENGTH, LENGTH) + PAGE),
    page("a length in a list", head(LENGTH + b", %d" % len(PAGE)) + PAGE),
    page("a length in blanks", head(b"Content-Length:  \t%d  " % len(PAGE)) + PAGE),
    page("a length and zeros", head(b"Content-Length: 000%d" % len(PAGE)) + PAGE),
    page("chunks", head(CHUNKED) + chunks(PAGE)),
    page("chunks of a byte", head(CHUNKED) + chunks(PAGE, 1)),
    page("chunks, closed", head(CHUNKED) + chunks(PAGE), "close"),
    page("chunked twice, kept", head(CHUNKED, CHUNKED) + chunks(PAGE)),
    page("chunked twice, closed", head(CHUNKED, CHUNKED) + chunks(PAGE), "close"),
    page("chunked in a list", head(CHUNKED + b", chunked") + chunks(PAGE)),
    page("chunked three times", head(CHUNKED, b"Connection: keep-alive", CHUNKED + b",chunked") + chunks(PAGE)),
    page("chunks in capitals", head(b"TRANSFER-ENCODING: CHUNKED") + chunks(PAGE)),
    page("chunks with a blank", head(b"Transfer-Encoding:  chunked ") + chunks(PAGE)),
    page("identity, chunked", head(b"Transfer-Encoding: identity", CHUNKED) + chunks(PAGE)),
    page("identity and a length, in capitals", head(LENGTH, b"TRANSFER-ENCODING:IDENTITY") + PAGE),
    page("identity and a length", head(b"Transfer-Encoding: identity", LENGTH) + PAGE),
    page("chunks and a length", head(CHUNKED, b"Content-Length: 3") + chunks(PAGE)),
    page("a length, then chunks", head(b"Content-Length: 3", CHUNKED) + chunks(PAGE)),
    page("chunk extensions", head(CHUNKED) + b"3;a=b\r\nabc\r\n3 ; c\r\ndef\r\n0;x\r\n\r\n", body=b"abcdef"),
    page("chunk sizes with blanks", head(CHUNKED) + b"3  \r\nabc\r\n0003\r\ndef\r\n0\r\n\r\n", body=b"abcdef"),
    page("bare newlines in chunks", head(CHUNKED) + b"3\nabc\n3\ndef\n0\n\n", body=b"abcdef"),
    page("trailers", head(CHUNKED, b"Trailer: X") + chunks(PAGE, end=b"0\r\nX: 1\r\nY: 2\r\n\r\n")),
    page("bare newlines", head(LENGTH).replace(b"\r\n", b"\n") + PAGE),
    Row("204 with chunks, kept", head(CHUNKED, status=b"HTTP/1.1 204 No Content"), status=204),
    Row("204 with a length", head(b"Content-Length: 5", status=b"HTTP/1.1 204 No Content"), status=204),
    Row("204 with a body", head(b"Content-Length: 5", status=b"HTTP/1.1 204 No Content") + b"hello", status=204),
    Row("304 with a length", head(b"Content-Length: 5", status=b"HTTP/1.1 304 Not Modified"), status=304),
    Row("304 with chunks", head(CHUNKED, status=b"HTTP/1.1 304 Not Modified"), status=304),
    Row("304 with a body", head(b"Content-Length: 5", status=b"HTTP/1.1 304 Not Modified") + b"hello", status=304),
    Row("205 with nothing", head(b"Content-Length: 0", status=b"HTTP/1.1 205 Reset Content"), status=205),
    page("100 first", head(status=b"HTTP/1.1 100 Continue") + ok(PAGE)),
    page("102 and 103 first", head(status=b"HTTP/1.1 102 Processing") + head(b"Link: </a>", status=b"HTTP/1.1 103 Early Hints") + ok(PAGE)),
    page("199 first", head(status=b"HTTP/1.1 199 Odd") + ok(PAGE)),
    page("no reason", head(LENGTH, status=b"HTTP/1.1 200") + PAGE),
    page("blank reason", head(LENGTH, status=b"HTTP/1.1 200 ") + PAGE),
    page("a reason in Latin-1", head(LENGTH, status=b"HTTP/1.1 200 d\xe9j\xe0 vu") + PAGE),
    page("bytes behind the body", ok(PAGE) + b"\r\n", "close"),
    page("closed with notice", head(LENGTH, b"Connection: close") + PAGE, "close"),
]  # fmt: skip
ONLY_NEXT = {"204 with a body", "304 with a body"}

BAD_FRAMING = [
    broken("two lengths", head(b"Content-Length: 5", b"Content-Length: 6") + b"hello!", "connection"),
    broken("two lengths, other order", head(b"Content-Length: 6", b"Content-Length: 5") + b"hello!", "connection"),
    broken("two lengths in a list", head(b"Content-Length: 5, 6") + b"hello!", "connection"),
    broken("length +5", head(b"Content-Length: +5") + b"hello", "connection"),
    broken("length -5", head(b"Content-Length: -5") + b"hello", "connection"),
    broken("length 1_0", head(b"Content-Length: 1_0") + b"hello12345", "connection"),
    broken("length 0x5", head(b"Content-Length: 0x5") + b"hello", "connection"),
    broken("length 5 5", head(b"Content-Length: 5 5") + b"hello", "connection"),
    broken("length 5.0", head(b"Content-Length: 5.0") + b"hello", "connection"),
    broken("length 5;a", head(b"Content-Length: 5;a") + b"hello", "connection"),
    broken("an empty length", head(b"Content-Length: ") + b"hello", "connection"),
    broken("a huge length", head(b"Content-Length: 99999999999999999999") + b"hello", "connection"),
    broken("gzip as a transfer coding", head(b"Transfer-Encoding: gzip, chunked") + chunks(gzip.compress(PAGE)), "connection"),
    broken("gzip, chunked and a length", head(b"Transfer-Encoding: gzip, chunked", b"Content-Length: 5") + chunks(gzip.compress(PAGE)), "connection"),
    broken("a cut length", head(b"Content-Length: 1000") + PAGE[:500], "truncated"),
    broken("a length and nothing", head(b"Content-Length: 1000"), "truncated"),
    broken("a cut length, reset", head(b"Content-Length: 1000") + PAGE[:500], "connection", "reset"),
    broken("no length, reset", head(HTML) + PAGE, "connection", "reset"),
    broken("chunks without end", head(CHUNKED) + chunks(PAGE, end=b""), "truncated"),
    broken("chunks without a last line", head(CHUNKED) + chunks(PAGE, end=b"0\r\n"), "truncated"),
    broken("a cut chunk", head(CHUNKED) + b"ff\r\nhello", "truncated"),
    broken("a cut size of a chunk", head(CHUNKED) + b"5\r\nhello\r\n1", "truncated"),
    broken("an odd size of a chunk", head(CHUNKED) + b"zz\r\nhello\r\n0\r\n\r\n", "truncated"),
    broken("chunk size -5", head(CHUNKED) + b"-5\r\nhello\r\n0\r\n\r\n", "truncated"),
    broken("chunk size 0x5", head(CHUNKED) + b"0x5\r\nhello\r\n0\r\n\r\n", "connection"),
    broken("a huge chunk", head(CHUNKED) + b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n", "truncated"),
    broken("a chunk longer than its size", head(CHUNKED) + b"3\r\nhello\r\n0\r\n\r\n", "truncated"),
    broken("a cut head", b"HTTP/1.1 200 OK\r\nContent-Type: text/ht", "connection"),
    broken("a head without an end", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "connection"),
    broken("an interim answer alone", head(status=b"HTTP/1.1 100 Continue"), "connection"),
    broken("101", head(b"Upgrade: websocket", b"Connection: upgrade", status=b"HTTP/1.1 101 Switching"), "connection"),
    broken("no HTTP", b"SSH-2.0-OpenSSH_9.9\r\n", "connection"),
    broken("HTTP/0.9", b"<p>hello</p>", "connection"),
    broken("a status of letters", b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n", "connection"),
    broken("a status of two digits", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", "connection"),
    broken("status 000", b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n", "connection"),
    broken("HTTP/9.9", b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n", "connection"),
    broken("nothing", b"", "connection"),
    broken("a reset", b"", "connection", "reset"),
    broken("a reset in the head", b"HTTP/1.1 200 OK\r\nX: ", "connection", "reset"),
    Row("endless headers", [b"X-Y: %s\r\n" % (b"y" * 1000)] * 4000, cause="connection", then="close"),
    Row("endless 100s", [head(status=b"HTTP/1.1 100 Continue")] * 100_000, cause="headers too large", then="close"),
    Row("endless 103s", [head(b"Link: </a>", status=b"HTTP/1.1 103 Early Hints")] * 100_000, cause="headers too large", then="close"),
    Row("12,000 cookies", head(b"Content-Length: 0", *(b"Set-Cookie: c%d=%s" % (n, b"v" * 20) for n in range(12_000))), cause="headers too large"),
    Row("a stall before the answer", b"", cause="timeout", then="stall", seconds=0.3),
    Row("a stall in the head", b"HTTP/1.1 200 OK\r\nX: 1\r\n", cause="timeout", then="stall", seconds=0.3),
    Row("a stall in the body", head(b"Content-Length: 1000") + b"hello", cause="timeout", then="stall", seconds=0.3),
    Row("a stall in a chunk", head(CHUNKED) + b"ff\r\nhello", cause="timeout", then="stall", seconds=0.3),
]  # fmt: skip

SLOW = 0.05
TIME_LIMIT = 0.5
OK = b"HTTP/1.1 200 OK\r\n"
DRIPS = [
    Row(name, [start, *[drop] * 400], cause="timeout", then="stall", limit=TIME_LIMIT, pause=SLOW)
    for name, start, drop in [
        ("a drip in a header", OK + b"X-A: ", b"y"),
        ("a drip of headers", OK, b"X-A: y\r\n"),
        ("a drip in the status line", b"HTTP/1.1 200 ", b"y"),
        ("a drip of interim answers", b"", head(status=b"HTTP/1.1 100 Continue")),
        ("a drip in the body", head(b"Content-Length: 1000"), b"y"),
        ("a drip in a body without length", head(HTML), b"y"),
        ("a drip of chunks", head(CHUNKED), b"1\r\ny\r\n"),
        ("a drip in the size of a chunk", head(CHUNKED), b"0"),
        ("a drip of trailers", head(CHUNKED) + b"1\r\ny\r\n0\r\n", b"X: y\r\n"),
        ("a drip in gzip", head(b"Content-Encoding: gzip") + gzip.compress(b"")[:10], b"\0\0\0\xff\xff"),
    ]
]  # fmt: skip
_WHOLE = ok(PAGE, b"Connection: close")
DRIPS += [
    Row("pieces with pauses", [_WHOLE[at : at + 200] for at in range(0, len(_WHOLE), 200)], body=PAGE, then="close", seconds=2.0, pause=0.2),
    Row("a head in pieces", [*re.findall(b".{1,9}", ok(PAGE), re.DOTALL)], body=PAGE, seconds=2.0, pause=0.01),
]  # fmt: skip

COOKIE: dict[str, str | None] = {"set-cookie": "sid=1; Path=/", "content-type": "text/html"}
_COOKIE = b"Set-Cookie: sid=1; Path=/"
_LINES: list[tuple[str, list[bytes], dict[str, str | None]]] = [
    ("a blank in a name", [b"X-Powered by: us"], {}),
    ("a tab in a name", [b"X-Powered\tby: us"], {}),
    ("a blank before the colon", [b"X-A : us"], {"x-a": None}),
    ("a byte above 127 in a name", [b"X-\xe9: 1"], {}),
    ("UTF-8 in a name", ["X-Größe: 1".encode()], {}),
    ("a line without a colon", [b"no colon at all"], {}),
    ("a line without a colon, last", [b"X: 1", b"garbage"], {"x": "1"}),
    ("a line of one letter", [b"x"], {}),
    ("HTML among the headers", [b"<b>Warning</b> in line 7<br />"], {}),
    ("PHP among the headers", [b"PHP Warning:  something in /a.php on line 5"], {}),
    ("a second status line", [b"HTTP/1.1 200 OK"], {}),
    ("no name", [b": value"], {}),
    ("parentheses in a name", [b"X(a): 1"], {}),
    ("quotes in a name", [b'"X": 1'], {}),
    ("an empty value", [b"X-A:"], {"x-a": ""}),
    ("no blank", [b"X-A:1"], {"x-a": "1"}),
    ("tabs around", [b"X-A:\t1\t"], {"x-a": "1"}),
    ("Latin-1 in a value", [b"X-A: caf\xe9"], {"x-a": "caf\xe9"}),
    ("a NUL in a value", [b"X-A: a\0b"], {}),
    ("a control character", [b"X-A: a\x01b"], {}),
    ("a carriage return in a value", [b"X-A: a\rb"], {}),
    ("a folded line", [b"X-A: a\r\n b"], {"x-a": "a b"}),
    ("a folded line of blanks", [b"X-A: a\r\n  "], {"x-a": "a"}),
    ("three lines of a name", [b"X-A: 1", b"x-a: 2", b"X-a: 3"], {"x-a": "1, 2, 3"}),
    ("a colon in a value", [b"X-A: a:b: c"], {"x-a": "a:b: c"}),
    ("a long value", [b"X-A: " + b"y" * 60_000], {"x-a": "y" * 60_000}),
    ("many headers", [b"X-A: 1", *(b"X-%d: y" % n for n in range(900))], {"x-a": "1", "x-899": "y"}),
]  # fmt: skip
HEADERS = [
    Row(
        name,
        head(*lines[:1], _COOKIE, HTML, *lines[1:], LENGTH) + PAGE,
        body=PAGE,
        headers={**COOKIE, **right},
    )
    for name, lines, right in _LINES
]
HEADERS += [
    Row("a blank before the colon of a cookie", head(b"Set-Cookie : sid=1", HTML, LENGTH) + PAGE, body=PAGE, headers={"set-cookie": None, "content-type": "text/html"}),
    Row("a folded line first", head(b" X-A: 1", _COOKIE, LENGTH) + PAGE, body=PAGE, headers={"set-cookie": "sid=1; Path=/"}),
    Row("an empty location", head(LENGTH, b"Location: ", status=b"HTTP/1.1 302 Found") + PAGE, status=302, body=PAGE),
    Row("a redirect without a location", head(LENGTH, status=b"HTTP/1.1 302 Found") + PAGE, status=302, body=PAGE),
    Row("a location of 200", ok(PAGE, b"Location: /b"), body=PAGE, headers={"location": "/b"}),
]  # fmt: skip

REDIRECTS = [
    Row(f"location {name}", head(*lines, b"Content-Length: 0", status=b"HTTP/1.1 302 Found"), goes_to=to, body=b"<title>after</title>")
    for name, lines, to in [
        ("plain", [b"Location: /b"], "/b"),
        ("twice", [b"Location: /b", b"Location: /b"], "/b"),
        ("in Latin-1", [b"Location: /gl\xf3wna"], "/gl%F3wna"),
        ("in UTF-8", ["Location: /główna".encode()], "/g%C5%82%C3%B3wna"),
        ("in Latin-1 and UTF-8", [b"Location: /\xc3\xb3/\xf3"], "/%C3%B3/%F3"),
        ("in Latin-1 in the query", [b"Location: /b?q=\xfc"], "/b?q=%FC"),
        ("with escapes", [b"Location: /%7Eu/a%2fb?x="], "/%7Eu/a%2fb?x="),
        ("with a lone percent", [b"Location: /100%.html"], "/100%.html"),
        ("with brackets", [b"Location: /a[1]|b"], "/a[1]|b"),
        ("with blanks", [b"Location:   /a b  "], "/a%20b"),
        ("with a backslash", [b"Location: \\b\\c"], "/b/c"),
        ("with a tab", [b"Location: /b\tc"], "/bc"),
        ("relative", [b"Location: b?c"], "/b?c"),
        ("a query", [b"Location: ?c"], "/row?c"),
        ("with dots", [b"Location: ../x/./b"], "/x/b"),
        ("with a fragment", [b"Location: /b#c"], "/b"),
        ("with a lone question mark", [b"Location: /x?"], "/x?"),
    ]
    if name != "a query"
]  # fmt: skip

GZIP = gzip.compress(PAGE)
ZLIB = zlib.compress(PAGE)
RAW = zlib.compressobj(wbits=-15)
DEFLATE = RAW.compress(PAGE) + RAW.flush()
BR = brotli.compress(PAGE)
ZSTD = zstd.compress(PAGE)
HALVES = PAGE[:100], PAGE[100:]
NAMED = gzip.compress(b"", mtime=0)[:3] + b"\x08" + gzip.compress(PAGE, mtime=0)[4:10] + b"page.html\0" + gzip.compress(PAGE, mtime=0)[10:]  # fmt: skip
ENCODINGS = [
    encoded("gzip", b"gzip", GZIP),
    encoded("gzip and a comment", b"gzip", GZIP + b"<!-- cached -->"),
    encoded("gzip and zeros", b"gzip", GZIP + bytes(16)),
    encoded("gzip in two members", b"gzip", gzip.compress(HALVES[0]) + gzip.compress(HALVES[1])),
    encoded("gzip in 700 members", b"gzip", b"".join(gzip.compress(PAGE[n : n + 1]) for n in range(len(PAGE)))),
    encoded("gzip, an empty member first", b"gzip", gzip.compress(b"") + GZIP),
    encoded("gzip, an empty member last", b"gzip", GZIP + gzip.compress(b"")),
    encoded("gzip in two members and rubbish", b"gzip", gzip.compress(HALVES[0]) + gzip.compress(HALVES[1]) + b"\x1f\x8bx"),
    encoded("gzip, zeros between members", b"gzip", gzip.compress(PAGE) + bytes(4) + gzip.compress(b"x")),
    encoded("gzip with a name", b"gzip", NAMED),
    encoded("gzip of nothing", b"gzip", gzip.compress(b""), b""),
    encoded("gzip over no bytes", b"gzip", b"", b""),
    encoded("gzip and an odd checksum", b"gzip", GZIP[:-8] + b"\1\2\3\4" + GZIP[-4:]),
    encoded("gzip and an odd length", b"gzip", GZIP[:-4] + b"\1\2\3\4"),
    encoded("gzip and odd checksums of two members", b"gzip", (gzip.compress(HALVES[0])[:-8] + bytes(8)) + gzip.compress(HALVES[1])[:-8] + b"12345678<!-- -->"),
    encoded("gzip with all fields of a header", b"gzip", b"\x1f\x8b\x08\x1e" + bytes(6) + b"\5\0abcde" + b"name\0" + b"comment\0" + b"\1\2" + DEFLATE + bytes(8)),
    encoded("gzip with a long name", b"gzip", b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 90_000 + b"\0" + DEFLATE + bytes(8)),
    encoded("gzip with a name without end", b"gzip", b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 2_000_000, cause="decoding"),
    encoded("gzip with flags of the future", b"gzip", b"\x1f\x8b\x08\x80" + GZIP[4:], cause="decoding"),
    encoded("gzip broken in the middle", b"gzip", GZIP[:10] + b"\7" + GZIP[10:], cause="decoding"),
    encoded("deflate and an odd checksum", b"deflate", ZLIB[:-4] + bytes(4), cause="decoding"),
    encoded("x-gzip", b"x-gzip", GZIP),
    encoded("GZIP", b"GZIP", GZIP),
    encoded("gzip, identity", b"gzip, identity", GZIP),
    encoded("identity, gzip", b"identity, gzip", GZIP),
    encoded("gzip with commas", b", gzip,,", GZIP),
    encoded("gzip on two lines", b"gzip|gzip", GZIP),
    encoded("gzip, gzip over one", b"gzip, gzip", GZIP),
    encoded("gzip, gzip over two", b"gzip, gzip", gzip.compress(GZIP)),
    encoded("gzip and identity on two lines", b"identity|gzip", GZIP),
    encoded("deflate, gzip", b"deflate, gzip", gzip.compress(ZLIB)),
    encoded("gzip, br", b"gzip, br", brotli.compress(GZIP)),
    encoded("identity", b"identity", PAGE),
    encoded("none", b"none", PAGE),
    encoded("utf-8", b"utf-8", PAGE),
    encoded("UTF-8, gzip", b"UTF-8, gzip", GZIP),
    encoded("binary", b"binary", PAGE),
    encoded("chunked", b"chunked", PAGE),
    encoded("an empty encoding", b" ", PAGE),
    encoded("deflate, zlib", b"deflate", ZLIB),
    encoded("deflate, bare", b"deflate", DEFLATE),
    encoded("deflate, a small window", b"deflate", (lambda z: z.compress(PAGE) + z.flush())(zlib.compressobj(wbits=9))),
    encoded("deflate and a comment", b"deflate", ZLIB + b"<!-- -->"),
    encoded("deflate, bare, and a comment", b"deflate", DEFLATE + b"<!-- -->"),
    encoded("deflate over no bytes", b"deflate", b"", b""),
    encoded("deflate in capitals", b"Deflate", ZLIB),
    encoded("br", b"br", BR),
    encoded("br and zeros", b"br", BR + bytes(16)),
    encoded("br over no bytes", b"br", b"", b""),
    encoded("br of nothing", b"br", brotli.compress(b""), b""),
    encoded("zstd", b"zstd", ZSTD),
    encoded("zstd in two frames", b"zstd", zstd.compress(HALVES[0]) + zstd.compress(HALVES[1])),
    encoded("zstd and a comment", b"zstd", ZSTD + b"<!-- -->"),
    encoded("zstd and a skippable frame", b"zstd", b"\x50\x2a\x4d\x18\x03\0\0\0abc" + ZSTD),
    encoded("zstd over no bytes", b"zstd", b"", b""),
    Row("gzip in chunks of a byte", head(CHUNKED, b"Content-Encoding: gzip") + chunks(GZIP + b"<!-- -->", 1), body=PAGE),
    Row("br in chunks of a byte", head(CHUNKED, b"Content-Encoding: br") + chunks(BR + b"<!-- -->", 1), body=PAGE),
    Row("zstd in chunks of a byte", head(CHUNKED, b"Content-Encoding: zstd") + chunks(ZSTD * 2, 1), body=PAGE * 2),
    Row("204 and gzip", head(b"Content-Encoding: gzip", status=b"HTTP/1.1 204 No Content"), status=204),
    encoded("br over plain", b"br", PAGE, cause="decoding"),
    encoded("gzip over plain", b"gzip", PAGE, cause="decoding"),
    encoded("deflate over plain", b"deflate", PAGE, cause="decoding"),
    encoded("zstd over plain", b"zstd", PAGE, cause="decoding"),
    encoded("gzip cut", b"gzip", GZIP[:-20], cause="truncated"),
    encoded("gzip cut in its checksum", b"gzip", GZIP[:-5], cause="truncated"),
    encoded("gzip cut in its head", b"gzip", GZIP[:6], cause="truncated"),
    encoded("gzip cut behind its head", b"gzip", GZIP[:10], cause="truncated"),
    encoded("gzip cut before its checksum", b"gzip", GZIP[:-8], cause="truncated"),
    encoded("gzip cut in its second member", b"gzip", GZIP + GZIP[:40], cause="truncated"),
    encoded("deflate cut", b"deflate", ZLIB[:-10], cause="truncated"),
    encoded("deflate, bare, cut", b"deflate", DEFLATE[:-5], cause="truncated"),
    encoded("br cut", b"br", BR[:-5], cause="truncated"),
    encoded("zstd cut", b"zstd", ZSTD[:-5], cause="truncated"),
    encoded("zstd cut in its second frame", b"zstd", ZSTD + ZSTD[:20], cause="truncated"),
    encoded("six encodings", b"gzip, br, gzip, br, gzip, br", BR, cause="decoding"),
    encoded("a bomb in gzip", b"gzip", gzip.compress(bytes(80 * MEGA)), cause="body too large"),
    encoded("a bomb in br", b"br", brotli.compress(bytes(80 * MEGA), quality=1), cause="body too large"),
    encoded("a bomb in zstd", b"zstd", zstd.compress(bytes(80 * MEGA)), cause="body too large"),
    encoded("a bomb in deflate", b"deflate", zlib.compress(bytes(80 * MEGA)), cause="body too large"),
    encoded("a bomb in a bomb", b"gzip, gzip", gzip.compress(gzip.compress(bytes(80 * MEGA))), cause="body too large"),
]  # fmt: skip

_LINK = b"<p>some text</p><a href=/next>next</a>"


def typed(
    content_type: bytes | None, kind: str, encoding: str = "utf-8", body: bytes = _LINK
) -> Row:
    """Return a row with a Content-Type, whose lines are parted by ``|``."""
    lines = (
        []
        if content_type is None
        else [b"Content-Type: " + each for each in content_type.split(b"|")]
    )
    name = "no type" if content_type is None else f"type {content_type.decode()}"
    answer = head(b"Content-Length: %d" % len(body), *lines) + body
    return Row(
        f"{name}, {body[:6].decode('latin-1')}", answer, body=body, kind=kind, encoding=encoding
    )


TYPES = [
    typed(b"text/html|text/html; charset=iso-8859-1", "html", "cp1252"),
    typed(b"text/html; charset=koi8-r|text/html", "html", "koi8-r"),
    typed(b"text/plain; charset=koi8-r|text/html", "html"),
    typed(b"text/html|text/plain", "other"),
    typed(b"text/html, */*", "html"),
    typed(b"*/*|text/html; charset=koi8-r|*/*; charset=gbk", "html", "koi8-r"),
    typed(b"text/html|bogus", "html"),
    typed(b"html", "html"),
    typed(b"*/*", "html"),
    typed(b"text/html charset=utf-8", "html"),
    typed(b"charset=utf-8", "html"),
    typed(b"text/html;;charset=UTF-8", "html"),
    typed(b"", "html"),
    typed(None, "html"),
    typed(b"unknown/unknown", "html"),
    typed(b"text/plain", "other"),
    typed(b"text/html; xcharset=koi8-r", "html"),
    typed(b'text/html; foo="bar; charset=koi8-r"; charset=utf-8', "html"),
    typed(b'text/html; foo="a, text/plain"; charset=koi8-r', "html", "koi8-r"),
    typed(b"text/html; charset=koi8-r; charset=utf-8", "html", "koi8-r"),
    typed(b"TEXT/HTML;CHARSET=KOI8-R", "html", "koi8-r"),
    typed(b"xml", "xml", body=b"<?xml version='1.0'?><urlset/>"),
    typed(b"html", "other", body=b"hello, 1 < 2"),
    typed(b"html", "other", body=b"%PDF-1.7 <p>"),
]  # fmt: skip
