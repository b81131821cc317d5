"""A person: who answers what a login asks, at the terminal, or nobody."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from typing import NoReturn

from crawler.errors import InputRequiredError
from crawler.text import printable

Prompt = Callable[[str, bool], str]
"""Answers a question; the second argument says that nobody may see the answer."""


def no_prompt(question: str, hidden: bool) -> NoReturn:
    """Nobody is there to be asked. Raises InputRequiredError."""
    raise InputRequiredError(question)


def terminal_prompt(question: str, hidden: bool) -> str:
    """What is typed on standard input, asked for until it is something.

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
    """A line with its end; empty at the end of the input."""
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
