"""Sealing: what sessions consist of is encrypted in a store, given a key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crawler.errors import JobError
from crawler.store import Store
from crawler.store.encryption import Cipher

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
        kept = store.get("vault")
        self._is_locked = key is None and kept is not None
        if self._is_locked and not read_only:
            raise JobError(LOCKED.format(self._path))
        if key is None or (kept is None and read_only):
            return False
        if kept is None:
            self._encrypt_all(store, Cipher(key))
        else:
            self._vault = Cipher(key, kept)
        return not (read_only or store.get("is_wiped"))

    def _encrypt_all(self, store: Store, vault: Cipher) -> None:
        sessions = store.sessions()
        self._vault = vault
        with store.transaction():
            store.set("vault", vault.kept)
            for session in sessions:
                store.save_session(session)

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
