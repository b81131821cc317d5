"""The nodes of a BeautifulSoup tree, made in one step each.

BeautifulSoup's lxml builder turns each event of the parser (start of a tag, text, …) into about
ten calls of general methods. ``TreeBuilderTarget`` takes the same events, and makes the same
objects and the same links between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bs4 import BeautifulSoup
from bs4.builder._lxml import LXMLTreeBuilder
from bs4.element import (
    AttributeValueList,
    Comment,
    Doctype,
    NamespacedAttribute,
    NavigableString,
    ProcessingInstruction,
    Tag,
    XMLAttributeDict,
)

from crawler.parsing.links import Reference

_SPACES = " \n\t\f\r"
_new: Any = object.__new__
_new_string: Any = str.__new__


class TreeBuilderTarget:
    """What lxml tells its events to: it makes the tree below ``soup``.

    All attributes of a tag and all links to its neighbours are set here, in the order of the
    document, as ``Tag.__init__``, ``PageElement.setup`` and ``BeautifulSoup.object_was_parsed``
    set them between them. What links and bases refer to is added to ``references``. Without a
    ``soup`` it makes what stands nowhere, from ``begin`` to ``finish``.
    """

    def __init__(self, soup: Any, builder: Any, references: list[Reference] | None = None) -> None:
        self._soup = soup
        self._builder = builder
        self._references = references
        self._namespaces = builder.active_namespace_prefixes[-1]
        # The innermost open tag, its contents, and the node made last.
        self._parent = soup
        self._contents: list[Any] = [] if soup is None else soup.contents
        self._last: Any = None
        # The class of strings here and whether white space counts; what they were further out.
        self._strings: Any = NavigableString
        self._preserve = False
        self._outside: list[tuple[Any, bool]] = []
        # Text comes in pieces; they are put together when something else comes.
        self._pending: list[str] = []
        self.data = self._pending.append

    def begin(self, within: Iterable[str]) -> None:
        """A tag by itself comes. ``within`` names those of ``AROUND`` that are, outermost first."""
        self._parent = self._last = None
        self._contents = []
        self._strings, self._preserve = NavigableString, False
        for name in within:
            self._strings = _CONTAINERS.get(name, self._strings)
            self._preserve = self._preserve or name in _PRESERVING

    def finish(self) -> None:
        """The tag that came by itself ends."""
        if self._pending:
            self._flush(None)
        self._outside.clear()

    def start(self, name: str, attributes: Any) -> Any:
        """A tag opens. ``attributes`` is a dict that nobody else uses."""
        can_be_empty, interesting, lists, refers, is_special = kinds[name]
        tag = _new(Tag)
        tag.parser_class = BeautifulSoup
        tag.name = name
        tag.namespace = None
        tag._namespaces = self._namespaces
        tag.prefix = None
        tag.sourceline = None
        tag.sourcepos = None
        tag.attribute_value_list_class = AttributeValueList
        if attributes:
            if refers and self._references is not None and "href" in attributes:
                self._references.append((name, attributes["href"]))
            for key, value in attributes.items():
                if key in lists:
                    attributes[key] = AttributeValueList(value.split())
                elif key[0] == "{":
                    attributes = self._with_namespaces(name, attributes)
                    break
            tag.attrs = XMLAttributeDict(attributes)
        else:
            tag.attrs = XMLAttributeDict()
        tag.known_xml = False
        inside: list[Any] = []
        tag.contents = inside
        tag.parent = self._parent
        tag.next_element = None
        tag.next_sibling = None
        tag.hidden = False
        tag.can_be_empty_element = can_be_empty
        tag.cdata_list_attributes = _LISTS
        tag.preserve_whitespace_tags = _PRESERVING
        tag.interesting_string_types = interesting
        contents = self._contents
        if self._pending:
            tag.previous_element = tag.previous_sibling = self._flush(tag)
        else:
            tag.previous_element = last = self._last
            if last is not None:
                last.next_element = tag
            if contents:
                tag.previous_sibling = before = contents[-1]
                before.next_sibling = tag
            else:
                tag.previous_sibling = None
        contents.append(tag)
        self._last = self._parent = tag
        self._contents = inside
        if is_special:
            self._enter(name, tag)
        return tag

    def end(self, name: str) -> None:
        """The innermost tag closes: lxml closes all tags, in order."""
        if self._pending:
            self._flush(None)
        self._parent = parent = self._parent.parent
        self._contents = parent.contents
        if kinds[name][4]:
            self._strings, self._preserve = self._outside.pop()

    def _flush(self, following: Any) -> Any:
        text = "".join(self._pending)
        self._pending.clear()
        return self._add(text, self._strings, following)

    def _add(self, text: str, string_class: Any, following: Any = None) -> Any:
        """Add a string, and say that ``following`` comes next."""
        if text != "\n" and not self._preserve and not text.strip(_SPACES):
            text = "\n" if "\n" in text else " "
        string = _new_string(string_class, text)
        contents = self._contents
        if contents:
            before = contents[-1]
            before.next_sibling = string
        else:
            before = None
        last = self._last
        string.__dict__ = {
            "hidden": False,
            "parent": self._parent,
            "previous_element": last,
            "next_element": following,
            "next_sibling": following,
            "previous_sibling": before,
        }
        if last is not None:
            last.next_element = string
        contents.append(string)
        self._last = string
        return string

    def _enter(self, name: str, tag: Any) -> None:
        self._outside.append((self._strings, self._preserve))
        if name in _CONTAINERS:
            self._strings = _CONTAINERS[name]
            tag.interesting_string_types = {self._strings}
        self._preserve = self._preserve or name in _PRESERVING
        self._builder.set_up_substitutions(tag)

    def _with_namespaces(self, name: str, attributes: Any) -> Any:
        """Attributes of which one is called ``{namespace}name``, as its own builder has them."""
        named = {}
        for key, value in attributes.items():
            namespace, brace, local = key[1:].partition("}")
            if key[0] == "{" and brace:
                prefix = self._builder._prefix_for_namespace(namespace)
                named[NamespacedAttribute(prefix, local, namespace)] = value
            else:
                named[key] = value
        return self._builder._replace_cdata_list_attribute_values(name, named)

    def comment(self, text: str) -> None:
        """A comment."""
        self._other(text, Comment)

    def doctype(self, name: str, public: str, system: str) -> None:
        """The document type."""
        self._other(Doctype._string_for_name_and_ids(name, public, system), Doctype)

    def pi(self, name: str, text: str) -> None:
        """A processing instruction."""
        self._other(f"{name} {text}", ProcessingInstruction)

    def _other(self, text: str, string_class: Any) -> None:
        if self._pending:
            self._flush(None)
        self._add(text, string_class)

    def close(self) -> None:
        """The document ends."""
        self.finish()
        self._soup._most_recent_element = self._last


# What BeautifulSoup decides about a tag by its name alone

_LISTS: Any = LXMLTreeBuilder.DEFAULT_CDATA_LIST_ATTRIBUTES
_PRESERVING: Any = LXMLTreeBuilder.DEFAULT_PRESERVE_WHITESPACE_TAGS
_CONTAINERS: Any = LXMLTreeBuilder.DEFAULT_STRING_CONTAINERS

SPECIAL = {*_CONTAINERS, *_PRESERVING}
"""Tags that change what the strings in them are."""

AROUND = tuple(SPECIAL - {"script", "style", "textarea"})
"""Those of them that have tags in them. In the others all is text."""

REFERRING = ("a", "area", "base")
"""Tags whose ``href`` links depend on."""


def _kind(name: str) -> tuple[bool, Any, frozenset[str], bool, bool]:
    """May it be empty, what strings are of interest in it, which of its attributes are lists of
    values, does it refer to something, is there anything special about it."""
    return (
        LXMLTreeBuilder().can_be_empty_element(name),
        Tag.MAIN_CONTENT_STRING_TYPES,
        frozenset(_LISTS["*"] | _LISTS.get(name.lower(), set())),
        name in REFERRING,
        name in SPECIAL or name == "meta",
    )


class _Kinds(dict[str, Any]):
    """By name: what ``_kind`` says of it."""

    MOST = 2000

    def __missing__(self, name: str) -> Any:
        kind = _kind(name)
        # Pages may make up names without end; HTML has about 150.
        if len(self) < self.MOST:
            self[name] = kind
        return kind


kinds = _Kinds()
