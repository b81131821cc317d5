"""The response to each request: everything that the shop does, except HTTP itself."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote
from xml.sax.saxutils import escape

from crawler.demo import pages
from crawler.demo.sessions import Session, Sessions
from crawler.demo.shop import Shop

ROBOTS = """\
User-agent: *
Disallow: /cart/
Disallow: /admin/

Sitemap: {url}/sitemap.xml
"""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request of a browser; ``target`` is path and query as they were sent.

    ``token`` is what the cookie says, ``session`` whom the shop knows by it.
    """

    method: str = "GET"
    target: str
    form: Mapping[str, str] = field(default_factory=dict)
    token: str | None = None
    session: Session | None = None

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The fields after the ``?``; the last value of each."""
        return dict(parse_qsl(self.target.partition("?")[2]))

    @property
    def page(self) -> int:
        """The number in ``?page=``: 1 if there is none, 0 if it is no valid number."""
        number = self.query.get("page", "1")
        return int(number) if re.fullmatch("[0-9]{1,8}", number) else 0

    @property
    def user(self) -> str | None:
        """The logged-in user, if there is one."""
        return self.session.user if self.session else None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The response. ``token`` is for its cookie: ``""`` deletes it, ``None`` leaves it."""

    body: str = ""
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    token: str | None = None


class Site:
    """The paths of the shop at ``url``. Only ``sessions`` changes."""

    def __init__(self, shop: Shop, sessions: Sessions, url: str) -> None:
        self.shop = shop
        self.sessions = sessions
        self.url = url

    def answer(self, ask: Ask) -> Answer:
        """Return the response to any request; 404 for an unknown path."""
        answer = self._route(ask)
        if answer.token is None and ask.session is not None and ask.session.token != ask.token:
            return replace(answer, token=ask.session.token)
        return answer

    def _route(self, ask: Ask) -> Answer:
        match (ask.method, *ask.path.split("/")[1:]):
            case ("GET", ""):
                return _page(ask, "Welcome", pages.home(self.shop))
            case ("GET", "books", ""):
                return self._books(ask)
            case ("GET", "books", slug):
                return self._book(ask, slug)
            case ("GET", "categories", name):
                return self._category(ask, name)
            case ("GET", "login"):
                return self._login_form(ask, ask.query.get("next", ""))
            case ("POST", "login"):
                return self._log_in(ask)
            case ("GET" | "POST", "logout"):
                return self._log_out(ask)
            case ("GET", "orders"):
                return self._orders(ask)
            case ("GET", "orders", number):
                return self._order(ask, number)
            case ("GET", "cart", *_):
                return _page(ask, "Cart", pages.message("Your cart", "It is empty, as ever."))
            case ("GET", "admin", *_):
                return _page(ask, "Staff", pages.message("Staff only", "This door is shut."), 403)
            case ("GET", "robots.txt"):
                return Answer(body=ROBOTS.format(url=self.url), content_type="text/plain")
            case ("GET", "sitemap.xml"):
                return Answer(body=self._sitemap(), content_type="application/xml")
            case ("GET", "books"):
                return _redirect("/books/", status=301)
        return _missing(ask)

    def _books(self, ask: Ask) -> Answer:
        page = self.shop.page_of_books(ask.page)
        if page is None:
            return _missing(ask)
        return _page(ask, "All books", pages.books(page, "/books/", "All books"))

    def _category(self, ask: Ask, slug: str) -> Answer:
        name = self.shop.categories.get(slug)
        page = self.shop.page_of_books(ask.page, name) if name else None
        if name is None or page is None:
            return _missing(ask)
        return _page(ask, name, pages.books(page, f"/categories/{slug}", name))

    def _book(self, ask: Ask, slug: str) -> Answer:
        book = self.shop.book(slug)
        return _page(ask, book.title, pages.book(book)) if book else _missing(ask)

    def _orders(self, ask: Ask) -> Answer:
        if ask.user is None:
            return _to_login(ask)
        page = self.shop.page_of_orders(ask.page)
        return _page(ask, "Your orders", pages.orders(page)) if page else _missing(ask)

    def _order(self, ask: Ask, number: str) -> Answer:
        if ask.user is None:
            return _to_login(ask)
        order = self.shop.order(number)
        return _page(ask, f"Order {number}", pages.order(order)) if order else _missing(ask)

    def _login_form(self, ask: Ask, following: str, error: str | None = None) -> Answer:
        session = ask.session or self.sessions.open()
        form = pages.login(session.csrf, following, error)
        answer = _page(ask, "Log in", form)
        return replace(answer, token=session.token)

    def _log_in(self, ask: Ask) -> Answer:
        following = ask.form.get("next", "")
        if ask.session is None or not _same(ask.form.get("csrf", ""), ask.session.csrf):
            text = "This form is not from here, or too old. Please open it again."
            return _page(ask, "Log in", pages.message("Please try again", text), 403)
        user, password = ask.form.get("user", ""), ask.form.get("password", "")
        # Both are compared, always, so that the time it takes says nothing about either.
        if not _same(user, self.shop.user) & _same(password, self.shop.password):
            # Status 200, as many sites answer: a crawler has to look at the page.
            return self._login_form(ask, following, "Wrong user or password.")
        session = self.sessions.log_in(ask.session, self.shop.user)
        return replace(_redirect(_local(following) or "/orders"), token=session.token)

    def _log_out(self, ask: Ask) -> Answer:
        if ask.session is not None:
            self.sessions.close(ask.session)
        return replace(_redirect("/"), token="")

    def _sitemap(self) -> str:
        urls = "\n".join(
            f"<url><loc>{escape(self.url + path)}</loc></url>" for path in self.shop.public_paths()
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}\n</urlset>\n'
        )


def _page(ask: Ask, title: str, body: str, status: int = 200) -> Answer:
    return Answer(body=pages.document(title, body, ask.user), status=status)


def _missing(ask: Ask) -> Answer:
    text = "We have looked on every shelf, and behind them."
    return _page(ask, "Not found", pages.message("There is no such page", text), 404)


def _redirect(path: str, status: int = 303) -> Answer:
    return Answer(status=status, headers={"Location": path})


def _to_login(ask: Ask) -> Answer:
    return _redirect(f"/login?next={quote(ask.target)}", status=302)


def _local(path: str) -> str | None:
    """Return ``path`` if it stays in the shop: a login must not redirect to another site."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return quote(path, safe="/?=&%") if is_local else None


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())
