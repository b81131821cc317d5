"""Write a URL without its secrets, and its shape: the part that it shares with its like. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from crawler import urls
from crawler.url_words.signs import is_action_parameter, is_token_parameter
from crawler.url_words.words import GROUPS, NAMES, TITLES, TOKEN, bits_of, joined

MASK = "***"
LONGEST = 500
"""Characters of a shape; a longer one is cut."""


def shape_of(url: str) -> str:
    """Return the path and the query of ``url`` with names for what differs from link to link.

    ``/posts/17/delete?sectok=0f1e`` becomes ``/posts/{n}/delete?sectok={token}``.
    """
    segments, pairs = _parts(url)
    is_alone = len(segments) == 2 and not pairs  # /bye
    path = segments if is_alone else [_segment(segments, n) for n in range(len(segments))]
    return _written(path, map(_pair, pairs))


def page_shape_of(url: str) -> str:
    """Return the shape of a page: ``shape_of`` it, but for the plain words of its path.

    A link is named by its effect, a page by its place: ``/shop/cart`` and ``/shop/print`` are two
    kinds of pages, ``/shop/red-hat`` and ``/shop/blue-hat`` are not. The order of the parameters
    does not count.
    """
    segments, pairs = _parts(url)
    path = [
        segment if _PLAIN.fullmatch(segment) or len(segments) == 2 else _segment(segments, n)
        for n, segment in enumerate(segments)
    ]
    path = [_DIGITS.sub("{n}", segment) for segment in path]
    return _written(path, sorted(map(_pair, pairs)))


_PLAIN = re.compile(r"[a-z]+[0-9]*(\.[a-z]+)?")
_DIGITS = re.compile("[0-9]+")


def _parts(url: str) -> tuple[list[str], list[str]]:
    """Return the segments of the path, the first of which is empty, and the pairs of the query."""
    address, _, query = url.partition("#")[0].partition("?")
    start = address.find("/", 8)
    path = address[start:] if start >= 0 else "/"
    return [_without_parameters(part) for part in path.split("/")], _pairs(query) if query else []


def _written(path: list[str], pairs: Iterable[str]) -> str:
    query = "&".join(pairs)
    return ("/".join(path) + (f"?{query}" if query else ""))[:LONGEST]


def masked(url: str) -> str:
    """Return ``url`` without secrets: its tokens, its user and its password are stars."""
    address, mark, query = urls.redacted(url).partition("?")
    parts = address.split("/")
    for number in range(1, len(parts)):
        parts[number] = _PATH_PARAMETER.sub(f"\\1={MASK}", parts[number])
        if _is_secret(parts[number]) or (bits_of(parts[number - 1]) & TOKEN and parts[number]):
            parts[number] = MASK
    pairs = [_masked_pair(pair) for pair in _pairs(query)]
    return "/".join(parts) + mark + "&".join(pairs)


_PATH_PARAMETER = re.compile("(;[^;=]*)=[^;]*")


def _without_parameters(segment: str) -> str:
    return _PATH_PARAMETER.sub("", segment)


def _pairs(query: str) -> list[str]:
    return query.replace(";", "&").split("&")


def _masked_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if value and (is_token_parameter(name) or _is_secret(value)):
        return f"{MASK if _is_secret(name) else name}={MASK}"
    return MASK + equals + value if _is_secret(name) else pair


_SECRET = re.compile("[0-9a-fA-F]{32,}|(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[0-9A-Za-z_=-]{20,}")
_DATE = re.compile(r"(19|20)\d\d[-./]?[01]\d([-./]?[0-3]\d)?")


def _is_secret(text: str) -> bool:
    """Return True for a text that is long and looks random, such as the id of a session."""
    return len(text) >= 20 and "-" not in text[4:8] and bool(_SECRET.fullmatch(text))


def _segment(segments: list[str], number: int) -> str:
    """Return the name of a segment: itself if it is usual in addresses, or the first of several."""
    segment, before = segments[number], bits_of(segments[number - 1]) if number else 0
    if not segment:
        return ""
    if before & TOKEN:
        return "{token}"
    is_title = before & (NAMES | TITLES) and not segment.startswith("_")
    if not is_title and (_is_usual(segment) or (number == 1 and len(segments) > 2)):
        return "{n}" if segment.isdigit() else segment
    return _value(segment)


@lru_cache(maxsize=4096)
def _is_usual(segment: str) -> bool:
    if bits_of(segment) or joined(segment) in GROUPS["nouns"]:
        return True
    stem, dot, ending = segment.partition("?")[0].rpartition(".")
    return bool(dot and stem) and ending.lower() in GROUPS["scripts"]


def _pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if _is_secret(name) or re.fullmatch("[0-9a-f]{32}", name):
        name = "{token}"
    if not value:
        return name + equals
    if is_token_parameter(name):
        return name + "={token}"
    if is_action_parameter(name) and len(value) < 40 and not _VARIABLE.search(value):
        return pair
    return f"{name}={_value(value)}"


_VARIABLE = re.compile("[0-9%+]")


def _value(text: str) -> str:
    if text.isdigit():
        return "{date}" if len(text) == 8 and _DATE.fullmatch(text) else "{n}"
    if _DATE.fullmatch(text):
        return "{date}"
    if _is_secret(text):
        return "{token}"
    return "{x}"
