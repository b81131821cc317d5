"""The formats of a seed list: plain lines, CSV and JSON lines, each read one row at a time."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple

import msgspec

from crawler.errors import SeedError

LONGEST_LINE = 1024 * 1024
"""Bytes of a line that are read; the rest of it is skipped."""
CSV = frozenset({".csv", ".tsv"})
JSON = frozenset({".jsonl", ".ndjson", ".json"})
DELIMITERS = ",;\t|"

_COMMENT = re.compile(r"(^|\s)#.*", re.DOTALL)

Numbered = Iterator[tuple[int, str]]
"""Lines with their numbers, their ends included."""


class Row(NamedTuple):
    """One seed of a list: the number of its line, its URL as it stands there, other columns."""

    line: int
    url: str
    columns: dict[str, Any]


class BadRow(NamedTuple):
    """One line of a list that is no seed, and why."""

    line: int
    text: str
    reason: str


def rows_of(file: IO[bytes], name: str, suffix: str) -> Iterator[Row | BadRow]:
    """The rows of a list in UTF-8, in the format that ``suffix`` or the first line says.

    Bytes that are no UTF-8 come as lone surrogates. Raises SeedError for what is no such list.
    """
    lines: Numbered = enumerate(_lines(file, name), 1)
    first = next(((number, line) for number, line in lines if _says_something(line)), None)
    if first is None:
        return iter(())
    text = first[1].strip()
    lines = itertools.chain([first], lines)
    if suffix in JSON or (suffix not in CSV and text.startswith("{")):
        return _json_rows(lines, name, text)
    if suffix in CSV or _url_column(_cells(text)) is not None:
        return _csv_rows(lines, name)
    return _plain_rows(lines)


def check_text(start: bytes, name: str) -> None:
    """Raises SeedError when a list begins with what is no text in UTF-8."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SeedError(f"{name} is in UTF-16: save it in UTF-8")
    if start.startswith(b"\x1f\x8b"):
        raise SeedError(f"{name} is compressed: give its text, as in zcat {name} | crawl run … -")
    if b"\0" in start:
        raise SeedError(f"{name} is no text: a seed list is plain text in UTF-8")


def _lines(file: IO[bytes], name: str) -> Iterator[str]:
    encoding = "utf-8-sig"  # a byte order mark may stand at the very start
    while raw := file.readline(LONGEST_LINE):
        if encoding == "utf-8-sig":
            check_text(raw, name)
        rest = raw
        while len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        yield raw.decode(encoding, "surrogateescape")
        encoding = "utf-8"


def _says_something(line: str) -> bool:
    text = line.strip()
    return bool(text) and not text.startswith("#")


# Plain lines


def _plain_rows(lines: Numbered) -> Iterator[Row | BadRow]:
    for number, line in lines:
        text = (_COMMENT.sub("", line) if "#" in line else line).strip()
        if text:
            yield Row(number, text, {})


# CSV


def _csv_rows(lines: Numbered, name: str) -> Iterator[Row | BadRow]:
    """The rows below a header that has a column ``url``. Raises SeedError where it has none."""
    number, header = next(lines)
    columns = _cells(header)
    place = _url_column(columns)
    if place is None:
        raise SeedError(
            f"{name} has no column url: its first line must name the columns, as in url,city; "
            f"it is {header.strip()[:80]!r}"
        )
    if twice := {column for column in columns if column and columns.count(column) > 1}:
        raise SeedError(f"{name} has several columns {', '.join(sorted(twice))}")
    reader = csv.reader((line for _, line in lines), delimiter=_delimiter(header))
    while True:
        start = number + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield BadRow(start, "", f"is no CSV: {error}")
            continue
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield _csv_row(start, columns, cells, place)


def _csv_row(line: int, columns: list[str], cells: list[str], place: int) -> Row | BadRow:
    if len(cells) > len(columns):
        text = ",".join(cells)
        return BadRow(line, text, f"has {len(cells)} fields, but the header has {len(columns)}")
    cells += [""] * (len(columns) - len(cells))  # spreadsheets leave out empty ones at the end
    others = dict(zip(columns, cells, strict=True))
    del others[columns[place]]
    others.pop("", None)
    return Row(line, cells[place].strip(), others)


def _cells(header: str) -> list[str]:
    reader = csv.reader([header], delimiter=_delimiter(header))
    try:
        return [cell.strip() for cell in next(reader, [])]
    except csv.Error:  # longer than any name of a column
        return []


def _delimiter(header: str) -> str:
    return max(DELIMITERS, key=header.count)


def _url_column(columns: Iterable[str]) -> int | None:
    places = [place for place, column in enumerate(columns) if column.lower() == "url"]
    return places[0] if places else None


# JSON lines


def _json_rows(lines: Numbered, name: str, first: str) -> Iterator[Row | BadRow]:
    """The rows of JSON lines: objects with a ``url``, or strings."""
    if first.startswith("["):
        raise SeedError(
            f"{name} is a JSON array, but must have one object a line: "
            f"jq -c '.[]' {name} | crawl run … -"
        )
    for number, line in lines:
        if _says_something(line):
            yield _json_row(number, line)


def _json_row(number: int, line: str) -> Row | BadRow:
    text = line.strip()
    try:
        value = msgspec.json.decode(text.encode(errors="surrogateescape"))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return BadRow(number, text, f"is no JSON: {error}")
    if isinstance(value, str):
        return Row(number, value.strip(), {})
    if not isinstance(value, dict):
        return BadRow(number, text, 'is no object with a "url"')
    keys = list(value)
    place = _url_column(keys)
    if place is None or not isinstance(value[keys[place]], str):
        return BadRow(number, text, 'has no text as "url"')
    return Row(number, value.pop(keys[place]).strip(), value)
