"""Check a request when a spider yields it: its fields must be the plain values that they mean.

A request crosses processes, and is stored, as data. A wrong value in it that comes to light later
would fail where no callback is left to blame.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from crawler import urls
from crawler.errors import SpiderError
from crawler.request import MOST_PRIORITY, Request, packed, unpacked
from crawler.values.plain import (
    checked,
    cookie_pairs,
    data_of,
    fields,
    flag,
    kind_of,
    line_of,
    message_of,
    shown,
    text_of,
    whole_number,
)

_FLAGS = ("safe", "replay", "dont_filter", "idempotent")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def check_request(request: Request) -> None:
    """Give ``request`` the plain values that its fields mean.

    Raises SpiderError with a sentence that names the field and its value if there is no such value.
    """
    request.url = checked(f"a request has url={shown(request.url)}", _url, request.url)
    place = f"the request for {urls.redacted(request.url)[:200]}"
    _check_text(request, place)
    _check_numbers(request, place)
    _check_parts(request, place)
    _check_whole(request, place)


def stored_request(data: bytes) -> Request:
    """Return the request in the bytes that the store has.

    An earlier version may have stored wrong values; they are checked as if they were yielded now.
    Raises SpiderError if they mean nothing.
    """
    try:
        return unpacked(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        request = _recovered(data)
        if request is None:
            raise SpiderError(f"the stored request is unreadable: {message_of(error)}") from None
    check_request(request)
    if urls.normalise(request.url) is None:
        raise SpiderError(f"the stored request for {shown(request.url)} has no http(s) URL")
    return request


def _recovered(data: bytes) -> Request | None:
    """Return the fields of a stored request, whatever their types are; None if it has none."""
    try:
        values = msgspec.msgpack.decode(data)
        values = {name: value for name, value in values.items() if name in _FIELDS}
        for name in _INTERNAL & values.keys():
            values[name] = msgspec.convert(values[name], _FIELDS[name].type)
        return Request(**values)
    except (msgspec.MsgspecError, AttributeError, TypeError, ValueError, RecursionError):
        return None


_FIELDS = {field.name: field for field in msgspec.structs.fields(Request)}
_INTERNAL = frozenset({"asked", "first_tried", "first", "history", "form"})


def _url(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float)):
        raise SpiderError(
            "it must be an absolute http(s) URL; response.follow() resolves relative ones"
        )
    # The URL classes of other libraries say themselves with str().
    value = value if isinstance(value, (str, bytes)) else str(value)
    return str.__str__(value) if isinstance(value, str) else value.decode("utf-8", "replace")


def _check_text(request: Request, place: str) -> None:
    request.callback = _checked(request, place, "callback", text_of)
    request.method = _checked(request, place, "method", _method)
    request.account = "" if request.account is None else request.account
    request.account = _checked(request, place, "account", text_of)


def _method(value: Any) -> str:
    method = line_of(value).upper()
    if not _METHOD.fullmatch(method):
        raise SpiderError('it must be a method of HTTP, such as "POST"')
    return method


def _check_numbers(request: Request, place: str) -> None:
    request.priority = _checked(request, place, "priority", _priority)
    for name in ("depth", "tries"):
        setattr(request, name, _checked(request, place, name, whole_number))
    for name in _FLAGS:
        setattr(request, name, _checked(request, place, name, flag))


def _priority(value: Any) -> int:
    number = whole_number(value)
    if abs(number) > MOST_PRIORITY:
        raise SpiderError("it must be between -2**62 and 2**62")
    return number


def _check_parts(request: Request, place: str) -> None:
    if request.headers is not None:
        request.headers = fields(request.headers, f"the headers of {place}")
    if request.cookies is not None:
        request.cookies = cookie_pairs(request.cookies, f"the cookies of {place}")
    if request.cb_kwargs is not None:
        request.cb_kwargs = _checked(request, place, "cb_kwargs", _arguments)
    if request.data is not None:
        request.data = _checked(request, place, "data", _data)


def _arguments(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise SpiderError('it must be a dict: {"name": value}')
    if not all(isinstance(name, str) for name in value):
        raise SpiderError("its keys must be the names of arguments")
    return {str.__str__(name): part for name, part in value.items()}


def _data(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str):
        return text_of(value)
    if isinstance(value, Mapping):
        return dict(value.items())
    if isinstance(value, (list, tuple)) and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in value
    ):
        return [list(pair) for pair in value]
    raise SpiderError("it must be the fields of a form, text or bytes; for JSON there is json=…")


def _check_whole(request: Request, place: str) -> None:
    """Encode and decode the rest, as the store and other processes will."""
    for name in ("cb_kwargs", "data", "json"):
        value = getattr(request, name)
        if value is not None:
            wrong = f"{place} has {name}={kind_of(value)}"  # not shown: it may be a password
            setattr(request, name, checked(wrong, data_of, value))
    if request.form is not None:
        request.form.given = checked(f"{place} has form values", data_of, request.form.given)
    try:
        if request.json is not None:
            json.dumps(request.json, allow_nan=False)
        unpacked(packed(request))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise SpiderError(f"{place} cannot be kept: {message_of(error)}") from None


def _checked(request: Request, place: str, name: str, take: Callable[[Any], Any]) -> Any:
    value = getattr(request, name)
    return checked(f"{place} has {name}={shown(value)}", take, value)
