"""A vault: what must not lie about is encrypted while it is stored.

The key is any text, from which ``scrypt`` makes the key of a Fernet (AES-128 and HMAC, from the
``cryptography`` library). The salt is kept with the data; the key never is.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawler.errors import JobError
from crawler.store.protocols import Store

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEY = "CRAWL_KEY"
PROOF = b"crawler"
"""Encrypted with the key and kept, by which a wrong key is noticed."""


class Cipher:
    """Encrypts and decrypts small pieces of data with one key.

    Raises JobError where the ``cryptography`` library is missing, and, with ``kept`` of another
    vault, where ``key`` is not the one that it was made with.
    """

    def __init__(self, key: str, kept: dict[str, str] | None = None) -> None:
        """``kept`` is what an earlier vault wants to be opened with; None makes a new one."""
        salt = os.urandom(16) if kept is None else base64.b64decode(kept["salt"])
        self._fernet = _fernet(key, salt)
        if kept is None:
            kept = {"salt": base64.b64encode(salt).decode(), "proof": self.encrypt(PROOF).decode()}
        else:
            self.decrypt(kept["proof"].encode())
        self.kept = kept

    def encrypt(self, data: bytes) -> bytes:
        """``data`` as nobody can read it without the key."""
        return self._fernet.encrypt(data)

    def decrypt(self, data: bytes) -> bytes:
        """What was encrypted. Raises JobError for what was not, or with another key."""
        from cryptography.fernet import InvalidToken  # an optional library

        try:
            return self._fernet.decrypt(data)
        except InvalidToken:
            raise JobError(
                f"{KEY} is not the key that the job's sessions are encrypted with; "
                "set the right one, or start again with --fresh"
            ) from None


def _fernet(key: str, salt: bytes) -> Fernet:
    try:
        from cryptography.fernet import Fernet  # an optional library
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    except ImportError:
        raise JobError(
            f"{KEY} is set, but encrypting sessions needs the cryptography library: "
            "pip install cryptography"
        ) from None
    derived = Scrypt(salt=salt, length=32, n=2**14, r=8, p=1).derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


LOCKED = "{} has encrypted sessions: set CRAWL_KEY to the key that they were encrypted with"


class SessionEncryption:
    """How the rows of sessions are written and read: as they are, until there is a key."""

    def __init__(self, path: Path) -> None:
        """``path`` is the store's, for messages."""
        self._path = path
        self._vault: Cipher | None = None
        self._is_locked = False

    def unlock(self, store: Store, key: str | None, *, read_only: bool) -> bool:
        """Use ``key`` for ``store``; what is not encrypted in it is from now on.

        True when plain text may be left where nothing is stored any more: then wipe it. Raises
        JobError for a key that is missing or wrong; a reader is let in until it asks for sessions.
        """
        kept = store.meta.get("vault")
        self._is_locked = key is None and kept is not None
        if self._is_locked and not read_only:
            raise JobError(LOCKED.format(self._path))
        if key is None or (kept is None and read_only):
            return False
        if kept is None:
            self._encrypt_all(store, Cipher(key))
        else:
            self._vault = Cipher(key, kept)
        return not (read_only or store.meta.get("is_wiped"))

    def _encrypt_all(self, store: Store, vault: Cipher) -> None:
        sessions = store.sessions.all()
        self._vault = vault
        with store.transaction():
            store.meta.set("vault", vault.kept)
            for session in sessions:
                store.sessions.save(session)

    def close(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """A session's row, which begins with key, cookies and login, as it is stored."""
        if self._vault is None:
            return row
        key, cookies, login, *others = row
        return (key, self._vault.encrypt(cookies), self._vault.encrypt(login), *others)

    def open(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """A stored row as it was. Raises JobError where the key is missing."""
        if self._is_locked:
            raise JobError(LOCKED.format(self._path))
        if self._vault is None:
            return row
        key, cookies, login, *others = row
        return (key, self._vault.decrypt(cookies), self._vault.decrypt(login), *others)
