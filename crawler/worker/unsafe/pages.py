"""Tell by the page with a link what the link may do: by its element, and by the page's forms.

Scripts send some links by another method than GET: ``<a href="/posts/5" data-method="delete">``.
And a site that puts its token against forgery into a link has the same token in its forms.
"""

from __future__ import annotations

import re
from functools import cached_property
from urllib.parse import quote

from lxml import etree

from crawler import urls
from crawler.parsing.response import Response
from crawler.url_words.signs import is_token_parameter
from crawler.url_words.words import STRONG, bits_of_action, joined


class Page:
    """A page whose links are filtered. It is searched only where its bytes give a reason to."""

    def __init__(self, url: str, response: Response | None = None) -> None:
        self.url = url
        self.response = response

    def sign(self, url: str) -> str:
        """Return what the page says of the effect of the link to ``url``, or an empty string."""
        if self._acting and (sign := self._acting.get(url)):
            return sign
        for value, field in self._hidden if "?" in url else ():
            if value in url and _is_parameter(value, url) and value not in self.url:
                return f"the value of the field {field}"
        return ""

    @cached_property
    def _markup(self) -> bytes:
        """The body in lower case, if it is HTML; the zero bytes are those of UTF-16."""
        response = self.response
        if response is None or not response.is_html:
            return b""
        return response.body.replace(b"\0", b"").lower()

    @cached_property
    def _acting(self) -> dict[str, str]:
        """The URLs that only elements with other effects than a GET link to, and their signs.

        ``/posts/5`` is a page if a usual link leads there, too.
        """
        if not _has_marks(self._markup):
            return {}
        response = self.response
        if response is None or response.root is None:
            return {}
        if not any(map(sign_of, response.root.iter("{*}a", "{*}area"))):
            return {}
        acting: dict[str, str] = {}
        usual: set[str] = set()
        for link in response.links(unique=False):
            sign = "" if link.element is None else sign_of(link.element)
            url = urls.normalise(link.url) or link.url
            if sign:
                acting.setdefault(url, sign)
            else:
                usual.add(url)
        return {url: sign for url, sign in acting.items() if url not in usual}

    @cached_property
    def _hidden(self) -> list[tuple[str, str]]:
        """The values of hidden fields that look like tokens, as in a URL, each with its field.

        Forms that are sent by POST have them. Other hidden fields hold the id of an object, or the
        URL to return to.
        """
        if self.response is None or b"hidden" not in self._markup:
            return []
        root = self.response.root
        fields = {
            value: name
            for form in (root.iter("form") if root is not None else ())
            if (form.get("method") or "").strip().lower() == "post"
            for field in form.iter("input")
            if (field.get("type") or "").strip().lower() == "hidden"
            and (value := field.get("value") or "")
            and _is_token(name := field.get("name") or "", value)
        }
        return [
            (spelling, name)
            for value, name in fields.items()
            for spelling in {value, quote(value, safe=""), quote(value, safe="/")}
        ]


def _is_parameter(value: str, url: str) -> bool:
    """Return True if ``value``, which is in ``url``, is the whole value of a parameter."""
    start = url.find("?")
    query = url[start:].replace(";", "&") + "&"
    return start > 0 and f"={value}&" in query


_MARKS = (b"-method", b"-confirm", b"hx-")
_CLICK = re.compile(rb"click(\s*=|\.prevent|\.stop)")


def _has_marks(markup: bytes) -> bool:
    """Return True if ``markup`` may have one of the attributes below, as few pages do.

    To search for parts of their names is fast.
    """
    if any(mark in markup for mark in _MARKS):
        return True
    return b"click" in markup and bool(_CLICK.search(markup))


_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NO_TOKEN = re.compile(
    "(id|guid|slug|next|url|uri|to|from|return|redirect|page|cursor|ref|name|path|key)$"
)


def _is_token(name: str, value: str) -> bool:
    """Return True if a hidden field of this name and value is a token against forgery."""
    if is_token_parameter(name):
        return len(value) >= 8
    is_random = len(value) >= 16 and value.isascii() and not _UUID.fullmatch(value)
    has_both = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return is_random and has_both and " " not in value and not _NO_TOKEN.search(joined(name))


# Elements


_METHODS = (
    "data-method", "data-turbo-method", "data-http-method", "data-ajax-method", "up-method",
)  # fmt: skip
_SENDING = ("hx-post", "hx-put", "hx-patch", "hx-delete")
_QUESTIONS = ("data-confirm", "data-turbo-confirm", "hx-confirm", "data-hx-confirm")
_HANDLERS = ("onclick", "@click", "x-on:click", "v-on:click", "wire:click", "ng-click")
_SCRIPT_ACTS = re.compile(
    r"\bconfirm\s*\(|\bsubmit\s*\(|\.(?:post|put|patch|delete)\s*\(|"
    r"method['\"]?\s*[:=]\s*['\"](?:post|put|patch|delete)",
    re.IGNORECASE,
)
_CALL = re.compile(r"\s*(?:return\s+|javascript:\s*|event\.\w+\(\);\s*)*([\w$.]+)\s*(?:\(|$)")


def sign_of(element: etree._Element) -> str:
    """Return by which attribute an element does more than to link, or an empty string."""
    attributes = element.attrib
    if len(attributes) < 2:
        return ""
    for name, raw in attributes.items():
        text, attribute = str(raw), str(name).lower()
        if attribute in _METHODS and text.strip().lower() not in {"", "get", "head"}:
            return attribute
        if attribute.removeprefix("data-") in _SENDING:
            return attribute
        if attribute in _QUESTIONS and text.strip().lower() not in {"", "false", "0"}:
            return attribute
        if attribute.partition(".")[0] in _HANDLERS and _script_acts(text):
            return attribute
    return ""


def _script_acts(script: str) -> bool:
    """Return True if a script asks first, submits a form, or is named for its effect."""
    if _SCRIPT_ACTS.search(script):
        return True
    call = _CALL.match(script)
    return call is not None and bool(bits_of_action(call[1].rpartition(".")[2]) & STRONG)
