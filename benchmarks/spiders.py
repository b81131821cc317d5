"""The spiders of the benchmark: the same work with selectors, BeautifulSoup and ``select()``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crawler import Response, Session, Spider


def squeezed(text: str) -> str:
    return " ".join(text.split())


class Pages(Spider):
    """Use CSS selectors and XPath."""

    def parse(self, response: Response) -> Iterator[Any]:
        if not response.is_html:
            return
        yield {
            "url": response.url,
            "title": squeezed(response.css("title::text").get("")),
            "h1": [squeezed(h1.xpath("string()").get("")) for h1 in response.css("h1")],
            "h2": [squeezed(h2.xpath("string()").get("")) for h2 in response.css("h2")],
            "links": len(response.css("a[href]")),
        }
        yield from response.follow_all()


class PrivatePages(Pages):
    """Trust a private certificate authority."""

    bundle: str

    def prepare(self, session: Session) -> None:
        session.verify = self.bundle


class SoupPages(Spider):
    """Use BeautifulSoup's tree of the whole page."""

    def parse(self, response: Response) -> Iterator[Any]:
        if not response.is_html:
            return
        soup = response.soup
        yield {
            "url": response.url,
            "title": squeezed(soup.title.get_text() if soup.title else ""),
            "h1": [squeezed(h1.get_text()) for h1 in soup.find_all("h1")],
            "h2": [squeezed(h2.get_text()) for h2 in soup.find_all("h2")],
            "links": len(soup.find_all("a", href=True)),
        }
        yield from response.follow_all()


class SelectPages(Spider):
    """Use BeautifulSoup's tags for the matches of a selector, without a tree of the page."""

    def parse(self, response: Response) -> Iterator[Any]:
        if not response.is_html:
            return
        title = response.select_one("title")
        yield {
            "url": response.url,
            "title": squeezed(title.get_text() if title else ""),
            "h1": [squeezed(h1.get_text()) for h1 in response.select("h1")],
            "h2": [squeezed(h2.get_text()) for h2 in response.select("h2")],
            "links": len(response.select("a[href]")),
        }
        yield from response.follow_all()


class MemberPages(SoupPages):
    """Log in by a form, and use BeautifulSoup's tree of the whole page."""

    form: str

    def login(self, session: Session) -> None:
        session.submit(session.open(self.form).form(), user="ada", password="lovelace")

    def is_logged_out(self, response: Response) -> bool:
        return response.url.endswith("/login")
