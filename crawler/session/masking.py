"""Masking: replace known secrets in logs, messages and saved pages by stars."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from crawler.session.credentials import Secret
from crawler.session.spellings import MARKS, Spellings

MASK = "*****"
MIN_LENGTH = 3
"""Shorter texts are not masked: they are part of half of all words, and hardly secret."""


class Mask(logging.Filter):
    """Replaces secrets by stars: those of accounts, and text typed into password fields.

    As a filter of a log's handler it changes the records, so that later handlers get the stars as
    well. A pickle contains the accounts' secrets, in so far as a Secret's own does.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        super().__init__()
        self._watched = list(secrets)
        self._typed: set[str] = set()
        self._in_text: dict[str, Spellings[str]] = {}
        self._in_bytes: dict[str, Spellings[bytes]] = {}

    def watch(self, secrets: Iterable[Secret]) -> None:
        """Mask these too, each as soon as its text is known."""
        watched = set(map(id, self._watched))
        self._watched += [secret for secret in secrets if id(secret) not in watched]

    @property
    def typed(self) -> tuple[str, ...]:
        """The texts that were added since this process began."""
        return tuple(self._typed)

    def add(self, secret: str) -> None:
        """Mask this text from now on."""
        if len(secret) >= MIN_LENGTH:
            self._typed.add(secret)

    def __call__(self, text: str) -> str:
        """Return ``text`` with stars."""
        secrets = self._texts()
        escaped = bool(secrets) and any(mark in text for mark in MARKS)
        for secret in secrets:
            spellings = self._in_text.get(secret)
            if spellings is None:
                spellings = self._in_text[secret] = Spellings(secret, str)
            text = spellings.mask(text, MASK, escaped=escaped)
        return text

    def page(self, body: bytes) -> bytes:
        """Return the body of a page with stars, in any encoding."""
        for secret in self._texts():
            spellings = self._in_bytes.get(secret)
            if spellings is None:
                spellings = self._in_bytes[secret] = Spellings(secret, bytes)
            body = spellings.mask(body, MASK.encode())
        if b"\0" in body:
            for encoding in ("utf-16-le", "utf-16-be"):
                body = self._in_encoding(body, encoding)
        return body

    def _in_encoding(self, body: bytes, encoding: str) -> bytes:
        """Return the body with stars where it is text in ``encoding``, of two bytes a character."""
        even = len(body) // 2 * 2
        text = body[:even].decode(encoding, "surrogatepass")
        masked = self(text)
        if masked == text:
            return body
        return masked.encode(encoding, "surrogatepass") + body[even:]

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with stars."""
        record.msg, record.args = self(record.getMessage()), None
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        record.exc_text = record.exc_text and self(record.exc_text)
        record.stack_info = record.stack_info and self(record.stack_info)
        return True

    def _texts(self) -> list[str]:
        """Return the secrets, long ones first, as one may be the beginning of another."""
        watched = (secret.known() or "" for secret in tuple(self._watched))
        texts = {text for text in (*watched, *tuple(self._typed)) if len(text) >= MIN_LENGTH}
        return sorted(texts, key=lambda text: (-len(text), text))

    def __reduce__(self) -> tuple[type[Mask], tuple[list[Secret]]]:
        return Mask, (self._watched,)
