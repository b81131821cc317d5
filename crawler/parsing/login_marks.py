"""Marks of a page that tell who is visiting it: login forms, logout links, keys of JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from lxml import etree
from parsel import Selector

from crawler.errors import SpiderError
from crawler.messages import MarksQuery, SeenMarks
from crawler.parsing.links import meta_refresh
from crawler.parsing.response import Response
from crawler.url_words.signs import signs
from crawler.url_words.words import names_logout

_NEXT = re.compile(
    r"[?&](next|return|returnto|return_to|back|url|goto|redirect\w*|continue)=", re.I
)
_PASSWORD = re.compile(rb"""type\s{0,9}=\s{0,9}["']?\s{0,9}password""", re.IGNORECASE)
_LOGIN_PATH = re.compile(
    r"log_?-?[io]n|sign_?-?in|auth|session|sso|anmeld|connexion", re.IGNORECASE
)
WITH_PASSWORD = "password: "
_WIDE = ("utf-16", "utf-32")
_forms = etree.XPath("//form[.//input[@type='password' or @type='Password' or @type='PASSWORD']]")
_actors = etree.XPath("//a[@href] | //form | //button | //input[@type='submit']")
_with_address = etree.XPath(
    "//a[contains(@href, $n)] | //form[contains(@action, $n)] | //button[contains(@formaction, $n)]"
)
_with_text = etree.XPath("//a[contains(., $n)] | //button[contains(., $n)] | //input[@value = $n]")
_links = etree.XPath("//a/@href")
_refreshes = etree.XPath("//meta[@http-equiv and @content]")
_ways_back = etree.XPath("//a/@href | //form/@action | //input[@type='hidden']/@value")
_TEXT = "text:"
MAX_MARKS = 4
LONGEST_HEAD = 8192
"""Bytes of a page in which a redirect by ``<meta>`` is looked for."""
LONGEST_REFRESH = 5
"""Seconds after which a redirect by ``<meta>`` shows another page; later ones reload a page."""
LONGEST_LABEL = 40
"""Characters of a link or button that may mean a logout; longer ones are sentences."""


def without_next(url: str) -> str:
    """Return a URL without its fragment and without what names the page to go on to."""
    url = url.partition("#")[0]
    return url[: match.start()] if (match := _NEXT.search(url)) else url


def leads_to_same_page(page: str, url: str) -> bool:
    """Return True if ``url`` has the path of ``page``, and the parameters that tell pages apart.

    A path that names a login is a page's own. Another one may be that of all pages, as ``/`` in
    ``/?page=3``: then a page without parameters is not those with some.
    """
    known, given = urlsplit(page), urlsplit(without_next(url))
    if (known.netloc, known.path) != (given.netloc, given.path):
        return False
    if names_login(known.path):
        return True
    if not known.query:
        return not given.query
    return set(parse_qsl(known.query, True)) <= set(parse_qsl(given.query, True))


def names_login(path: str) -> bool:
    """Return True if a path has a word for a login."""
    return _LOGIN_PATH.search(path) is not None


def refresh_target(response: Response) -> str | None:
    """Return the URL that an HTML page redirects to by ``<meta>``; None if it does not."""
    head = response.body[:LONGEST_HEAD].lower()
    if b"http-equiv" not in head or b"refresh" not in head or response.root is None:
        return None
    for element in _refreshes(response.root):
        refresh = meta_refresh(element.get("content"))
        is_one = element.get("http-equiv").strip().lower() == "refresh"
        if is_one and refresh is not None and refresh[0] <= LONGEST_REFRESH and refresh[1]:
            return response.urljoin(refresh[1])
    return None


def links(response: Response) -> Iterator[str]:
    """Yield the URLs that an HTML page links to."""
    if response.root is not None:
        for reference in _links(response.root):
            if url := response.urljoin(reference):
                yield url


def names_way_back(response: Response, pages: Iterable[str]) -> bool:
    """Return True if an answer to anonymous visitors names one of ``pages`` to go on to.

    So does a login that stands in the place of a page, but not what has just logged out.
    """
    names: set[str] = set()
    for url in pages:
        parts = urlsplit(url)
        names |= {urlunsplit((*parts[:4], "")), urlunsplit(("", "", *parts[2:4], ""))}
    ways = [response.headers.get("location", "")]
    if response.is_html and response.root is not None:
        ways += _ways_back(response.root)
    return any(
        not names.isdisjoint([way, *(value for _, value in parse_qsl(urlsplit(way).query))])
        for way in ways
    )


def password_forms(response: Response) -> list[etree._Element]:
    """Return the forms with a password field."""
    body = response.body
    if _PASSWORD.search(body) is None and not response.encoding.startswith(_WIDE):
        return []
    root = response.root
    return [] if root is None else list(_forms(root))


def signature(form: Any) -> str:
    """Return what a form is known by: the names of its fields that a person fills in."""
    kinds = {"text", "password", "email", "tel"}
    fields = [(_kind(field), field) for field in form.iter("{*}input")]
    names = {field.get("name") or field.get("id") or "" for kind, field in fields if kind in kinds}
    prefix = WITH_PASSWORD if any(kind == "password" for kind, _ in fields) else ""
    return prefix + " ".join(sorted(names))


def _kind(field: Any) -> str:
    return (field.get("type") or "text").strip().lower()


def asks_for_one_password(form: Any) -> bool:
    """Return True if a form has one password field, as logins do; two or more change a password."""
    return sum(_kind(field) == "password" for field in form.iter("{*}input")) == 1


