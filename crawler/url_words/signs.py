"""Tell by its URL what a link may do: end a session, or change something. Pure.

The effect of a link cannot be known from its address. But sites name such addresses after their
effect: ``/users/logout.php``, ``/posts/12/delete``, ``?action=trash``. And where a GET changes
something, sites guard it with a token against forgery: ``?do=revert&sectok=0f1e``.

The difficulty is pages that are only called so: ``/wiki/Delete``, ``/help?cmd=rm``,
``/products/lock``. So the place of a word decides. It must be the whole of a path segment, or the
value of a parameter that says what to do. Behind ``/wiki/`` or ``/docs/`` it is a name. Words that
are usual nouns must have an object: ``/users/bob/follow``, ``/lock.php?id=5``. The words are in
``words.txt``, grouped by these places.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_plus

from crawler.url_words.words import (
    ACTING,
    BEFORE_AN_ID,
    CART,
    CART_VERB,
    EXIT,
    FILES,
    GROUPS,
    LOGOUT,
    MEDIUM,
    NAMES,
    OBJECT,
    ONLY_AS_ACTION,
    REFERENCE,
    STRONG,
    TITLES,
    TOKEN,
    VERB,
    WORKS,
    acting_words,
    bits_of,
    bits_of_action,
    folded,
    joined,
)


class Signs(NamedTuple):
    """The signs of effects in an address; a part is empty where there is none."""

    logout: str = ""
    """The word by which it seems to end a session."""
    act: str = ""
    """The word, or the parameter with a token, by which it seems to change something."""


NOTHING = Signs()


def signs(url: str, page: str = "") -> Signs:
    """Return the signs in the path and the query of ``url``, which is normalised.

    ``page`` is the URL of the page with the link. A token that is in that URL, too, belongs to all
    addresses of the session, and says nothing.
    """
    address, _, query = url.partition("#")[0].partition("?")
    start = address.find("/", 8)
    path = address[start:] if start >= 0 else ""
    by_query = _of_query(query, path, page) if query else NOTHING
    if _is_ordinary(path):
        return by_query
    segments = tuple(part for part in path.split("/") if part)
    by_path = _of_path(segments, bool(query) and _has_id(query))
    return Signs(by_path.logout or by_query.logout, by_path.act or by_query.act)


# Paths


_SEPARATED = str.maketrans(
    {"-": None, "_": None, " ": None, ".": "/", ";": "/", "!": "/", ":": "/"}
)


def _is_ordinary(path: str) -> bool:
    """Return True if no segment of ``path`` is a word of the list, as for most links."""
    if "%" in path or not path.isascii():
        path = folded(path)
    words = path.lower().translate(_SEPARATED).split("/")
    if not acting_words().isdisjoint(words) or ("_" in path and _BEHIND_ID.search(path)):
        return False
    dot = path.rfind(".")
    return (
        dot < 0
        or path[dot + 1 :].lower() not in GROUPS["scripts"]
        or not _script(path[path.rfind("/") + 1 : dot])
    )


_BEHIND_ID = re.compile(r"/[0-9]+/[a-z]+_[a-z_]+/?$")


def _script(name: str) -> int:
    """Return what the name of a script does, ``bug_delete`` of ``bug_delete.php``."""
    return bits_of_action(name) & (VERB | LOGOUT)


@lru_cache(maxsize=4096)
def _word(segment: str) -> tuple[int, bool]:
    """Return the meanings of a segment of a path, and whether it is the name of a page's file."""
    name, semicolon, parameter = segment.partition(";")
    if semicolon and "=" not in parameter and bits_of(parameter) & VERB:
        return STRONG, False
    name = name.partition("!")[0]
    stem, dot, ending = name.rpartition(".")
    if dot and ending.lower() in GROUPS["scripts"]:
        return bits_of(name) or bits_of(stem) & ~FILES or _script(stem), False
    if dot and ending.lower() in GROUPS["pages"]:
        return bits_of(stem), True
    space, colon, title = name.rpartition(":")
    if colon:
        return (bits_of(title) & LOGOUT if _is_special(space) else 0), False
    return bits_of(name), False


def _is_special(space: str) -> bool:
    """Return True for a wiki's space of pages that do something: ``Special:``."""
    return joined(space.rpartition("/")[2]) in GROUPS["special pages"]


def _is_id(segment: str) -> bool:
    """Return True for an id: ``5``, ``hello.5``, ``5-hello``, ``0f1e2d3c``, a UUID."""
    if segment.isalpha():
        return False
    parts = segment.replace(".", "-").split("-")
    if "@" in segment or parts[0].isdigit() or parts[-1].isdigit():
        return True
    return len(segment) >= 8 and bool(_DIGIT.search(segment)) and not _MARK.search(segment)


