"""Translate CSS selectors to XPath, with the meaning that BeautifulSoup gives them.

``compiled`` translates the most common selectors: names, classes, ids, attributes, ``:not()``,
first, last and counted children, and all combinators but ``~``. It returns None for all others, and
for those to which soupsieve, BeautifulSoup's matcher, gives a meaning that XPath cannot express.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import soupsieve
from bs4.builder._lxml import LXMLTreeBuilder
from cssselect import parser
from lxml import etree


@dataclass(frozen=True, slots=True)
class CompiledSelector:
    """A selector, compiled for lxml elements.

    ``all`` and ``first`` return a list of elements in the order of the page.
    ``reads_attributes``: the matches depend on attributes. ``splits``: they depend on the white
    space in attributes.
    """

    all: etree.XPath
    first: etree.XPath
    reads_attributes: bool
    splits: bool


@lru_cache(maxsize=512)
def compiled(css: str) -> CompiledSelector | None:
    """Compile ``css``; None if BeautifulSoup must match it, or raise the error in it."""
    try:
        soupsieve.compile(css)
        if _UNCLEAR.search(css):
            return None
        path = "|".join(_path(selector) for selector in parser.parse(css))
        return CompiledSelector(
            all=etree.XPath(path, smart_strings=False),
            first=etree.XPath(f"({path})[1]", smart_strings=False),
            reads_attributes="@" in path,
            splits="normalize-space" in path,
        )
    except (_UnsupportedError, soupsieve.SelectorSyntaxError, NotImplementedError):
        return None
    except (parser.SelectorError, etree.XPathError, ValueError, TypeError):
        return None


class _UnsupportedError(Exception):
    """A selector that is left to BeautifulSoup."""


# Escapes, comments and namespaces, which soupsieve and cssselect parse differently.
_UNCLEAR = re.compile(r"\\|/\*|\|(?!=)")


def _path(selector: Any) -> str:
    if selector.pseudo_element is not None:
        raise _UnsupportedError
    return f"descendant-or-self::{_test(selector.parsed_tree)}"


def _test(tree: Any) -> str:
    """Return the part after an axis: the name of an element, and conditions on it."""
    name, conditions = _translate(tree)
    return f"{name}{conditions}"


def _translate(tree: Any) -> tuple[str, str]:
    """Return the name of an element (or ``*``) and the conditions on it."""
    parts: tuple[str, str] = _TRANSLATORS.get(type(tree).__name__, _unsupported)(tree)
    return parts


def _unsupported(tree: Any) -> tuple[str, str]:
    raise _UnsupportedError


def _element(tree: Any) -> tuple[str, str]:
    if tree.namespace is not None:
        raise _UnsupportedError
    return ("*" if tree.element is None else _name(tree.element)), ""


def _name(name: str) -> str:
    if not _PLAIN_NAME.fullmatch(name):
        raise _UnsupportedError
    return name.lower()


_PLAIN_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")


def _id(tree: Any) -> tuple[str, str]:
    name, conditions = _translate(tree.selector)
    return name, f"{conditions}[@id = {_literal(tree.id)}]"


def _class(tree: Any) -> tuple[str, str]:
    # The first condition is the cheapest, and mostly false; the last knows all white space of
    # Unicode, at which BeautifulSoup splits.
    name, conditions = _translate(tree.selector)
    padded = _literal(f" {tree.class_name} ")
    return name, (
        f"{conditions}[contains(@class, {_literal(tree.class_name)})]"
        f"[contains(concat(' ', normalize-space(@class), ' '), {padded})"
        f" or contains(concat(' ', translate(@class, '{_SPACES}', '{' ' * len(_SPACES)}'), ' '),"
        f" {padded})]"
    )


# The characters at which Python splits text, but control characters: XPath cannot express them.
_SPACES = "\t\n\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
_SPACES += "\u2028\u2029\u202f\u205f\u3000"


def _attribute(tree: Any) -> tuple[str, str]:
    name, conditions = _translate(tree.selector)
    attribute = "@" + _name(tree.attrib)
    if tree.namespace is not None or getattr(tree, "flag", None):
        raise _UnsupportedError
    if tree.operator == "exists":
        return name, f"{conditions}[{attribute}]"
    if attribute[1:] in _SPECIAL_ATTRIBUTES:
        raise _UnsupportedError
    value = str(getattr(tree.value, "value", tree.value))
    return name, f"{conditions}[{_comparison(attribute, tree.operator, value)}]"


def _comparison(attribute: str, operator: str, value: str) -> str:
    literal = _literal(value)
    if operator == "=":
        return f"{attribute} = {literal}"
    if operator == "|=":
        return f"{attribute} = {literal} or starts-with({attribute}, {_literal(value + '-')})"
    # Versions of soupsieve differ on empty values.
    if not value:
        raise _UnsupportedError
    if operator == "^=":
        return f"starts-with({attribute}, {literal})"
    if operator == "*=":
        return f"contains({attribute}, {literal})"
    if operator == "$=":
        start = f"string-length({attribute}) - {len(value) - 1}"
        return f"substring({attribute}, {start}) = {literal}"
    if operator == "~=" and not re.search(r"\s", value):
        padded = _literal(f" {value} ")
        return f"contains(concat(' ', normalize-space({attribute}), ' '), {padded})"
    raise _UnsupportedError


# Attributes that are lists for BeautifulSoup, and those whose values HTML compares without case
# (https://html.spec.whatwg.org/#case-sensitivity-of-selectors).
_SPECIAL_ATTRIBUTES = {
    *chain(*LXMLTreeBuilder.DEFAULT_CDATA_LIST_ATTRIBUTES.values()),
    *("accept", "accept-charset", "align", "alink", "axis", "bgcolor", "charset", "checked"),
    *("clear", "codetype", "color", "compact", "declare", "defer", "dir", "direction"),
    *(
        "disabled",
        "enctype",
        "face",
        "frame",
        "hreflang",
        "http-equiv",
        "ismap",
        "lang",
        "language",
    ),
    *("link", "media", "method", "multiple", "nohref", "noresize", "noshade", "nowrap"),
    *("readonly", "rel", "rev", "rules", "scope", "scrolling", "selected", "shape", "target"),
    *("text", "type", "valign", "valuetype", "vlink"),
}


def _combined(tree: Any) -> tuple[str, str]:
    name, conditions = _translate(tree.subselector)
    axis = _AXES.get(tree.combinator)
    if axis is None:
        raise _UnsupportedError
    left, left_conditions = _translate(tree.selector)
    if tree.combinator == "+":
        return name, f"{conditions}[preceding-sibling::*[1][self::{left}{left_conditions}]]"
    return name, f"{conditions}[{axis}::{left}{left_conditions}]"


# Not "~": for each of many siblings, it would visit all of them.
_AXES = {" ": "ancestor", ">": "parent", "+": "preceding-sibling"}


def _negation(tree: Any) -> tuple[str, str]:
    name, conditions = _translate(tree.selector)
    return name, f"{conditions}[not(self::{_test(tree.subselector)})]"


def _pseudo(tree: Any) -> tuple[str, str]:
    name, conditions = _translate(tree.selector)
    for axis, of_type in _ENDS.get(tree.ident, ()):
        conditions += _is_number(1, axis, _type(name) if of_type else "*")
    if tree.ident not in _ENDS:
        raise _UnsupportedError
    return name, conditions


_ENDS: dict[str, tuple[tuple[str, bool], ...]] = {
    "first-child": (("preceding", False),),
    "last-child": (("following", False),),
    "only-child": (("preceding", False), ("following", False)),
    "first-of-type": (("preceding", True),),
    "last-of-type": (("following", True),),
    "only-of-type": (("preceding", True), ("following", True)),
}


def _function(tree: Any) -> tuple[str, str]:
    name, conditions = _translate(tree.selector)
    if tree.name not in _COUNTED:
        raise _UnsupportedError
    step, number = parser.parse_series(tree.arguments)
    if step != 0 or number < 1:
        raise _UnsupportedError
    axis, of_type = _COUNTED[tree.name]
    return name, conditions + _is_number(number, axis, _type(name) if of_type else "*")


_COUNTED = {
    "nth-child": ("preceding", False),
    "nth-last-child": ("following", False),
    "nth-of-type": ("preceding", True),
    "nth-last-of-type": ("following", True),
}


def _is_number(number: int, axis: str, name: str) -> str:
    # To count would visit all siblings of each element; this stops at the sibling in question.
    enough = f"[{axis}-sibling::{name}[{number - 1}]]" if number > 1 else ""
    return f"{enough}[not({axis}-sibling::{name}[{number}])]"


def _type(name: str) -> str:
    if name == "*":
        raise _UnsupportedError
    return name


def _literal(text: str) -> str:
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    raise _UnsupportedError


_TRANSLATORS: dict[str, Any] = {
    "Element": _element,
    "Hash": _id,
    "Class": _class,
    "Attrib": _attribute,
    "CombinedSelector": _combined,
    "Negation": _negation,
    "Pseudo": _pseudo,
    "Function": _function,
}
