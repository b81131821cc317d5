"""Accounts: the credentials that sessions log in with, and how each may be used."""

from __future__ import annotations

import difflib
import inspect
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from msgspec.structs import replace

from crawler.errors import AccountError
from crawler.records import Usage
from crawler.session import credentials as passwords
from crawler.session.credentials import Secret

KEYS = ("user", "password", "delay", "max_pages", "per", "cooldown")
"""What the table of an account may say; any other key is one of its ``fields``."""
WINDOWS = {"day": 86_400.0, "hour": 3_600.0}
OTHER_WORDS = {"username": "user", "pass": "password", "pwd": "password"}


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class Account:
    """One account. Times are in seconds; ``None`` means what the settings say, or no limit.

    ``password`` is text or a reference (see ``passwords``), ``fields`` further data that the login
    needs, whose values may be references too. Raises AccountError for what cannot be meant.
    """

    name: str
    user: str
    delay: float | None
    """Least time between two requests of this account to a host."""
    max_pages: int | None
    """Pages that it may ask for in each ``window``."""
    per: Literal["day", "hour"]
    cooldown: float
    """How long it rests after a 429 or a 403."""
    _password: Secret | None = field(repr=False, compare=False)
    _fields: dict[str, Any] = field(repr=False, compare=False)

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
        """``folder`` is what the names of files in references are relative to."""
        _check_name(name)
        _check_numbers(name, delay=delay, max_pages=max_pages, cooldown=cooldown)
        if not isinstance(user, str):
            raise AccountError(f"account {name}: user must be text, not {user!r}")
        if not isinstance(per, str) or per not in WINDOWS:
            raise AccountError(f'account {name}: per must be "day" or "hour", not {per!r}')
        secret = _secret(password, f"the password of account {name}", user or name, folder)
        others = {
            key: _value(value, f"{key} of account {name}", user or name, folder)
            for key, value in (fields or {}).items()
        }
        values = (name, user, delay, max_pages, per, cooldown, secret, others)
        for slot, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, slot, value)

    @property
    def password(self) -> str:
        """The password, looked up when first asked. Raises AccountError if it cannot be had."""
        if self._password is None:
            raise AccountError(f"account {self.name} has no password: say where it is")
        return self._password.reveal()

    @property
    def fields(self) -> dict[str, Any]:
        """Further data of the account. Raises AccountError for a reference to nothing."""
        items = self._fields.items()
        return {k: v.reveal() if isinstance(v, Secret) else v for k, v in items}

    @property
    def window(self) -> float:
        """The time that ``max_pages`` counts for, in seconds."""
        return WINDOWS[self.per]

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not be seen: the password, and the fields that are references."""
        return tuple(v for v in (self._password, *self._fields.values()) if isinstance(v, Secret))

    def ask(self) -> None:
        """Ask at the terminal for what only a person knows; to be done before workers start.

        Raises AccountError where there is no terminal.
        """
        for secret in self.secrets:
            if secret.kind == "prompt":
                secret.reveal()

    def check(self) -> None:
        """Raises AccountError for a reference to a variable or a file that cannot be read."""
        for secret in self.secrets:
            secret.check()


def load(path: str | os.PathLike[str]) -> list[Account]:
    """The accounts in a TOML file, a table each, in its order. Raises AccountError."""
    path = Path(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
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
            passwords.check_private(path, "a password")
        return [_of_table(name, table, path.parent) for name, table in document.items()]
    except AccountError as error:
        raise AccountError(f"{path}: {error}") from None


def of_spider(spider: object) -> list[Account]:
    """The accounts that a spider's ``accounts`` names; none is the spider's own business.

    Each is an Account, a dict like a table of the accounts file with its ``name``, or just a
    name: then the user is in the environment as NAME_USER (or is the name itself), the password as
    NAME_PASSWORD. Raises AccountError.
    """
    named: Any = getattr(spider, "accounts", ())
    if isinstance(named, (str, Mapping, Account)):
        named = [named]
    if not isinstance(named, Sequence):
        raise AccountError(f"accounts of a spider must be a list of names or dicts, not {named!r}")
    found = [_of_entry(entry) for entry in named]
    names = [account.name for account in found]
    for name in names:
        if names.count(name) > 1:
            raise AccountError(f"account {name} is named twice")
    return found


def check_login(spider: Any, accounts: Sequence[Account]) -> None:
    """Raises AccountError where the spider's ``login`` wants an account and there is none."""
    needed = [
        one
        for one in inspect.signature(spider.login).parameters.values()
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    if len(needed) > len(("self", "session")) and not accounts:
        raise AccountError(
            f"{spider.__name__}.login wants an account: give --accounts FILE, or name accounts in "
            "the spider"
        )


def _of_entry(entry: Any) -> Account:
    if isinstance(entry, Account):
        entry.check()
        return entry
    if isinstance(entry, str):
        _check_name(entry)
        return _of_environment(entry)
    if isinstance(entry, Mapping) and "name" in entry:
        return _of_table(entry["name"], {k: v for k, v in entry.items() if k != "name"}, Path())
    raise AccountError(
        f"an account must be a name, a dict with its name, or an Account, not {_kind(entry)}"
    )


def _of_environment(name: str) -> Account:
    prefix = re.sub(r"\W", "_", name).upper()
    user = Secret("env", f"{prefix}_USER", f"the user of account {name}").known()
    account = Account(name=name, user=user or name, password={"env": f"{prefix}_PASSWORD"})
    account.check()
    return account


def _of_table(name: Any, table: Any, folder: Path) -> Account:
    _check_name(name)
    if not isinstance(table, Mapping):
        raise AccountError(f"{name} must be a table: begin an account with [NAME]")
    for key in table:
        _refuse_misspelt(name, key)
    known = {key: value for key, value in table.items() if key in KEYS}
    others = {key: value for key, value in table.items() if key not in KEYS}
    account = Account(name=name, fields=others, folder=folder, **known)
    account.check()
    return account


def _refuse_misspelt(name: str, key: str) -> None:
    if key in KEYS:
        return
    near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.8)
    meant = OTHER_WORDS.get(key) or (near[0] if near else None)
    if meant:
        raise AccountError(
            f"account {name} has no key {key!r}: did you mean {meant}? "
            "(If it is data for the login, give it another name.)"
        )