_DIGIT = re.compile("[0-9]")
_MARK = re.compile(r"[^\w-]")


class _Area(NamedTuple):
    """The place of a segment, by those before it."""

    files: bool = False
    works: bool = False
    cart: bool = False
    names: bool = False
    titles: bool = False
    of_objects: bool = False
    """The names are those of objects, too, which may be deleted: ``/tags/``."""
    start: int = 0
    """The number of the segment that names or titles begin behind."""

    def behind(self, number: int, bits: int) -> _Area:
        """Return the area of the next segment; ``bits`` are those of the present one."""
        if not bits & (FILES | WORKS | CART | NAMES | TITLES):
            return self
        area = self._replace(
            files=self.files or bool(bits & FILES),
            works=self.works or bool(bits & WORKS),
            cart=self.cart or bool(bits & CART),
        )
        if self.is_of_names or not bits & (NAMES | TITLES):
            return area
        return area._replace(
            names=bool(bits & NAMES),
            titles=bool(bits & TITLES),
            of_objects=bool(bits & OBJECT),
            start=number,
        )

    @property
    def is_of_names(self) -> bool:
        """True behind ``/wiki/``, ``/docs/`` and their like."""
        return self.names or self.titles


@lru_cache(maxsize=4096)
def _of_path(segments: tuple[str, ...], has_object: bool) -> Signs:
    """Return the signs in the segments of a path; ``has_object`` if its query has an id."""
    area = _Area()
    logout = act = ""
    for number, segment in enumerate(segments):
        bits, is_page = _word(segment)
        if not bits and number and "_" in segment and segments[number - 1].isdigit():
            bits = bits_of_action(segment) & VERB
        if bits & ACTING and not (area.files or _is_behind_date(segments, number)):
            if _logs_out(segments, number, bits, area):
                logout = logout or segment.partition(";")[0]
            if _acts(_Verb(segments, number, bits, is_page, has_object), area):
                act = act or segment
        area = area.behind(number, bits)
    return Signs(logout, act) if logout or act else NOTHING


def _is_behind_date(segments: tuple[str, ...], number: int) -> bool:
    """Return True for the title of an article: ``/2024/05/reset``."""
    before = segments[max(number - 3, 0) : number]
    return len(before) > 1 and bool(_DATE.search("/".join(before)))


_DATE = re.compile(r"(?:^|/)(?:19|20)[0-9]{2}/[01]?[0-9](?:/[0-3]?[0-9])?$")


def _logs_out(segments: tuple[str, ...], number: int, bits: int, area: _Area) -> bool:
    if ":" in segments[number]:
        return bool(bits & LOGOUT)
    is_exit = bits & EXIT and number == len(segments) - 1
    return bool(bits & LOGOUT or is_exit) and not area.is_of_names


class _Verb:
    """A segment that may be a verb, and what stands around it."""

    def __init__(
        self, segments: tuple[str, ...], number: int, bits: int, is_page: bool, has_object: bool
    ) -> None:
        self.segments, self.number, self.bits = segments, number, bits
        self.segment = segments[number]
        self.is_page = is_page
        """It is the name of a file: ``delete.html``."""
        before = segments[number - 1] if number else ""
        self.after = segments[number + 1 :]
        self.is_behind_number = before.isdigit()
        self.is_behind_id = before.isdigit() or (number > 1 and _is_id(before))
        self.is_before_id = bool(self.after) and _is_id(self.after[0])
        names_object = len(self.after) > 1 and bool(_NAMES_ID.search(self.after[0]))
        self.is_last = not self.after or names_object or joined(self.after[-1]) == "confirm"
        self.is_after_object = bool(bits_of(before) & OBJECT)
        self.has_object = (
            has_object or names_object or self.is_behind_id or self._is_behind_object(before)
        )

    def _is_behind_object(self, before: str) -> bool:
        """Return True for ``/users/bob/follow``, but not for ``/users/email/follow``."""
        is_object = self.number > 1 and bits_of(self.segments[self.number - 2]) & OBJECT
        return bool(is_object) and joined(before) not in GROUPS["nouns"]

    @property
    def is_title(self) -> bool:
        """True for ``Reset`` in ``/spaces/5/Reset``: actions are written as the rest is."""
        before = self.segments[: self.number]
        return self.segment[:1].isupper() and any(part[:1].islower() for part in before)


