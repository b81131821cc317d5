"""Encrypt the sessions of a job while they are stored, with the key in ``CRAWL_KEY``.

``scrypt`` derives the key of a Fernet (AES-128 and HMAC, from the ``cryptography`` library) from
any text. The salt is stored with the sessions, the key never. ``Cipher`` encrypts bytes;
``SessionEncryption`` decides which parts of a session are encrypted, and since when.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.errors import JobError
from crawler.store.protocols import Store

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEY = "CRAWL_KEY"
LOCKED = "{} has encrypted sessions: set CRAWL_KEY to the key that they were encrypted with"
SCRYPT_COST = 2**14
"""The work of deriving a key, a tenth of a second: so that keys cannot be tried fast."""
_PROOF = b"crawler"
"""Stored encrypted, so that a wrong key is noticed."""


class Cipher:
    """Encrypts and decrypts small pieces of data with one key.

    Raises JobError if the ``cryptography`` library is missing, or if ``key`` is not the key that
    ``header`` was made with.
    """

    def __init__(self, key: str, header: dict[str, str] | None = None) -> None:
        """``header`` belongs to data that is encrypted already; None begins with a new salt."""
        salt = os.urandom(16) if header is None else base64.b64decode(header["salt"])
        self._fernet = _fernet(key, salt)
        if header is None:
            proof = self.encrypt(_PROOF)
            header = {"salt": base64.b64encode(salt).decode(), "proof": proof.decode()}
        else:
            self.decrypt(header["proof"].encode())
        self.header = header
        """The salt and the proof of the key, to be stored with the encrypted data."""

    def encrypt(self, data: bytes) -> bytes:
        """Return ``data`` encrypted."""
        return self._fernet.encrypt(data)

    def decrypt(self, data: bytes) -> bytes:
        """Return ``data`` decrypted. Raises JobError if it was not encrypted with this key."""
        from cryptography.fernet import InvalidToken  # an optional library

        try:
            return self._fernet.decrypt(data)
        except InvalidToken:
            raise JobError(
                f"{KEY} is not the key that the job's sessions are encrypted with; "
                "set the right one, or start again with --fresh"
            ) from None


class SessionEncryption:
    """Encrypts cookies and login states; without a key it leaves them as they are."""

    def __init__(self, path: Path) -> None:
        """``path`` is the store's, for messages."""
        self._path = path
        self._cipher: Cipher | None = None
        self._is_locked = False

    def unlock(self, store: Store, key: str | None, *, read_only: bool) -> bool:
        """Use ``key`` for ``store`` from now on; encrypt the sessions that are not encrypted.

        Returns True if plain text may be left in unused parts of the file: then it must be wiped.
        Raises JobError for a wrong key, or for a missing one; a reader may open the store without
        the key, until it reads a session.
        """
        header = store.meta.get("vault")
        self._is_locked = key is None and header is not None
        if self._is_locked and not read_only:
            raise JobError(LOCKED.format(self._path))
        if key is None or (header is None and read_only):
            return False
        if header is None:
            self._encrypt_all(store, Cipher(key))
        else:
            self._cipher = Cipher(key, header)
        return not (read_only or store.meta.get("is_wiped"))

    def encrypt(self, data: bytes) -> bytes:
        """Return ``data`` as it is stored."""
        return data if self._cipher is None else self._cipher.encrypt(data)

    def decrypt(self, data: bytes) -> bytes:
        """Return stored ``data`` in plain text. Raises JobError if the key is missing."""
        if self._is_locked:
            raise JobError(LOCKED.format(self._path))
        return data if self._cipher is None else self._cipher.decrypt(data)

    def _encrypt_all(self, store: Store, cipher: Cipher) -> None:
        sessions = store.sessions.all()
        self._cipher = cipher
        with store.transaction():
            store.meta.set("vault", cipher.header)
            for session in sessions:
                store.sessions.save(session)


def _fernet(key: str, salt: bytes) -> Fernet:
    try:
        from cryptography.fernet import Fernet  # an optional library
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    except ImportError:
        raise JobError(
            f"{KEY} is set, but encrypting sessions needs the cryptography library: "
            "pip install cryptography"
        ) from None
    derived = Scrypt(salt=salt, length=32, n=SCRYPT_COST, r=8, p=1).derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
