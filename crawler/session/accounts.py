"""Accounts: the credentials that sessions log in with, and the limits of their use."""

from __future__ import annotations

import difflib
import inspect
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from msgspec.structs import replace

from crawler.errors import AccountError
from crawler.records import Usage
from crawler.session import credentials
from crawler.session.credentials import Secret

TABLE_KEYS = ("user", "password", "delay", "max_pages", "per", "cooldown")
"""Keys of an account's table with a meaning of their own; any other is one of its ``fields``."""
WINDOWS = {"day": 86_400.0, "hour": 3_600.0}
"""Seconds of each ``per``."""
SYNONYMS = {"username": "user", "pass": "password", "pwd": "password"}


@dataclass(frozen=True, init=False)
class Account:
    """An account. Times are in seconds; ``None`` is the value of the setting, or no limit.

    Two accounts are equal if all but their secrets and ``fields`` are.
    """

    name: str
    user: str
    delay: float | None
    """Least time between two requests of this account to a host."""
    max_pages: int | None
    """Pages that it may fetch in each ``window``."""
    per: Literal["day", "hour"]
    cooldown: float
    """Seconds for which it pauses after a 429 or a 403."""
    _password: Secret | None = field(repr=False, compare=False)
    _fields: Mapping[str, Any] = field(repr=False, compare=False)

    def __init__(
        self,
        *,
        name: str,
        user: str = "",
        password: str | Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
        delay: float | None = None,
        max_pages: int | None = None,
        per: str = "day",
        cooldown: float = 0.0,
        folder: Path | None = None,
    ) -> None:
        """Check and store. Raises AccountError for a value that is not allowed.

        ``password`` is text or a reference (see ``crawler.session.credentials``), ``fields`` is
        further data for the login, whose values may be references too. Files in references are
        relative to ``folder``.
        """
        _check_name(name)
        _check_numbers(name, delay=delay, max_pages=max_pages, cooldown=cooldown)
        if not isinstance(user, str):
            raise AccountError(f"account {name}: user must be text, not {user!r}")
        if not isinstance(per, str) or per not in WINDOWS:
            raise AccountError(f'account {name}: per must be "day" or "hour", not {per!r}')
        vars(self).update(  # a frozen dataclass refuses self.name = name
            name=name,
            user=user,
            delay=delay,
            max_pages=max_pages,
            per=per,
            cooldown=cooldown,
            _password=_secret(password, f"the password of account {name}", user or name, folder),
            _fields={
                key: _value(value, f"{key} of account {name}", user or name, folder)
                for key, value in (fields or {}).items()
            },
        )

    @property
    def password(self) -> str:
        """The password, looked up when first used. Raises AccountError if it is unavailable."""
        if self._password is None:
            raise AccountError(f"account {self.name} has no password: say where it is")
        return self._password.reveal()

    @property
    def fields(self) -> dict[str, Any]:
        """Further data for the login. Raises AccountError for a secret that is unavailable."""
        return {
            key: value.reveal() if isinstance(value, Secret) else value
            for key, value in self._fields.items()
        }

    @property
    def window(self) -> float:
        """Length of the time that ``max_pages`` is for, seconds."""
        return WINDOWS[self.per]

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The password, and the fields that are references."""
        values = (self._password, *self._fields.values())
        return tuple(value for value in values if isinstance(value, Secret))

    def ask(self) -> None:
        """Ask at the terminal for secrets that are to be typed; done before workers start.

        Raises AccountError if there is no terminal.
        """
        for secret in self.secrets:
            if secret.kind == "prompt":
                secret.reveal()

    def check(self) -> None:
        """Raise AccountError for a reference to a variable or a file that cannot be read."""
        for secret in self.secrets:
            secret.check()


def load(path: str | os.PathLike[str]) -> list[Account]:
    """Return the accounts of a TOML file, one for each table, in order. Raises AccountError."""
    path = Path(path)
    try:
        text, file = credentials.read_text(path)
        document = tomllib.loads(text)
    except OSError as error:
        raise AccountError(f"cannot read the accounts file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AccountError(f"{path} is not text in UTF-8, as TOML must be") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise AccountError(f"{path} is not valid TOML: {error}") from None
    if not document:
        raise AccountError(f"{path} names no account: begin one with [NAME]")
    try:
        if any(_has_plain_password(table) for table in document.values()):
            credentials.check_private(path, file, "a password")
        return [_from_table(name, table, path.parent) for name, table in document.items()]
    except AccountError as error:
        raise AccountError(f"{path}: {error}") from None


def of_spider(spider: object) -> list[Account]:
    """Return the accounts that a spider's attribute ``accounts`` names; without it, none.

    Each is an Account, a dict like a table of the accounts file with its ``name``, or only a
    name: then the user is in the environment as NAME_USER (or is the name itself), the password as
    NAME_PASSWORD. Raises AccountError.
    """
    entries: Any = getattr(spider, "accounts", ())
    if isinstance(entries, (str, Mapping, Account)):
        entries = [entries]
    if not isinstance(entries, Sequence):
        raise AccountError(
            f"accounts of a spider must be a list of names or dicts, not {entries!r}"
        )
    accounts = [_from_entry(entry) for entry in entries]
    names = [account.name for account in accounts]
    for name in names:
        if names.count(name) > 1:
            raise AccountError(f"account {name} is named twice")
    return accounts


def check_login(spider: Any, accounts: Sequence[Account]) -> None:
    """Raise AccountError if the spider's ``login`` takes an account and there is none."""
    required = [
        parameter
        for parameter in inspect.signature(spider.login).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if len(required) > len(("self", "session")) and not accounts:
        raise AccountError(
            f"{spider.__name__}.login wants an account: give --accounts FILE, or name accounts in "
            "the spider"
        )


def _from_entry(entry: Any) -> Account:
    if isinstance(entry, Account):
        entry.check()
        return entry
    if isinstance(entry, str):
        _check_name(entry)
        return _from_environment(entry)
    if isinstance(entry, Mapping) and "name" in entry:
        return _from_table(entry["name"], {k: v for k, v in entry.items() if k != "name"}, Path())
    raise AccountError(
        f"an account must be a name, a dict with its name, or an Account, not {_kind(entry)}"
    )


def _from_environment(name: str) -> Account:
    prefix = re.sub(r"\W", "_", name).upper()
    user = Secret("env", f"{prefix}_USER", f"the user of account {name}").known()
    account = Account(name=name, user=user or name, password={"env": f"{prefix}_PASSWORD"})
    account.check()
    return account


def _from_table(name: Any, table: Any, folder: Path) -> Account:
    _check_name(name)
    if not isinstance(table, Mapping):
        raise AccountError(f"{name} must be a table: begin an account with [NAME]")
    for key in table:
        _refuse_misspelt(name, key)
    options = {key: value for key, value in table.items() if key in TABLE_KEYS}
    fields = {key: value for key, value in table.items() if key not in TABLE_KEYS}
    account = Account(name=name, fields=fields, folder=folder, **options)
    account.check()
    return account


def _refuse_misspelt(name: str, key: str) -> None:
    if key in TABLE_KEYS:
        return
    similar = difflib.get_close_matches(key, TABLE_KEYS, n=1, cutoff=0.8)
    meant = SYNONYMS.get(key) or (similar[0] if similar else None)
    if meant:
        raise AccountError(
            f"account {name} has no key {key!r}: did you mean {meant}? "
            "(If it is data for the login, give it another name.)"
        )


def _has_plain_password(table: Any) -> bool:
    return isinstance(table, dict) and isinstance(table.get("password"), str)


def _secret(value: Any, label: str, user: str, folder: Path | None) -> Secret | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return credentials.parse_reference(value, label, user, folder)
    if not isinstance(value, str) or not value:  # whatever it is, it may be meant as a password
        raise AccountError(f"{label} must be text that is not empty, or say where it is")
    return credentials.given(value, label)


def _value(value: Any, label: str, user: str, folder: Path | None) -> Any:
    if isinstance(value, Mapping):
        return credentials.parse_reference(value, label, user, folder)
    return value


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise AccountError(f"an account's name must be one line of text, not {name!r}")


def _check_numbers(name: str, **numbers: Any) -> None:
    minimum = {"delay": 0, "max_pages": 1, "cooldown": 0}
    for key, value in numbers.items():
        if value is None and key != "cooldown":
            continue
        types = int if key == "max_pages" else (int, float)
        if isinstance(value, bool) or not isinstance(value, types) or not value >= minimum[key]:
            unit = "whole number" if key == "max_pages" else "number of seconds"
            raise AccountError(
                f"account {name}: {key} must be a {unit}, at least {minimum[key]}, not {value!r}"
            )


def _kind(value: object) -> str:
    return cast(type, type(value)).__name__


def count_page(usage: Usage, at: float, account: Account | None) -> Usage:
    """Return ``usage`` with a page more, at the time ``at``."""
    if account is None or not 0 <= at - usage.window_at < account.window:
        usage = replace(usage, window_at=at, window_pages=0)
    return replace(usage, pages=usage.pages + 1, window_pages=usage.window_pages + 1)


def quota_wait(usage: Usage, at: float, account: Account | None) -> float:
    """Return seconds until the account may fetch another page; 0 if it may now."""
    if account is None or account.max_pages is None or usage.window_pages < account.max_pages:
        return 0.0
    left = usage.window_at + account.window - at
    # A clock that was set back must not make the wait longer than the window.
    return min(max(left, 0.0), account.window)


# Keys

_ACCOUNT = "account"
_SITE = "site"


class SessionKey(NamedTuple):
    """The owner of a session; ``name`` is the account's, or the site's of an anonymous session.

    As text, in the store and in messages, it is ``account`` (the only account), ``account:NAME`` or
    ``site:DOMAIN``.
    """

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
