"""Parse robots.txt, the rules of a host for crawlers (RFC 9309). Pure: it never fetches.

The Protego library matches paths against rules. Before that, each line is parsed here, so that
invalid lines cannot disturb the rules (section 2.2.4), and user agents are compared here, so that a
rule for ``crawl`` does not apply to ``crawler`` (section 2.2.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

from protego import Protego

from crawler import urls

MAX_SIZE = 500 * 1024
"""Bytes of a file that are parsed; a crawler must parse at least that much (section 2.5)."""
MAX_REDIRECTS = 5
"""Redirects to follow to a file (section 2.3.1.2)."""
MAX_AGE = 24 * 60 * 60
"""Seconds until a file must be fetched again (section 2.4)."""
MAX_DELAY = 60 * 60
"""Seconds; a longer crawl-delay is shortened to this, or a crawl would never end."""


def url_for(url: str) -> str:
    """Return the URL of the robots.txt that applies to a normalised URL."""
    return urls.origin(url) + "/robots.txt"


class Robots:
    """The rules of one robots.txt.

    ``body`` has the rules in a short form, to be stored: ``Robots(body)`` has the same rules.
    ``sitemaps`` are the distinct sitemap references, as in the file. ``reachable`` is False if the
    file was unreachable: nothing may be fetched from the host then, and the file should be
    fetched again.
    """

    __slots__ = ("_answer", "_names", "_rules", "body", "reachable", "sitemaps")

    def __init__(self, content: bytes | str = b"") -> None:
        lines = _lines(_decode(content))
        self.body = "".join(f"{field}: {value}\n" for field, value in lines).encode()
        self._rules = Protego.parse("\n".join(_for_protego(lines)))
        self._names: dict[str, str] = {}
        # Without rules everything is allowed, and nothing needs to be matched.
        has_rules = any(field in {"Allow", "Disallow"} for field, _ in lines)
        self._answer: bool | None = None if has_rules else True
        self.reachable = True
        self.sitemaps: list[str] = list(dict.fromkeys(self._rules.sitemaps))

    @classmethod
    def of_response(cls, status: int | None, body: bytes) -> Robots:
        """Interpret the response for robots.txt (sections 2.3.1.1 to 2.3.1.4).

        Success: its rules. 4xx, including 429: no rules. Anything else (5xx, a redirect without a
        target, and ``None`` for no response): unreachable, and nothing is allowed for now.
        """
        if status is not None and 200 <= status < 300:
            return cls(body)
        if status is not None and 400 <= status < 500:
            return cls()
        robots = cls("User-agent: *\nDisallow: /")
        robots.reachable = False
        return robots

    def allows(self, url: str, agent: str) -> bool:
        """Return True if ``agent``, a user agent string or its product token, may fetch ``url``."""
        if self._answer is not None:
            return self._answer
        allowed: bool = self._rules.can_fetch(url, self._name(agent))
        return allowed

    def crawl_delay(self, agent: str) -> float | None:
        """Return the seconds that ``agent`` should wait between two requests, or None."""
        delay: float | None = self._rules.crawl_delay(self._name(agent))
        return None if delay is None else min(delay, MAX_DELAY)

    def _name(self, agent: str) -> str:
        name = self._names.get(agent)
        if name is None:
            name = self._names[agent] = _exactly(product_token(agent))
        return name


def product_token(agent: str) -> str:
    """Return the name of a crawler in lower case: ``crawler`` for ``Crawler/0.1 (https://…)``.

    It is the first word, or the word after ``compatible;`` in a browser-like user agent:
    ``Mozilla/5.0 (compatible; Crawler/0.1)``.
    """
    compatible = re.match(r"\s*mozilla/.*?\(compatible;\s*([^\s/;,)]+)", agent, re.IGNORECASE)
    return (
        compatible[1] if compatible else re.split(r"[/\s(;,]", agent.strip(), maxsplit=1)[0]
    ).lower()


def _exactly(token: str) -> str:
    """Wrap a name, since Protego matches names inside other names."""
    return f"[{token}]"


def _decode(content: bytes | str) -> str:
    if isinstance(content, str):
        content = content.encode("utf-8", "replace")
    if len(content) > MAX_SIZE:  # cut after a whole line: half a rule is another rule
        end = max(content.rfind(b"\n", 0, MAX_SIZE), content.rfind(b"\r", 0, MAX_SIZE))
        content = content[: end + 1]
    for mark in b"\xef\xbb\xbf":  # a byte order mark, or a part of one
        content = content.removeprefix(bytes([mark]))
    return content.decode("utf-8", "replace")


# One line, with the common misspellings that other parsers accept too.
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
# HTML line breaks at the end, on the reversed text: forwards, matching would be quadratic.
_HTML_BREAKS = re.compile(r"(?:\s*+>/?\s*+rb<)*+", re.IGNORECASE)
# Protego would end lines at these.
_OTHER_LINE_ENDS = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def _lines(text: str) -> list[tuple[str, str]]:
    """Return the field, in its standard spelling, and the value of each valid line."""
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
    """Return the names of crawlers to which a user-agent line applies.

    In RFC 9309 a name has only letters, ``-`` and ``_``, and ends before any other character. But
    a crawler with the name ``bot42`` should find the rules for ``bot42``: both names count.
    """
    if re.match(r"\*(?![\w-])", value):
        return ["*"]
    whole = product_token(value)
    letters = re.sub(r"[^a-z_-].*", "", whole)
    return [_exactly(name) for name in dict.fromkeys((whole, letters)) if name]
