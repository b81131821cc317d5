"""Settings: every name, every default, and the sources of values.

Later sources win: the defaults here, ``[tool.crawler]`` in ``pyproject.toml``, class attributes
of the spider, ``-s NAME=VALUE`` on the command line. An unknown name is an error.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from crawler.errors import SettingsError
from crawler.scope import DenyList
from crawler.system_errors import most_handles

VERSION = "0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a job. Times are in seconds, sizes in bytes; ``None`` means no limit."""

    # Politeness
    delay: float = 1.0
    """Least time between two requests to a host; a longer crawl-delay in robots.txt wins."""
    concurrency_per_host: int = 1
    """Requests at one host at the same time."""
    obey_robots: bool = True
    """Read robots.txt first and obey it, its crawl-delay included."""
    user_agent: str = f"crawler/{VERSION} (a web crawler in Python)"
    """Sent with every request; its first word selects the rules in robots.txt."""

    # Size of the crawl
    concurrency: int | None = None
    """Requests at the same time, over all hosts; ``None`` is as many as this machine allows."""
    workers: int | None = None
    """Worker processes; ``None`` is one per core, 0 runs everything in the calling process."""
    max_pages: int | None = None
    """Stop after this many pages."""
    max_pages_per_host: int | None = 1_000_000
    """Requests to one host, failed ones included."""
    max_depth: int | None = 10_000
    """Links to follow from a seed; 0 fetches only the seeds."""
    max_requests_per_page: int | None = 50_000
    """New requests from one page."""
    max_url_length: int | None = 2_048
    """Characters of a URL, seeds excepted."""
    max_repeated_segments: int | None = 3
    """The number of times that a segment may occur in the path of a URL, seeds excepted."""
    deny: tuple[str, ...] = ()
    """Regular expressions, or shapes, of URLs that are not requested, seeds excepted."""
    allow_private: bool = False
    """Send requests to private, loopback and other local addresses that are not seeds."""

    # Unsafe links in a job that logs in
    follow_logout: bool = False
    """Follow links that seem to log out."""
    follow_destructive: bool = False
    """Follow links that seem to change something."""

    # One fetch
    timeout: float = 60.0
    """For a whole response, from the first byte sent to the last received."""
    connect_timeout: float = 10.0
    """To open a connection."""
    read_timeout: float = 30.0
    """Between two parts of a response."""
    max_body: int = 32 * 1024 * 1024
    """Size of a response's body, decoded; a larger one fails its request."""
    max_redirects: int = 20
    """Redirects in a row before a request fails."""
    accept_status: tuple[int, ...] = ()
    """Status codes of 400 and above whose responses go to the callback instead of failing."""

    # Retries
    retries: int = 3
    """Retries after a timeout, a broken connection or a status in ``retry_status``."""
    retry_status: tuple[int, ...] = (408, 413, 429, 500, 502, 503, 504, 522, 524)
    """Status codes that are retried."""
    retry_wait: float = 1.0
    """Wait before the first retry; doubles with each further one."""
    robots_wait: float | None = 300.0
    """The longest wait of an otherwise idle run for an unavailable robots.txt."""
    max_retry_wait: float = 21_600.0
    """Longest wait that a server may ask for with Retry-After."""

    # Running
    commit_interval: float = 0.2
    """Longest time that finished pages wait for the commit that makes them durable."""
    stop_timeout: float = 10.0
    """The longest wait of a stop for the requests in flight."""
    callback_timeout: float | None = 600.0
    """The longest time of a callback; then its worker is ended and the page is failed."""
    worker_max_memory: int | None = 2 * 1024**3
    """Memory of a worker process; a larger one finishes its requests and is replaced (Linux)."""
    log_level: str = "info"
    """``debug`` writes the head of each request and response to ``run.log``, without secrets."""

    def __post_init__(self) -> None:
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= least:  # also refuses NaN
                raise SettingsError(f"setting {name} is {value}, but must be at least {least}")
        for name in ("timeout", "connect_timeout", "read_timeout"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"setting {name} must be more than 0 seconds")
        DenyList(self.deny)
        if self.log_level not in ("info", "debug"):
            raise SettingsError(
                f'setting log_level is "{self.log_level}": it must be info or debug'
            )
        agent = self.user_agent
        if (
            not agent.strip()
            or not agent.isprintable()
            or agent.encode("latin-1", "ignore") != (agent.encode("latin-1", "replace"))
        ):
            raise SettingsError("setting user_agent must be one line of printable text in Latin-1")

    @property
    def worker_count(self) -> int:
        """Worker processes to start: ``workers``, or one for each core of this process."""
        return usable_cores() if self.workers is None else self.workers

    @property
    def most_requests(self) -> int:
        """Requests at the same time: ``concurrency``, or what this machine allows."""
        return most_connections() if self.concurrency is None else self.concurrency


_AT_LEAST: dict[str, float] = {
    "delay": 0,
    "concurrency_per_host": 1,
    "concurrency": 1,
    "workers": 0,
    "max_pages": 1,
    "max_pages_per_host": 1,
    "max_depth": 0,
    "max_requests_per_page": 1,
    "max_url_length": 1,
    "max_repeated_segments": 1,
    "max_body": 1,
    "max_redirects": 0,
    "retries": 0,
    "retry_wait": 0,
    "robots_wait": 0,
    "max_retry_wait": 0,
    "commit_interval": 0,
    "stop_timeout": 0,
    "callback_timeout": 0.01,
    "worker_max_memory": 1,
}

