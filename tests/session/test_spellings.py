"""A secret is found in every usual spelling, in mixtures of them, and in base64."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.session.masking import MASK, Mask


def masked(secret: str, text: str) -> str:
    """Return ``text`` as a mask that knows ``secret`` leaves it; the same in text and in bytes."""
    mask = Mask()
    mask.add(secret)
    result = mask(text)
    page = mask.page(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
    assert page == result
    return result


@pytest.mark.parametrize(
    ("secret", "spelling"),
    [
        ("it's", "it&#39;s"),
        ("it's", "it&#039;s"),
        ("it's", "it&#0000039s"),
        ("it's", "it&#x27;s"),
        ("it's", "it&#X00027;s"),
        ("it's", "it&apos;s"),
        ("it's", "it&amp;#39;s"),
        ("it's", "it&amp;amp;apos;s"),
        ("it's", "it\\'s"),
        ("it's", "it\\\\\\'s"),
        ("it's", "it\\u0027s"),
        ("it's", "it\\\\u0027s"),
        ("it's", "it\\u{27}s"),
        ("it's", "it\\x27s"),
        ("it's", "it\\47s"),
        ("it's", "it%27s"),
        ("it's", "it%2527s"),
        ("it's", "it%u0027s"),
        ('a"b', "a&quot;b"),
        ('a"b', "a&#34;b"),
        ('a"b', 'a\\"b'),
        ("a/b", "a\\/b"),
        ("a/b", "a\\\\/b"),
        ("a/b", "a%2fb"),
        ("a/b", "a%2Fb"),
        ("a/b", "a&sol;b"),
        ("a/b", "a&#x2F;b"),
        ("a b+", "a+b%2B"),
        ("a b+", "a%20b%2b"),
        ("mäh", "m&auml;h"),
        ("mäh", "m&aumlh"),
        ("mäh", "m&#228;h"),
        ("mäh", "m&#xE4;h"),
        ("mäh", "m%C3%A4h"),
        ("mäh", "m%c3%a4h"),
        ("mäh", "m%E4h"),
        ("mäh", "m%u00E4h"),
        ("mäh", "m\\u00e4h"),
        ("mäh", "m\\u00E4h"),
        ("mäh", "m\\xe4h"),
        ("mäh", "m\\xc3\\xa4h"),
        ("mäh", "ma\u0308h"),
        ("пароль", "%EF%E0%F0%EE%EB%FC"),
        ("пароль", quote("пароль")),
        ("a😀b", "a&#128512;b"),
        ("a😀b", "a\\ud83d\\ude00b"),
        ("a😀b", "a\\u{1F600}b"),
        ("a😀b", "a\\U0001f600b"),
        ("a😀b", "a%F0%9F%98%80b"),
        ("a<b>&c", "a&lt;b&gt;&amp;c"),
        ("a<b>&c", "a\\u003cb\\u003e\\u0026c"),
        ("a\\b", "a\\\\b"),
        ("a\\\\b", "a\\\\\\\\b"),
        ("a\nb", "a\\nb"),
        ("50%off", "50%25off"),
        ("x&amp;y", "x&amp;amp;y"),
        ("abc", "&#97;&#98;&#99;"),
        ("abc", "%61%62%63"),
        ("abc", "\\141\\142\\143"),
        ("it's", "it\\27 s"),
        ("it's", "it\\000027s"),
        ("it's", "\\69 \\74 \\27 \\73 "),
        ("it's", "it=27s"),
        ("it's", "=69=74=27=73"),
        ("it's", "it=\n's"),
        ("it's", "i=\r\nt=27s"),
        ("a=b", "a=3Db"),
        ("ab=", "ab=3D"),
        ("mäh", "m=C3=A4h"),
        ("mäh", "m=c3=\n=a4h"),
        ("mäh", "m=E4h"),
        ("it's", "69742773"),
        ("möhö", "6DC3B668C3B6"),
        ("möhö", "6df668f6"),
        ("it's/ä\"", "it&#39;s\\/%C3%A4\\u0022"),
    ],
)
def test_spellings(secret: str, spelling: str) -> None:
    assert masked(secret, f"<{secret}> <{spelling}>.") == f"<{MASK}> <{MASK}>."


@pytest.mark.parametrize("before", ["", "x", "xx", "ada:", "ada@shop.example:"])
@pytest.mark.parametrize("after", ["", "y", "yy", ":more"])
@pytest.mark.parametrize("secret", ["s3cret/pass?>", "mäh'?~~~", "it's"])
def test_base64_at_each_place(secret: str, before: str, after: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        digits = encode(f"{before}{secret}{after}".encode()).decode()
        lines = re.sub("(.{8})", "\\1\r\n", digits)  # of mail, where they have 76 characters
        for spelling in (digits, quote(digits, safe=""), digits.replace("/", "\\/"), lines):
            left = masked(secret, f"Basic {spelling}.").replace(MASK, "", 1)
            assert MASK not in left
            # A character at either side is partly of the secret, and what stands before or after.
            left = left.replace("\r\n", "")
            assert len(left) <= len("Basic .") + (len(before) + len(after)) * 4 // 3 + 2 * 4


def test_text_that_is_no_spelling_stays() -> None:
    text = "its it&#38;s it%28s it\\u0028s aGl0 it &#39;s"
    assert masked("it's", text) == text


SECRETS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\\\"'&<>/%+ ;#ux0äé€"),
    min_size=3,
    max_size=60,
)
WAYS: list[Callable[[str], str]] = [
    lambda char: char,
    lambda char: f"&#{ord(char)};",
    lambda char: f"&#00{ord(char)};",
    lambda char: f"&#x{ord(char):X};",
    html.escape,
    lambda char: html.escape(html.escape(char)),
    lambda char: json.dumps(char)[1:-1],
    lambda char: json.dumps(json.dumps(char)[1:-1])[1:-1],
    lambda char: json.dumps(html.escape(char))[1:-1],
    lambda char: repr(char)[1:-1],
    lambda char: "".join(f"%{byte:02X}" for byte in char.encode()),
    lambda char: "".join(f"%{byte:02x}" for byte in char.encode()),
    lambda char: quote(quote(char, safe=""), safe=""),
    quote_plus,
    lambda char: "".join(f"={byte:02X}" for byte in char.encode()),
    lambda char: f"\\{ord(char):06x}",
]


@given(SECRETS, st.data())
def test_any_mixture(secret: str, data: st.DataObject) -> None:
    spelling = "".join(data.draw(st.sampled_from(WAYS))(char) for char in secret)
    assert masked(secret, f"<<{spelling}>>") == f"<<{MASK}>>"


@given(SECRETS, st.sampled_from(WAYS))
def test_a_single_way_of_spelling_is_masked(secret: str, way: Callable[[str], str]) -> None:
    assert masked(secret, f"<<{''.join(map(way, secret))}>>") == f"<<{MASK}>>"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings(encoding: str) -> None:
    mask = Mask()
    mask.add("it's mäh")
    body = "<p>ü it's mäh it&#39;s m&auml;h</p>".encode(encoding)
    assert mask.page(body).decode(encoding) == f"<p>ü {MASK} {MASK}</p>"


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "shift_jis", "gb18030", "euc_kr"])
def test_older_encodings(encoding: str) -> None:
    secret = "пароль" if encoding != "euc_kr" else "비밀번호"
    mask = Mask()
    mask.add(secret)
    assert mask.page(f"<p>{secret}</p>".encode(encoding)) == f"<p>{MASK}</p>".encode()


@given(st.binary())
def test_a_page_without_the_secret_stays_byte_for_byte(body: bytes) -> None:
    mask = Mask()
    mask.add("it's a secret")
    assert mask.page(body) == body
    assert mask.page(body + b"\0") == body + b"\0"


def test_a_secret_of_any_length() -> None:
    secret = "0123456789abcdef'" * 100
    assert masked(secret, f"<{html.escape(secret)}>") == f"<{MASK}>"
