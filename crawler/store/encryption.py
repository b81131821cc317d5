"""A vault: what must not lie about is encrypted while it is stored.

The key is any text, from which ``scrypt`` makes the key of a Fernet (AES-128 and HMAC, from the
``cryptography`` library). The salt is kept with the data; the key never is.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from crawler.errors import JobError

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
