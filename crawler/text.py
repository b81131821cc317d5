"""Terminal: text of strangers, so that reading it on a terminal does what reading does, no more.

Addresses, headers, titles and seeds end up in messages and in the log. A terminal takes control
characters in them for commands: to clear the screen, to set its title, to print what was never
said. Written out (``\\x1b``) they are only ugly.
"""

from __future__ import annotations

import re
from pathlib import Path

# C0 without tab and line feed, DEL, C1, the separators of Unicode, and what turns the order of
# letters around (https://www.unicode.org/reports/tr9/, "Trojan Source").
_COMMANDS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_command = re.compile(f"[{_COMMANDS}]")
_command_or_break = re.compile(rf"[{_COMMANDS}\n]")


def printable(text: str) -> str:
    """``text`` in its lines, with everything that could command a terminal written out."""
    return text if text.isprintable() else _command.sub(_written, text)


def one_line(text: str) -> str:
    """The same in one line: line ends are written out too."""
    return text if text.isprintable() else _command_or_break.sub(_written, text)


def _written(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def encodable(text: str) -> str:
    """``text`` with halves of characters, which UTF-8 has no bytes for, written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def display_path(path: Path) -> str:
    """A path as people want to read it: from the current folder where it is below that."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def count(number: int, thing: str) -> str:
    """``1 page``, ``1,234 pages``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
