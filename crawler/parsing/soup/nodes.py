"""Make the nodes of a BeautifulSoup tree, each in one step.

BeautifulSoup's lxml builder turns each event of the parser (start of a tag, text, …) into about
ten calls of general methods. ``TreeBuilderTarget`` receives the same events, and makes the same
objects with the same links between them.
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
    """The target of lxml's parser: make the tree below ``soup``.

    All attributes of a tag and all links to its neighbours are set here, in the order of the
    document, as ``Tag.__init__``, ``PageElement.setup`` and ``BeautifulSoup.object_was_parsed``
    set them. The references of links and bases are added to ``references``. Without a ``soup``,
    single tags without parents are made: ``begin``, the tag's events, ``finish``.
    """

    def __init__(self, soup: Any, builder: Any, references: list[Reference] | None = None) -> None:
        self._soup = soup
        self._builder = builder
        self._references = references
        self._namespaces = builder.active_namespace_prefixes[-1]
        # The innermost open tag, its contents, and the last node.
        self._parent = soup
        self._contents: list[Any] = [] if soup is None else soup.contents
        self._last: Any = None
        # The class of strings here and whether white space counts; a stack of both for the
        # tags around.
        self._strings: Any = NavigableString
        self._preserve = False
        self._outside: list[tuple[Any, bool]] = []
        # Text comes in pieces; the next other event joins them.
        self._pending: list[str] = []
        self.data = self._pending.append

    def begin(self, ancestors: Iterable[str]) -> None:
        """Begin a single tag. ``ancestors``: those named in ``AROUND``, outermost first."""
        self._parent = self._last = None
        self._contents = []
        self._strings, self._preserve = NavigableString, False
        for name in ancestors:
            self._strings = _CONTAINERS.get(name, self._strings)
            self._preserve = self._preserve or name in _PRESERVING

    def finish(self) -> None:
        """End a single tag."""
        if self._pending:
            self._flush(None)
        self._outside.clear()

    def start(self, name: str, attributes: Any) -> Any:
        """Open a tag, which takes over the dict ``attributes``."""
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
        """Close the innermost tag: lxml closes all tags, in order."""
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
        """Add a string, and link it to the ``following`` node."""
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
        """Convert names such as ``{namespace}name``, as BeautifulSoup's own builder does."""
        converted = {}
        for key, value in attributes.items():
            namespace, brace, local = key[1:].partition("}")
            if key[0] == "{" and brace:
                prefix = self._builder._prefix_for_namespace(namespace)
                converted[NamespacedAttribute(prefix, local, namespace)] = value
            else:
                converted[key] = value
        return self._builder._replace_cdata_list_attribute_values(name, converted)

    def comment(self, text: str) -> None:
        """Add a comment."""
        self._add_special(text, Comment)

    def doctype(self, name: str, public: str, system: str) -> None:
        """Add the document type."""
        self._add_special(Doctype._string_for_name_and_ids(name, public, system), Doctype)

    def pi(self, name: str, text: str) -> None:
        """Add a processing instruction."""
        self._add_special(f"{name} {text}", ProcessingInstruction)

    def _add_special(self, text: str, string_class: Any) -> None:
        if self._pending:
            self._flush(None)
        self._add(text, string_class)

    def close(self) -> None:
        """End the document."""
        self.finish()
        self._soup._most_recent_element = self._last


# Properties of tags that depend on their names alone

_LISTS: Any = LXMLTreeBuilder.DEFAULT_CDATA_LIST_ATTRIBUTES
_PRESERVING: Any = LXMLTreeBuilder.DEFAULT_PRESERVE_WHITESPACE_TAGS
_CONTAINERS: Any = LXMLTreeBuilder.DEFAULT_STRING_CONTAINERS

SPECIAL = {*_CONTAINERS, *_PRESERVING}
"""Tags whose strings are of another class, or keep their white space."""

AROUND = tuple(SPECIAL - {"script", "style", "textarea"})
"""The special tags that can contain tags. The others contain text only."""

REFERRING = ("a", "area", "base")
"""Tags whose ``href`` is a reference of the page's links."""


def _kind(name: str) -> tuple[bool, Any, frozenset[str], bool, bool]:
    """Return the properties of a tag.

    They are: whether it may be empty, its interesting types of strings, its attributes that are
    lists of values, whether it is in ``REFERRING``, and whether its strings or its attributes
    need more work.
    """
    return (
        LXMLTreeBuilder().can_be_empty_element(name),
        Tag.MAIN_CONTENT_STRING_TYPES,
        frozenset(_LISTS["*"] | _LISTS.get(name.lower(), set())),
        name in REFERRING,
        name in SPECIAL or name == "meta",
    )


class _Kinds(dict[str, Any]):
    """A cache of ``_kind`` by name."""

    MOST = 2000

    def __missing__(self, name: str) -> Any:
        kind = _kind(name)
        # HTML has about 150 names, but a page may use any number.
        if len(self) < self.MOST:
            self[name] = kind
        return kind


kinds = _Kinds()