def _acts(verb: _Verb, area: _Area) -> bool:
    """Return True if a verb is in a place where it acts."""
    bits = verb.bits
    if (bits & TOKEN and verb.after) or (bits & CART_VERB and area.cart):
        return True
    if not bits & VERB:
        return False
    if area.titles:
        return _acts_in_wiki(verb, area)
    if area.names:
        return _acts_among_names(verb, area)
    if bits & STRONG:
        is_name = verb.is_page or (area.works and verb.is_last)
        return verb.has_object if is_name else True
    if verb.is_before_id and (bits & BEFORE_AN_ID or verb.is_after_object):
        return True
    if bits & MEDIUM and verb.is_behind_number:
        return True
    if not verb.is_last or verb.is_page or verb.is_title:
        return False
    if area.works:
        return bool(bits & MEDIUM) and verb.is_behind_id
    return verb.has_object or (bool(bits & MEDIUM) and verb.number > 1)


def _acts_in_wiki(verb: _Verb, area: _Area) -> bool:
    """``/wiki/Delete`` and ``/wiki/Special:Log/delete`` are titles, ``/wiki/Start/delete`` acts."""
    if verb.segment.startswith("_"):
        return True
    if verb.number == area.start + 1:
        return verb.is_before_id and verb.segment.islower()
    title = verb.segments[area.start + 1 : verb.number]
    is_in_space = any(":" in part for part in title)
    return (verb.is_last or verb.is_before_id) and verb.segment[:1].islower() and not is_in_space


def _acts_among_names(verb: _Verb, area: _Area) -> bool:
    """``/docs/delete`` and ``/help/5/run`` are names, ``/docs/5/delete`` acts."""
    distance = verb.number - area.start
    if verb.is_behind_id and verb.is_last and distance > 1:
        return bool(verb.bits & STRONG) or (area.of_objects and distance == 2)
    if not verb.is_before_id:
        return False
    if area.of_objects:
        return bool(verb.bits & (STRONG | BEFORE_AN_ID))
    return bool(verb.bits & STRONG) and distance > 1 and verb.after[0].isdigit()


# Queries


# What a parameter is for, as bits.
_ACTION, _PLACE, _TITLE, _ID, _NAME, _SQL, _TOKEN, _BARE_TOKEN, _HASH, _HEX, _VERB_NAME = (
    1 << bit for bit in range(11)
)
_ANY_TOKEN = _TOKEN | _BARE_TOKEN | _HASH | _HEX


def _pairs(query: str) -> list[str]:
    return query.replace(";", "&").replace("?", "&").split("&")


def _has_id(query: str) -> bool:
    return any(_parameter(pair.partition("=")[0]) & _ID for pair in _pairs(query))


def _of_query(query: str, path: str, page: str) -> Signs:
    """Return the signs of a query; ``path`` and ``page`` are what ``signs`` says of them."""
    pairs = []
    for pair in _pairs(query):
        name, _, value = pair.partition("=")
        purpose = _parameter(name)
        if purpose and not (len(value) < 6 and value.lower() in _NO):
            pairs.append((name, value, purpose))
    if not pairs:
        return NOTHING
    reads = _reads(path)
    if reads & REFERENCE and not any(purpose & _ID for _, _, purpose in pairs):
        pairs = [(name, value, purpose & ~_ACTION) for name, value, purpose in pairs]
    logout = act = token = ""
    for name, value, purpose in pairs:
        if purpose & (_ACTION | _PLACE | _TITLE):
            ends, does = _of_value(value, purpose)
            logout = logout or (f"{name}={value}" if ends else "")
            act = act or (f"{name}={value}" if does else "")
        if purpose & _NAME and not _ADDRESS.match(value):
            if _verb_of_name(name) & LOGOUT:
                logout = logout or name
            else:
                act = act or name
        if purpose & _SQL and _CHANGES_TABLE.match(value):
            act = act or name
        if purpose & _ANY_TOKEN and _is_token(purpose, value, pairs, reads):
            token = token or ("" if f"{name}={value}" in page else name)
    if token and not logout:
        act = token
    return Signs(logout, act) if logout or act else NOTHING


def _is_token(purpose: int, value: str, pairs: list[tuple[str, str, int]], reads: int) -> bool:
    """Return whether the value of a parameter that may be a token against forgery is one."""
    if purpose & _HEX:
        return value == "1" or bool(_LONG_HEX.fullmatch(value))
    if purpose & _BARE_TOKEN:
        return bool(value) and not reads & FILES
    if purpose & _HASH:  # otherwise that of a commit, or of a file
        has_action = any(purpose & (_ACTION | _NAME | _VERB_NAME) for _, _, purpose in pairs)
        return bool(value) and (has_action or not _CHECKSUM.fullmatch(value))
    return bool(value)


_LONG_HEX = re.compile("[0-9a-f]{32,}", re.IGNORECASE)
_CHECKSUM = re.compile("(0x)?[0-9a-f]{7,}", re.IGNORECASE)
_ADDRESS = re.compile("/|%2f|https?(:|%3a)", re.IGNORECASE)
_WHOLE_ADDRESS = re.compile("https?(:|%3a)", re.IGNORECASE)
_CHANGES_TABLE = re.compile(
    "(alter|create|delete|drop|grant|insert|rename|replace|revoke|truncate|update)(\\+|%20)", re.I
)
_NO = frozenset({"0", "false", "no", "off"})


