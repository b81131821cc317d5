"""Spiders that yield, set, return and raise anything at all: no run ends before its pages have.

Each page has come, with its item, or has failed with a cause; and a second run of the job ends too.
"""

from __future__ import annotations

import functools
import tempfile
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from crawler import Request, Spider
from crawler.engine.engine import run
from crawler.errors import FetchError, LoginError
from crawler.stats import Snapshot, Summary
from tests.jobs import items, plan, rows
from tests.sites import PATIENCE, Site, Visit, links

SOUP = BeautifulSoup("<p class='a'>token<b>x</b></p>", "lxml")
PAGES = [f"/{number}" for number in range(1, 6)]


class HostileError(Exception):
    """An error that cannot be shown, compared or hashed."""

    def _refuse(self, *_: object) -> Any:
        raise ZeroDivisionError

    __repr__ = __str__ = __eq__ = __hash__ = __bool__ = __iter__ = __len__ = _refuse


class Color(Enum):
    RED = "red"
    LOOP = 1


class Level(IntEnum):
    HIGH = 3


class NumpyLike:
    """A number as numpy has it."""

    dtype = "float64"

    def __init__(self, value: Any) -> None:
        self._value = value

    def item(self) -> Any:
        return self._value


class Struct(msgspec.Struct):
    value: Any


LIST_LOOP: list[Any] = []
LIST_LOOP.append(LIST_LOOP)
DICT_LOOP: dict[str, Any] = {}
DICT_LOOP["self"] = DICT_LOOP
DEEP: list[Any] = []
for _ in range(5_000):
    DEEP = [DEEP]


class Odd(NamedTuple):
    """The name of a value that is made when a spider uses it: it may be one that none can show."""

    name: str


def first(selector: str) -> Any:
    """Return an element of a page."""
    return SOUP.select_one(selector)


MAKERS: dict[str, Callable[[], Any]] = {
    "object": object,
    "hostile": HostileError,
    "class": lambda: dict,
    "loop of lists": lambda: LIST_LOOP,
    "loop of dicts": lambda: DICT_LOOP,
    "deep": lambda: DEEP,
    "tag": lambda: first("p"),
    "string of BeautifulSoup": lambda: first("b").string,
    "generator": lambda: (x for x in "ab"),
    "generator that raises": lambda: (1 / x for x in (1, 0)),
    "iterator": lambda: iter([1]),
    "function": lambda: print,
    "partial": lambda: functools.partial(print, 1),
    "numpy's": lambda: NumpyLike(1),
    "numpy's nan": lambda: NumpyLike(float("nan")),
    "decimal": lambda: Decimal("1.5"),
    "decimal nan": lambda: Decimal("NaN"),
    "uuid": lambda: uuid.UUID(int=1),
    "huge": lambda: 10**5_000,
    "complex": lambda: 1j,
    "enum": lambda: Color.RED,
    "int enum": lambda: Level.HIGH,
    "datetime": lambda: datetime(2020, 1, 1, tzinfo=UTC),
    "timedelta": lambda: timedelta(1),
    "path": lambda: Path("a"),
    "bytearray": lambda: bytearray(b"a"),
    "memoryview": lambda: memoryview(b"a"),
    "range": lambda: range(3),
    "set": lambda: {1, "a"},
    "deque": lambda: deque([1]),
    "ordered": lambda: OrderedDict(a=1),
    "headers": lambda: CaseInsensitiveDict(a="1"),
    "keys": lambda: {}.keys(),
    "struct": lambda: Struct(1),
    "struct of hostile": lambda: Struct(HostileError()),
    "unset": lambda: msgspec.UNSET,
    "request": lambda: Request("http://a.example/"),
    "ellipsis": lambda: Ellipsis,
}
"""Makers of values that are no plain data, or are so only in part."""
ERRORS: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("x"),
    "HostileError": HostileError,
    "SystemExit": lambda: SystemExit(1),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "StopIteration": StopIteration,
    "RecursionError": RecursionError,
    "MemoryError": MemoryError,
    "BaseException": lambda: BaseException("x"),
    "FetchError": lambda: FetchError("a", "b"),
    "FetchError of a number": lambda: FetchError(5, None),  # type: ignore[arg-type]
    "LoginError": lambda: LoginError(5),
    "surrogate": lambda: Exception("\ud800"),
    "group": lambda: ExceptionGroup("several", [ValueError()]),
}


