"""CSS selectors as XPath, with the meaning that BeautifulSoup gives them.

``compiled`` knows the selectors that most spiders are made of: names, classes, ids, attributes,
``:not()``, first, last and counted children, and the combinators but ``~``. It gives None for all
others, and for those that soupsieve, BeautifulSoup's own, reads in a way that XPath cannot say.
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
    """A selector, ready to be asked of an lxml element.

    ``all`` and ``first`` give a list of elements in the order of the page. ``reads_attributes``
    and ``splits`` say that the answer depends on the attributes, and on what is white space in
    them.
    """

    all: etree.XPath
    first: etree.XPath
    reads_attributes: bool
    splits: bool


@lru_cache(maxsize=512)
def compiled(css: str) -> CompiledSelector | None:
    """``css`` as XPath, or None if BeautifulSoup must match it, or say what is wrong with it."""
    try:
        soupsieve.compile(css)
        if _UNCLEAR.search(css):
            return None
        path = "|".join(_path(one) for one in parser.parse(css))
        return CompiledSelector(
            all=etree.XPath(path, smart_strings=False),
            first=etree.XPath(f"({path})[1]", smart_strings=False),
            reads_attributes="@" in path,
            splits="normalize-space" in path,
        )
    except (_UnknownError, soupsieve.SelectorSyntaxError, NotImplementedError):
        return None
    except (parser.SelectorError, etree.XPathError, ValueError, TypeError):
        return None


class _UnknownError(Exception):
    pass


# Escapes, comments and namespaces, which the two parsers of CSS read differently.
_UNCLEAR = re.compile(r"\\|/\*|\|(?!=)")


def _path(selector: Any) -> str:
    if selector.pseudo_element is not None:
        raise _UnknownError
    return f"descendant-or-self::{_test(selector.parsed_tree)}"


def _test(tree: Any) -> str:
    """What stands behind an axis: the name of an element and conditions on it."""
    name, conditions = _READERS.get(type(tree).__name__, _unknown)(tree)
    return f"{name}{conditions}"


def _read(tree: Any) -> tuple[str, str]:
    found: tuple[str, str] = _READERS.get(type(tree).__name__, _unknown)(tree)
    return found


def _unknown(tree: Any) -> tuple[str, str]:
    raise _UnknownError


def _element(tree: Any) -> tuple[str, str]:
    if tree.namespace is not None:
        raise _UnknownError
    return ("*" if tree.element is None else _name(tree.element)), ""


def _name(name: str) -> str:
    if not _PLAIN_NAME.fullmatch(name):
        raise _UnknownError
    return name.lower()


_PLAIN_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")


def _id(tree: Any) -> tuple[str, str]:
    name, conditions = _read(tree.selector)
    return name, f"{conditions}[@id = {_literal(tree.id)}]"


def _class(tree: Any) -> tuple[str, str]:
    # The first condition is the cheapest, and mostly says no; the last knows all white space of
    # Unicode, at which BeautifulSoup splits.
    name, conditions = _read(tree.selector)
    padded = _literal(f" {tree.class_name} ")
    return name, (
        f"{conditions}[contains(@class, {_literal(tree.class_name)})]"
        f"[contains(concat(' ', normalize-space(@class), ' '), {padded})"
        f" or contains(concat(' ', translate(@class, '{_SPACES}', '{' ' * len(_SPACES)}'), ' '),"
        f" {padded})]"
    )


# What Python splits text at, without control characters, which XPath has no way to write.
_SPACES = "\t\n\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
_SPACES += "\u2028\u2029\u202f\u205f\u3000"


def _attribute(tree: Any) -> tuple[str, str]:
    name, conditions = _read(tree.selector)
    attribute = "@" + _name(tree.attrib)
    if tree.namespace is not None or getattr(tree, "flag", None):
        raise _UnknownError
    if tree.operator == "exists":
        return name, f"{conditions}[{attribute}]"
    if attribute[1:] in _READ_OTHERWISE:
        raise _UnknownError
    value = str(getattr(tree.value, "value", tree.value))
    return name, f"{conditions}[{_comparison(attribute, tree.operator, value)}]"


def _comparison(attribute: str, operator: str, value: str) -> str:
    literal = _literal(value)
    if operator == "=":
        return f"{attribute} = {literal}"
    if operator == "|=":
        return f"{attribute} = {literal} or starts-with({attribute}, {_literal(value + '-')})"
    # Versions of soupsieve differ in what an empty value is the start of.
    if not value:
        raise _UnknownError
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
    raise _UnknownError


# Attributes that are lists for BeautifulSoup, and those whose values HTML compares without case
# (https://html.spec.whatwg.org/#case-sensitivity-of-selectors).
_READ_OTHERWISE = {
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
    name, conditions = _read(tree.subselector)
    axis = _AXES.get(tree.combinator)
    if axis is None:
        raise _UnknownError
    before, its_conditions = _read(tree.selector)
    if tree.combinator == "+":
        return name, f"{conditions}[preceding-sibling::*[1][self::{before}{its_conditions}]]"
    return name, f"{conditions}[{axis}::{before}{its_conditions}]"


# Not "~": asked of each of many siblings, it would look at all of them each time.
_AXES = {" ": "ancestor", ">": "parent", "+": "preceding-sibling"}


def _negation(tree: Any) -> tuple[str, str]:
    name, conditions = _read(tree.selector)
    return name, f"{conditions}[not(self::{_test(tree.subselector)})]"


def _pseudo(tree: Any) -> tuple[str, str]:
    name, conditions = _read(tree.selector)
    for axis, of_type in _ENDS.get(tree.ident, ()):
        conditions += _is_number(1, axis, _type(name) if of_type else "*")
    if tree.ident not in _ENDS:
        raise _UnknownError
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
    name, conditions = _read(tree.selector)
    if tree.name not in _COUNTED:
        raise _UnknownError
    step, number = parser.parse_series(tree.arguments)
    if step != 0 or number < 1:
        raise _UnknownError
    axis, of_type = _COUNTED[tree.name]
    return name, conditions + _is_number(number, axis, _type(name) if of_type else "*")


_COUNTED = {
    "nth-child": ("preceding", False),
    "nth-last-child": ("following", False),
    "nth-of-type": ("preceding", True),
    "nth-last-of-type": ("following", True),
}


def _is_number(number: int, axis: str, name: str) -> str:
    # Counting would look at all siblings of each; this stops at the one that is in question.
    enough = f"[{axis}-sibling::{name}[{number - 1}]]" if number > 1 else ""
    return f"{enough}[not({axis}-sibling::{name}[{number}])]"


def _type(name: str) -> str:
    if name == "*":
        raise _UnknownError
    return name


def _literal(text: str) -> str:
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    raise _UnknownError


_READERS: dict[str, Any] = {
    "Element": _element,
    "Hash": _id,
    "Class": _class,
    "Attrib": _attribute,
    "CombinedSelector": _combined,
    "Negation": _negation,
    "Pseudo": _pseudo,
    "Function": _function,
}
