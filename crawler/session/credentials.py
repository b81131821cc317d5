"""Credentials: look secrets up where a reference says, and show them nowhere.

A reference is ``{"env": "SHOP_PASSWORD"}``, ``{"file": "shop.secret"}`` (mode 0600),
``{"keyring": "shop.example"}`` or ``{"prompt": True}``. This is the only module below the settings
that reads the environment: the variables that references name, and those whose names say that they
are secret, so that they can be masked.
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
from crawler.store.permissions import is_foreign

SECRET_WORDS = frozenset(
    {"apikey", "credential", "credentials", "passphrase", "passwd", "password", "pwd"}
    | {"secret", "secrets", "token"}
)
FOLDERS = frozenset({"PWD", "OLDPWD"})
"""Variables with the shell's working directories; masking those would hide every path."""
MIN_GUESS = 6
"""Characters of a variable that is taken for a secret by its name; shorter may be ``true``."""


class Secret:
    """A secret text, and where it is. Neither ``repr`` nor a pickle shows it.

    A pickle contains only a text that another process cannot look up: one typed at the terminal,
    or given by the spider's code.
    """

    __slots__ = ("_may_ask", "_value", "kind", "label", "place", "user")

    def __init__(self, kind: str, place: str, label: str, user: str = "") -> None:
        """``label`` names it in messages; ``user`` is its user in the keyring."""
        self.kind = kind
        self.place = place
        self.label = label
        self.user = user
        self._value: str | None = None
        self._may_ask = True

    def reveal(self) -> str:
        """Return the text, looked up when first used. Raises AccountError if unavailable."""
        if self._value is None:
            if self.kind == "prompt" and not self._may_ask:
                raise AccountError(f"{self.label} was not asked for before the workers started")
            value = READERS[self.kind](self)
            if not value:
                raise AccountError(f"{self.label} is empty in {self.source}")
            self._value = value
        return self._value

    def known(self) -> str | None:
        """Return the text if neither the terminal nor the keyring is needed for it, else None."""
        if self._value is None and self.kind in {"env", "file"}:
            try:
                return self.reveal()
            except AccountError:
                return None
        return self._value

    def check(self) -> None:
        """Raise AccountError for a reference to a variable or file that cannot be read."""
        if self.kind in {"env", "file"}:
            self.reveal()

    @property
    def source(self) -> str:
        """The place that it comes from, for messages."""
        return SOURCES[self.kind].format(self.place)

    def __repr__(self) -> str:
        return f"<{self.label}, from {self.source}>"

    def __reduce__(self) -> tuple[Any, ...]:
        value = self._value if self.kind in {"prompt", "given"} else None
        return _restored, (self.kind, self.place, self.label, self.user, value)


def in_environment() -> list[Secret]:
    """Return the environment variables whose names say that they are secret."""
    return [
        Secret("env", name, name)
        for name, value in os.environ.items()
        if _is_called_secret(name) and name not in FOLDERS and len(value) >= MIN_GUESS
    ]


def refuse_in_arguments(names: Iterable[str]) -> None:
    """Raise AccountError if the name of a spider's argument says that it is secret.

    Arguments are recorded in the job, and shown with it.
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


def unset_variable(error: BaseException) -> str:
    """Return a message for a KeyError of ``os.environ[…]``; empty for other errors."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = type(os.environ).__getitem__.__code__
    if not isinstance(error, KeyError) or trace is None or trace.tb_frame.f_code is not code:
        return ""
    return f"the environment variable {error.args[0]} is not set"


def given(value: str, label: str) -> Secret:
    """Return the secret with the text ``value``."""
    secret = Secret("given", "", label)
    secret._value = value
    return secret


