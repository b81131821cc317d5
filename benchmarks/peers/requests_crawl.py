"""The benchmark's work with requests and BeautifulSoup in one thread: a first attempt's loop.

If it is stopped, it starts again from the first page.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections import deque
from typing import Any
from urllib.parse import urljoin

import requests
from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning

warnings.filterwarnings("ignore", category=XMLParsedAsHTMLWarning)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def item_of(url: str, soup: BeautifulSoup, hrefs: list[str]) -> dict[str, Any]:
    return {
        "url": url,
        "title": squeezed(soup.title.get_text() if soup.title else ""),
        "h1": [squeezed(h1.get_text()) for h1 in soup.find_all("h1")],
        "h2": [squeezed(h2.get_text()) for h2 in soup.find_all("h2")],
        "links": len(hrefs),
    }


def crawl(seed: str, output: str) -> None:
    host = urljoin(seed, "/")
    seen = {seed}
    queue = deque(seen)
    with requests.Session() as session, open(output, "w", encoding="utf-8") as file:  # noqa: PTH123
        while queue:
            response = session.get(queue.popleft(), timeout=30)
            if not response.ok or "html" not in response.headers["Content-Type"]:
                continue
            soup = BeautifulSoup(response.content, "lxml")
            hrefs = [str(anchor["href"]) for anchor in soup.find_all("a", href=True)]
            file.write(json.dumps(item_of(response.url, soup, hrefs)) + "\n")
            for href in {href.partition("#")[0] for href in hrefs}:
                url = urljoin(response.url, href)
                if url.startswith(host) and url not in seen:
                    seen.add(url)
                    queue.append(url)


if __name__ == "__main__":
    crawl(*sys.argv[1:])
