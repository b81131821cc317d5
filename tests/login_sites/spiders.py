"""Spiders for the sites behind a login, as the guide writes them; each page gives an item.

So a page of the login, or any other that is not wanted, would be seen in the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crawler import LoginError, Spider
from crawler.parsing.response import Response
from crawler.session.session import Session
from tests.login_sites.pages import FIELDS, PASSWORD, USER


class Member(Spider):
    """Logs in with the form called ``#login``, as the guide does, and follows every link."""

    name = "member"
    login_url = ""
    style = "plain"
    """The style of the names of the form's fields."""

    @property
    def answers(self) -> dict[str, str]:
        """Return the values that are filled in."""
        user, password = FIELDS[self.style]
        return {user: USER, password: PASSWORD}

    def login(self, session: Session) -> None:
        form = session.open(self.login_url).form("#login")
        page = session.submit(form, self.answers)
        if error := page.select_one(".error"):
            raise LoginError(error.text)

    def parse(self, response: Response) -> Iterator[Any]:
        yield {
            "url": response.url,
            "text": response.css("#text::text").get(""),
            "serial": int(response.css("body::attr(data-serial)").get("0")),
        }
        yield from response.follow_all()


class Guided(Member):
    """Decides by the address what is logged out, as the guide does."""

    name = "guided"

    def is_logged_out(self, response: Response) -> bool:
        return "/login" in response.url or "login" in response.url.partition("?")[2]


class Positive(Member):
    """Decides by what only members see: a link that logs out."""

    name = "positive"

    def is_logged_out(self, response: Response) -> bool:
        return response.is_html and not response.css(".logout")


class Named(Member):
    """Names the fields in ``data``, as the reference shows for names that Python cannot have."""

    name = "named"

    def login(self, session: Session) -> None:
        form = session.open(self.login_url).form("#login")
        session.submit(form, data=self.answers)


class Posting(Member):
    """Posts the fields of the form without having opened its page."""

    name = "posting"

    def login(self, session: Session) -> None:
        session.post(self.login_url, data={"form": "login", **self.answers}).raise_for_status()


class TwoSteps(Member):
    """Sends the name, then the password."""

    name = "twosteps"

    def login(self, session: Session) -> None:
        form = session.open(self.login_url).form("#login")
        user, password = FIELDS[self.style]
        page = session.submit(form, {user: USER})
        session.submit(page.form("#login"), {password: PASSWORD})


class Api(Member):
    """Reads JSON, and logs in with it; the answer is a token, or sets a cookie."""

    name = "api"
    bearer = ""

    def login(self, session: Session) -> None:
        answer = session.post(self.login_url, json={"user": USER, "password": PASSWORD})
        answer.raise_for_status()
        if self.bearer:
            session.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def parse(self, response: Response) -> Iterator[Any]:
        page = response.json()
        yield {"url": response.url, "text": page.get("text", ""), "serial": page["serial"]}
        for link in page.get("links", ()):
            yield response.follow(link)


class Declared(Api):
    """Says by which text a logged-out answer is known."""

    name = "declared"
    logged_out_text = r'"error": ?"unauthenticated"'


class Forgetful(Member):
    """Sends a wrong password."""

    name = "forgetful"

    @property
    def answers(self) -> dict[str, str]:
        return dict.fromkeys(FIELDS[self.style], USER)


class Responding(Member):
    """Submits the form with the provider's response as well, which a browser's script would do."""

    name = "responding"

    def login(self, session: Session) -> None:
        page = session.open(self.login_url)
        if page.select_one("#login"):
            page = session.submit(page.form("#login"), self.answers)
        session.submit(page.form("#response"))
