"""Extract the links of a page, and the base URL that they are resolved against.

``extract`` searches an lxml tree; its filters have the names and meanings of Scrapy's
``LinkExtractor``, so that its rules can be used unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TypeAlias

from lxml import etree

from crawler import urls
from crawler.errors import SpiderError
from crawler.scope import Scope

LONGEST_BASE = 8192
"""Characters of a base URL; a longer one is ignored, since it would lengthen every link."""


def base_url(root: etree._Element, url: str) -> str:
    """Return the URL that references on a page are resolved against; ``url`` is the page's own.

    The first ``<base href>`` counts, unless its URL cannot be fetched (HTML standard, 4.2.3); later
    ones never count.
    """
    for element in root.iter("{*}base"):
        reference = element.get("href")
        if reference is not None:
            return resolve_base(url, reference)
    return url


def resolve_base(url: str, reference: str) -> str:
    """Return the base URL of the page at ``url`` whose first ``<base href>`` is ``reference``."""
    base = urls.resolve(url, reference) or url
    return base if len(base) <= LONGEST_BASE else url


Pattern: TypeAlias = str | re.Pattern[str]
Several: TypeAlias = str | Iterable[str]
Reference: TypeAlias = tuple[str, str]  # "a", "area" or "base", and its href as in the page

# fmt: off
IGNORED_EXTENSIONS: tuple[str, ...] = (
    "7z", "apk", "bz2", "dmg", "exe", "gz", "iso", "jar", "msi", "rar", "tar", "xz", "zip",
    "aac", "aiff", "flac", "m4a", "mid", "mp3", "ogg", "ra", "wav", "wma",
    "3gp", "asf", "asx", "avi", "flv", "m4v", "mkv", "mov", "mp4", "mpg", "qt", "rm", "swf",
    "webm", "wmv",
    "ai", "bmp", "cdr", "drw", "dxf", "eps", "gif", "ico", "jpeg", "jpg", "mng", "pct", "png",
    "ps", "psd", "psp", "svg", "tif", "tiff", "webp",
    "doc", "docx", "key", "numbers", "odg", "odp", "ods", "odt", "pages", "pdf", "pps", "ppt",
    "pptx", "xls", "xlsx",
    "bin", "cab", "class", "css", "deb", "eot", "js", "rpm", "rss", "ttf", "war", "woff", "woff2",
)
"""File name extensions that are rarely pages, for ``deny_extensions``."""
# fmt: on


class Link:
    """One link: its URL, and its element.

    The element keeps its whole tree in memory, so store the URL rather than the link.
    """

    __slots__ = ("_text", "element", "url")

    def __init__(self, url: str, element: etree._Element | None = None) -> None:
        self.url = url
        self.element = element
        self._text: str | None = None

    @property
    def text(self) -> str:
        """The text inside the element, with runs of white space as single spaces."""
        if self._text is None:
            text = "" if self.element is None else str(_string(self.element))
            self._text = " ".join(text.split())
        return self._text

    @property
    def nofollow(self) -> bool:
        """True if the page asks crawlers not to follow the link (``rel="nofollow"``)."""
        rel = None if self.element is None else self.element.get("rel")
        return rel is not None and "nofollow" in rel.lower().split()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Link):
            return NotImplemented
        return self.url == other.url and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.url)

    def __repr__(self) -> str:
        return f"Link({urls.redacted(self.url)!r}, text={self.text!r})"


_string = etree.XPath("string()", smart_strings=False)


def references(root: etree._Element | None) -> list[Reference]:
    """Return the references of the links and bases of an HTML page."""
    elements = () if root is None else root.iter("a", "area", "base")
    return [
        (element.tag, href) for element in elements if (href := element.get("href")) is not None
    ]


def link_urls(references: list[Reference], url: str, *, encoding: str = "utf-8") -> list[str]:
    """Return the URLs of the links that ``extract`` would return, for ``references(root)``."""
    base: str | None = None
    distinct: dict[str, None] = {}
    for name, reference in references:
        if name == "base":
            base = reference if base is None else base
        elif reference[:1] != "#":
            # Cut fragments, so that each URL is resolved once; but a space before a fragment
            # belongs to the path, and would be stripped at the end.
            end = reference.find("#")
            cut = end > 0 and reference[end - 1] > " "
            distinct[reference[:end] if cut else reference] = None
    join = _joiner(url if base is None else resolve_base(url, base), encoding)
    return [link for link in dict.fromkeys(map(join, distinct)) if link is not None]


def extract(
    root: etree._Element,
    base: str,
    *,
    css: Several | None = None,
    xpath: Several | None = None,
    allow: Pattern | Iterable[Pattern] = (),
    deny: Pattern | Iterable[Pattern] = (),
    allow_domains: Several = (),
    deny_domains: Several = (),
    deny_extensions: Several = (),
    restrict_text: Pattern | Iterable[Pattern] = (),
    tags: Several = ("a", "area"),
    attrs: Several = ("href",),
    unique: bool = True,
    encoding: str = "utf-8",
) -> list[Link]:
    """Return the links in ``root``, in the order of the page.

    ``css`` and ``xpath`` select elements: links are these elements and the elements inside them.
    ``allow`` and ``deny`` are regular expressions to search for in the URL, ``restrict_text`` in
    the link's text. ``unique`` keeps the first link to each URL. ``encoding`` is the page's, for
    queries with unescaped non-ASCII characters.

    References that are broken, not http(s), or only a fragment (``#top``) are no links. By default
    no extension is excluded; ``deny_extensions=IGNORED_EXTENSIONS`` excludes the usual ones.
    """
    join = _joiner(base, encoding)
    if css is None and xpath is None:
        elements: Iterable[etree._Element] = root.iter(*_wildcards(tags))
    else:
        elements = _chosen(root, css, xpath, _wildcards(tags))
    links = _links(elements, _tuple(attrs), join)
    for keep in (
        *_url_filters(allow, deny, allow_domains, deny_domains, deny_extensions),
        *_text_filters(restrict_text),
    ):
        links = filter(keep, links)
    if unique:
        return _first_of_each(links)
    return list(links)


def _first_of_each(links: Iterator[Link]) -> list[Link]:
    seen: dict[str, Link] = {}
    for link in links:
        seen.setdefault(link.url, link)
    return list(seen.values())


def _links(
    elements: Iterable[etree._Element], attrs: tuple[str, ...], join: Callable[[str], str | None]
) -> Iterator[Link]:
    for element in elements:
        for attr in attrs:
            reference = element.get(attr)
            if reference is None or reference.startswith("#"):
                continue
            url = join(reference)
            if url is not None:
                yield Link(url, element)


def _joiner(base: str, encoding: str) -> Callable[[str], str | None]:
    join = urls.Base.of(base).join
    if encoding.lower() in {"utf-8", "utf8"}:
        return join
    return lambda reference: join(urls.encode_query(reference, encoding))


# Which elements


@lru_cache(maxsize=256)
def css_path(css: str) -> etree.XPath:
    """Compile a CSS selector. Raises SpiderError naming it if it is invalid."""
    # A late import: only spiders that use CSS on lxml trees need it.
    from lxml.cssselect import CSSSelector

    try:
        return CSSSelector(css, translator="html")
    except (SyntaxError, ValueError) as error:
        raise SpiderError(f"{css!r} is not a CSS selector: {error}") from None


@lru_cache(maxsize=256)
def _xpath(xpath: str) -> etree.XPath:
    try:
        return etree.XPath(xpath)
    except etree.XPathError as error:
        raise SpiderError(f"{xpath!r} is not an XPath expression: {error}") from None


def _chosen(
    root: etree._Element, css: Several | None, xpath: Several | None, tags: tuple[str, ...]
) -> Iterable[etree._Element]:
    """Return the elements with one of ``tags`` that are selected or inside a selected element."""
    paths = [*map(_xpath, _tuple(xpath)), *map(css_path, _tuple(css))]
    regions = (region for path in paths for region in path(root))
    return dict.fromkeys(
        element
        for region in regions
        if isinstance(region, etree._Element)
        for element in region.iter(*tags)
    )


def _wildcards(tags: Several) -> tuple[str, ...]:
    """Return names that match in any XML namespace, for XHTML. No tags must not match all tags."""
    return tuple("{*}" + tag for tag in _tuple(tags)) or ("none",)


def _tuple(several: Several | None) -> tuple[str, ...]:
    if several is None:
        return ()
    return (several,) if isinstance(several, str) else tuple(several)


# Which links


def _url_filters(
    allow: Pattern | Iterable[Pattern],
    deny: Pattern | Iterable[Pattern],
    allow_domains: Several,
    deny_domains: Several,
    deny_extensions: Several,
) -> Iterator[Callable[[Link], bool]]:
    if allowing := _patterns(allow):
        yield lambda link: any(search(link.url) for search in allowing)
    if denying := _patterns(deny):
        yield lambda link: not any(search(link.url) for search in denying)
    if allow_domains:
        inside = _scope(_tuple(allow_domains))
        yield lambda link: inside.allows(link.url)
    if deny_domains:
        outside = _scope(_tuple(deny_domains))
        yield lambda link: not outside.allows(link.url)
    if deny_extensions:
        endings = tuple("." + name.lower().lstrip(".") for name in _tuple(deny_extensions))
        yield lambda link: not link.url.partition("?")[0].lower().endswith(endings)


def _text_filters(patterns: Pattern | Iterable[Pattern]) -> Iterator[Callable[[Link], bool]]:
    if searches := _patterns(patterns):
        yield lambda link: any(search(link.text) for search in searches)


_scope = lru_cache(maxsize=64)(Scope.of_domains)


def _patterns(
    patterns: Pattern | Iterable[Pattern],
) -> list[Callable[[str], re.Match[str] | None]]:
    several = (patterns,) if isinstance(patterns, (str, re.Pattern)) else patterns
    try:
        return [re.compile(pattern).search for pattern in several]
    except re.error as error:
        raise SpiderError(f"{error.pattern!r} is not a regular expression: {error}") from None


# Meta refresh

_REFRESH = re.compile(
    r"[ \t\n\f\r]*([0-9]++|(?=\.))[0-9.]*+(?:\Z|(?=[;, \t\n\f\r]))"
    r"[ \t\n\f\r]*[;,]?[ \t\n\f\r]*(?:url[ \t\n\f\r]*=[ \t\n\f\r]*)?(.*)",
    re.DOTALL | re.IGNORECASE,
)


def meta_refresh(content: str) -> tuple[int, str] | None:
    """Return seconds and reference of ``<meta http-equiv="refresh" content="…">``.

    ``None`` for invalid content. An empty reference is the page itself. By the HTML standard,
    shared declarative refresh steps (4.2.5.3).
    """
    match = _REFRESH.match(content)
    if match is None:
        return None
    seconds, reference = match.groups()
    if reference[:1] in {"'", '"'}:
        reference = reference[1:].partition(reference[0])[0]
    # Nine digits are thirty years; int() raises ValueError for thousands of digits.
    return int(seconds[:9] or 0), re.sub("[\t\n\r]", "", reference).strip()
