"""Escape control characters in untrusted text before it is printed; show paths and counts.

Addresses, headers, titles and seeds occur in messages and in the log. A terminal takes control
characters in them for commands: to clear the screen, to set its title, to fake output. Escaped
(``\\x1b``) they do no harm.
"""

from __future__ import annotations

import re
from pathlib import Path

# C0 without tab and line feed, DEL, C1, the separators of Unicode, and the characters that reverse
# the order of letters (https://www.unicode.org/reports/tr9/, "Trojan Source").
_COMMANDS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_command = re.compile(f"[{_COMMANDS}]")
_command_or_break = re.compile(rf"[{_COMMANDS}\n]")


def printable(text: str) -> str:
    """Return ``text`` in its lines, with everything that could command a terminal escaped."""
    return text if text.isprintable() else _command.sub(_escaped, text)


def one_line(text: str) -> str:
    """Return the same in one line: line ends are escaped too."""
    return text if text.isprintable() else _command_or_break.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def cut(text: str, most: int) -> str:
    """Return ``text`` without its middle if it is longer than ``most`` characters.

    A page may put megabytes into a URL, and so into a message.
    """
    if len(text) <= most:
        return text
    return f"{text[: most * 2 // 3]} … {len(text) - most:,} characters … {text[-(most // 3) :]}"


def encodable(text: str) -> str:
    """Return ``text`` with lone surrogates, which UTF-8 has no bytes for, escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def display_path(path: Path) -> str:
    """Return a path for people: relative to the current folder if it is below that."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def count(number: int, thing: str) -> str:
    """Return ``1 page`` or ``1,234 pages``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
