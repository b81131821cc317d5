"""Take the values that a spider gives for the plain text, numbers and data that they mean.

A string of BeautifulSoup is text, and so is the number of a page in a header; a number of numpy is
a number. Anything else is refused where the spider gives it, in one sentence: further on it would
fail in another process, where no callback is left to blame.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, KeysView, Mapping, ValuesView
from decimal import Decimal
from http.cookiejar import CookieJar
from typing import Any

import msgspec

from crawler.errors import SpiderError
from crawler.scope import is_credential

LONGEST = 60
"""Characters of a value in a message."""
DEEPEST = 5
"""Levels of nested data in which the culprit is looked for."""
SPACE = " \t\r\n"
"""Characters around the value of a header or cookie that browsers strip."""
_BREAKS = re.compile("[\0-\x08\x0a-\x1f\x7f]")
_FIELD = re.compile(r"[^\s:][^:]*")
_SERIES = (deque, range, KeysView, ValuesView)


def kind_of(value: object) -> str:
    """Return the type of a value for a message, which may be a secret."""
    return "None" if value is None else f"a value of the type {type(value).__name__}"


def shown(value: object) -> str:
    """Return a value for a message: its text up to a limit, and its type. Never raises."""
    return "None" if value is None else f"{type(value).__name__} {cut_repr(value)}"


def cut_repr(value: object) -> str:
    """Return what ``repr`` does in one line, up to a limit. Never raises."""
    text = " ".join(whole_repr(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def whole_repr(value: object) -> str:
    """Return what ``repr`` does, or that it fails. Never raises."""
    try:
        return repr(value)
    except BaseException as error:  # of the user's own class
        return f"(repr() raises {type(error).__name__})"


def message_of(error: BaseException) -> str:
    """Return the text of an exception, which may be one that cannot say it. Never raises."""
    try:
        return str(error)
    except BaseException as second_error:
        return f"(its text cannot be shown: str() raises {type(second_error).__name__})"


# Text


def text_of(value: Any, encoding: str = "utf-8") -> str:
    """Return text or a number as plain text. Raises SpiderError for anything else."""
    value = _native(value)
    if isinstance(value, str):
        text = str.__str__(value)
    elif isinstance(value, (bytes, bytearray)):
        text = bytes(value).decode(encoding, "surrogateescape")
    elif isinstance(value, bool):
        raise SpiderError("it must be text")
    elif isinstance(value, int):
        text = _digits(value)
    elif isinstance(value, float) and math.isfinite(value):
        text = float.__repr__(value)
    elif isinstance(value, Decimal) and value.is_finite():
        text = Decimal.__str__(value)
    else:
        raise SpiderError("it must be text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SpiderError("it has half of a character, which cannot be sent") from None
    return text


def line_of(value: Any) -> str:
    """Return one line of text, as the value of a header or cookie, without space around it."""
    text = text_of(value, "latin-1").strip(SPACE)
    if _BREAKS.search(text):
        raise SpiderError("it must be one line of text, without control characters")
    return text


def field_name(value: Any) -> str:
    """Return the name of a header."""
    name = line_of(value) if isinstance(value, (str, bytes)) else ""
    if not _FIELD.fullmatch(name) or not name.isascii():
        raise SpiderError("the name of a header must be a word of ASCII characters")
    return name


def field_value(value: Any) -> str | None:
    """Return the value of a header; None omits the header, as in requests."""
    if value is None:
        return None
    line = line_of(value)
    try:
        line.encode("latin-1")
    except UnicodeEncodeError:
        raise SpiderError("a header has characters of Latin-1 only; encode others first") from None
    return line


def fields(headers: Any, place: str) -> dict[str, str | None]:
    """Return headers as plain text. Raises SpiderError with a sentence that begins with ``place``.

    The values of credentials are not shown.
    """
    if not isinstance(headers, Mapping):
        raise SpiderError(f'{place}: {shown(headers)} is no dict, such as {{"Accept": "*/*"}}')
    return {
        checked(f"{place}: the name is {shown(name)}", field_name, name): checked(
            f"{place}: {_pair(name, value)}", field_value, value
        )
        for name, value in headers.items()
    }


def _pair(name: Any, value: Any) -> str:
    is_secret = is_credential(str(name)) or str(name).lower() == "cookie"
    return f"{cut_repr(name)} is {kind_of(value) if is_secret else shown(value)}"


def cookie_pairs(cookies: Any, place: str) -> dict[str, str]:
    """Return the names and values of cookies as plain text, as ``fields`` does for headers."""
    if isinstance(cookies, CookieJar):
        cookies = {cookie.name: cookie.value or "" for cookie in cookies}
    if not isinstance(cookies, Mapping):
        raise SpiderError(
            f'{place}: {kind_of(cookies)} is no dict, such as {{"lang": "en"}}; a line of '
            'cookies goes into headers={"Cookie": …}'
        )
    return {
        checked(f"{place}: the name is {shown(name)}", line_of, name): checked(
            f"{place}: {cut_repr(name)} is {kind_of(value)}", line_of, value
        )
        for name, value in cookies.items()
    }


def checked(place: str, take: Callable[[Any], Any], value: Any) -> Any:
    """Return ``take(value)``. Raises SpiderError with a sentence that begins with ``place``."""
    try:
        return take(value)
    except SpiderError as error:
        raise SpiderError(f"{place}, but {error}") from None
    except Exception as error:  # of the value's own methods
        raise SpiderError(f"{place}, which raises {type(error).__name__}") from None


# Numbers


def whole_number(value: Any) -> int:
    """Return a whole number that the store can keep."""
    value = _native(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SpiderError("it must be a whole number")
    if not -(2**63) < value < 2**63:
        raise SpiderError("it must be a whole number between -2**63 and 2**63")
    return int(value)


def flag(value: Any) -> bool:
    """Return True or False; 1 and 0 are taken for them."""
    value = _native(value)
    if not isinstance(value, (bool, int)) or value not in (0, 1):
        raise SpiderError("it must be True or False")
    return bool(value)


def _digits(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # Python writes 4,300 digits at the most
        raise SpiderError("it must be text, or a number of fewer digits") from None


def _native(value: Any) -> Any:
    """Return a number of numpy or the like as one of Python's own."""
    kind = type(value)
    if hasattr(kind, "dtype") and hasattr(kind, "item"):
        try:
            return value.item()
        except Exception:  # an array of several
            return value
    return value


