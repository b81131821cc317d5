"""Read seeds, the requests that a crawl starts from, line by line.

A seed list has one URL a line, with ``#`` comments and blank lines; or it is CSV or JSON lines
with a ``url``, whose other columns reach the callback as keyword arguments. The ending of a file
says which (``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson``, ``.json``), otherwise its first line does.
Lists may be of any length: only one line of them is in memory.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from crawler import urls
from crawler.errors import SeedError, SpiderError
from crawler.job.seed_formats import CSV, JSON, BadRow, check_text, rows_of
from crawler.request import Request
from crawler.spider import Spider, callback_signature, check_arguments
from crawler.text import cut, display_path
from crawler.values.plain import cut_repr, message_of
from crawler.values.request_check import check_request

STDIN = "-"
LONGEST_URL = 64 * 1024
"""Characters of a seed; no server accepts more in a URL."""
LONGEST_SHOWN = 200
"""Characters of a bad line that are shown."""
LONGEST_REASON = 1000
"""Characters of the reason why a line is bad."""
_DOMAIN = re.compile(
    r"(localhost|[\w-]+(\.[\w-]+)*\.[^\W\d_]{2,}|\d+(\.\d+){3})(:\d+)?([/?#]\S*)?", re.IGNORECASE
)
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
# Browsers drop white space and encode control characters, which would make one wrong URL of two.
_NOT_IN_A_SEED = re.compile("[\\s\0-\x1f\x7f\udc80-\udcff]")
_TEXT_FILES = frozenset({".txt", ".list", ".lst", ".text", ".urls", ".log", ".gz"}) | CSV | JSON


@dataclass(frozen=True, slots=True)
class BadSeed:
    """A seed that cannot be crawled: its place (``seeds.txt:17``), and the reason."""

    where: str
    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text!r} {self.reason}"


def check(args: Sequence[str]) -> None:
    """Raise SeedError for a seed on the command line that is no URL and no readable file."""
    for arg in args:
        if "://" in arg:
            if urls.normalise(arg) is None:
                raise SeedError(f"{urls.redacted(arg)!r} {_reason(arg)}")
        elif arg != STDIN:
            _check_file(arg)


def check_spider(spider: Spider) -> None:
    """Raise SpiderError for ``start_urls`` that are a string instead of a list."""
    if isinstance(spider.start_urls, str):
        name = type(spider).__name__
        raise SpiderError(f"{name}.start_urls must be a list: write [{spider.start_urls!r}]")


def read(
    args: Sequence[str], spider: Spider, stdin: IO[Any] | None = None
) -> Iterator[Request | BadSeed]:
    """Yield the requests of ``args`` (files, URLs, ``-``); without any, those of the spider.

    Raises SeedError at once for arguments that ``check`` refuses, and SpiderError if the spider
    cannot take the columns of the first row. ``stdin`` is the process's own unless given.
    """
    check(args)
    seeds = _Seeds(spider)
    return seeds.of_arguments(args, stdin) if args else seeds.of_spider()


def identity(args: Sequence[str]) -> list[list[str | int]] | None:
    """Return plain data that changes with the lists, so that unchanged lists are not read again.

    None if only reading can tell: for standard input, pipes and the spider's own seeds.
    """
    if not args or any("://" not in arg and not Path(arg).is_file() for arg in args):
        return None
    return [_identity_of(arg) for arg in args]


def _identity_of(arg: str) -> list[str | int]:
    if "://" in arg:
        return [arg]
    path = Path(arg).absolute()
    about = path.stat()
    return [str(path), about.st_size, about.st_mtime_ns]


def absolute(args: Sequence[str]) -> list[str]:
    """Return ``args`` in a form that means the same from any folder."""
    return [arg if "://" in arg or arg == STDIN else str(Path(arg).absolute()) for arg in args]


class _Seeds:
    """Makes the requests of one spider; caches which columns its callback takes."""

    MOST_CACHED = 1000

    def __init__(self, spider: Spider) -> None:
        self._spider = spider
        self._refusals: dict[tuple[str, ...], str] = {}
        self._has_rows = False

    def of_arguments(
        self, args: Sequence[str], stdin: IO[Any] | None
    ) -> Iterator[Request | BadSeed]:
        for arg in args:
            if "://" in arg:
                yield self._request("command line", arg, {})
            elif arg == STDIN:
                stream: Any = stdin or sys.stdin
                yield from self._of_list(getattr(stream, "buffer", stream), "standard input", "")
            else:
                path = Path(arg)
                with path.open("rb") as file:
                    yield from self._of_list(file, display_path(path), path.suffix.lower())

    def _of_list(self, file: IO[bytes], name: str, suffix: str) -> Iterator[Request | BadSeed]:
        for row in rows_of(file, name, suffix):
            where = f"{name}:{row.line}"
            if isinstance(row, BadRow):
                yield _bad(where, row.text, row.reason)
            else:
                yield self._request(where, row.url, row.columns)

    def of_spider(self) -> Iterator[Request | BadSeed]:
        name = type(self._spider).__name__
        place = "start_urls" if type(self._spider).start is Spider.start else "start()"
        for number, seed in enumerate(_started(self._spider), 1):
            where = f"{name}.{place}, number {number}"
            if isinstance(seed, str):
                yield self._request(where, str.__str__(seed), {})
            elif isinstance(seed, Request):
                yield self._checked(where, seed)
            else:
                yield BadSeed(where, cut_repr(seed), "is no URL and no Request")

    def _request(self, where: str, text: str, columns: dict[str, Any]) -> Request | BadSeed:
        url = _url_of(text)
        if url is None:
            return _bad(where, text, _reason(text))
        reason = self._refusal(tuple(columns))
        if reason:
            return _bad(where, text, reason)
        return Request(url, cb_kwargs=columns or None)

    def _checked(self, where: str, request: Request) -> Request | BadSeed:
        try:
            check_request(request)
        except SpiderError as error:
            return BadSeed(where, cut_repr(request.url), f"cannot be requested: {error}")
        signature = callback_signature(self._spider, request.callback)
        check_arguments(signature, request.callback, request.cb_kwargs or {})
        url = urls.normalise(request.url)
        if url is None:
            return _bad(where, request.url, _reason(request.url))
        request.url = url
        return request

    def _refusal(self, columns: tuple[str, ...]) -> str:
        """Return why the callback does not take these columns; empty if it does.

        Raises SpiderError for those of the first row: later rows will hardly fit either.
        """
        reason = self._refusals.get(columns)
        if reason is None:
            reason = _misfit(self._spider, columns)
            if reason and not self._has_rows:
                raise SpiderError(cut(reason, LONGEST_REASON))
            reason = cut(reason, LONGEST_REASON)
            if len(self._refusals) >= self.MOST_CACHED:
                self._refusals.clear()
            if sum(map(len, columns)) <= LONGEST_REASON:
                self._refusals[columns] = reason
        self._has_rows = True
        return reason


def _misfit(spider: Spider, columns: tuple[str, ...]) -> str:
    """Return why ``parse`` cannot be called with these columns; empty if it can."""
    name = type(spider).__name__
    if type(spider).parse is Spider.parse:
        raise SpiderError(
            f"{name} has no method parse(self, response), which receives the responses to seeds"
        )
    try:
        check_arguments(callback_signature(spider, "parse"), "parse", dict.fromkeys(columns))
    except SpiderError as error:
        if not columns:
            return f"{name}.parse() needs more than a response: {error.__cause__ or error}"
        plain = all(column.isidentifier() for column in columns)
        parameters = ", ".join(columns) if plain else "**columns"
        return (
            f"the columns {', '.join(columns)} do not fit {name}.parse(): "
            f"write parse(self, response, {parameters})"
        )
    return ""


def _started(spider: Spider) -> Iterator[Any]:
    """Yield the results of ``start``; turn its errors into SpiderErrors."""
    name = type(spider).__name__
    check_spider(spider)
    try:
        yield from spider.start()
    except (SpiderError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # it may end by sys.exit()
        message = f"{name}.start() failed: {type(error).__name__}: {message_of(error)}"
        raise SpiderError(message) from error


# One URL


def _url_of(text: str) -> str | None:
    """Return the normalised URL in one line; None if there is none, or more than one."""
    url = urls.normalise(text) if len(text) <= LONGEST_URL else None
    # A text that is its own normal form has no invalid characters.
    return None if url != text and _NOT_IN_A_SEED.search(text) else url


def _reason(text: str) -> str:
    """Return why a seed cannot be crawled."""
    if len(text) > LONGEST_URL:
        return "is too long for a URL"
    if _NOT_UTF8.search(text):
        return "is not UTF-8"
    if any("://" in word for word in text.split()[1:]):
        return "is more than one URL: write one a line"
    scheme, mark, _ = text.partition("://")
    if not mark and _DOMAIN.fullmatch(text):
        return f"needs a scheme to be a URL: https://{text}"
    if not mark:
        return "is no URL"
    if scheme.lower() not in {"http", "https"}:
        return "is not an http or https URL"
    if re.search(r"\s", text):
        return "contains white space: write %20 for a space"
    return "is a broken URL"


def _bad(where: str, text: str, reason: str) -> BadSeed:
    plain = urls.redacted(text).encode(errors="replace").decode()
    cut = plain if len(plain) <= LONGEST_SHOWN else plain[:LONGEST_SHOWN] + "…"
    return BadSeed(where, cut, reason)


def _check_file(arg: str) -> None:
    path = Path(arg)
    try:
        # A pipe from the shell can be read only once, later.
        with path.open("rb") as file:
            check_text(file.read(1024) if path.is_file() else b"", arg)
    except FileNotFoundError:
        raise SeedError(f"there is no file {arg}: {_hint(arg)}") from None
    except IsADirectoryError:
        raise SeedError(f"{arg} is a folder, not a seed list") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SeedError(f"the seed list {arg} cannot be read: {reason}") from None


def _hint(arg: str) -> str:
    path = Path(arg)
    siblings = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    if near := difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.7):
        return f"did you mean {path.with_name(near[0])}?"
    if _DOMAIN.fullmatch(arg) and path.suffix.lower() not in _TEXT_FILES:
        return f"to mean the URL, write https://{arg}"
    return "a seed is a file, a URL with http:// or https://, or - for standard input"
