"""Masking: replace known secrets in logs, messages and saved pages by stars."""

from __future__ import annotations

import html
import json
import logging
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from crawler.session.credentials import Secret

MASK = "*****"
MIN_LENGTH = 3
"""Shorter texts are not masked: they are part of half of all words, and hardly secret."""
ENCODINGS = ("utf-8", "latin-1", "utf-16-le", "utf-16-be")
"""Encodings in which a saved page may contain a secret."""


class Mask(logging.Filter):
    """Replaces secrets by stars: those of accounts, and text typed into password fields.

    As a filter of a log's handler it changes the records, so that later handlers get the stars as
    well. A pickle contains the accounts' secrets, in so far as a Secret's own does.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        super().__init__()
        self._watched = list(secrets)
        self._typed: set[str] = set()
        self._cache: tuple[frozenset[str], re.Pattern[str] | None] = (frozenset(), None)

    def watch(self, secrets: Iterable[Secret]) -> None:
        """Mask these too, each as soon as its text is known."""
        watched = set(map(id, self._watched))
        self._watched += [secret for secret in secrets if id(secret) not in watched]

    def add(self, secret: str) -> None:
        """Mask this text from now on."""
        if len(secret) >= MIN_LENGTH:
            self._typed.add(secret)

    def __call__(self, text: str) -> str:
        """Return ``text`` with stars."""
        pattern = self._current_pattern()
        return text if pattern is None else pattern.sub(MASK, text)

    def page(self, body: bytes) -> bytes:
        """Return the body of a page with stars, in any encoding."""
        for spelling in _spellings(self._texts()):
            for encoding in ENCODINGS:
                data = spelling.encode(encoding, "ignore")
                if len(data) >= MIN_LENGTH:
                    body = body.replace(data, MASK.encode(encoding))
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

    def _texts(self) -> frozenset[str]:
        watched = (secret.known() or "" for secret in tuple(self._watched))
        texts = (*watched, *tuple(self._typed))
        return frozenset(text for text in texts if len(text) >= MIN_LENGTH)

    def _current_pattern(self) -> re.Pattern[str] | None:
        texts = self._texts()
        cached_texts, pattern = self._cache
        if texts != cached_texts:
            pattern = re.compile("|".join(map(re.escape, _spellings(texts))))
            self._cache = texts, pattern
        return pattern

    def __reduce__(self) -> tuple[type[Mask], tuple[list[Secret]]]:
        return Mask, (self._watched,)


def _spellings(secrets: Iterable[str]) -> list[str]:
    """Return every secret as it may be spelt in a message, a URL, JSON, Python or HTML.

    Long spellings come first, as a secret may be the beginning of another.
    """
    spellings: set[str] = set()
    for text in secrets:
        quoted = {quote(text, safe=""), quote(text), quote_plus(text)}
        quoted |= {re.sub("%..", lambda code: code[0].lower(), url) for url in quoted}
        literals = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
        literals |= {repr(text)[1:-1], ascii(text)[1:-1], repr(text.encode())[2:-1]}
        markup = {html.escape(text), html.escape(text, quote=False)}
        spellings |= {text, *quoted, *literals, *markup}
    return sorted(spellings, key=lambda spelling: (-len(spelling), spelling))
