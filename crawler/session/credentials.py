"""Passwords: where one comes from, and that it shows nowhere else.

A reference says where: ``{"env": "SHOP_PASSWORD"}``, ``{"file": "shop.secret"}`` (mode 0600),
``{"keyring": "shop.example"}`` or ``{"prompt": True}``. This is the one module below the settings
that reads the environment: the variables that the user has named for it, and those that are
called as secrets are, so that they can be masked.
"""

from __future__ import annotations

import difflib
import getpass
import os
import re
import shlex
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from crawler.errors import AccountError, SettingsError

SECRET_WORDS = frozenset(
    {"apikey", "credential", "credentials", "passphrase", "passwd", "password", "pwd"}
    | {"secret", "secrets", "token"}
)
FOLDERS = frozenset({"PWD", "OLDPWD"})
"""Where the shell is and was; their stars would hide every path."""
SHORTEST_GUESS = 6
"""Characters; what is shorter may be a ``true`` or a number that is no secret."""


class Secret:
    """A text that must not be seen, and where it is. Neither ``repr`` nor a pickle shows it.

    In a pickle only that travels which the other process cannot look up itself: what a person
    has typed, or what the spider's code has given.
    """

    __slots__ = ("_may_ask", "_value", "kind", "place", "user", "what")

    def __init__(self, kind: str, place: str, what: str, user: str = "") -> None:
        """``what`` says in messages what it is; ``user`` is whose, in the keyring."""
        self.kind = kind
        self.place = place
        self.what = what
        self.user = user
        self._value: str | None = None
        self._may_ask = True

    def reveal(self) -> str:
        """The text; looked up when first asked. Raises AccountError where it cannot be had."""
        if self._value is None:
            if self.kind == "prompt" and not self._may_ask:
                raise AccountError(f"{self.what} was not asked for before the workers started")
            value = READERS[self.kind](self)
            if not value:
                raise AccountError(f"{self.what} is empty in {self.source}")
            self._value = value
        return self._value

    def known(self) -> str | None:
        """The text if it can be had without asking a person or the keyring, else None."""
        if self._value is None and self.kind in {"env", "file"}:
            try:
                return self.reveal()
            except AccountError:
                return None
        return self._value

    def check(self) -> None:
        """Raises AccountError for what is wrong with the reference without asking anybody."""
        if self.kind in {"env", "file"}:
            self.reveal()

    @property
    def source(self) -> str:
        """Where it comes from, for messages."""
        return SOURCES[self.kind].format(self.place)

    def __repr__(self) -> str:
        return f"<{self.what}, from {self.source}>"

    def __reduce__(self) -> tuple[Any, ...]:
        travels = self._value if self.kind in {"prompt", "given"} else None
        return _restored, (self.kind, self.place, self.what, self.user, travels)


def in_environment() -> list[Secret]:
    """The environment variables whose names say that they are secret, but for very short ones."""
    named = [name for name in os.environ if _is_called_secret(name) and name not in FOLDERS]
    long = [name for name in named if len(os.environ[name]) >= SHORTEST_GUESS]
    return [Secret("env", name, name) for name in long]


def refuse_in_arguments(names: Iterable[str]) -> None:
    """Raises AccountError where an argument of the spider is called as a secret would be.

    Arguments are kept in the job, and shown with it.
    """
    for name in names:
        if _is_called_secret(name):
            raise AccountError(
                f"-a {name}=… would be recorded in the job: give secrets in the environment, "
                "or with --accounts"
            )


def _is_called_secret(name: str) -> bool:
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower().replace("-", "_").split("_")
    return not SECRET_WORDS.isdisjoint(words) or "api_key" in "_".join(words)


