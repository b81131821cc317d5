"""A page's BeautifulSoup tree, built fast.

BeautifulSoup's lxml builder turns each event of the parser (start of a tag, text, …) into about
ten calls of general methods. Here the same events of the same parser make the same objects and the
same links between them in one step each. Because the events are the same, so are the trees, for
broken pages too.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from bs4 import BeautifulSoup
from bs4.builder import ParserRejectedMarkup
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
from lxml import etree


def build(markup: bytes, encoding: str = "utf-8", *, xml: bool = False) -> BeautifulSoup:
    """The tree that ``BeautifulSoup(markup, "lxml")`` makes (``"lxml-xml"`` for XML).

    ``markup`` is UTF-8; ``encoding`` is what it was in before, for ``original_encoding``. There
    are no warnings about what the markup looks like.
    """
    # A file, because BeautifulSoup would warn of short markup that looks like a file's name.
    file: Any = BytesIO(markup)
    if xml:
        soup = BeautifulSoup(file, "lxml-xml", from_encoding="utf-8")
    else:
        soup = BeautifulSoup(file, builder=_FastBuilder if _FAST else _QuietBuilder)
    soup.original_encoding = encoding
    return soup


class _QuietBuilder(LXMLTreeBuilder):
    """BeautifulSoup's own builder, for markup that is known to be UTF-8 and meant as HTML."""

    def prepare_markup(self, markup: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        # BeautifulSoup 4.13 sets it in the method that this one stands in for.
        self.processing_instruction_class = ProcessingInstruction
        yield markup, "utf-8", None, False


class _FastBuilder(_QuietBuilder):
    """Its own builder with one step in place of the many."""

    def feed(self, markup: Any) -> None:
        target = _Target(self.soup, self)
        parser = etree.HTMLParser(target=target, encoding="utf-8", recover=True)
        try:
            parser.feed(markup)
            parser.close()
        except (UnicodeDecodeError, LookupError, etree.ParserError) as error:
            raise ParserRejectedMarkup(error) from error


_SPACES = " \n\t\f\r"
_new: Any = object.__new__
_new_string: Any = str.__new__


class _Target:
    """What lxml tells its events to: it makes the tree below ``soup``.

    All attributes of a tag and all links to its neighbours are set here, in the order of the
    document, as ``Tag.__init__``, ``PageElement.setup`` and ``BeautifulSoup.object_was_parsed``
    set them between them.
    """

    def __init__(self, soup: Any, builder: Any) -> None:
        self._soup = soup
        self._builder = builder
        self._namespaces = builder.active_namespace_prefixes[-1]
        # The innermost open tag, its contents, and the node made last.
        self._parent = soup
        self._contents = soup.contents
        self._last: Any = None
        # The class of strings here and whether white space counts; what they were further out.
        self._strings: Any = NavigableString
        self._preserve = False
        self._outside: list[tuple[Any, bool]] = []
        # Text comes in pieces; they are put together when something else comes.
        self._pending: list[str] = []
        self.data = self._pending.append

    def start(self, name: str, attributes: Any) -> None:
        """A tag opens. ``attributes`` is a dict of lxml's that nobody else uses."""
        can_be_empty, interesting, lists, is_special = _kinds[name]
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

    def end(self, name: str) -> None:
        """The innermost tag closes: lxml closes all tags, in order."""
        if self._pending:
            self._flush(None)
        self._parent = parent = self._parent.parent
        self._contents = parent.contents
        if _kinds[name][3]:
            self._strings, self._preserve = self._outside.pop()

    def _flush(self, following: Any) -> Any:
        pending = self._pending
        text = pending[0] if len(pending) == 1 else "".join(pending)
        pending.clear()
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
        self._strings = _CONTAINERS.get(name, self._strings)
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
        if self._pending:
            self._flush(None)
        self._soup._most_recent_element = self._last


# What BeautifulSoup decides about a tag by its name alone

_LISTS: Any = LXMLTreeBuilder.DEFAULT_CDATA_LIST_ATTRIBUTES
_PRESERVING: Any = LXMLTreeBuilder.DEFAULT_PRESERVE_WHITESPACE_TAGS
_CONTAINERS: Any = LXMLTreeBuilder.DEFAULT_STRING_CONTAINERS


class _Kinds(dict[str, Any]):
    """By name: may it be empty, its interesting strings, its lists of values, is it special."""

    MOST = 2000

    def __missing__(self, name: str) -> Any:
        tag = Tag(None, LXMLTreeBuilder(), name)
        kind = (
            tag.can_be_empty_element,
            tag.interesting_string_types,
            frozenset(_LISTS["*"] | _LISTS.get(name.lower(), set())),
            name in _CONTAINERS or name in _PRESERVING or name == "meta",
        )
        # Pages may make up names without end; HTML has about 150.
        if len(self) < self.MOST:
            self[name] = kind
        return kind


_kinds = _Kinds()


def _bs4_is_as_expected() -> bool:
    """True when the nodes of the installed BeautifulSoup look as ``_Target`` makes them."""
    sample = (
        b"<!DOCTYPE html><p class='a b'>x<br>\n<!-- y --><script>z</script><meta charset=utf-8>"
    )
    try:
        theirs = BeautifulSoup(BytesIO(sample), builder=_QuietBuilder)
        ours = BeautifulSoup(BytesIO(sample), builder=_FastBuilder)
        nodes = zip(theirs.descendants, ours.descendants, strict=True)
        return str(ours) == str(theirs) and all(_look(a) == _look(b) for a, b in nodes)
    except Exception:  # whatever has changed, their own builder still works
        return False


def _look(node: Any) -> Any:
    return type(node), {name: type(value) for name, value in vars(node).items()}


_FAST = _bs4_is_as_expected()
