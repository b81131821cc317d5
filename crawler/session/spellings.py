"""Find a secret in all its usual spellings: of HTML, JavaScript, CSS, URLs, mail and base64.

A page that repeats a password escapes it for the place where it stands, often twice: as a text of
HTML within a script, as a value of a query within a link. So each character of a secret is looked
for in each of its spellings, in any mixture, by one regular expression.
"""

from __future__ import annotations

import base64
import html.entities
import json
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, AnyStr, Generic

MIN_BASE64 = 3
"""Shorter pieces of base64 are part of any text."""
HEAD = 24
"""Characters of a secret that one expression matches: a long one takes long to compile."""
MIN_HEX = 4
"""Bytes of a secret that is looked for in hexadecimal digits: shorter ones are part of any hash."""
MARKS = "&\\%+="
"""Characters of which each escaped spelling has at least one, besides base64 and hexadecimal."""
ENCODINGS = (
    *("utf-8", "cp1252", "latin-1", "iso8859-2", "cp1250", "cp1251", "koi8-r", "cp1253", "cp1254"),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
)
"""Encodings that write ASCII as it is, in which a page may contain a secret."""

_JS_ESCAPES = {"\n": "n", "\t": "t", "\r": "r", "\b": "b", "\f": "f", "\v": "v", "\0": "0"}
_BACKSLASHES = r"\\{1,8}"  # a string within a string doubles them; bounded, or it takes n² steps
_ZEROS = "0{0,8}"
_SOFT_BREAK = r"(?:=\r?\n)?"
"""The end of a line of quoted-printable, within the text."""
_LINE_END = r"(?:\r?\n)?"


class Spellings(Generic[AnyStr]):
    """The spellings of one secret, in text or in the bytes of a page."""

    def __init__(self, secret: str, kind: type[AnyStr]) -> None:
        """``secret`` has three characters or more."""
        self._kind: type[AnyStr] = kind
        self._pieces = [secret[at : at + HEAD] for at in range(0, len(secret), HEAD)]
        plain: Any = secret if kind is str else secret.encode("utf-8", "surrogatepass")
        self._plain: AnyStr = plain
        encoded = [*_in_base64(secret, kind is bytes), *_in_hexadecimal(secret)]
        self._encoded: re.Pattern[AnyStr] = _compiled("|".join(encoded), kind)
        self._is_ascii = secret.isascii()

    def mask(self, text: AnyStr, stars: AnyStr, *, escaped: bool = True) -> AnyStr:
        """Return ``text`` with ``stars`` in place of the secret.

        ``escaped`` says that the text has one of the ``MARKS``.
        """
        if not escaped and self._is_ascii:
            text = text.replace(self._plain, stars)
        else:
            text = self._mask_escaped(text, stars)
        return self._encoded.sub(stars, text)

    def _mask_escaped(self, text: AnyStr, stars: AnyStr) -> AnyStr:
        head = _of_piece(self._pieces[0], self._kind)
        parts: list[AnyStr] = []
        end = 0
        while found := head.search(text, end):
            parts += [text[end : found.start()], stars]
            end = found.end()
            for piece in self._pieces[1:]:
                if not (found := _of_piece(piece, self._kind).match(text, end)):
                    break
                end = found.end()
        parts.append(text[end:])
        return text[:0].join(parts)


@lru_cache(maxsize=2048)
def _of_piece(piece: str, kind: type[AnyStr]) -> re.Pattern[AnyStr]:
    return _compiled(_SOFT_BREAK.join(_spelling(char, kind is bytes) for char in piece), kind)


def _compiled(pattern: str, kind: type[AnyStr]) -> re.Pattern[AnyStr]:
    source: Any = pattern if kind is str else pattern.encode("latin-1")
    return re.compile(source)


