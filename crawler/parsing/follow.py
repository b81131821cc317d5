"""What ``follow`` takes, and the URL in it."""

from __future__ import annotations

from typing import Any

from bs4 import Tag
from lxml import etree
from parsel import Selector

from crawler import urls
from crawler.errors import SpiderError
from crawler.parsing.links import Link

FollowTarget = str | Link | Tag | Selector
"""What ``follow`` takes: a URL as it stands in the page, or the element that has it."""

LINKING = {"a", "area", "audio", "embed", "frame", "iframe", "img", "link", "script", "video"}
"""Elements that may well lack href and src: named anchors, inline scripts."""

_ELEMENTS = (Tag, etree._Element)


def reference_of(target: FollowTarget) -> str | None:
    """The URL in ``target`` as it is written there, or None."""
    if isinstance(target, str):
        return target
    if isinstance(target, Link):
        return target.url
    element: Any = target.root if isinstance(target, Selector) else target
    if isinstance(element, str):
        return element
    if not isinstance(element, _ELEMENTS):
        return None
    found = element.get("href") or element.get("src")
    return found if isinstance(found, str) else None


def needed_reference(target: FollowTarget, page: str) -> str:
    """The URL in ``target``, found at the URL ``page``. Raises SpiderError if there is none."""
    reference = reference_of(target)
    if reference is None:
        raise SpiderError(
            f"{urls.redacted(page)}: follow() was given {_shown(target)}, which has no "
            "href or src; give it a URL, a link or the element that has the URL"
        )
    return reference


def check_link(target: FollowTarget, css: str, page: str) -> None:
    """Raise SpiderError if what ``css`` matches at the URL ``page`` is nothing that links."""
    name = _element_name(target)
    if name is not None and name not in LINKING and reference_of(target) is None:
        raise SpiderError(
            f"{urls.redacted(page)}: follow_all({css!r}) matches a <{name}> without "
            f"href or src; select the link itself, for instance {css + ' a'!r}"
        )


def _element_name(target: object) -> str | None:
    """What kind of element ``target`` is, or is a selector of; None if it is none."""
    element = target.root if isinstance(target, Selector) else target
    if isinstance(element, etree._Element):
        return str(element.tag)
    return element.name if isinstance(element, Tag) else None


def _shown(target: object) -> str:
    """``target`` as messages name it."""
    name = _element_name(target)
    return f"a {type(target).__name__}" if name is None else f"a <{name}>"
