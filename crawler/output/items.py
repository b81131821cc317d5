"""Items: what a callback may yield, whether it fits ``item_type``, and its line of JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from crawler.errors import ItemError, SpiderError
from crawler.request import Request
from crawler.text import encodable


def outputs(result: Any, callback: str) -> Iterable[Any]:
    """What a callback gave, as an iterable: it may yield, or return one thing, a list or None."""
    if result is None:
        return ()
    if isinstance(result, Request) or is_item(result):
        return (result,)
    if isinstance(result, (str, bytes)) or not isinstance(result, Iterable):
        raise SpiderError(
            f"{callback}() gave {_kind(result)}; a callback yields items and requests, "
            "or returns one or a list of them"
        )
    return result


def is_item(value: Any) -> bool:
    """True for what can be a line of the output: dict, dataclass, attrs, Struct, pydantic."""
    if isinstance(value, (dict, msgspec.Struct)):
        return True
    kind = type(value)
    return (
        dataclasses.is_dataclass(kind)
        or hasattr(kind, "__attrs_attrs__")
        or hasattr(kind, "model_dump")
    )


def _kind(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


class ItemWriter:
    """Turns items into lines of JSON, UTF-8; validates them where the spider says ``item_type``."""

    def __init__(self, item_type: Any = None) -> None:
        self._validate = _validator(item_type)
        self._encode = msgspec.json.Encoder(enc_hook=_plain).encode

    def line(self, item: Any) -> bytes:
        """``item`` as one line with its newline. Raises ItemError saying what does not fit."""
        return self._line(item if self._validate is None else self._validate(item))

    def rejected(self, item: Any, url: str, reason: str) -> bytes:
        """The line of ``rejected.jsonl`` for an item that does not fit."""
        line = {"url": url, "reason": encodable(reason)}
        try:
            return self._line({**line, "item": item})
        except ItemError:
            return self._line({**line, "item": repr(item)})

    def _line(self, value: Any) -> bytes:
        try:
            line = self._encode(value)
            # JSON that is taken over as it stood (msgspec.Raw) may have line ends of its own.
            return (msgspec.json.format(line, indent=-1) if b"\n" in line else line) + b"\n"
        except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise ItemError(f"the item cannot be written as JSON: {error}") from None


def _plain(value: Any) -> Any:
    """Values that msgspec has no words for, as the nearest that it has."""
    if isinstance(value, str):  # BeautifulSoup's strings are a subclass
        return str(value)
    if hasattr(type(value), "model_dump"):
        return value.model_dump(mode="json")
    raise ItemError(
        f"the item holds a {type(value).__name__}, which JSON cannot say; "
        "convert it, for instance with str() or .text"
    )


def _validator(item_type: Any) -> Callable[[Any], Any] | None:
    """What makes an ``item_type`` of an item, or raises ItemError."""
    if item_type is None:
        return None
    if hasattr(item_type, "model_validate"):
        return lambda item: _fitted(item, item_type.model_validate)
    plain = partial(msgspec.to_builtins, builtin_types=_KEPT, enc_hook=_plain)
    fit = partial(msgspec.convert, type=item_type)
    if dataclasses.is_dataclass(item_type):  # msgspec leaves out fields that have their default
        return lambda item: dataclasses.asdict(_fitted(item, lambda item: fit(plain(item))))
    return lambda item: _fitted(item, lambda item: fit(plain(item)))


_KEPT = (bytes, bytearray, datetime, date, time, timedelta, Decimal, UUID)
"""Types that ``item_type`` may ask for, and that need no taking apart."""


def _fitted(item: Any, fit: Callable[[Any], Any]) -> Any:
    try:
        return fit(item)
    except (ValueError, TypeError, msgspec.MsgspecError, RecursionError) as error:
        raise ItemError(str(error)) from None
