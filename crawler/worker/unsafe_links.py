"""Recognise links that log out or destroy something, which a logged-in job does not follow. Pure.

The effect of a link cannot be known from its address. But sites name such addresses after their
effect, in a part of the path or in a parameter: ``/users/logout.php``, ``/posts/delete/12``,
``/posts/12?action=delete``, ``?remove_item=12``. A word counts if it is the whole of a path
segment, of a parameter's name, or of the value of a parameter that names an action. Within a
longer one it does not: ``/articles/how-to-delete-files`` is an article. The words are in
``unsafe_words.txt``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self
from urllib.parse import unquote_plus

from crawler import urls
from crawler.errors import FetchError, SpiderError
from crawler.request import Request
from crawler.settings import Settings

Objection = Literal["", "logs out", "destructive"]
"""The reason not to follow a link; empty if there is none."""


class UnsafeLinkFilter:
    """Tells which links a logged-in job must not follow.

    ``logout_urls`` are the spider's own: text that occurs anywhere in the URL, or compiled regular
    expressions. ``follow_logout`` and ``follow_destructive`` are the settings of these names.
    Raises SpiderError if ``logout_urls`` holds anything else.
    """

    def __init__(
        self,
        logout_urls: Sequence[str | re.Pattern[str]] = (),
        *,
        follow_logout: bool = False,
        follow_destructive: bool = False,
    ) -> None:
        self._logout_urls = validate(logout_urls)
        self._follow_logout = follow_logout
        self._follow_destructive = follow_destructive

    @classmethod
    def of(cls, logout_urls: Sequence[str | re.Pattern[str]], settings: Settings) -> Self:
        """Return the filter of a job that logs in, by its spider and settings."""
        return cls(
            logout_urls,
            follow_logout=settings.follow_logout,
            follow_destructive=settings.follow_destructive,
        )

    def danger(self, url: str) -> Objection:
        """Return the reason not to follow ``url``, which is normalised."""
        signs = _signs(url)
        if not self._follow_logout and (
            signs & _LOGOUT or any(pattern.search(url) for pattern in self._logout_urls)
        ):
            return "logs out"
        if not self._follow_destructive and signs & _DESTRUCTIVE:
            return "destructive"
        return ""

    def check_redirect(self, request: Request, target: Request) -> None:
        """Raise FetchError if a redirect leads to a URL that is not followed as a link.

        A request of that kind itself was wanted by the spider or the user, and so is its target.
        The same holds for a form that deletes: its response is often a redirect to
        ``?action=delete&done``, which deletes nothing any more.
        """
        reason = self.danger(target.url) if target.method == "GET" else ""
        if not reason or reason == self.danger(request.url):
            return
        if reason == "destructive" and request.method != "GET":
            return
        raise FetchError(
            reason,
            f"{urls.redacted(request.url)} redirects to {urls.redacted(target.url)}, "
            f"{MEANING[reason]}; {WAY_OUT[reason]} follows it",
        )


MEANING: dict[Objection, str] = {
    "logs out": "which would log out",
    "destructive": "which looks as if it deletes or ends something",
}
WAY_OUT: dict[Objection, str] = {
    "logs out": "follow_logout=true",
    "destructive": "follow_destructive=true",
}


def validate(logout_urls: Iterable[object]) -> list[re.Pattern[str]]:
    """Return a spider's ``logout_urls`` as regular expressions. Raises SpiderError."""
    is_single = isinstance(logout_urls, (str, re.Pattern))
    return [_compiled(pattern) for pattern in ([logout_urls] if is_single else logout_urls)]


def _compiled(pattern: object) -> re.Pattern[str]:
    if isinstance(pattern, str) and pattern:
        return re.compile(re.escape(pattern))
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        return pattern
    raise SpiderError(
        f"logout_urls holds {pattern!r}: give text that stands in the URL, or re.compile(…)"
    )


# Where the words occur


# The meanings of a word of a URL, as bits.
_LOGOUT, _DESTRUCTIVE, _EXIT, _DISCARD, _ACTION = 1, 2, 4, 8, 16


