"""Items: what a callback may yield, whether it fits ``item_type``, and its line of JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from crawler.errors import ItemError, SpiderError
from crawler.request import Request


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
        if self._validate is not None:
            item = self._validate(item)
        if hasattr(type(item), "model_dump"):
            item = item.model_dump(mode="json")
        try:
            return self._encode(item) + b"\n"
        except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise ItemError(f"the item cannot be written as JSON: {error}") from None

    def rejected(self, item: Any, url: str, reason: str) -> bytes:
        """The line of ``rejected.jsonl`` for an item that does not fit."""
        try:
            line = self.line_of({"url": url, "reason": reason, "item": item})
        except ItemError:
            line = self.line_of({"url": url, "reason": reason, "item": repr(item)})
        return line

    def line_of(self, value: dict[str, Any]) -> bytes:
        """A line that is not checked against ``item_type``."""
        item = value.get("item")
        if hasattr(type(item), "model_dump"):
            value = {**value, "item": item.model_dump(mode="json")}  # type: ignore[union-attr]
        try:
            return self._encode(value) + b"\n"
        except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise ItemError(str(error)) from None


def _plain(value: Any) -> Any:
    """Values that JSON has no word for, as the nearest that it has."""
    if isinstance(value, str):  # BeautifulSoup's strings are a subclass
        return str(value)
    raise ItemError(
        f"the item holds a {type(value).__name__}, which JSON cannot say; "
        "convert it, for instance with str() or .text"
    )


def _validator(item_type: Any) -> Callable[[Any], Any] | None:
    if item_type is None:
        return None
    if hasattr(item_type, "model_validate"):
        return lambda item: _checked(item, item_type, item_type.model_validate)
    return lambda item: _checked(
        item, item_type, lambda value: msgspec.convert(value, item_type, from_attributes=True)
    )


def _checked(item: Any, item_type: Any, convert: Callable[[Any], Any]) -> Any:
    """``item`` as ``item_type``; strings of BeautifulSoup count as strings."""
    try:
        return convert(_with_plain_strings(item) if isinstance(item, dict) else item)
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise ItemError(str(error)) from None


def _with_plain_strings(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {_with_plain_strings(k): _with_plain_strings(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_plain_strings(v) for v in value]
    return value
