"""The targets of ``Response.follow``, and the URL in each."""

from __future__ import annotations

from typing import Any

from bs4 import Tag
from lxml import etree
from parsel import Selector

from crawler import urls
from crawler.errors import SpiderError
from crawler.parsing.links import Link

FollowTarget = str | Link | Tag | Selector
"""A URL as the page has it, or the element that has it."""

LINKING = {"a", "area", "audio", "embed", "frame", "iframe", "img", "link", "script", "video"}
"""Elements that link, but may lack href and src: named anchors, inline scripts."""

_ELEMENTS = (Tag, etree._Element)


def reference_of(target: FollowTarget) -> str | None:
    """Return the URL in ``target`` as the page has it, or None."""
    if isinstance(target, str):
        return target
    if isinstance(target, Link):
        return target.url
    element: Any = target.root if isinstance(target, Selector) else target
    if isinstance(element, str):
        return element
    if not isinstance(element, _ELEMENTS):
        return None
    reference = element.get("href") or element.get("src")
    return reference if isinstance(reference, str) else None


def needed_reference(target: FollowTarget, page: str) -> str:
    """Return the URL in ``target``, on the page at ``page``. Raises SpiderError if it has none."""
    reference = reference_of(target)
    if reference is None:
        raise SpiderError(
            f"{urls.redacted(page)}: follow() was given {_shown(target)}, which has no "
            "href or src; give it a URL, a link or the element that has the URL"
        )
    return reference


def check_link(target: FollowTarget, css: str, page: str) -> None:
    """Raise SpiderError if ``target``, which ``css`` matches at ``page``, is no link."""
    name = _element_name(target)
    if name is not None and name not in LINKING and reference_of(target) is None:
        raise SpiderError(
            f"{urls.redacted(page)}: follow_all({css!r}) matches a <{name}> without "
            f"href or src; select the link itself, for instance {css + ' a'!r}"
        )


def _element_name(target: object) -> str | None:
    """Return the name of the element that ``target`` is or selects; None if it is no element."""
    element = target.root if isinstance(target, Selector) else target
    if isinstance(element, etree._Element):
        return str(element.tag)
    return element.name if isinstance(element, Tag) else None


def _shown(target: object) -> str:
    """Name ``target`` in a message."""
    name = _element_name(target)
    return f"a {type(target).__name__}" if name is None else f"a <{name}>"