_TYPES: dict[str, Any] = get_type_hints(Settings)
_DESCRIPTIONS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    int | None: "a whole number or none",
    float | None: "a number or none",
    tuple[int, ...]: "a list of whole numbers",
    tuple[str, ...]: "a list of regular expressions or shapes of URLs",
}

NAMES: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(Settings))


def ca_bundle() -> str | bool:
    """Return the certificate authorities that the environment names, as requests does, or True."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def may_have_proxies() -> bool:
    """Return False if the environment names no proxy, which requests finds out slowly."""
    if sys.platform in ("win32", "darwin"):  # which have settings of their own
        return True
    return any(name[-6:].lower() == "_proxy" for name in os.environ)


MOST_CONNECTIONS = 10_000
"""Connections that a crawl opens at the most unless a setting says more."""
_SPARE_HANDLES = 128
"""Handles for files, and for what a spider opens."""
_CONNECTION_BYTES = 256 * 1024
"""Memory for a connection and the page that comes by it, generously."""


def most_connections() -> int:
    """Return how many connections this machine allows a process, by its handles and its memory.

    A quarter of the memory is for them.
    """
    handles = most_handles(hard=True)
    by_handles = MOST_CONNECTIONS if handles is None else handles - _SPARE_HANDLES
    by_memory = MOST_CONNECTIONS
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        by_memory = memory // 4 // _CONNECTION_BYTES
    return max(8, min(MOST_CONNECTIONS, by_handles, by_memory))


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def from_pyproject(path: Path) -> dict[str, Any]:
    """Return the table ``[tool.crawler]`` of a ``pyproject.toml``; empty if there is none."""
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    table = document.get("tool", {}).get("crawler", {})
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: [tool.crawler] must be a table of settings")
    return check(table, where=f"[tool.crawler] in {path}")


def from_spider(spider: type) -> dict[str, Any]:
    """Return the settings that a spider class declares as attributes.

    Another attribute is the spider's own, unless it looks like a misspelt setting: that is an
    error, since the setting would silently be ignored.
    """
    values: dict[str, Any] = {}
    for base in reversed(spider.__mro__):
        for name, value in vars(base).items():
            if name in NAMES:
                values[name] = value
            elif _looks_misspelt(name, value):
                near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.87)
                if near and name != near[0] + "s":
                    raise SettingsError(
                        f"{spider.__name__}.{name} is not a setting: did you mean {near[0]}? "
                        "(If it is the spider's own attribute, give it another name.)"
                    )
    return check(values, where=f"spider {spider.__name__}")


def _looks_misspelt(name: str, value: object) -> bool:
    is_plain = isinstance(value, (bool, int, float, str, tuple, list)) or value is None
    return is_plain and not name.startswith("_")


def from_assignments(pairs: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of the command line (``-s NAME=VALUE``)."""
    return check(pairs, where="-s")


def check(values: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return ``values`` converted to the types of their settings.

    Text is parsed (``"0.5"``, ``"true"``, ``"none"``). Raises SettingsError, which names ``where``.
    """
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in _TYPES:
            near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)
            hint = f": did you mean {near[0]}?" if near else f"; there are {', '.join(NAMES)}"
            raise SettingsError(f"{where}: there is no setting {name!r}{hint}")
        checked[name] = _convert(name, value, where)
    return checked


def _convert(name: str, value: Any, where: str) -> Any:
    kind = _TYPES[name]
    if isinstance(value, str):
        if value.strip().lower() in {"none", "null"}:
            value = [] if name == "deny" else None
        elif "tuple" in str(kind):
            value = _patterns(value) if name == "deny" else _list(value)
    try:
        return msgspec.convert(value, kind, strict=not isinstance(value, (str, list)))
    except msgspec.ValidationError:
        raise SettingsError(
            f"{where}: setting {name} cannot be {value!r}; it is {_DESCRIPTIONS[kind]}"
        ) from None


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _patterns(text: str) -> list[str]:
    """Split at commas, but not within brackets or after a backslash: ``a{1,2},b``."""
    parts, closing, escaped = [""], "", False
    for char in text:
        if char == "," and escaped:
            parts[-1] = parts[-1][:-1] + char
        elif char == "," and not closing:
            parts.append("")
        else:
            parts[-1] += char
        if not escaped:
            if closing and char == closing[-1]:
                closing = closing[:-1]
            elif not closing.endswith("]"):
                closing += _CLOSING.get(char, "")
        escaped = char == "\\" and not escaped
    return [part.strip() for part in parts if part.strip()]


_CLOSING = {"(": ")", "[": "]", "{": "}"}


def resolve(*sources: Mapping[str, Any]) -> Settings:
    """Merge checked sources to ``Settings``; the later ones win.

    But the patterns of ``deny`` are those of all sources after one that gives none.
    """
    merged: dict[str, Any] = {}
    for source in sources:
        deny = source.get("deny")
        added = {"deny": (*merged.get("deny", ()), *deny)} if deny else {}
        merged.update({**source, **added})
    return Settings(**merged)
