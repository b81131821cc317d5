"""The words of ``words.txt``: what each may mean in an address. Pure.

A word is compared in lower case, without accents and without the characters that join words:
``Log-Out``, ``log_out`` and ``logOut`` are all ``logout``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import product
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

# What a word may mean, as bits; the names are those of the groups in the file.
LOGOUT, EXIT, STRONG, MEDIUM, WEAK, ONLY_AS_ACTION = 1, 2, 4, 8, 16, 32
BEFORE_AN_ID, CART_VERB, OBJECT, CART = 64, 128, 256, 512
FILES, REFERENCE, NAMES, TITLES, WORKS, TOKEN = 1024, 2048, 4096, 8192, 16384, 32768
VERB = STRONG | MEDIUM | WEAK
ACTING = LOGOUT | EXIT | VERB | CART_VERB | TOKEN

_BITS = {
    "logout": LOGOUT,
    "exit": EXIT,
    "strong": STRONG,
    "strong words": STRONG,
    "medium": MEDIUM,
    "weak": WEAK,
    "only as action": ONLY_AS_ACTION,
    "before an id": BEFORE_AN_ID,
    "cart verbs": CART_VERB,
    "objects": OBJECT,
    "carts": CART,
    "files": FILES,
    "reference": REFERENCE | NAMES,
    "names after": NAMES,
    "titles after": TITLES,
    "works after": WORKS,
    "tokens": TOKEN,
}
_JOINED = str.maketrans("", "", "-_ ")


def folded(text: str) -> str:
    """Return ``text`` in lower case, without accents and percent-encoding."""
    if "%" in text:
        text = unquote(text)
    if text.isascii():
        return text.lower()
    letters = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", letters.translate(_LIKE_LATIN))


_LIKE_LATIN = str.maketrans("łıøđ", "liod")  # which Unicode does not decompose


def joined(text: str) -> str:
    """Return ``text`` as words are compared."""
    return folded(text).translate(_JOINED)


ENGLISH = "English"


def _read() -> dict[str, frozenset[str]]:
    """Return the groups of ``words.txt`` by name, and its English words as ``ENGLISH``."""
    groups: dict[str, set[str]] = {}
    group = language = ""
    for line in Path(__file__).with_name("words.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            group, language = line.strip("[]"), ""
        elif line.startswith("#"):
            language = line.strip("# ")
        else:
            words = set(map(joined, line.split()))
            groups.setdefault(group, set()).update(words)
            if language in {"", ENGLISH}:
                groups.setdefault(ENGLISH, set()).update(words)
    return {name: frozenset(words) for name, words in groups.items()}


GROUPS: Mapping[str, frozenset[str]] = MappingProxyType(_read())


def _compounds(verbs: Iterable[str], nouns: Iterable[str]) -> Iterable[str]:
    """Yield each verb before and after each noun: ``deleteitem``, ``itemdelete``."""
    for verb, noun in product(verbs, nouns):
        yield verb + noun
        yield noun + verb


@lru_cache(maxsize=1)
def word_bits() -> Mapping[str, int]:
    """Return all words with the bits of their meanings.

    It is made at the first call, as most jobs do not log in.
    """
    bits: dict[str, int] = {}
    groups = [(GROUPS[name], value) for name, value in _BITS.items()]
    for verbs, nouns, value in (
        ("logout verbs", "logout nouns", LOGOUT),
        ("strong", "nouns", STRONG),
    ):
        compounds = _compounds(GROUPS[verbs], GROUPS[nouns])
        groups += [(GROUPS[verbs], value), (frozenset(compounds), value)]
    for words, value in groups:
        for word in words:
            bits[word] = bits.get(word, 0) | value
    return MappingProxyType(bits)


@lru_cache(maxsize=1)
def acting_words() -> frozenset[str]:
    """Return the words that may act in a path."""
    compounds = (verb + noun for verb, noun in product(ENGLISH_VERBS, GROUPS["nouns"]))
    return frozenset(word for word, bits in word_bits().items() if bits & ACTING).union(compounds)


# Labels


def names_logout(label: str) -> bool:
    """Return True if the text of a link or button names the end of a session: ``Log out (Ann)``."""
    text = folded(_CAMEL_CASE.sub(" ", label))
    words = _LETTERS.findall(text)
    if "".join(words) in GROUPS["exit"]:
        return True
    logout, unspaced = _logout_labels()
    parts = ("".join(words[n : n + size]) for n in range(len(words)) for size in (1, 2, 3))
    return any(part in logout for part in parts) or any(word in text for word in unspaced)


@lru_cache(maxsize=1)
def _logout_labels() -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the words for a logout, and those of languages that put no spaces between words.

    Abbreviations are for URLs only: an SLO is no logout.
    """
    words = {word for word, bits in word_bits().items() if bits & LOGOUT and len(word) > 3}
    unspaced = {word for word in word_bits() if word_bits()[word] & (LOGOUT | EXIT)}
    return frozenset(words), tuple(word for word in unspaced if _is_wide(word[0]))


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) == "W"


_LETTERS = re.compile(r"[^\W\d_]+")
_CAMEL_CASE = re.compile("(?<=[a-z])(?=[A-Z])")


# Words made of several


ENGLISH_VERBS = tuple(
    sorted(
        word
        for word in (GROUPS["strong"] | GROUPS["medium"] | GROUPS["weak"]) & GROUPS[ENGLISH]
        if len(word) > 3
    )
)
_PARTS = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|[A-Z]")
_LONG_NOUNS = tuple(noun for noun in GROUPS["nouns"] if len(noun) > 3)
_INFLECTED = ("d", "ed", "s", "r", "rs", "ing", "led", "n")


@lru_cache(maxsize=4096)
def bits_of(text: str) -> int:
    """Return the meanings of ``text``: of the whole, or of a verb with a noun of the list."""
    word = joined(text)
    table = word_bits()
    bits = table.get(word)
    if bits is None:
        bits = table.get(word.rstrip("0123456789"), 0) & ACTING
    if bits or not word.isascii():
        return bits
    for verb in ENGLISH_VERBS:
        if word.startswith(verb) and word[len(verb) :] in GROUPS["nouns"]:
            return table[verb] & VERB
    return 0


@lru_cache(maxsize=4096)
def bits_of_action(text: str) -> int:
    """Return the meanings of a text that says what to do, such as ``row_delete``, ``deletemsg``.

    Besides ``bits_of``, its first word or its last may be the verb.
    """
    if bits := bits_of(text):
        return bits
    table = word_bits()
    parts = [joined(part) for part in _PARTS.findall(unquote(text) if "%" in text else text)]
    if not parts or parts[0] in GROUPS["views"]:
        return 0
    if parts[:2] == ["add", "to"]:
        return ONLY_AS_ACTION
    for part in (parts[0], parts[-1]) if len(parts) > 1 else ():
        if bits := table.get(part, 0) & (VERB | LOGOUT | ONLY_AS_ACTION):
            return bits
    word = "".join(parts)
    for verb in ENGLISH_VERBS:
        if word.startswith(verb) and word[len(verb) :].startswith(_LONG_NOUNS):
            return table[verb] & VERB
    for verb in GROUPS["strong"]:
        if word.endswith(verb) and len(word) > len(verb):
            return STRONG
        if word.startswith(verb) and word[len(verb) :] not in _INFLECTED:
            return STRONG
    return 0
