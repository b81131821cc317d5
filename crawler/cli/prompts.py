"""Prompts: answer the questions of a login at the terminal."""

from __future__ import annotations

import getpass
import sys

from crawler.errors import InputRequiredError
from crawler.text import printable


def terminal_prompt(question: str, hidden: bool) -> str:
    """Return the text typed on standard input, and ask again until it is not empty.

    Raises InputRequiredError when the input ends before.
    """
    prompt = f"{printable(question).rstrip(' :')}: "
    answer = ""
    while not answer.strip():
        answer = _hidden(prompt) if hidden and sys.stdin.isatty() else _line(prompt)
        if not answer:
            raise InputRequiredError(question)
    return answer.strip()


def _line(prompt: str) -> str:
    """Return a line with its end; empty at the end of the input."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not sys.stdin.isatty():
        sys.stderr.write("\n")
    return answer


def _hidden(prompt: str) -> str:
    try:
        return getpass.getpass(prompt) + "\n"
    except EOFError:
        return ""
