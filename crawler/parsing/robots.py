"""robots.txt: what a host asks of crawlers (RFC 9309). Pure: it never fetches.

The Protego library matches paths against rules. Before it sees a file, each line is read here, so
that what is not a rule cannot disturb what is (section 2.2.4), and groups are chosen here, so
that a rule for ``crawl`` is no rule for ``crawler`` (section 2.2.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

from protego import Protego

from crawler import urls

MAX_SIZE = 500 * 1024
"""Bytes of a file that are read; a crawler must read at least that much (section 2.5)."""
MAX_REDIRECTS = 5
"""Redirects to follow on the way to a file (section 2.3.1.2)."""
MAX_AGE = 24 * 60 * 60
"""Seconds that a file may be used for without asking again (section 2.4)."""
MAX_DELAY = 60 * 60
"""Seconds of crawl-delay that are kept to; with more, a crawl would never end."""


def url_for(url: str) -> str:
    """Where the robots.txt stands that speaks for a normalised URL."""
    return urls.origin(url) + "/robots.txt"


class Robots:
    """The rules of one robots.txt.

    ``body`` is what they come down to, for keeping; ``Robots(body)`` reads the same rules again.
    ``sitemaps`` are the sitemap references of the file as they are written, each one once.
    ``reachable`` is False when the host could not say what its rules are: nothing may be asked
    of it then, and the file should be asked for again.
    """

    __slots__ = ("_answer", "_names", "_rules", "body", "reachable", "sitemaps")

    def __init__(self, content: bytes | str = b"") -> None:
        lines = _lines(_decode(content))
        self.body = "".join(f"{field}: {value}\n" for field, value in lines).encode()
        self._rules = Protego.parse("\n".join(_for_protego(lines)))
        self._names: dict[str, str] = {}
        # Known before any question: there is nothing to match when there is no rule at all.
        has_rules = any(field in {"Allow", "Disallow"} for field, _ in lines)
        self._answer: bool | None = None if has_rules else True
        self.reachable = True
        self.sitemaps: list[str] = list(dict.fromkeys(self._rules.sitemaps))

    @classmethod
    def of_response(cls, status: int | None, body: bytes) -> Robots:
        """What an answer to the request for robots.txt means (sections 2.3.1.1 to 2.3.1.4).

        Success: its rules. 4xx, 429 among them: there are none. Anything else (5xx, a redirect
        that led nowhere, and ``None`` for no answer at all): nothing is allowed for now.
        """
        if status is not None and 200 <= status < 300:
            return cls(body)
        if status is not None and 400 <= status < 500:
            return cls()
        robots = cls("User-agent: *\nDisallow: /")
        robots.reachable = False
        return robots

    def allows(self, url: str, agent: str) -> bool:
        """True when ``agent``, a user agent string or its product token, may ask for ``url``."""
        if self._answer is not None:
            return self._answer
        allowed: bool = self._rules.can_fetch(url, self._name(agent))
        return allowed

    def crawl_delay(self, agent: str) -> float | None:
        """Seconds that ``agent`` is asked to leave between two requests, if it is."""
        delay: float | None = self._rules.crawl_delay(self._name(agent))
        return None if delay is None else min(delay, MAX_DELAY)

    def _name(self, agent: str) -> str:
        name = self._names.get(agent)
        if name is None:
            name = self._names[agent] = _exactly(product_token(agent))
        return name


def product_token(agent: str) -> str:
    """The name of a crawler in lower case: ``crawler`` of ``Crawler/0.1 (https://…)``.

    That is its first word, or what a crawler that poses as a browser says it is:
    ``Mozilla/5.0 (compatible; Crawler/0.1)``.
    """
    posing = re.match(r"\s*mozilla/.*?\(compatible;\s*([^\s/;,)]+)", agent, re.IGNORECASE)
    return (posing[1] if posing else re.split(r"[/\s(;,]", agent.strip(), maxsplit=1)[0]).lower()


def _exactly(token: str) -> str:
    """A name that Protego, which looks for names inside of others, finds in no other."""
    return f"[{token}]"


def _decode(content: bytes | str) -> str:
    if isinstance(content, str):
        content = content.encode("utf-8", "replace")
    if len(content) > MAX_SIZE:  # half a rule is another rule, so end after a whole line
        end = max(content.rfind(b"\n", 0, MAX_SIZE), content.rfind(b"\r", 0, MAX_SIZE))
        content = content[: end + 1]
    for mark in b"\xef\xbb\xbf":  # a byte order mark, or what is left of one
        content = content.removeprefix(bytes([mark]))
    return content.decode("utf-8", "replace")


# One line. Misspellings that are common enough for others to accept them too.
_LINE = re.compile(
    r"""\s*(?:
        (?P<agent>user[\s-]?agent)
      | (?P<disallow>disallow|dissallow|dissalow|disalow|diasllow|disallaw)
      | (?P<allow>allow)
      | (?P<delay>crawl[\s-]?delay)
      | (?P<sitemap>site-?maps?)
    )\s*(?::|(?<=\s)(?=\S))\s*(?P<value>.*)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_FIELDS = {
    "agent": "User-agent",
    "disallow": "Disallow",
    "allow": "Allow",
    "delay": "Crawl-delay",
    "sitemap": "Sitemap",
}
# HTML line breaks at the end, read backwards: forwards, each of many is tried as the first.
_HTML_BREAKS = re.compile(r"(?:\s*+>/?\s*+rb<)*+", re.IGNORECASE)
# Protego would take these for the ends of lines.
_OTHER_LINE_ENDS = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def _lines(text: str) -> list[tuple[str, str]]:
    """Field and value of each line that means something, fields in one way of writing them."""
    lines: list[tuple[str, str]] = []
    for line in re.split(r"[\r\n]+", text):
        match = _LINE.match(line.partition("#")[0])
        if match is not None:
            field = next(field for group, field in _FIELDS.items() if match[group])
            value = _without_breaks(match["value"].strip()).strip()
            lines.append((field, _OTHER_LINE_ENDS.sub(lambda char: quote(char[0]), value)))
    return lines


def _without_breaks(value: str) -> str:
    breaks = _HTML_BREAKS.match(value[::-1])
    return value[: len(value) - breaks.end()] if breaks else value


def _for_protego(lines: list[tuple[str, str]]) -> Iterator[str]:
    for field, value in lines:
        names = _names(value) if field == "User-agent" else ()
        if names:
            yield from (f"User-agent: {name}" for name in names)
        else:
            yield f"{field}: {value}"


def _names(value: str) -> list[str]:
    """The names that a user-agent line speaks to.

    RFC 9309 has letters, ``-`` and ``_`` in them only, and what follows is no part of the name.
    But a crawler that calls itself ``bot42`` should find the rules for ``bot42``: both count.
    """
    if re.match(r"\*(?![\w-])", value):
        return ["*"]
    whole = product_token(value)
    letters = re.sub(r"[^a-z_-].*", "", whole)
    return [_exactly(name) for name in dict.fromkeys((whole, letters)) if name]
