"""Check that a changed spider still has the callbacks that pending requests name.

Each run records the methods of the spider with their arguments. If a method is missing or takes
other arguments, the next run checks every pending request; otherwise it checks none.
"""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Any

import msgspec

from crawler.errors import SpiderError
from crawler.spider import Spider
from crawler.store.protocols import Store

_META_NAME = "callbacks"


class _Call(msgspec.Struct):
    """The callback that a request names, and its arguments."""

    callback: str = "parse"
    cb_kwargs: dict[str, Any] = {}


_call_of = msgspec.msgpack.Decoder(_Call).decode


def save_callbacks(store: Store, spider: type[Spider]) -> None:
    """Record the methods of ``spider``; part of a transaction."""
    store.meta.set(_META_NAME, _signatures(spider))


def check_callbacks(store: Store, spider: type[Spider]) -> None:
    """Raise SpiderError if pending requests name callbacks that the spider no longer has."""
    before, now = store.meta.get(_META_NAME, {}), _signatures(spider)
    changed = {name for name, text in before.items() if now.get(name) != text}
    if not changed:
        return
    mismatches: Counter[str] = Counter()
    for request in store.queue.requests():
        try:
            call = _call_of(request)
        except (msgspec.MsgspecError, ValueError):
            continue  # it will fail alone, with its cause
        if call.callback in changed and (mismatch := _mismatch(spider, call)):
            mismatches[mismatch] += 1
    if mismatches:
        counts = ", ".join(f"{count:,} {mismatch}" for mismatch, count in mismatches.most_common())
        raise SpiderError(
            f"{spider.__name__} has changed, and the job has requests that it cannot take: "
            f"{counts}; put that back, or start again with --fresh"
        )


def _mismatch(spider: type[Spider], call: _Call) -> str:
    """Return why the spider cannot take a call; empty if it can."""
    method = getattr(spider, call.callback, None)
    if not callable(method):
        return f"for {call.callback}(), which no longer exists"
    plain = inspect.getattr_static(spider, call.callback)
    is_static = isinstance(plain, (staticmethod, classmethod))
    positional = (None,) if is_static else (None, None)  # the response; before it, the spider
    try:
        inspect.signature(method).bind(*positional, **call.cb_kwargs)
    except TypeError as error:
        return f"for {call.callback}(): {error}"
    return ""


def _signatures(spider: type[Spider]) -> dict[str, str]:
    """Return the spider's methods, and the names of their arguments."""
    signatures = {}
    for name in dir(spider):
        if not name.startswith("__") and callable(getattr(spider, name)):
            signatures[name] = _arguments(getattr(spider, name))
    return signatures


def _arguments(function: Any) -> str:
    """Return names and kinds, and which are optional; not the types, which change nothing."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ""
    return ", ".join(
        f"{int(parameter.kind)} {parameter.name} {parameter.default is parameter.empty:d}"
        for parameter in parameters
    )