def unset_variable(error: Exception) -> str:
    """What is to be said of a KeyError that comes from ``os.environ[…]``; of others nothing."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = type(os.environ).__getitem__.__code__
    if not isinstance(error, KeyError) or trace is None or trace.tb_frame.f_code is not code:
        return ""
    return f"the environment variable {error.args[0]} is not set"


def given(value: str, what: str) -> Secret:
    """A secret whose text is at hand."""
    secret = Secret("given", "", what)
    secret._value = value
    return secret


def parse_reference(
    reference: Mapping[str, Any], what: str, user: str = "", folder: Path | None = None
) -> Secret:
    """The secret that ``reference`` says; a file's name is relative to ``folder``.

    Raises AccountError for a reference that means nothing.
    """
    kind, place = next(iter(reference.items()), ("", None))
    if len(reference) != 1 or kind not in REFERENCES:
        near = difflib.get_close_matches(str(kind), REFERENCES, n=1)
        hint = f": did you mean {near[0]}?" if len(reference) == 1 and near else ""
        ways = 'env = "NAME", file = "FILE", keyring = "SERVICE" or prompt = true'
        raise AccountError(f"{what} must be a table of one of {ways}{hint}")
    if kind == "prompt":
        if place is not True:
            raise AccountError(f"{what} is asked for with prompt = true, not {place!r}")
        return Secret(kind, "", what, user)
    if not isinstance(place, str) or not place:
        raise AccountError(f"{what}: {kind} must name something, in text, and not be {place!r}")
    if kind == "file":
        place = str(((folder or Path()) / Path(place).expanduser()).absolute())
    return Secret(kind, place, what, user)


def check_private(path: Path, what: str) -> None:
    """Raises AccountError for a file that others than its owner may read."""
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        command = shlex.join(["chmod", "600", str(path)])
        raise AccountError(f"{path} holds {what}, but others can read it: {command}")


def from_keyring(service: str, user: str, what: str) -> str | None:
    """What the system's keyring keeps for ``user``; None where it keeps nothing.

    Raises AccountError where there is no keyring.
    """
    try:
        import keyring  # optional, and slow to import
        import keyring.errors
    except ImportError:
        raise AccountError(
            f"{what} is in the keyring, which needs the keyring library: pip install keyring"
        ) from None
    try:
        found: str | None = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise AccountError(f"{what} is in the keyring, which cannot be read: {error}") from None
    return found


def _environment(secret: Secret) -> str:
    value = os.environ.get(secret.place)
    if value is None:
        raise AccountError(f"{secret.what} is in no environment variable {secret.place}: set it")
    return value


def _file(secret: Secret) -> str:
    path = Path(secret.place)
    try:
        check_private(path, secret.what)
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise AccountError(f"{secret.what} cannot be read from {path}: {why}") from None


def _keyring(secret: Secret) -> str:
    found = from_keyring(secret.place, secret.user, secret.what)
    if found is None:
        command = shlex.join(["keyring", "set", secret.place, secret.user])
        raise AccountError(
            f"{secret.what} is not in the keyring under {secret.place}: put it there with {command}"
        )
    return found


def _prompt(secret: Secret) -> str:
    if not sys.stdin.isatty():
        raise AccountError(f"{secret.what} is asked for at the terminal, and there is none")
    return getpass.getpass(f"{secret.what[0].upper()}{secret.what[1:]}: ")


def _restored(kind: str, place: str, what: str, user: str, value: str | None) -> Secret:
    secret = Secret(kind, place, what, user)
    secret._value, secret._may_ask = value, False
    return secret


READERS: dict[str, Callable[[Secret], str]] = {
    "env": _environment,
    "file": _file,
    "keyring": _keyring,
    "prompt": _prompt,
}
SOURCES = {
    "env": "the environment variable {}",
    "file": "the file {}",
    "keyring": "the keyring ({})",
    "prompt": "the terminal",
    "given": "the spider or the accounts file",
}
REFERENCES = tuple(READERS)


def encryption_key() -> str | None:
    """What sessions are to be encrypted with: the text in CRAWL_KEY, or None.

    ``CRAWL_KEY=keyring`` takes it from the system's keyring. Raises SettingsError for an empty key.
    """
    found = os.environ.get("CRAWL_KEY")
    if found == "keyring":
        found = from_keyring("crawler", "CRAWL_KEY", "CRAWL_KEY")
        if found is None:
            raise SettingsError(
                "CRAWL_KEY is not in the keyring: put it there with keyring set crawler CRAWL_KEY"
            )
    if found is not None and not found.strip():
        raise SettingsError("CRAWL_KEY is empty: give it a text, or unset it")
    return found