def parse_reference(
    reference: Mapping[str, Any], label: str, user: str = "", folder: Path | None = None
) -> Secret:
    """Return the secret of ``reference``; a file's name is relative to ``folder``.

    Raises AccountError for a reference of another form.
    """
    kind, place = next(iter(reference.items()), ("", None))
    if len(reference) != 1 or kind not in REFERENCES:
        similar = difflib.get_close_matches(str(kind), REFERENCES, n=1)
        hint = f": did you mean {similar[0]}?" if len(reference) == 1 and similar else ""
        ways = 'env = "NAME", file = "FILE", keyring = "SERVICE" or prompt = true'
        raise AccountError(f"{label} must be a table of one of {ways}{hint}")
    if kind == "prompt":
        if place is not True:
            raise AccountError(f"{label} is asked for with prompt = true, not {place!r}")
        return Secret(kind, "", label, user)
    if not isinstance(place, str) or not place:
        raise AccountError(f"{label}: {kind} must name something, in text, and not be {place!r}")
    if kind == "file":
        place = str(((folder or Path()) / Path(place).expanduser()).absolute())
    return Secret(kind, place, label, user)


def read_text(path: Path) -> tuple[str, os.stat_result]:
    """Return the text of a file in UTF-8, and the state of the very file that was read."""
    with path.open(encoding="utf-8") as file:
        return file.read(), os.fstat(file.fileno())


def check_private(path: Path, file: os.stat_result, label: str) -> None:
    """Raise AccountError for a file that others than this user may read."""
    if os.name == "posix" and stat.S_IMODE(file.st_mode) & 0o077:
        command = shlex.join(["chmod", "600", str(path)])
        raise AccountError(f"{path} holds {label}, but others can read it: {command}")
    if is_foreign(file):
        command = shlex.join(["chown", str(os.geteuid()), str(path)])
        raise AccountError(f"{path} holds {label}, but is a file of another user: {command}")


def from_keyring(service: str, user: str, label: str) -> str | None:
    """Return the password of ``user`` in the system's keyring; None if it has none.

    Raises AccountError if there is no keyring.
    """
    try:
        import keyring  # optional, and slow to import
        import keyring.errors
    except ImportError:
        raise AccountError(
            f"{label} is in the keyring, which needs the keyring library: pip install keyring"
        ) from None
    try:
        password: str | None = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise AccountError(f"{label} is in the keyring, which cannot be read: {error}") from None
    return password


def _environment(secret: Secret) -> str:
    value = os.environ.get(secret.place)
    if value is None:
        raise AccountError(
            f"{secret.label} is unavailable: set the environment variable {secret.place}"
        )
    return value


def _file(secret: Secret) -> str:
    path = Path(secret.place)
    try:
        text, file = read_text(path)
        check_private(path, file, secret.label)
        return text.rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise AccountError(f"{secret.label} cannot be read from {path}: {reason}") from None


def _keyring(secret: Secret) -> str:
    password = from_keyring(secret.place, secret.user, secret.label)
    if password is None:
        command = shlex.join(["keyring", "set", secret.place, secret.user])
        raise AccountError(
            f"{secret.label} is not in the keyring under {secret.place}: "
            f"put it there with {command}"
        )
    return password


def _prompt(secret: Secret) -> str:
    if not sys.stdin.isatty():
        raise AccountError(f"{secret.label} must be typed at a terminal, but there is none")
    return getpass.getpass(f"{secret.label[0].upper()}{secret.label[1:]}: ")


def _restored(kind: str, place: str, label: str, user: str, value: str | None) -> Secret:
    secret = Secret(kind, place, label, user)
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
    """Return the text in CRAWL_KEY, by which sessions are encrypted, or None.

    ``CRAWL_KEY=keyring`` takes it from the system's keyring. Raises SettingsError for an empty key.
    """
    key = os.environ.get("CRAWL_KEY")
    if key == "keyring":
        key = from_keyring("crawler", "CRAWL_KEY", "CRAWL_KEY")
        if key is None:
            raise SettingsError(
                "CRAWL_KEY is not in the keyring: put it there with keyring set crawler CRAWL_KEY"
            )
    if key is not None and not key.strip():
        raise SettingsError("CRAWL_KEY is empty: give it a text, or unset it")
    return key
