"""Read the formats of a seed list, row by row: plain lines, CSV and JSON lines."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple

import msgspec

from crawler.errors import SeedError

LONGEST_LINE = 1024 * 1024
"""Bytes of a line that are read; the rest is skipped."""
CSV = frozenset({".csv", ".tsv"})
JSON = frozenset({".jsonl", ".ndjson", ".json"})
DELIMITERS = ",;\t|"

_COMMENT = re.compile(r"(^|\s)#.*", re.DOTALL)

Numbered = Iterator[tuple[int, str]]
"""Lines with their numbers, their ends included."""


class Row(NamedTuple):
    """A seed of a list: the number of its line, its URL as written, and the other columns."""

    line: int
    url: str
    columns: dict[str, Any]


class BadRow(NamedTuple):
    """A line of a list that is no seed, and the reason."""

    line: int
    text: str
    reason: str


def rows_of(file: IO[bytes], name: str, suffix: str) -> Iterator[Row | BadRow]:
    """Yield the rows of a list in UTF-8, in the format of ``suffix`` or of the first line.

    Invalid UTF-8 is decoded to lone surrogates. Raises SeedError for a file that is no such list.
    """
    lines: Numbered = enumerate(_lines(file, name), 1)
    first = next(((number, line) for number, line in lines if _has_content(line)), None)
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
    """Raise SeedError for the start of a file that is no text in UTF-8."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SeedError(f"{name} is in UTF-16: save it in UTF-8")
    if start.startswith(b"\x1f\x8b"):
        raise SeedError(f"{name} is compressed: give its text, as in zcat {name} | crawl run … -")
    if b"\0" in start:
        raise SeedError(f"{name} is not text: a seed list is plain text in UTF-8")


def _lines(file: IO[bytes], name: str) -> Iterator[str]:
    encoding = "utf-8-sig"  # the file may start with a byte order mark
    while raw := file.readline(LONGEST_LINE):
        if encoding == "utf-8-sig":
            check_text(raw, name)
        rest = raw
        while len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        yield raw.decode(encoding, "surrogateescape")
        encoding = "utf-8"


def _has_content(line: str) -> bool:
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
    """Yield the rows below a header with a column ``url``. Raises SeedError if it has none."""
    number, header = next(lines)
    columns = _cells(header)
    index = _url_column(columns)
    if index is None:
        raise SeedError(
            f"{name} has no column url: its first line must name the columns, as in url,city; "
            f"it is {header.strip()[:80]!r}"
        )
    if repeated := {column for column in columns if column and columns.count(column) > 1}:
        raise SeedError(f"{name} has several columns {', '.join(sorted(repeated))}")
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
            yield _csv_row(start, columns, cells, index)


def _csv_row(line: int, columns: list[str], cells: list[str], index: int) -> Row | BadRow:
    if len(cells) > len(columns):
        text = ",".join(cells)
        return BadRow(line, text, f"has {len(cells)} fields, but the header has {len(columns)}")
    cells += [""] * (len(columns) - len(cells))  # spreadsheets omit empty ones at the end
    values = dict(zip(columns, cells, strict=True))
    del values[columns[index]]
    values.pop("", None)
    return Row(line, cells[index].strip(), values)


def _cells(header: str) -> list[str]:
    reader = csv.reader([header], delimiter=_delimiter(header))
    try:
        return [cell.strip() for cell in next(reader, [])]
    except csv.Error:  # longer than any name of a column
        return []


def _delimiter(header: str) -> str:
    return max(DELIMITERS, key=header.count)


def _url_column(columns: Iterable[str]) -> int | None:
    indexes = [index for index, column in enumerate(columns) if column.lower() == "url"]
    return indexes[0] if indexes else None


# JSON lines


def _json_rows(lines: Numbered, name: str, first: str) -> Iterator[Row | BadRow]:
    """Yield the rows of JSON lines: objects with a ``url``, or strings."""
    if first.startswith("["):
        raise SeedError(
            f"{name} is a JSON array, but must have one object a line: "
            f"jq -c '.[]' {name} | crawl run … -"
        )
    for number, line in lines:
        if _has_content(line):
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
        return BadRow(number, text, 'is not an object with a "url"')
    keys = list(value)
    index = _url_column(keys)
    if index is None or not isinstance(value[keys[index]], str):
        return BadRow(number, text, 'has no text as "url"')
    return Row(number, value.pop(keys[index]).strip(), value)