@lru_cache(maxsize=1024)
def _spelling(char: str, binary: bool) -> str:
    """Return an expression for the spellings of one character; ``binary`` for encoded text."""
    code = ord(char)
    data = {_encode(char, encoding) for encoding in ENCODINGS} - {b""}
    encoded = sorted(data, key=lambda encoding: (-len(encoding), encoding))
    literals = (
        [re.escape(data.decode("latin-1")) for data in encoded] if binary else [re.escape(char)]
    )
    decomposed = unicodedata.normalize("NFD", char)
    if len(decomposed) > 1:
        literals.append("".join(_spelling(part, binary) for part in decomposed))
    names = sorted(_NAMES.get(code, ()), key=len, reverse=True)
    entities = [f"#{_ZEROS}{code};?", f"#[xX]{_ZEROS}{_hex(f'{code:x}')};?"]
    entities += [f"{name};?" for name in names]
    escapes = [re.escape(char)] if char.isascii() and char != "\\" else []
    escapes += [f"u{_hex(f'{unit:04x}')}" for unit in _units(char)[:1] if code < 0x10000]
    escapes += [rf"u\{{{_ZEROS}{_hex(f'{code:x}')}\}}", f"U{_hex(f'{code:08x}')}"]
    if code < 0x100:
        escapes += [f"x{_hex(f'{code:02x}')}", f"0{{0,2}}{code:o}"]
    escapes.append(rf"0{{0,4}}{_hex(f'{code:x}')}(?:[ \t\n]|(?![0-9a-fA-F]))")  # of CSS
    if char in _JS_ESCAPES:
        escapes.append(_JS_ESCAPES[char])
    spellings = [
        f"&(?:amp;){{0,4}}(?:{'|'.join(entities)})",
        f"{_BACKSLASHES}(?:{'|'.join(escapes)})",
        *(_bytes_after(f"{_BACKSLASHES}x", data) for data in encoded if len(data) > 1),
        *(_bytes_after("%(?:25){0,4}", data) for data in encoded),
        *(_bytes_after("=", data, _SOFT_BREAK) for data in encoded),
        "".join(f"%(?:25){{0,4}}[uU]{_hex(f'{unit:04x}')}" for unit in _units(char)),
    ]
    if code >= 0x10000:
        spellings.append("".join(f"{_BACKSLASHES}u{_hex(f'{unit:x}')}" for unit in _units(char)))
    if char == " ":
        spellings.append(r"\+")
    if char == "\\":
        spellings.append(_BACKSLASHES)
    # The longest first: "&" is also the beginning of its own "&amp;".
    spellings = [*spellings, *literals] if char in MARKS else [*literals, *spellings]
    return f"(?:{'|'.join(spellings)})"


def _encode(char: str, encoding: str) -> bytes:
    return char.encode(encoding, "surrogatepass" if encoding == "utf-8" else "ignore")


def _hex(digits: str) -> str:
    """Return an expression for a hexadecimal number in upper and lower case."""
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)


def _bytes_after(prefix: str, data: bytes, between: str = "") -> str:
    """Return an expression for bytes in hexadecimal digits, each after ``prefix``."""
    return between.join(f"{prefix}{_hex(f'{byte:02x}')}" for byte in data)


def _units(char: str) -> list[int]:
    """Return the UTF-16 code units of a character, which JavaScript writes."""
    data = char.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


def _entity_names() -> dict[int, set[str]]:
    names: dict[int, set[str]] = {}
    for name, text in html.entities.html5.items():
        if len(text) == 1:
            names.setdefault(ord(text), set()).add(name.rstrip(";"))
    return names


_NAMES = _entity_names()


def _in_base64(secret: str, binary: bool) -> Iterator[str]:
    """Yield expressions for the secret within base64, at each of the three places in a group.

    Only characters that depend on nothing but the secret are part of them.
    """
    texts = {secret, json.dumps(secret)[1:-1]}
    encodings = ("utf-8", "latin-1", "utf-16-le")
    for data in sorted({_encode(text, encoding) for text in texts for encoding in encodings}):
        for offset in range(3):
            digits = base64.b64encode(bytes(offset) + data).decode()
            first, end = -(-offset * 8 // 6), (offset + len(data)) * 8 // 6
            piece = digits[first:end]
            if len(piece) >= MIN_BASE64:
                yield _LINE_END.join(_base64_digit(digit, binary) for digit in piece)


def _in_hexadecimal(secret: str) -> Iterator[str]:
    """Yield expressions for the bytes of the secret in hexadecimal digits."""
    for data in sorted({_encode(secret, encoding) for encoding in ("utf-8", "latin-1")}):
        if len(data) >= MIN_HEX:
            yield _bytes_after("", data)


def _base64_digit(digit: str, binary: bool) -> str:
    if digit in "+/":  # in a URL, "-" and "_" stand for them
        return f"(?:{_spelling(digit, binary)}|{'-' if digit == '+' else '_'})"
    return digit
