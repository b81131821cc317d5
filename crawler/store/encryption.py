"""Encrypt the secrets of a job while they are stored, with the key in ``CRAWL_KEY``.

``scrypt`` derives the key of a Fernet (AES-128 and HMAC, from the ``cryptography`` library) from
any text. The salt is stored with the secrets, the key never. ``Cipher`` encrypts bytes;
``StoreEncryption`` decides what is encrypted, and since when: the content of sessions, requests
that may have a secret, the reports of failures, and the seeds and arguments of the job.
"""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.errors import JobError
from crawler.store.protocols import Store

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEY = "CRAWL_KEY"
LOCKED = "{} has encrypted sessions: set CRAWL_KEY to the key that they were encrypted with"
COVERED = "is_covered"
"""The name in ``store.meta`` that says that all secrets are encrypted, not the sessions alone."""
SCRYPT_COST = 2**14
"""The work of deriving a key, a tenth of a second: so that keys cannot be tried fast."""
_TOKEN_START = b"g"
"""The first byte of encrypted data; that of a request in msgpack says that it is a map."""
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


_SECRET_WORD = re.compile(
    b"auth|code=|confirm|cred|csrf|hash=|invit|jwt|key=|magic|nonce|otp=|passw|pass=|pin=|private"
    b"|pw=|pwd|reset|secret|sess|sid=|sig=|signature|sso|ticket|token|unsub|verif"
)
"""Parts of URLs that often come before a secret."""
_LONG = re.compile(rb"[0-9A-Za-z_=-]{20,}")
_MIXED = re.compile(rb"(?=[A-Za-z_=-]*[0-9])(?=[0-9_=-]*[A-Za-z])|[0-9a-fA-F]+\Z")
"""A long text that looks random: with letters and digits, or in hexadecimal."""
_VALUE = re.compile(
    rb"=(?:[!-%'-<>-~]{20}|(?=[!-%'-<>-~]{6})(?=[!-%'-<>-~]*?[0-9])(?=[!-%'-<>-~]*?[A-Za-z]))"
)
"""A value in a query that is long, or that mixes letters and digits."""
_OTHER_PART = re.compile(
    b"\xa7headers|\xa4data|\xa4json|\xa7cookies|\xa9cb_kwargs|\xa7history|\xa5first|\xa4form|[@;]"
)
"""The parts of a request that may have a secret, as their names stand in msgpack."""


def may_have_secret(request: bytes) -> bool:
    """Return True unless a request in msgpack is a mere URL, in which nothing looks secret.

    It looks at bytes, since most requests are mere URLs: decoding one takes longer.
    """
    if _OTHER_PART.search(request) or _SECRET_WORD.search(request.lower()):
        return True
    if any(map(_MIXED.match, _LONG.findall(request))):
        return True
    return b"?" in request and _VALUE.search(request) is not None


class StoreEncryption:
    """Encrypts secrets; without a key it leaves them as they are."""

    def __init__(self, path: Path) -> None:
        """``path`` is the store's, for messages."""
        self._path = path
        self._cipher: Cipher | None = None
        self.is_locked = False
        """There are secrets, but no key: reading one raises JobError."""
        self.is_used = False
        """There are or will be encrypted values."""

    def unlock(self, store: Store, key: str | None, *, read_only: bool) -> bool:
        """Use ``key`` for ``store`` from now on; encrypt the secrets that are not encrypted.

        Returns True if plain text may be left in unused parts of the file: then it must be wiped.
        Raises JobError for a wrong key, or for a missing one; a reader may open the store without
        the key, until it reads a secret.
        """
        header = store.meta.get("vault")
        self.is_locked = key is None and header is not None
        self.is_used = key is not None or header is not None
        if self.is_locked and not read_only:
            raise JobError(LOCKED.format(self._path))
        if key is None or (header is None and read_only):
            return False
        if header is None:
            self._encrypt_all(store, Cipher(key))
        else:
            self._cipher = Cipher(key, header)
        return not (read_only or store.meta.get("is_wiped"))

    def encrypt_request(self, request: bytes) -> bytes:
        """Return a request in msgpack as it is stored."""
        if self._cipher is None or not may_have_secret(request):
            return request
        return self._cipher.encrypt(request)

    def decrypt_request(self, stored: bytes) -> bytes:
        """Return a request in msgpack as it was. Raises JobError if the key is missing."""
        return self.decrypt(stored) if stored[:1] == _TOKEN_START else stored

    def encrypt(self, data: bytes) -> bytes:
        """Return ``data`` as it is stored."""
        return data if self._cipher is None else self._cipher.encrypt(data)

    def decrypt(self, data: bytes) -> bytes:
        """Return stored ``data`` in plain text. Raises JobError if the key is missing."""
        if self.is_locked:
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