# Data


def plain(value: Any) -> Any:
    """Return a value that msgspec cannot encode as one that it can, for its ``enc_hook``.

    Raises TypeError for all that is not plain data.
    """
    if isinstance(value, str):  # BeautifulSoup's strings are a subclass
        return str.__str__(value)
    native = _native(value)
    if isinstance(native, int):
        return int(native)
    if isinstance(native, float):
        return float(native)
    if isinstance(native, (bytes, bytearray)):
        return bytes(native)
    if isinstance(value, Mapping):
        return dict(value.items())
    if isinstance(value, _SERIES):
        return list(value)
    raise TypeError(f"it contains {kind_of(value)}")


_packed = msgspec.msgpack.Encoder(enc_hook=plain).encode
_unpacked = msgspec.msgpack.Decoder().decode


def data_of(value: Any) -> Any:
    """Return a copy of plain data: text, numbers, lists and dicts.

    Raises SpiderError for anything else, which would not survive a restart.
    """
    try:
        return _unpacked(_packed(_in_order(value)))
    except RecursionError:
        raise SpiderError("it contains itself, or is nested too deeply") from None
    except Exception as error:
        where = _culprit(value)
        raise SpiderError(
            f"{where or 'it'} must be plain data such as text, numbers, lists and dicts "
            f"({message_of(error)})"
        ) from None


def _in_order(value: Any) -> Any:
    """Return data with lists in the place of sets, whose order is another one in each run."""
    if isinstance(value, (set, frozenset)):
        return sorted(map(_in_order, value), key=repr)
    if type(value) is dict:
        return {name: _in_order(part) for name, part in value.items()}
    return list(map(_in_order, value)) if type(value) in (list, tuple) else value


def _culprit(value: Any, path: str = "") -> str:
    """Return the place of the part of ``value`` that is no plain data, such as ``['a'][0]``."""
    if isinstance(value, Mapping):
        parts = list(value.items())
    elif isinstance(value, (list, tuple)):
        parts = list(enumerate(value))
    else:
        return path
    for name, part in parts:
        try:
            _packed(part)
        except Exception:
            place = f"{path}[{cut_repr(name)}]"
            return _culprit(part, place) if path.count("[") < DEEPEST else place
    return path
