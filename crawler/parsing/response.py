"""Response: the answer to a request, and every way to read it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import requests
import soupsieve
from bs4 import BeautifulSoup, Tag
from lxml import html as lxml_html
from parsel import SelectorList
from requests.structures import CaseInsensitiveDict

from crawler import urls
from crawler.errors import FetchError, SpiderError
from crawler.parsing import encoding, forms, html_tree, links, mime_types
from crawler.parsing.fast_parsel import Selector
from crawler.parsing.follow import FollowTarget, check_link, needed_reference, reference_of
from crawler.parsing.forms import Form
from crawler.parsing.links import Link, Reference
from crawler.parsing.soup.builder import build as build_soup
from crawler.parsing.soup.lazy_tags import Selection
from crawler.request import Hop, Request
from crawler.text import cut


class Response:
    """The answer to a request.

    ``url`` is the URL after redirects, ``history`` the redirects on the way, ``body`` the bytes
    without content-encoding, ``request`` the request, and ``session`` the session that fetched it.
    Everything else is computed on first use; nothing here fetches, and no page is too broken to be
    read.

    ``Response("https://x.example/", b"<html>…")`` is enough for a test of a spider.
    """

    __slots__ = (
        "_base_url",
        "_encoding",
        "_kind",
        "_references",
        "_root",
        "_selection",
        "_selector",
        "_soup",
        "_text",
        "body",
        "headers",
        "history",
        "request",
        "session",
        "status",
        "url",
    )

    def __init__(
        self,
        url: str,
        body: bytes = b"",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        request: Request | None = None,
        history: list[Hop] | None = None,
        session: requests.Session | None = None,
    ) -> None:
        self.url = url
        self.status = status
        self.headers: CaseInsensitiveDict[str] = (
            headers if type(headers) is CaseInsensitiveDict else CaseInsensitiveDict(headers)
        )
        self.body = body
        self.request = Request(url) if request is None else request
        self.history = [] if history is None else history
        self.session = session
        self._kind: str | None = None
        self._encoding: str | None = None
        self._text: str | None = None
        self._root: Any = _UNREAD
        self._soup: BeautifulSoup | None = None
        self._references: list[Reference] = []
        self._selection: Selection | None = None
        self._selector: Selector | None = None
        self._base_url: str | None = None

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.url}>"

    # Type and text

    @property
    def is_html(self) -> bool:
        """True for an HTML page, by its Content-Type or, if that is invalid, by its first bytes."""
        return self._type_of_content() == "html"

    @property
    def is_xml(self) -> bool:
        """True for XML that is not XHTML: sitemaps and feeds, for instance."""
        return self._type_of_content() == "xml"

    def _type_of_content(self) -> str:
        if self._kind is None:
            self._kind = mime_types.kind(self.body, self.headers.get("Content-Type"))
        return self._kind

    @property
    def encoding(self) -> str:
        """The name of the body's Python codec, decided as in browsers."""
        if self._encoding is None:
            self._encoding = encoding.detect(self.body, self.headers.get("Content-Type"))
        return self._encoding

    @property
    def text(self) -> str:
        """The body as text; bytes that are invalid in the encoding become U+FFFD."""
        if self._text is None:
            self._text = encoding.decode(self.body, self.encoding)
        return self._text

    def json(self) -> Any:
        """Parse the body as JSON. Raises FetchError if it is not JSON."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError) as error:  # nested deeper than Python can go
            kind = self.headers.get("Content-Type", "no content type")
            raise FetchError(
                "not json", f"{urls.redacted(self.url)} ({kind}) is not JSON: {error}"
            ) from error

    # Trees

    @property
    def soup(self) -> BeautifulSoup:
        """The page as BeautifulSoup's lxml builder makes it, always the same object."""
        if self._soup is None:
            markup = encoding.as_utf8(self.body, self.encoding)
            self._soup = build_soup(
                markup, self.encoding, xml=self.is_xml, references=self._references
            )
        return self._soup

    @property
    def root(self) -> Any:
        """The page's outermost lxml element, or None if the page has no element at all.

        HTML elements are ``lxml.html.HtmlElement``.
        """
        if self._root is _UNREAD:
            markup = encoding.as_utf8(self.body, self.encoding)
            self._root = html_tree.parse(markup, xml=self.is_xml, url=self.url)
        return self._root

    def select(self, css: str) -> list[Tag]:
        """Return the elements that match a CSS selector, as ``soup.select`` does.

        Before the first use of ``soup``, only these elements are made, without those around them.
        """
        tags = self._selected(css)
        return self.soup.select(css) if tags is None else tags

    def select_one(self, css: str) -> Tag | None:
        """Return the first element that ``select`` would return, or None."""
        tags = self._selected(css, first=True)
        return self.soup.select_one(css) if tags is None else next(iter(tags), None)

    def _selected(self, css: str, *, first: bool = False) -> list[Tag] | None:
        """Return matches without making the soup; None if the soup must match ``css``."""
        if self._soup is not None or self.is_xml:
            return None
        if self._selection is None:
            markup = encoding.as_utf8(self.body, self.encoding)
            self._selection = Selection(self.root, markup)
        return self._selection.select(css, first=first)

    def css(self, query: str) -> SelectorList[Selector]:
        """Return the matches of a CSS selector, as in parsel, with ``::text`` and ``::attr()``."""
        return self._root_selector().css(query)

    def xpath(self, query: str, **variables: Any) -> SelectorList[Selector]:
        """Return the matches of an XPath expression, as in parsel."""
        return self._root_selector().xpath(query, **variables)

    def _root_selector(self) -> Selector:
        if self._selector is None:
            root = self.root if self.root is not None else lxml_html.Element("html")
            self._selector = Selector(root=root, type="xml" if self.is_xml else "html")
        return self._selector

    # Links, forms and further requests

    def links(self, **options: Any) -> list[Link]:
        """Return the page's links that can be fetched; an empty list if it is no HTML or XML.

        ``options`` are those of ``crawler.parsing.links.extract``.
        """
        if self._type_of_content() == "other" or self.root is None:
            return []
        return links.extract(self.root, self._base(), encoding=self.encoding, **options)

    def form(self, css: str | None = None) -> Form:
        """Return the first form that ``css`` matches, or the first form of the page.

        Raises SpiderError naming the selector if there is none.
        """
        if self.root is None:
            raise SpiderError(f"{urls.redacted(self.url)} is empty: it has no form")
        return forms.find(self.root, css, self._base(), page=self.url)

    def follow(
        self,
        target: FollowTarget,
        callback: Callable[..., Any] | str | None = None,
        **request_options: Any,
    ) -> Request:
        """Return a request for ``target``: a URL, a link, or an element with ``href`` or ``src``.

        Its depth is one more than this response's; its response goes to ``callback``, by default
        ``parse``. ``request_options`` are those of ``Request``. Raises SpiderError if ``target``
        has no URL that can be fetched.
        """
        reference = needed_reference(target, self.url)
        url = self.urljoin(reference)
        if url is None:
            raise SpiderError(
                f"{urls.redacted(self.url)}: follow() was given {cut(repr(reference), LONGEST)}, "
                "which is no http or https URL; check it first, or use follow_all(), which skips "
                "such links"
            )
        return self._request(url, callback, request_options)

    def follow_all(
        self,
        targets: str | Iterable[FollowTarget] | None = None,
        callback: Callable[..., Any] | str | None = None,
        **request_options: Any,
    ) -> Iterator[Request]:
        """Yield requests for ``targets``: a CSS selector, targets of ``follow``, or all links.

        Omits targets that cannot be fetched (``mailto:``, ``javascript:``, broken URLs, an ``<a>``
        without ``href``) and, unless ``dont_filter`` is set, repeated URLs. Raises SpiderError for
        a selector that matches an element that is no link, such as the ``<li>`` around one.
        """
        if targets is None and self.is_html:
            # The soup has recorded the references; to parse the page again for them would take as
            # long as everything else that is done for its links.
            references = links.references(self.root) if self._soup is None else self._references
            for link_url in links.link_urls(references, self.url, encoding=self.encoding):
                yield self._request(link_url, callback, request_options)
            return
        if targets is None:
            targets = self.links()
        elif isinstance(targets, str):
            targets = self._linked(targets)
        # The frontier would drop repeated URLs too, but they would travel there first.
        followed: set[str] = set()
        repeat = bool(request_options.get("dont_filter"))
        for target in targets:
            reference = reference_of(target)
            url = None if reference is None else self.urljoin(reference)
            if url is not None and (repeat or url not in followed):
                followed.add(url)
                yield self._request(url, callback, request_options)

    def _linked(self, css: str) -> Iterator[FollowTarget]:
        for target in self._matching(css):
            check_link(target, css, self.url)
            yield target

    def _matching(self, css: str) -> Iterable[FollowTarget]:
        if self.is_xml or "::" in css or self.root is None:
            return self.css(css)
        try:
            elements: list[Any] = links.css_path(css)(self.root)
            return elements
        except (SpiderError, RuntimeError) as error:
            # BeautifulSoup supports more selectors, but takes ten times as long.
            try:
                return self.select(css)
            except (soupsieve.SelectorSyntaxError, NotImplementedError):
                raise SpiderError(f"{urls.redacted(self.url)}: {error}") from None

    def _request(
        self, url: str, callback: Callable[..., Any] | str | None, options: dict[str, Any]
    ) -> Request:
        options.setdefault("depth", self.request.depth + 1)
        return Request(url, "parse" if callback is None else callback, **options)

    def urljoin(self, reference: str) -> str | None:
        """Return the absolute URL of a reference on this page; None if it is no http(s) URL."""
        # In a page's URLs, queries are in the page's own encoding.
        if not reference.isascii():
            reference = urls.encode_query(reference, self.encoding)
        return urls.resolve(self._base(), reference)

    def _base(self) -> str:
        """Return the URL that references are resolved against."""
        if self._base_url is None:
            # Most pages have no <base>, and this search costs less than to parse the page. The zero
            # bytes are those of UTF-16.
            has_base = b"<base" in self.body.replace(b"\0", b"").lower() and self.is_html
            self._base_url = links.base_url(self.root, self.url) if has_base else self.url
        return self._base_url


LONGEST = 300
"""Characters of a reference in a message."""
_UNREAD = object()
