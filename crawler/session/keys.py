"""The key of a session: whose it is, an account's or that of an anonymous visitor to one site.

As text it is ``account`` (the only account), ``account:NAME`` or ``site:DOMAIN``; so it stands in
the store and in messages.
"""

from __future__ import annotations

from typing import NamedTuple

_ACCOUNT = "account"
_SITE = "site"


class SessionKey(NamedTuple):
    """Whose session it is; ``name`` is the account's, or the site's of an anonymous session."""

    is_account: bool
    name: str = ""

    @classmethod
    def of_account(cls, name: str = "") -> SessionKey:
        """The key of an account's session; the only account of a spider has no name."""
        return cls(True, name)

    @classmethod
    def of_site(cls, site: str) -> SessionKey:
        """The key of the anonymous session at one site."""
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
