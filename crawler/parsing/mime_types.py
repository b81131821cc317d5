"""The MIME type of a response, and whether that is HTML or XML, as browsers decide it.

The header is read by the Fetch standard ("extract a MIME type") and the MIME Sniffing standard
("parse a MIME type"): of several types the last valid one counts. Without a valid type, the first
bytes decide (MIME Sniffing, section 7.1).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

SNIFFED = 1024
"""Bytes that are looked at; the standard needs 1,445 of them only for media files."""

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_BLANKS = "\t\n\r "
_ESSENCE = re.compile(rf"({_TOKEN}/{_TOKEN})[\t\n\r ]*(?:;|\Z)")
_NAME = re.compile(_TOKEN)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)(?:"|(\\?)\Z)', re.DOTALL)
_QUOTED_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

_HTML = {"text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"}
_XML = {"text/xml", "application/xml"}
_UNKNOWN = {"unknown/unknown", "application/unknown", "*/*"}

_TAGS = "html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p"
_HTML_TAG = re.compile(rf"<(?:!doctype\s+html|!--|(?:{_TAGS})(?=[\s>/]))".encode())
_BOMS = (b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")
_BINARY = re.compile(rb"[\0-\x08\x0b\x0e-\x1a\x1c-\x1f]")


class MimeType(NamedTuple):
    """A MIME type: ``essence`` is its name in lower case, and ``charset`` is its parameter."""

    essence: str
    charset: str | None = None


@lru_cache(maxsize=64)
def extract(content_type: str) -> MimeType | None:
    """Return the last valid type of a Content-Type, whose lines are joined by commas, or None."""
    result: MimeType | None = None
    charset = None
    for value in _split(content_type):
        mime_type = parse(value)
        if mime_type is None or mime_type.essence == "*/*":
            continue
        if result is None or mime_type.essence != result.essence:
            charset = mime_type.charset
        result = mime_type if mime_type.charset is not None else mime_type._replace(charset=charset)
    return result


def _split(header: str) -> list[str]:
    """Return the values of a header between commas that are not quoted."""
    values, start, at = [], 0, 0
    while at < len(header):
        if quoted := _QUOTED.match(header, at):
            at = quoted.end()
            continue
        if header[at] == ",":
            values.append(header[start:at])
            start = at + 1
        at += 1
    return [*values, header[start:]]


def parse(value: str) -> MimeType | None:
    """Return the type that ``value`` is; None if it is invalid."""
    value = value.strip(_BLANKS)
    essence = _ESSENCE.match(value)
    if essence is None:
        return None
    charset, at = None, essence.end()
    while charset is None and at < len(value):
        name, parameter, at = _parameter(value, at)
        if name == "charset":
            charset = parameter
    return MimeType(essence[1].lower(), charset)


def _parameter(value: str, at: int) -> tuple[str, str | None, int]:
    """Return a parameter's name, its value or None if it is invalid, and where the next begins."""
    end = _end(value, at)
    equals = value.find("=", at, end)
    if equals < 0:
        return "", None, end + 1
    name = value[at:equals].lstrip(_BLANKS).lower()
    if quoted := _QUOTED.match(value, equals + 1):
        end = _end(value, quoted.end())
        parameter = _ESCAPE.sub(r"\1", quoted[1]) + (quoted[2] or "")
    else:
        parameter = value[equals + 1 : end].rstrip(_BLANKS)
        if not parameter:
            return "", None, end + 1
    is_valid = _NAME.fullmatch(name) and _QUOTED_VALUE.fullmatch(parameter)
    return name, parameter if is_valid else None, end + 1


def _end(value: str, at: int) -> int:
    end = value.find(";", at)
    return len(value) if end < 0 else end


def kind(body: bytes, content_type: str | None = None) -> str:
    """Return ``html`` (XHTML too), ``xml`` or ``other``, by the header, else by the first bytes."""
    mime_type = extract(content_type) if content_type else None
    if mime_type is None or mime_type.essence in _UNKNOWN:
        return _kind_of_bytes(body)
    if mime_type.essence in _HTML:
        return "html"
    return "xml" if mime_type.essence in _XML or mime_type.essence.endswith("+xml") else "other"


def _kind_of_bytes(body: bytes) -> str:
    """Return the kind that the first bytes show.

    Unlike browsers, take a page for HTML that begins with text, or has a byte order mark: links
    are lost otherwise.
    """
    head = body[:SNIFFED]
    for bom in _BOMS:
        head = head.removeprefix(bom)
    if b"\0" in head[:2]:  # UTF-16
        head = head.replace(b"\0", b"")
    head = head.lstrip().lower()
    if _HTML_TAG.match(head):
        return "html"
    if b"<?xml" in head[:16]:
        return "html" if b"<html" in head else "xml"
    if head.startswith((b"{", b"[", b"%pdf-", b"%!ps-adobe-")) or _BINARY.search(head):
        return "other"
    return "html" if _HTML_TAG.search(head) else "other"
