"""No regular expression of the crawler can be kept busy by a text made for that.

Each one is taken apart, and each of its repetitions is given a hundred thousand times what it
repeats, followed by what it does not expect. A search that goes through the text once takes a
thousandth of a second; one that goes through it once for each character takes a minute.
"""

from __future__ import annotations

import ast
import importlib
import re
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.test_architecture import PACKAGE, is_demo, name_of

MANY = 100_000
BUDGET = 1.5
"""Seconds of this process's own time: a thousand times what is needed, a tenth of what a text that
is gone through for each character takes."""
TAILS = ("", "\0", "!", "\n", ";", "x")
METHODS = "search|match|fullmatch|sub|finditer|findall|split"
REPEATS = {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}
USUAL = "a1 .-/=:;,<>&%@#?\"'()[]{}*\n\t"


def expressions() -> Iterator[tuple[str, str, re.Pattern[Any]]]:
    """Each expression of the package: where it stands, how it is used, and itself."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = name_of(path)
        if not name or is_demo(name) or name == "__main__":
            continue
        text = path.read_text("utf-8")
        for what, value in vars(importlib.import_module(f"crawler.{name}")).items():
            bound = getattr(value, "__self__", None)
            if isinstance(value, re.Pattern):
                for method in set(re.findall(rf"\b{what}\.({METHODS})\b", text)) or {"match"}:
                    yield f"{name}.{what}", method, value
            elif isinstance(bound, re.Pattern):
                yield f"{name}.{what}", value.__name__, bound
        yield from _in_place(name, ast.parse(text))


def _in_place(name: str, tree: ast.AST) -> Iterator[tuple[str, str, re.Pattern[Any]]]:
    """Yield those that stand in a call, as in ``re.sub("…", …)``."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        module, method, first = node.func.value, node.func.attr, node.args[0]
        is_re = isinstance(module, ast.Name) and module.id == "re"
        if is_re and method in METHODS.split("|") and isinstance(first, ast.Constant):
            assert isinstance(first.value, str | bytes)
            flags = ast.unparse(node).count("re.IGNORECASE") and re.IGNORECASE
            yield f"{name}:{node.lineno}", method, re.compile(first.value, flags)


NOT_REACHED = {
    "parsing.encoding._ATTRIBUTES.findall": "only looks at what _MARKUP has found to be attributes",
}
ALL = [one for one in expressions() if f"{one[0]}.{one[1]}" not in NOT_REACHED]


# Texts made to keep an expression busy


def attacks(pattern: re.Pattern[Any]) -> Iterator[str]:
    """Yield a text for each repetition: its prefix, then its content a hundred thousand times."""
    text = pattern.pattern
    tree = parser.parse(text.decode("latin-1") if isinstance(text, bytes) else text, pattern.flags)
    for before, unit in _pumps("", tree):
        for tail in TAILS:
            yield before + unit * (MANY // len(unit)) + tail


def _pumps(before: str, sequence: Any) -> Iterator[tuple[str, str]]:
    """Yield the prefix and the content of each unlimited repetition."""
    for code, argument in sequence:
        for inside in _inside(code, argument):
            yield from _pumps(before, inside)
        if code in REPEATS and argument[1] > 1000:
            for unit in _units(argument[2]):
                yield before, unit
        before += _example(code, argument)


def _units(sequence: Any) -> set[str]:
    found = {_of_sequence(sequence)}
    if len(sequence) == 1 and sequence[0][0] in {codes.IN, codes.NOT_LITERAL, codes.ANY}:
        found |= {char for char in USUAL if _fits(sequence[0], char)}
    return found - {""}


def _inside(code: Any, argument: Any) -> list[Any]:
    if code in REPEATS:
        return [argument[2]]
    if code is codes.SUBPATTERN:
        return [argument[3]]
    if code is codes.BRANCH:
        return list(argument[1])
    if code is codes.ATOMIC_GROUP:
        return [argument]
    return []


def _of_sequence(sequence: Any) -> str:
    return "".join(_example(code, argument) for code, argument in sequence)


def _example(code: Any, argument: Any) -> str:
    """A short text that fits."""
    if code is codes.LITERAL:
        return chr(argument)
    if code in {codes.IN, codes.NOT_LITERAL, codes.ANY}:
        return next((char for char in USUAL if _fits((code, argument), char)), "\x80")
    if code in REPEATS:
        least: int = argument[0]
        return _of_sequence(argument[2]) * least
    inside = _inside(code, argument)
    return _of_sequence(inside[0]) if inside else ""


def _fits(step: tuple[Any, Any], char: str) -> bool:
    compiled = parser.parse("")
    compiled.append(step)
    return re._compiler.compile(compiled).match(char) is not None  # type: ignore[attr-defined]


@contextmanager
def budget(what: str) -> Iterator[None]:
    """Raises AssertionError in what takes longer, for expressions look for signals."""

    def over(number: int, frame: object) -> None:
        raise AssertionError(f"{what} is kept busy")

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, BUDGET)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def run(pattern: re.Pattern[Any], method: str, text: str) -> None:
    subject: Any = text
    if isinstance(pattern.pattern, bytes):
        subject = text.encode("latin-1", "replace")
    if method == "sub":
        pattern.sub(subject[:0], subject)
    elif method == "finditer":
        for _ in pattern.finditer(subject):
            pass
    else:
        getattr(pattern, method)(subject)


@pytest.mark.parametrize(
    ("method", "pattern"), [one[1:] for one in ALL], ids=[f"{one[0]}.{one[1]}" for one in ALL]
)
def test_no_text_keeps_it_busy(method: str, pattern: re.Pattern[Any]) -> None:
    for text in attacks(pattern):
        with budget(f"{method} of {pattern.pattern!r} on {text[:40]!r}…{text[-10:]!r}"):
            run(pattern, method, text)


def test_all_expressions_are_found() -> None:
    names = {name for name, _, _ in ALL}
    assert {"urls._NORMAL", "parsing.encoding._XML_ENCODING", "parsing.robots._LINE"} <= names
    assert len(names) > 30
    known = {f"{name}.{method}" for name, method, _ in expressions()}
    assert NOT_REACHED.keys() <= known


@pytest.mark.parametrize(
    ("expression", "method"),
    [
        (r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", "search"),
        (r"(?:<br\s*/?>\s*)+$", "sub"),
        (r"[ ]*([0-9]+|(?=\.))[0-9.]*(?:\Z|(?=[;, ]))", "match"),
    ],
)
def test_those_that_could_be_kept_busy_are_found(
    expression: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three that stood here once. They take minutes, so less time than usual is enough."""
    monkeypatch.setattr("tests.test_regexes.BUDGET", 0.2)
    pattern = re.compile(expression)
    with pytest.raises(AssertionError, match="kept busy"):
        test_no_text_keeps_it_busy(method, pattern)
