"""The items of a callback: checked against ``item_type``, and encoded as lines of JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from crawler.errors import ItemError, SpiderError
from crawler.request import Request
from crawler.text import encodable
from crawler.values.plain import message_of, plain, shown, whole_repr


def outputs(result: Any, callback: str) -> Iterable[Any]:
    """Return the items and requests of a callback, which yields them, or returns one or a list."""
    if result is None:
        return ()
    if isinstance(result, Request) or is_item(result):
        return (result,)
    if isinstance(result, (str, bytes)) or not isinstance(result, Iterable):
        raise SpiderError(
            f"{callback}() returned {shown(result)}; a callback yields items and requests, "
            f"or returns one or a list of them; {way_out(result)}"
        )
    return result


def way_out(value: Any) -> str:
    """Return how to write what a wrong result of a callback seems to be meant for."""
    if isinstance(value, (Coroutine, AsyncIterable)):
        if isinstance(value, Coroutine):
            value.close()  # or Python would warn that nothing has awaited it
        return "callbacks are plain functions: def instead of async def"
    if isinstance(value, (list, tuple, set, frozenset, Iterator)):
        return "to yield what is in it: yield from"
    return "to follow a link: yield response.follow(url)"


def is_item(value: Any) -> bool:
    """Return True for a value that can be a line: dict, dataclass, attrs, Struct, pydantic."""
    if isinstance(value, (dict, msgspec.Struct, Mapping)):
        return True
    cls = type(value)
    return (
        dataclasses.is_dataclass(cls)
        or hasattr(cls, "__attrs_attrs__")
        or hasattr(cls, "model_dump")
    )


class ItemWriter:
    """Turns items into lines of JSON in UTF-8, after validation if there is an ``item_type``."""

    def __init__(self, item_type: Any = None) -> None:
        self._repaired = 0
        self._validate = _validator(item_type)
        self._encode = msgspec.json.Encoder(enc_hook=_plain).encode

    def line(self, item: Any) -> bytes:
        """Return ``item`` as a line with its newline. Raises ItemError if it does not fit."""
        return self._line(item if self._validate is None else self._validate(item))

    def pop_repaired(self) -> int:
        """Return the number of lines since the last call with text that had to be replaced."""
        repaired, self._repaired = self._repaired, 0
        return repaired

    def rejected(self, item: Any, url: str, reason: str) -> bytes:
        """Return the line of ``rejected.jsonl`` for an item that does not fit."""
        line = {"url": url, "reason": encodable(reason)}
        try:
            return self._line({**line, "item": item})
        except ItemError:
            return self._line({**line, "item": encodable(whole_repr(item))})

    def _encoded(self, value: Any) -> bytes:
        try:
            return self._encode(value)
        except UnicodeEncodeError:
            plain = msgspec.to_builtins(value, str_keys=True, enc_hook=_plain)
            self._repaired += 1
            return self._encode(_without_surrogates(plain))

    def _line(self, value: Any) -> bytes:
        try:
            line = self._encoded(value)
            # JSON that the spider has encoded itself (msgspec.Raw) may have line ends.
            return (msgspec.json.format(line, indent=-1) if b"\n" in line else line) + b"\n"
        except ItemError:
            raise
        except Exception as error:  # of the item's own methods, too
            raise ItemError(f"the item cannot be written as JSON: {message_of(error)}") from None


def _without_surrogates(value: Any) -> Any:
    """Return plain data with U+FFFD in place of lone surrogates, which UTF-8 has no bytes for.

    Two that are a pair become their character.
    """
    if isinstance(value, str):
        if value.isascii():
            return value
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_surrogates(part) for part in value]
    return value


def _plain(value: Any) -> Any:
    """Convert a value that msgspec cannot encode."""
    if hasattr(type(value), "model_dump"):
        return value.model_dump(mode="json")
    try:
        return plain(value)
    except TypeError:
        raise ItemError(
            f"the item holds a {type(value).__name__}, which JSON cannot express; "
            "convert it, for instance with str() or .text"
        ) from None


def _validator(item_type: Any) -> Callable[[Any], Any] | None:
    """Return the function that converts an item to ``item_type``, or raises ItemError."""
    if item_type is None:
        return None
    if hasattr(item_type, "model_validate"):
        return lambda item: _converted(item, item_type.model_validate)
    plain = partial(msgspec.to_builtins, builtin_types=_NATIVE, enc_hook=_plain)
    fit = partial(msgspec.convert, type=item_type)
    if dataclasses.is_dataclass(item_type):  # msgspec omits fields that have their default
        return lambda item: dataclasses.asdict(_converted(item, lambda item: fit(plain(item))))
    return lambda item: _converted(item, lambda item: fit(plain(item)))


_NATIVE = (bytes, bytearray, datetime, date, time, timedelta, Decimal, UUID)
"""Types that ``item_type`` may ask for, and that msgspec need not take apart."""


def _converted(item: Any, fit: Callable[[Any], Any]) -> Any:
    try:
        return fit(item)
    except (ValueError, TypeError, msgspec.MsgspecError, RecursionError) as error:
        raise ItemError(str(error)) from None