def _signs(url: str) -> int:
    """Return ``_LOGOUT`` and ``_DESTRUCTIVE`` as the path and query of the URL look."""
    address, _, query = url.partition("#")[0].partition("?")
    segments = [part for part in address[url.find("/", 8) :].split("/") if part]
    signs = 0
    for segment in segments:
        signs |= _of_segment(segment)
    if segments and _of_segment(segments[-1]) & _EXIT:
        signs |= _LOGOUT
    return signs | _of_query(query) if query else signs


def _of_query(query: str) -> int:
    signs = 0
    for pair in _PAIRS.split(query):
        name, _, value = pair.partition("=")
        name_signs = _of_word(name)
        address = _WHOLE_ADDRESS if name_signs & _ACTION else _ADDRESS
        if address.match(value) or value.lower() in _NO:
            continue
        signs |= name_signs
        if name_signs & _ACTION:
            signs |= _of_action(value)
        else:
            signs |= _of_action(value) & _LOGOUT
    return signs


@lru_cache(maxsize=4096)
def _of_segment(segment: str) -> int:
    """Return the signs of a part of a path, without the ending of a script."""
    segment = segment.partition(";")[0]
    name, dot, ending = segment.rpartition(".")
    return _of_word(name if dot and ending.lower() in _SCRIPTS else segment)


@lru_cache(maxsize=4096)
def _of_action(value: str) -> int:
    """Return the signs of the last word of a value: ``account/logout``, ``user.logout``."""
    sign = _of_word(_SEPARATORS.split(unquote_plus(value).rstrip("/"))[-1])
    if sign & _EXIT:
        sign |= _LOGOUT
    return sign | _DESTRUCTIVE if sign & _DISCARD else sign


@lru_cache(maxsize=4096)
def _of_word(text: str) -> int:
    """Return the signs of a word; ``Log-Out`` and ``Special:LogOut`` are both ``logout``."""
    if "%" in text or "+" in text:
        text = unquote_plus(text)
    return _SIGNS.get(_plain(text.rpartition(":")[2].translate(_JOINED)), 0)


def _plain(word: str) -> str:
    """Return ``word`` in lower case and without accents."""
    if word.isascii():
        return word.lower()
    letters = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


_JOINED = str.maketrans("", "", "-_. !")
_PAIRS = re.compile("[&;]")
_SEPARATORS = re.compile("[/.:|,]")
_WHOLE_ADDRESS = re.compile("https?(:|%3a)", re.IGNORECASE)
_ADDRESS = re.compile("/|%2f|https?(:|%3a)", re.IGNORECASE)
_NO = frozenset({"0", "false", "no", "off"})


# The words


def _read_words() -> dict[str, frozenset[str]]:
    """Return the groups of ``unsafe_words.txt`` by name."""
    words: dict[str, set[str]] = {}
    group = ""
    for line in Path(__file__).with_name("unsafe_words.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            group = line.strip("[]")
        elif not line.startswith("#"):
            words.setdefault(group, set()).update(line.split())
    return {name: frozenset(group) for name, group in words.items()}


def _with(verbs: frozenset[str], nouns: frozenset[str]) -> frozenset[str]:
    """Return the verbs alone, and before and after each noun: ``deleteitem``, ``itemdelete``."""
    pairs = product(verbs, nouns)
    return verbs.union(*((verb + noun, noun + verb) for verb, noun in pairs))


def _signs_of(words: dict[str, frozenset[str]]) -> dict[str, int]:
    """Return all words with the bits of what they may stand for."""
    logout = words["logout"] | _with(words["logout verbs"], words["logout nouns"])
    destructive = words["destructive"] | _with(
        words["destructive verbs"], words["destructive nouns"]
    )
    signs: dict[str, int] = {}
    for group, sign in (
        (logout, _LOGOUT),
        (destructive, _DESTRUCTIVE),
        (words["exit"], _EXIT),
        (words["discard"], _DISCARD),
        (words["actions"], _ACTION),
    ):
        for word in map(_plain, group):
            signs[word] = signs.get(word, 0) | sign
    return signs


_WORDS = _read_words()
_SCRIPTS = _WORDS["scripts"]
_SIGNS = MappingProxyType(_signs_of(_WORDS))
