"""Masking: no known secret gets into what is written down."""

from __future__ import annotations

import html
import json
import logging
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from crawler.session.credentials import Secret

MASK = "*****"
SHORTEST = 3
"""Shorter texts are not masked: they are in half of all words, and no secret to anybody."""
ENCODINGS = ("utf-8", "latin-1", "utf-16-le", "utf-16-be")
"""Of pages that are kept for a look."""


class Mask(logging.Filter):
    """Puts stars in the place of secrets: the accounts', and what was typed into a form.

    As a filter of a log's handler it changes the records, so that handlers after it see the stars
    as well. In a pickle it takes the accounts' secrets along, as those travel.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        super().__init__()
        self._watched = list(secrets)
        self._typed: set[str] = set()
        self._made: tuple[frozenset[str], re.Pattern[str] | None] = (frozenset(), None)

    def watch(self, secrets: Iterable[Secret]) -> None:
        """Mask these too, each as soon as it can be known."""
        known = set(map(id, self._watched))
        self._watched += [secret for secret in secrets if id(secret) not in known]

    def add(self, secret: str) -> None:
        """Mask this text from now on."""
        if len(secret) >= SHORTEST:
            self._typed.add(secret)

    def __call__(self, text: str) -> str:
        """``text`` with stars."""
        pattern = self._current_pattern()
        return text if pattern is None else pattern.sub(MASK, text)

    def page(self, body: bytes) -> bytes:
        """The body of a page with stars, whatever its encoding may be."""
        for form in _forms(self._known()):
            for encoding in ENCODINGS:
                found = form.encode(encoding, "ignore")
                if len(found) >= SHORTEST:
                    body = body.replace(found, MASK.encode(encoding))
        return body

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with stars."""
        record.msg, record.args = self(record.getMessage()), None
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        record.exc_text = record.exc_text and self(record.exc_text)
        record.stack_info = record.stack_info and self(record.stack_info)
        return True

    def _known(self) -> frozenset[str]:
        watched = (secret.known() or "" for secret in tuple(self._watched))
        return frozenset(s for s in (*watched, *tuple(self._typed)) if len(s) >= SHORTEST)

    def _current_pattern(self) -> re.Pattern[str] | None:
        known = self._known()
        made_for, pattern = self._made
        if known != made_for:
            pattern = re.compile("|".join(map(re.escape, _forms(known))))
            self._made = known, pattern
        return pattern

    def __reduce__(self) -> tuple[type[Mask], tuple[list[Secret]]]:
        return Mask, (self._watched,)


def _forms(secrets: Iterable[str]) -> list[str]:
    """Every secret as it may be written in a message, a URL, JSON, Python or HTML; long ones first,

    as a secret may be the beginning of another.
    """
    found: set[str] = set()
    for text in secrets:
        quoted = {quote(text, safe=""), quote(text), quote_plus(text)}
        quoted |= {re.sub("%..", lambda code: code[0].lower(), one) for one in quoted}
        written = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
        written |= {repr(text)[1:-1], ascii(text)[1:-1], repr(text.encode())[2:-1]}
        found |= {text, html.escape(text), html.escape(text, quote=False), *quoted, *written}
    return sorted(found, key=lambda form: (-len(form), form))
