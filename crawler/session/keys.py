"""The key of a session, which belongs to an account or, as an anonymous session, to a site.

As text, in the store and in messages, it is ``account`` (the only account), ``account:NAME`` or
``site:DOMAIN``.
"""

from __future__ import annotations

from typing import NamedTuple

_ACCOUNT = "account"
_SITE = "site"


class SessionKey(NamedTuple):
    """The owner of a session; ``name`` is the account's, or the site's of an anonymous session."""

    is_account: bool
    name: str = ""

    @classmethod
    def of_account(cls, name: str = "") -> SessionKey:
        """Return the key of an account's session; the only account of a spider has no name."""
        return cls(True, name)

    @classmethod
    def of_site(cls, site: str) -> SessionKey:
        """Return the key of the anonymous session at a site."""
        return cls(False, site)

    @classmethod
    def parse(cls, text: str) -> SessionKey:
        """Read the key from its text form."""
        kind, _, name = text.partition(":")
        return cls(kind == _ACCOUNT, name)

    @property
    def account(self) -> str:
        """The account's name; empty for the only account and for an anonymous session."""
        return self.name if self.is_account else ""

    def __str__(self) -> str:
        kind = _ACCOUNT if self.is_account else _SITE
        return f"{kind}:{self.name}" if self.name else kind