def _has_plain_password(table: Any) -> bool:
    return isinstance(table, dict) and isinstance(table.get("password"), str)


def _secret(value: Any, what: str, user: str, folder: Path | None) -> Secret | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return passwords.referred(value, what, user, folder)
    if not isinstance(value, str) or not value:  # whatever it is, it may be meant as a password
        raise AccountError(f"{what} must be text that is not empty, or say where it is")
    return passwords.given(value, what)


def _value(value: Any, what: str, user: str, folder: Path | None) -> Any:
    if isinstance(value, Mapping):
        return passwords.referred(value, what, user, folder)
    return value


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise AccountError(f"an account's name must be one line of text, not {name!r}")


def _check_numbers(name: str, **numbers: Any) -> None:
    least = {"delay": 0, "max_pages": 1, "cooldown": 0}
    for key, value in numbers.items():
        if value is None and key != "cooldown":
            continue
        kinds = int if key == "max_pages" else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not value >= least[key]:
            unit = "whole number" if key == "max_pages" else "number of seconds"
            raise AccountError(
                f"account {name}: {key} must be a {unit}, at least {least[key]}, not {value!r}"
            )


def _kind(value: object) -> str:
    return cast(type, type(value)).__name__


def count_page(usage: Usage, at: float, account: Account | None) -> Usage:
    """``usage`` with one page more, at the time ``at``."""
    if account is None or not 0 <= at - usage.window_at < account.window:
        usage = replace(usage, window_at=at, window_pages=0)
    return replace(usage, pages=usage.pages + 1, window_pages=usage.window_pages + 1)


def quota_wait(usage: Usage, at: float, account: Account | None) -> float:
    """Seconds until the account may have another page; 0 when it may now."""
    if account is None or account.max_pages is None or usage.window_pages < account.max_pages:
        return 0.0
    left = usage.window_at + account.window - at
    # A clock that was set back must not make the wait longer than the window.
    return min(max(left, 0.0), account.window)
