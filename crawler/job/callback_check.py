"""Callbacks between two runs: what pending requests are waiting for must still be in the spider.

Each run keeps what methods the spider had, and what arguments they took. Where one is gone or takes
others, the next run asks every pending request whether it is concerned; else it asks none.
"""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Any

import msgspec

from crawler.errors import SpiderError
from crawler.spider import Spider
from crawler.store.protocols import Store

_KEPT = "callbacks"


class _Wanted(msgspec.Struct):
    """What a request wants of the spider."""

    callback: str = "parse"
    cb_kwargs: dict[str, Any] = {}


_wanted_of = msgspec.msgpack.Decoder(_Wanted).decode


def keep_callbacks(store: Store, spider: type[Spider]) -> None:
    """Remember what methods ``spider`` has; part of a transaction."""
    store.meta.set(_KEPT, _signatures(spider))


def check_callbacks(store: Store, spider: type[Spider]) -> None:
    """Raises SpiderError when pending requests name callbacks that it cannot call any more."""
    before, now = store.meta.get(_KEPT, {}), _signatures(spider)
    changed = {name for name, text in before.items() if now.get(name) != text}
    if not changed:
        return
    concerned: Counter[str] = Counter()
    for request in store.queue.requests():
        wanted = _wanted_of(request)
        if wanted.callback in changed and (why := _mismatch(spider, wanted)):
            concerned[why] += 1
    if concerned:
        told = ", ".join(f"{count:,} {why}" for why, count in concerned.most_common())
        raise SpiderError(
            f"{spider.__name__} has changed, and the job has requests that it cannot take: {told}; "
            "put that back, or start again with --fresh"
        )


def _mismatch(spider: type[Spider], wanted: _Wanted) -> str:
    """What is wrong with a callback for a request; empty when nothing is."""
    method = getattr(spider, wanted.callback, None)
    if not callable(method):
        return f"for {wanted.callback}(), which is gone"
    plain = inspect.getattr_static(spider, wanted.callback)
    is_static = isinstance(plain, (staticmethod, classmethod))
    given = (None,) if is_static else (None, None)  # the response; before it, the spider
    try:
        inspect.signature(method).bind(*given, **wanted.cb_kwargs)
    except TypeError as error:
        return f"for {wanted.callback}(): {error}"
    return ""


def _signatures(spider: type[Spider]) -> dict[str, str]:
    """The spider's methods, and the names of their arguments."""
    found = {}
    for name in dir(spider):
        if not name.startswith("__") and callable(getattr(spider, name)):
            found[name] = _arguments(getattr(spider, name))
    return found


def _arguments(function: Any) -> str:
    """Names and kinds, and which may be left out; not the types, which change nothing."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ""
    return ", ".join(
        f"{int(one.kind)} {one.name} {one.default is one.empty:d}" for one in parameters
    )