def made(value: Any) -> Any:
    """Return ``value`` with what its names stand for."""
    if isinstance(value, Odd):
        return (MAKERS.get(value.name) or ERRORS[value.name])()
    if isinstance(value, dict):
        return {made(name): made(part) for name, part in value.items()}
    return type(value)(map(made, value)) if type(value) in (list, tuple) else value


TEXTS = st.one_of(
    st.sampled_from(
        ["", "a", "token", " spread\n", "a\r\nb: c", "\0", "\ud800", "€", "ä", "a;b=c"]
    ),
    st.text(st.characters(), max_size=5),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 5, 2**62, -(2**63), 2**64]),
    st.floats(),
    TEXTS,
    st.binary(max_size=3),
    st.sampled_from(sorted(MAKERS)).map(Odd),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXTS | st.integers() | st.none(), inner, max_size=2)
    ),
    max_leaves=3,
)
NAMES = (
    *("callback", "method", "data", "json", "priority", "safe", "replay", "dont_filter", "account"),
    *("idempotent", "depth", "tries", "history", "asked", "first", "form"),
)
PAIRS = VALUES | st.dictionaries(TEXTS, VALUES, max_size=2)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(NAMES, VALUES),
        "headers": PAIRS,
        "cookies": PAIRS,
        "cb_kwargs": VALUES | st.dictionaries(st.just("more"), VALUES),
    },
)


class Act(NamedTuple):
    """A thing that a spider does: its kind, a name and a value."""

    kind: str
    name: Any = None
    value: Any = None


NOTHING = st.none()
RETURNED = "return"


def acting(
    kind: str, names: st.SearchStrategy[Any] = NOTHING, values: st.SearchStrategy[Any] = NOTHING
) -> st.SearchStrategy[Act]:
    """Return a strategy for acts of one kind."""
    return st.tuples(st.just(kind), names, values).map(lambda parts: Act(*parts))


ATTRIBUTES = (
    *("headers", "cookies", "state", "auth", "params", "hooks", "verify", "cert"),
    *("max_redirects", "trust_env"),
)
SET = st.one_of(
    acting("header", st.sampled_from(["X-A", "Accept", 5, "a:b"]), VALUES),
    acting("cookie", st.sampled_from(["a", 5, "a\n"]), VALUES),
    acting("state", TEXTS | st.integers(), VALUES),
    acting("set", st.sampled_from(ATTRIBUTES), VALUES),
    acting("proxies", values=LEAVES),
    acting("raise", values=st.sampled_from(sorted(ERRORS)).map(Odd)),
)
ACTS = st.one_of(
    SET,
    acting("yield", values=VALUES),
    acting("request", st.sampled_from(["/more", "/5", "/1"]), FIELDS),
    acting("request to", values=VALUES),
    acting("request of the response"),
)
RETURN = acting(RETURNED, values=VALUES).map(lambda step: [step])


def act(step: Act, session: Any) -> None:
    """Do to a session what ``step`` says."""
    value = made(step.value)
    if step.kind == "header":
        session.headers[step.name] = value
    elif step.kind == "cookie":
        session.cookies[step.name] = value
    elif step.kind == "state":
        session.state[step.name] = value
    elif step.kind == "set":
        setattr(session, step.name, value)
    elif step.kind == "proxies":
        session.proxies = value if isinstance(value, str) else {}
    elif step.kind == "raise":
        raise value


