"""The spiders that the crash machine crawls its webs with, one for each shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from crawler import Account, Request, Spider
from tests.faults.web import HOSTS, SEEDS, SURE, UNSURE, Line, Place, Web


class Open(Spider):
    """Follow every link; items name their page by its own text."""

    item_type = Line
    delay = 0
    retry_wait = 0.01
    concurrency_per_host = 4
    commit_interval = 0.02
    posts_at_once = True
    """Forms are sent by the callback itself, by its ``response.session``."""
    name_of_web = ""
    port = "0"

    def parse(self, response: Any) -> Iterator[Any]:
        place = response.css("h1::text").get()
        for part, text in enumerate(response.css("p::text").getall()):
            yield Line("page", place or response.url, part, text)
        if response.css("body#odd"):
            yield {"kind": "page", "place": place}
        yield from response.follow_all("nav a")
        yield from response.follow_all("a.behind", callback=self.behind)
        if response.css("form.post"):
            form = response.form("form.post")
            if self.posts_at_once:
                yield self.posted(response.session.submit(form))
            else:
                yield form.to_request(callback=self.posted)
        if response.css("form.order"):
            yield response.form("form.order").to_request(callback=self.ordered, replay=False)
        for request in response.follow_all("a.typed", callback=self.typed):
            title: Any = response.select_one("h1").string  # of a class of BeautifulSoup's own
            request.url = type(title)(request.url)
            request.headers = {"X-Number": 5, "X-Place": title, "Accept": None}
            request.priority, request.account = 2.0, None
            yield request
        if response.css("body#wrong"):
            yield Request(response.url + "/never", **self._wrong(response.url))

    @staticmethod
    def _wrong(url: str) -> dict[str, Any]:
        """Fields of a request that beginners give, or hardly anybody."""
        fields: list[dict[str, Any]] = [
            {"priority": 0.5},
            {"headers": {"X": object()}},
            {"cookies": {"page": None}},
            {"callback": lambda _: None},
            {"replay": None},
        ]
        return fields[len(url) % len(fields)]

    def typed(self, response: Any) -> Line:
        return Line("typed", _place(response.url), 0, response.css("p::text").get() or "")

    def behind(self, response: Any) -> Line:
        return Line("behind", _place(response.url), 0, response.css("p::text").get() or "")

    def posted(self, response: Any) -> Line:
        return Line("posted", _place(response.url), 0, response.css("p::text").get() or "")

    def ordered(self, response: Any) -> Line:
        return Line("order", _place(response.url), 0, SURE)

    def failed(self, failure: Any) -> Line:
        url = failure.request.url
        if "/order/" in url and failure.cause == "may have been sent":
            return Line("order", _place(url), 0, UNSURE)
        if failure.cause.startswith("SpiderError in parse"):
            return Line("wrong", _place(url), 0, "")
        if failure.cause == "http 404":
            return Line("missing", _place(url), 0, "")
        return Line("failed", url, 0, failure.message)


class Solo(Open):
    """Its seeds are its own, and are to be fetched whatever was seen."""

    posts_at_once = False

    def start(self) -> Iterable[Request]:
        web = Web.named(self.name_of_web)
        for host in range(HOSTS):
            for number in SEEDS:
                url = f"http://127.0.0.{host + 1}:{self.port}{web.path(Place(host, number))}"
                yield Request(url, dont_filter=True)


class Member(Open):
    """Log in on each host, with the default check for logged-out pages."""

    posts_at_once = False  # a callback would have to log in again by itself

    def login(self, session: Any, account: Any = None) -> None:
        for host in range(HOSTS):
            page = session.open(f"http://127.0.0.{host + 1}:{self.port}/{self.name_of_web}/login")
            session.submit(page.form("form"), user="reader", password="sesame")


class Token(Member):
    """Has a cookie that is good for one page, and several requests at a time."""


class Guest(Member):
    """Knows a page for guests by its text."""

    def is_logged_out(self, response: Any) -> bool:
        return "please log in" in response.text or super().is_logged_out(response)


class Pair(Member):
    """Has two accounts."""

    accounts = [Account(name="ann", user="ann"), Account(name="bea", user="bea")]


def _place(url: str) -> str:
    """The place that a URL speaks of: the number of its host, and the last part of its path."""
    host = url.partition("://127.0.0.")[2].partition(":")[0]
    number = url.partition("?")[0].rpartition("/")[2]
    return f"{int(host) - 1}/{number}"
