"""Bases: what the references on a page are resolved against."""

from __future__ import annotations

from lxml import etree

from crawler import urls

LONGEST = 8192
"""Characters of a ``<base href>`` that counts: each link of its page would be as long."""


def base_url(root: etree._Element, url: str) -> str:
    """The URL that references on a page are resolved against; ``url`` is the page's own.

    The first ``<base href>`` counts, unless it means nothing that can be fetched (HTML standard,
    4.2.3); later ones never do.
    """
    for element in root.iter("{*}base"):
        reference = element.get("href")
        if reference is not None:
            return resolved(url, reference)
    return url


def resolved(url: str, reference: str) -> str:
    """What the first ``<base href>`` of the page at ``url`` means."""
    base = urls.resolve(url, reference) or url
    return base if len(base) <= LONGEST else url
