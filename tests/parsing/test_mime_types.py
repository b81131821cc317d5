"""Content types as browsers read them: Fetch "extract a MIME type" and MIME Sniffing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.parsing import mime_types
from crawler.parsing.mime_types import MimeType, extract, parse

HTML, PLAIN = "text/html", "text/plain"


@pytest.mark.parametrize(
    ("value", "charset"),
    [
        ("text/html;charset=gbk", "gbk"),
        ("TEXT/HTML;CHARSET=GBK", "GBK"),
        ("\ttext/html ;charset=gbk ", "gbk"),
        ("text/html;x=(;charset=gbk", "gbk"),
        ("text/html;charset=gbk;charset=utf-8", "gbk"),
        ("text/html;charset =gbk", None),
        ("text/html;charset= gbk", " gbk"),
        ("text/html;charset='gbk'", "'gbk'"),
        ("text/html;test;charset=gbk", "gbk"),
        ("text/html;test=;charset=gbk", "gbk"),
        ("text/html;charset=;charset=gbk", "gbk"),
        ('text/html;";charset=gbk', "gbk"),
        ("text/html ; ;;; charset=gbk", "gbk"),
        ('text/html;charset="gbk"', "gbk"),
        ('text/html;charset="gbk', "gbk"),
        ('text/html;charset=gbk"', 'gbk"'),
        ('text/html;charset="\\g\\b\\k"', "gbk"),
        ('text/html;charset="gbk\\', "gbk\\"),
        ('text/html;charset="gbk"x;charset=utf-8', "gbk"),
        ('text/html;charset="";charset=gbk', ""),
        ('text/html;x="a;charset=koi8-r";charset=utf-8', "utf-8"),
        ('text/html;x="a;charset=koi8-r', None),
        ('text/html;x="a\\";charset=koi8-r";charset=utf-8', "utf-8"),
        ("text/html;x=é;charset=gbk", "gbk"),
        ("text/html;charset={gbk}", "{gbk}"),
        ("text/html;xcharset=gbk", None),
        ("text/html;charset*=gbk", None),
        ("text/html," + "x" * 300, None),
    ],
)
def test_a_charset_is_a_parameter(value: str, charset: str | None) -> None:
    assert extract(value) == MimeType(HTML, charset)


@pytest.mark.parametrize(
    "value",
    [
        *("", "\t", "bogus", "bogus/", "bogus/ ", "/html", "bogus/bogus/;", "</>", "(/)", "{/}"),
        *("text/html(;doesnot=matter", "Ā/Ā", "html", "charset=utf-8", "text/html charset=utf-8"),
        *(";text/html", "text /html", "text/ html", '"text/html"', "text\\html"),
    ],
)
def test_a_type_is_two_tokens(value: str) -> None:
    assert parse(value) is None
    assert extract(f"{value}, {value}") is None or '"' in value


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["", PLAIN], MimeType(PLAIN)),
        ([PLAIN, ""], MimeType(PLAIN)),
        ([HTML, PLAIN], MimeType(PLAIN)),
        ([PLAIN, HTML], MimeType(HTML)),
        ([HTML, "text/html; charset=iso-8859-1"], MimeType(HTML, "iso-8859-1")),
        (["text/html; charset=gbk", HTML], MimeType(HTML, "gbk")),
        (["text/html; charset=gbk", "text/html; charset=utf-8"], MimeType(HTML, "utf-8")),
        (["text/plain;charset=gbk", HTML], MimeType(HTML)),
        (["text/plain;charset=gbk", "text/html;charset=utf-8"], MimeType(HTML, "utf-8")),
        (["text/html;charset=gbk", PLAIN, HTML], MimeType(HTML)),
        (["text/html;charset=gbk", 'text/html;x=",text/plain'], MimeType(HTML, "gbk")),
        ([HTML, "*/*"], MimeType(HTML)),
        (["*/*", HTML], MimeType(HTML)),
        ([HTML, "*/*;charset=gbk"], MimeType(HTML)),
        (["text/html;charset=gbk", "*/*", "bogus"], MimeType(HTML, "gbk")),
        (['text/html;x="', PLAIN], MimeType(HTML)),
        (['text/html;"', PLAIN], MimeType(HTML)),
        (["bogus", "*/*"], None),
    ],
)
@pytest.mark.parametrize("comma", [", ", ",", " ,\t"])
def test_the_last_valid_type_counts(values: list[str], expected: object, comma: str) -> None:
    assert extract(comma.join(values)) == expected


TAGS = b"head script iframe h1 div font table a style title b body br p"
INVALID = ["html", "*/*", "text/html charset=utf-8", "charset=utf-8", "", "unknown/unknown",
           "application/unknown", "*/*, */*", "text", "; charset=utf-8", None]  # fmt: skip


@pytest.mark.parametrize("content_type", INVALID)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<!DOCTYPE html><p>", "html"),
        (b"\r\n\t <HTML lang=en>", "html"),
        (b"\xef\xbb\xbf<html>", "html"),
        ("\ufeff<html><body>".encode("utf-16-le"), "html"),
        (b"<!-- made by hand --><x>", "html"),
        (b"<!doctype\nhtml>", "html"),
        *[(b"<%s>" % tag, "html") for tag in TAGS.split()],
        (b"<a\nhref=x>", "html"),
        (b"<p>\x01</p>", "html"),
        (b"Hello <a href='x'>there</a>", "html"),
        (b"<?xml version='1.0'?><html xmlns='x'>", "html"),
        (b"<?xml version='1.0'?><rss>", "xml"),
        (b" <?XML version='1.0'?><urlset>", "xml"),
        (b"1 < 2, <x@y.example>, <abbreviation>", "other"),
        (b"hello", "other"),
        (b"", "other"),
        (b'{"html": "<p>"}', "other"),
        (b"%PDF-1.7 <p>", "other"),
        (b"GIF89a\x01\0 <p>", "other"),
        (b"\x89PNG\r\n\x1a\n<p>", "other"),
        (b"PK\x03\x04 <html>", "other"),
    ],
)  # fmt: skip
def test_without_a_valid_type_the_bytes_decide(
    content_type: str | None, body: bytes, kind: str
) -> None:
    assert mime_types.kind(body, content_type) == kind


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "text/css", "application/json", "application/octet-stream", "a/b"],
)
def test_a_valid_type_is_believed(content_type: str) -> None:
    assert mime_types.kind(b"<!doctype html><a href=x>", content_type) == "other"


@given(st.text(max_size=40) | st.text(' ",;=/\\ahtmlcrse*', max_size=60))
def test_any_header_is_read(header: str) -> None:
    mime_type = extract(header)
    assert mime_type is None or mime_type.essence.count("/") == 1


def test_a_long_header_takes_linear_time() -> None:
    for header in (
        '"' * 200_000,
        '"\\' * 100_000,
        ";=" * 100_000,
        'a/b;c="' * 30_000,
        "," * 200_000,
    ):
        assert extract(header) is None or header.startswith("a/b")
