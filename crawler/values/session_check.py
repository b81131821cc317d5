"""Check what a spider has set on a session: its headers, its state and its settings.

A session is stored, and goes to other processes, as data; and a setting of a wrong type would fail
at each of its pages. So ``prepare``, ``login`` and callbacks are checked at their end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from urllib3 import Timeout

from crawler.errors import SpiderError
from crawler.values.plain import checked, data_of, fields, kind_of, shown, text_of


def checked_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a session's settings that have to be others, with what they mean.

    Raises SpiderError with a sentence that names the setting. Values are not shown, as they may be
    passwords.
    """
    changed = {}
    for name, value in values.items():
        if name in SETTINGS:
            taken = checked(f"session.{name} is {kind_of(value)}", SETTINGS[name], value)
            if taken is not value:
                changed[name] = taken
    return changed


def checked_headers(headers: Any) -> dict[str, str | None]:
    """Return the headers of a session as plain text. Raises SpiderError."""
    return fields(headers, "session.headers")


def checked_state(state: Any) -> dict[str, Any]:
    """Return a copy of ``session.state``, as it is stored. Raises SpiderError."""
    if not isinstance(state, Mapping):
        raise SpiderError(f"session.state is {kind_of(state)}, but it must be a dict")
    copy: dict[str, Any] = checked(f"session.state is {kind_of(state)}", data_of, state)
    for name in copy:
        if not isinstance(name, str):
            raise SpiderError(f"session.state has the key {shown(name)}, but it must be text")
    return copy


def _auth(value: Any) -> Any:
    if value is None or callable(value):
        return value
    if isinstance(value, (tuple, list)) and len(value) == 2:
        plain = tuple(map(text_of, value))
        return value if value == plain else plain
    raise SpiderError("it must be a pair of user and password, or an object of requests.auth")


def _proxies(value: Any) -> Any:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and isinstance(proxy, (str, type(None)))
        for name, proxy in value.items()
    ):
        raise SpiderError('it must be a dict such as {"https": "http://proxy.example:3128"}')
    return value


def _verify(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str, os.PathLike)):
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise SpiderError("it must be True, False or the path of a file of certificates")


def _cert(value: Any) -> Any:
    pair = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value,)
    if value is None or all(isinstance(path, (str, os.PathLike)) for path in pair):
        return value
    raise SpiderError("it must be the path of a certificate, or a pair of its path and its key's")


def _params(value: Any) -> Any:
    if value is None:
        return {}
    if isinstance(value, (str, bytes, Mapping)) or _is_pairs(value):
        return value
    raise SpiderError('it must be a dict such as {"lang": "en"}')


def _is_pairs(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in value
    )


def _hooks(value: Any) -> Any:
    if value is None:
        return {"response": []}
    if not isinstance(value, Mapping):
        raise SpiderError('it must be a dict such as {"response": [function]}')
    hooks = value.get("response")
    if hooks is None:
        return {**value, "response": []}
    if not callable(hooks) and not (isinstance(hooks, (list, tuple)) and all(map(callable, hooks))):
        raise SpiderError('it must have functions as "response"')
    return value


def _timeout(value: Any) -> Any:
    parts = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value,)
    if isinstance(value, Timeout) or all(
        part is None or (isinstance(part, (int, float)) and part > 0) for part in parts
    ):
        return tuple(value) if isinstance(value, list) else value
    raise SpiderError("it must be a number of seconds, or a pair of them")


def _max_redirects(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise SpiderError("it must be a whole number")
    return value


SETTINGS: dict[str, Callable[[Any], Any]] = {
    "auth": _auth,
    "proxies": _proxies,
    "verify": _verify,
    "cert": _cert,
    "params": _params,
    "hooks": _hooks,
    "timeout": _timeout,
    "max_redirects": _max_redirects,
}
"""The settings of a session that are checked, each by a function that returns what it means."""
