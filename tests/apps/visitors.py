"""Spiders for the applications, written as a user would. Every page that is parsed gives an item,
so that a page of a login, or any other that is not wanted, would be seen in the output."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from crawler import Spider
from crawler.parsing.response import Response
from crawler.session.session import Session

USER, PASSWORD = "reader", "sesame-7319"


class AppSpider(Spider):
    """The base of all spiders. The address of the application comes from the environment."""

    delay = 0.0
    retry_wait = 0.05
    commit_interval = 0.02

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.app = os.environ["APP_URL"]
        self.account = (os.environ["APP_USER"], os.environ["APP_PASSWORD"])


class Admin(AppSpider):
    """Django's admin. What is logged out is the default: a redirect to the page of the login."""

    def login(self, session: Session) -> None:
        form = session.open(f"{self.app}/admin/login/").form("#login-form")
        user, password = self.account
        session.submit(form, username=user, password=password)

    def parse(self, response: Response) -> Iterator[Any]:
        books = response.select("#result_list tbody th a")
        yield {"url": response.url, "books": len(books)}
        for book in books:  # their query only says which shelf they were found on
            yield response.follow(str(book["href"]).partition("?")[0], callback=self.parse_book)
        yield from response.follow_all(".paginator a:not(.showall)")

    def parse_book(self, response: Response) -> Iterator[Any]:
        title, cents = (response.select_one(f"input#id_{name}") for name in ("title", "cents"))
        yield {
            "url": response.url,
            "title": title and title["value"],
            "cents": cents and cents["value"],
        }


class Builder(AppSpider):
    """Flask-AppBuilder."""

    def login(self, session: Session) -> None:
        form = session.open(f"{self.app}/login/").form("form[name=login]")
        user, password = self.account
        session.submit(form, username=user, password=password)

    def is_logged_out(self, response: Response) -> bool:
        return response.url.startswith(f"{self.app}/login/")

    def parse(self, response: Response) -> Iterator[Any]:
        books = response.css("a[href*='/bookview/show/']")
        yield {"url": response.url, "books": len(books)}
        yield from response.follow_all("a[href*='/bookview/show/']", callback=self.parse_book)
        yield from response.follow_all(".pagination a[href*=page_BookView]")

    def parse_book(self, response: Response) -> Iterator[Any]:
        cells = [cell.text.strip() for cell in response.select("table.table td")]
        yield {"url": response.url, "title": cells[0], "cents": cells[1]}


class Tokens(AppSpider):
    """The JSON API. What is logged out is the default: 401."""

    def login(self, session: Session) -> None:
        user, password = self.account
        answer = session.post(f"{self.app}/token", json={"user": user, "password": password})
        answer.raise_for_status()
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def parse(self, response: Response) -> Iterator[Any]:
        page = response.json()
        yield {"url": response.url, "books": len(page["books"])}
        for link in page["books"]:
            yield response.follow(link, callback=self.parse_book)
        if page["next"]:
            yield response.follow(page["next"])

    def parse_book(self, response: Response) -> Iterator[Any]:
        book = response.json()
        yield {"url": response.url, "title": book["title"], "cents": str(book["cents"])}


class Orders(AppSpider):
    """The demo shop's orders."""

    def login(self, session: Session) -> None:
        form = session.open(f"{self.app}/login").form("#login")
        user, password = self.account
        session.submit(form, user=user, password=password)

    def parse(self, response: Response) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all("tr.order a, a.next")
