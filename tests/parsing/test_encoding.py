"""``crawler.parsing.encoding``: which encoding a page is in, judged by html5lib's vectors too."""

from __future__ import annotations

import base64
import codecs
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.parsing import encoding
from tests.conformance import expect_misses, rows

VECTORS = rows("encoding/html5lib_sniff.jsonl")

# Pages that declare nothing, or nothing that counts. Browsers then take windows-1252 (in western
# locales). We take UTF-8 where the bytes are valid UTF-8, as browsers do for local files: few
# pages that are valid UTF-8 are anything else. All of these are ASCII, the same in both.
UNDECLARED = {
    f"html5lib/{name}.dat/{number}": "nothing is declared: UTF-8, in which these read the same"
    for name, numbers in {
        "tests1": [1, 7, *range(11, 22), 25, 26, 29, 30, 31, 34, 35, 36],
        "tests2": [1, 2, 3, 4, 5, 9, 10, 12, 13, 14, 16],
    }.items()
    for number in numbers
}


@pytest.mark.parametrize("row", expect_misses(VECTORS, UNDECLARED))
def test_the_encoding_is_the_one_that_browsers_take(row: dict[str, str]) -> None:
    body = base64.b64decode(row["html_b64"])
    assert encoding.detect(body) == encoding.lookup(row["whatwg"])


@pytest.mark.parametrize("row", VECTORS)
def test_undeclared_pages_read_the_same(row: dict[str, str]) -> None:
    body = base64.b64decode(row["html_b64"])
    if row["id"] in UNDECLARED:
        assert encoding.decode(body, encoding.detect(body)) == body.decode("cp1252")


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"\xef\xbb\xbfx", "text/html; charset=latin-1", "utf-8"),
        (b"\xfe\xff\0x", "text/html; charset=utf-8", "utf-16-be"),
        (b"\xff\xfex\0", None, "utf-16-le"),
        (b"<meta charset=utf-8>", "text/html; charset=koi8-r", "koi8-r"),
        (b"<meta charset=koi8-r>", "text/html; charset=bogus", "koi8-r"),
        (b"<meta charset=koi8-r>", "text/html; charset=", "koi8-r"),
        (b"<meta charset=koi8-r>", "text/html", "koi8-r"),
        (b"", 'text/html; charset="Shift_JIS"', "cp932"),
        (b"", "text/html; Charset=GB2312 ; x=y", "gb18030"),
        (b"<meta charset=koi8-r>", "text/html; charset = gbk", "koi8-r"),
        (b"<meta charset=koi8-r>", "text/html; charset='gbk'", "koi8-r"),
        (b"<meta charset=koi8-r>", "text/html; xcharset=gbk", "koi8-r"),
        (b"", "text/html;charset=utf-16", "utf-16-le"),
        (b"<meta charset=utf-16>", None, "utf-8"),
        (b"<meta charset=x-user-defined>", None, "cp1252"),
        (b"<?xml version='1.0' encoding='iso-8859-2'?><a/>", None, "iso8859-2"),
        (b"<?xml version='1.0' encoding='utf-16'?><a/>", None, "utf-8"),
        ("<?xml version='1.0'?>".encode("utf-16-le"), None, "utf-16-le"),
        ("<?xml version='1.0'?>".encode("utf-16-be"), None, "utf-16-be"),
        (b"<p>plain", None, "utf-8"),
        ("<p>é".encode(), None, "utf-8"),
        ("<p>é".encode("latin-1"), None, "cp1252"),
        ("<p>é" * 1000 + "é<meta charset=koi8-r>", None, "koi8-r"),
        (b"", None, "utf-8"),
    ],
)
def test_the_first_declaration_decides(
    body: bytes | str, content_type: str | None, expected: str
) -> None:
    raw = body.encode("latin-1") if isinstance(body, str) else body
    assert encoding.detect(raw, content_type) == expected


def test_a_late_declaration_counts_for_pages_that_are_not_utf8_only_if_it_is_a_tag() -> None:
    late = b"<!--" + b"x" * 2000 + b"<meta charset=koi8-r>-->\xe9"
    assert encoding.detect(late) == "cp1252"


def test_every_codec_decodes_text_and_is_named_as_python_names_it() -> None:
    for codec in encoding._LABELS:
        assert codecs.lookup(codec).name == codec
        assert isinstance(b"x\0".decode(codec), str)


@pytest.mark.parametrize("label", ["hex", "rot13", "utf-7", "idna", "utf-32", "cp037", "é", ""])
def test_labels_that_browsers_do_not_know_are_not_taken(label: str) -> None:
    assert encoding.lookup(label) is None


@given(st.binary(max_size=300), st.none() | st.text(max_size=30))
def test_every_body_is_read(body: bytes, content_type: str | None) -> None:
    codec = encoding.detect(body, content_type)
    text = encoding.decode(body, codec)
    utf8 = encoding.as_utf8(body, codec)
    assert utf8.decode() == text.encode("utf-8", "replace").decode()


@given(st.sampled_from(list(encoding._LABELS)), st.binary(max_size=50))
def test_every_codec_reads_every_body(codec: str, body: bytes) -> None:
    assert encoding.as_utf8(body, codec).decode() is not None


def test_the_byte_order_mark_is_no_text() -> None:
    assert encoding.decode(b"\xef\xbb\xbfx", "utf-8") == "x"
    assert encoding.decode(b"\xff\xfex\0", "utf-16-le") == "x"
    assert encoding.as_utf8(b"\xfe\xff\0x", "utf-16-be") == b"x"


def test_undecodable_bytes_are_replaced() -> None:
    assert encoding.decode(b"a\xffb", "utf-8") == "a\ufffdb"
    assert encoding.as_utf8(b"a\xffb", "utf-8") == "a\ufffdb".encode()
    assert encoding.decode(b"\x80", "gb18030") == "€"


def test_valid_utf8_is_not_copied() -> None:
    body = "é".encode()
    assert encoding.as_utf8(body, "utf-8") is body


@pytest.mark.parametrize(
    "piece", [b"<", b"<!--", b"<a ", b"<meta ", b"<a b=", b"<a b='", b'<a "', b"</", b"<!", b"a="]
)
def test_a_monster_is_scanned_in_linear_time(piece: bytes) -> None:
    started = time.process_time()
    encoding.declared(b"charset" + piece * (encoding.LATE // len(piece)))
    assert time.process_time() - started < 1