def _reads(path: str) -> int:
    """Return whether the path is that of a file, or of a work of reference with its words."""
    segments = [part for part in path.split("/") if part]
    bits = [_word(segment)[0] for segment in segments]
    if any(part & FILES for part in bits):
        return FILES
    return bits[-1] & REFERENCE if bits else 0


@lru_cache(maxsize=4096)
def _of_value(value: str, bits: int) -> tuple[bool, bool]:
    """Return whether the value of a parameter ends a session, and whether it does something else.

    The last word counts: ``account/logout``, ``user.logout``.
    """
    text = unquote_plus(value)
    if bits & _TITLE:
        space, colon, title = text.rpartition(":")
        in_path = "/" in text.strip("/") and not colon
        if not (_is_special(space) if colon else in_path):
            return False, False
        return bool(bits_of(title.rpartition("/")[2]) & LOGOUT), False
    if _WHOLE_ADDRESS.match(value) or (bits & _PLACE and _ADDRESS.match(value)):
        return False, False
    words = [word for word in _SEPARATORS.split(text) if word]
    if not words:
        return False, False
    if bits & _PLACE:
        word = bits_of(words[-1])
        return bool(word & LOGOUT), len(words) > 1 and bool(word & STRONG)
    word = bits_of_action(words[-1])
    if word & CART_VERB and any(bits_of(part) & CART for part in words[:-1]):
        return False, True
    return bool(word & (LOGOUT | EXIT)), bool(word & (VERB | ONLY_AS_ACTION))


_SEPARATORS = re.compile("[/.:|,!]")


@lru_cache(maxsize=4096)
def _parameter(name: str) -> int:
    """Return what a parameter is for, by its name."""
    if "%" in name:
        name = unquote_plus(name)
    if "[" in name:
        return _array_parameter(name)
    word = joined(name).strip("@:.")
    bits = _ID if _NAMES_ID.search(name) else 0
    if word in GROUPS["actions"] or word.endswith("action"):
        return bits | _ACTION
    if word in GROUPS["places"]:
        return bits | _PLACE
    if word in GROUPS["titles"]:
        return bits | _TITLE
    bits |= _token_bits(word)
    if word.endswith("sql") or word.startswith("sql"):
        bits |= _SQL
    if word in GROUPS["names"] or _verb_of_name(name) & (STRONG | LOGOUT):
        bits |= _NAME
    if bits_of(name) & VERB:
        bits |= _VERB_NAME
    return bits


def is_action_parameter(name: str) -> bool:
    """Return True for a parameter whose value says what to do: ``do``, ``action``."""
    return bool(_parameter(name) & (_ACTION | _PLACE))


def is_token_parameter(name: str) -> bool:
    """Return True for a parameter whose value is a token, or may be one."""
    return bool(_parameter(name) & _ANY_TOKEN) or joined(name) in GROUPS["secrets"]


def _verb_of_name(name: str) -> int:
    """Return what the name of a parameter does: ``remove_item``, ``deleteAttachmentId``."""
    return 0 if name[:1].isdigit() else bits_of(name) or bits_of(_FIRST_WORD.findall(name)[0])


def _array_parameter(name: str) -> int:
    """Return what ``name`` with brackets is for: ``do[delete]``, ``tx_forum[action]``."""
    base, *keys = (part.rstrip("]") for part in name.split("["))
    if _parameter(base) & _ACTION:
        return _NAME if any(bits_of(key) & (VERB | ONLY_AS_ACTION) for key in keys) else 0
    return _parameter(keys[-1]) if keys[-1] else _parameter(base)


_FIRST_WORD = re.compile("[A-Z]?[a-z]*")
_NAMES_ID = re.compile(
    r"(^|_|[a-z](?=I))(ids?|IDs?|Ids?)$|^[ptucmfabg]id$|^(app|item|object|page|path|plugin|provider|service|target|user)$"
)
_NAMES_HEX = re.compile("[0-9a-f]{32}|(?=.*[0-9])[0-9a-f]{7,12}")


def _token_bits(word: str) -> int:
    """Return whether a parameter of this name is a token against forgery."""
    if word in GROUPS["tokens"] or "csrf" in word or "xsrf" in word or word.endswith("nonce"):
        return _TOKEN
    if word.endswith("token"):
        prefix = word.removesuffix("token").strip("$")
        if not prefix:
            return _BARE_TOKEN
        return 0 if prefix in GROUPS["reading tokens"] else _TOKEN
    if word == "hash":
        return _HASH
    if word == "auth" or _NAMES_HEX.fullmatch(word):
        return _HEX
    return 0