def spider(scripts: dict[str, Any]) -> type[Spider]:
    """Return a spider that does what ``scripts`` say at each page, and in its other methods."""

    class Shop(Spider):
        name = "shop"

        def parse(self, response: Any, **more: Any) -> Any:
            path = urlsplit(response.url).path
            script = scripts.get(path, [])
            if script and script[0].kind == RETURNED:
                return made(script[0].value)
            return self.follow(response, path, script)

        def follow(self, response: Any, path: str, script: list[Act]) -> Iterator[Any]:
            yield {"url": response.url}
            if path == "/0":
                yield from response.follow_all()
            for step in script:
                if step.kind == "yield":
                    yield made(step.value)
                elif step.kind == "request":
                    yield Request(response.urljoin(step.name), **made(step.value))
                elif step.kind == "request to":
                    yield Request(made(step.value))
                elif step.kind == "request of the response":
                    yield response.request
                else:
                    act(step, response.session)

        def failed(self, failure: Any) -> Any:
            for step in scripts.get("failed", []):
                if step.kind == "yield":
                    return made(step.value)
                if step.kind == "raise":
                    raise made(step.value)
            return None

    def doing(name: str) -> Callable[[Spider, Any], None]:
        def method(self: Spider, session: Any) -> None:
            for step in scripts[name]:
                act(step, session)

        return method

    for name in ("prepare", "login"):
        if scripts.get(name) is not None:
            setattr(Shop, name, doing(name))
    return Shop


def crawl(odd: type[Spider], folder: Path, url: str) -> Summary:
    """Run the job, and fail if it does not end."""
    end = time.monotonic() + PATIENCE

    def watch(snapshot: Snapshot) -> None:
        assert time.monotonic() < end, f"the run does not end: {snapshot}"

    config = plan(odd, folder, url, retries=1, timeout=3.0, read_timeout=2.0, callback_timeout=20.0)
    return run(config, watch=watch)


def page(visit: Visit) -> str:
    return links(*PAGES) if visit.path.partition("?")[0] == "/0" else "<form><input name=a></form>"


SCRIPTS = st.fixed_dictionaries(
    {},
    optional={
        **{path: st.lists(ACTS, max_size=3) | RETURN for path in ("/1", "/2", "/3")},
        "failed": st.lists(ACTS, max_size=1),
        "login": st.lists(SET, max_size=2),
        "prepare": st.lists(SET, max_size=1),
    },
)


@given(SCRIPTS)
@settings(max_examples=60)
def test_a_run_ends_and_all_of_its_pages_have_come_or_failed(scripts: dict[str, Any]) -> None:
    with Site(otherwise=page) as site, tempfile.TemporaryDirectory() as name:
        folder, odd = Path(name, "job"), spider(scripts)
        for _ in range(2):  # the second run resumes the first
            summary = crawl(odd, folder, site.url + "/0")
            counters = summary.counters
            assert counters.sequence == counters.done + counters.failed + counters.pending
            assert counters.in_flight == 0
            if counters.pending:
                assert summary.login_errors
                assert counters.reason == "login"
            else:
                check_pages(folder, scripts, counters.failed)
        assert len(rows(folder, "SELECT cause FROM failed WHERE cause = ''")) == 0


def check_pages(folder: Path, scripts: dict[str, Any], failed: int) -> None:
    """Check that each page is an item, unless it has failed."""
    failures = rows(folder, "SELECT url, cause FROM failed")
    assert len(failures) == failed
    # A session may have parameters, which all of its URLs get.
    came = {urlsplit(item["url"]).path for item in items(folder) if "url" in item}
    gone = {urlsplit(url).path for url, _ in failures}
    for path in ["/0", *(PAGES if "/0" in came else [])]:  # the first page links to the others
        if RETURNED not in map(itemgetter(0), scripts.get(path, [])):
            assert path in came | gone, f"{path} is lost"