def logout_marks(response: Response) -> tuple[str, ...]:
    """Return the links, forms and buttons that log out: URLs without tokens, or texts."""
    root = response.root
    if root is None:
        return ()
    marks: dict[str, None] = {}
    for element in _actors(root):
        text = _label(element)
        if mark := _url_mark(response, _address(element)):
            marks[mark] = None
        elif len(text) <= LONGEST_LABEL and names_logout(text):
            marks[_TEXT + text] = None
        if len(marks) == MAX_MARKS:
            break
    return tuple(marks)


def shows_mark(response: Response, mark: str) -> bool:
    """Return True if an element with ``mark`` is on the page; cheap where there is none."""
    if mark.startswith(_TEXT):
        needle = mark.removeprefix(_TEXT)
    else:
        needle = mark.partition("?")[2] or mark.rstrip("/").rpartition("/")[2]
    is_plain = needle.isascii() and needle.isalnum() and not response.encoding.startswith(_WIDE)
    if is_plain and needle.encode() not in response.body:
        return False
    root = response.root
    if root is None:
        return False
    if mark.startswith(_TEXT):
        return any(_label(element) == needle for element in _with_text(root, n=needle))
    if "%" in needle:  # which the page may have written without percent-encoding
        needle = ""
    return any(
        _url_mark(response, _address(element)) == mark for element in _with_address(root, n=needle)
    )


def _address(element: Any) -> str:
    return str(element.get("href") or element.get("action") or element.get("formaction") or "")


def _url_mark(response: Response, address: str) -> str:
    """Return a URL that logs out, without parameters but for that which says so; "" for others."""
    if address[:11].lower() == "javascript:":
        return address if names_logout(address) else ""
    url = response.urljoin(address)
    if url is None or not signs(url).logout:
        return ""
    path, _, query = url.partition("?")
    if signs(path).logout:
        return path
    pairs = [pair for pair in _PAIRS.split(query) if signs(f"{path}?{pair}").logout]
    return f"{path}?{'&'.join(pairs) or query}"


_PAIRS = re.compile("[&;]")


def _label(element: Any) -> str:
    if element.tag == "input":
        return str(element.get("value") or "")
    if element.tag == "form":
        return ""
    return "".join(element.itertext()).strip() or str(element.get("title") or "")


def json_keys(response: Response) -> tuple[str, ...]:
    """Return the keys of a JSON object, the body's outermost."""
    if response.is_html or response.is_xml or response.body[:64].lstrip()[:1] != b"{":
        return ()
    try:
        data = response.json()
    except ValueError:
        return ()
    return tuple(sorted(data)[:50]) if isinstance(data, dict) else ()


def name_typed(form: Any, given: Mapping[str, Any]) -> str:
    """Return the text that a login has filled in beside the password: the account's name."""
    for field in form.iter("{*}input"):
        kind = _kind(field)
        value = given.get(field.get("name"))
        if kind in {"text", "email"} and isinstance(value, str) and len(value) > 2:
            return str.__str__(value)  # BeautifulSoup has strings of its own
    return ""


# One page

LoggedOutText = str | re.Pattern[str] | Callable[[Response], bool]
"""The kinds of values of ``logged_out_text``."""


@dataclass(frozen=True)
class DeclaredMarks:
    """The marks that the spider declares of its site."""

    member_mark: str = ""
    logged_out_text: LoggedOutText | Sequence[LoggedOutText] = ()

    def check(self) -> None:
        """Raise SpiderError for marks that no page can have, in a sentence that names them."""
        mark: Any = self.member_mark
        try:
            if mark and not (isinstance(mark, str) and Selector(text="<p>").css(mark) is not None):
                raise ValueError("it must be text")
        except Exception as error:  # of cssselect
            raise SpiderError(
                f"member_mark is {mark!r}, which is no CSS selector: {error}"
            ) from None
        for rule in self._texts():
            if not (isinstance(rule, (str, re.Pattern)) or callable(rule)):
                raise SpiderError(
                    f"logged_out_text holds {rule!r}: give text that stands in the page, "
                    "re.compile(…), or a function of the response"
                )

    def _texts(self) -> Iterable[Any]:
        declared: Any = self.logged_out_text
        if declared is None:
            return ()
        if isinstance(declared, (str, re.Pattern)) or callable(declared):
            return (declared,) if declared else ()
        return declared if isinstance(declared, Iterable) else (declared,)

    def says_logged_out(self, response: Response) -> bool:
        """Return True if ``logged_out_text`` is in ``response``."""
        return any(_matches(rule, response) for rule in self._texts())


def _matches(rule: Any, response: Response) -> bool:
    if isinstance(rule, str):
        return rule in response.text
    if isinstance(rule, re.Pattern):
        return rule.search(response.text) is not None
    return bool(rule(response))


def examine(response: Response, query: MarksQuery, declared: DeclaredMarks) -> SeenMarks:
    """Look for what tells visitors apart: what ``query`` names, and what the spider declares."""
    is_html = response.is_html
    seen = SeenMarks(is_html, response.body[:1] in b"{[")
    seen.logged_out_text = declared.says_logged_out(response)
    if not is_html:
        seen.keys = json_keys(response)
        return seen
    if declared.member_mark:
        seen.member_mark = bool(response.css(declared.member_mark))
    seen.logout_mark = any(shows_mark(response, mark) for mark in query.marks)
    for form in login_like_forms(response, query.login_forms):
        seen.login_form |= signature(form) in query.login_forms
        seen.password_form |= asks_for_one_password(form)
    seen.refresh_target = refresh_target(response) or ""
    seen.name = bool(query.name) and query.name in response.text
    return seen


def login_like_forms(response: Response, login_forms: Collection[str]) -> list[etree._Element]:
    """Return the forms with a password field, and others if a login form has none."""
    if all(signature.startswith(WITH_PASSWORD) for signature in login_forms):
        return password_forms(response)
    root = response.root
    return [] if root is None else list(root.iter("{*}form"))
