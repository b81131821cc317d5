"""A page with links of every kind, for the tests of responses."""

from __future__ import annotations

from typing import Any

from crawler.parsing.response import Response

URL = "https://shop.example/books/list?page=1"
PAGE = b"""<!DOCTYPE html>
<html><head><title>Books</title><link rel=next href="?page=2"></head><body>
<ul>
<li class="book"><a href="/b/1">One</a> <img src="1.png"></li>
<li class="book"><a href="b/2#reviews" rel="nofollow">Two &amp; a half</a></li>
<li><a href="mailto:x@shop.example">Mail</a> <a href="javascript:void(0)">Menu</a>
<a name="top">Top</a> <a href="http://[broken/">Broken</a> <a href="https://other.example">Other</a></li>
</ul>
<form id="search" action="/search"><input name="q" value="x"><input type="submit"></form>
</body></html>"""


def page(body: bytes | str = PAGE, content_type: str | None = None, **options: Any) -> Response:
    """Return the response with ``body`` from ``URL``."""
    raw = body.encode() if isinstance(body, str) else body
    headers = {"Content-Type": content_type} if content_type is not None else None
    return Response(URL, raw, headers=headers, **options)


def urls_of(requests: Any) -> list[str]:
    """Return the URLs of requests or links."""
    return [request.url for request in requests]
