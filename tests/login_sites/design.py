"""The design of a site behind a login: all that makes one site differ from another, as data."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

Address = Literal["path", "front controller", "query", "wiki"]
"""``/p/3``, ``/index.php?page=p3``, ``/?view=p3``, ``/doku.php?id=p3``: also of the login page."""

Frame = Literal["link", "form", "name", "none"]
"""How members' pages differ from strangers' around the text: a link or a form that logs out, the
account's name, not at all."""

Form = Literal["page", "front", "sidebar"]
"""Where the form stands: on a page of its own, on the home page as strangers get it, or beside
the text of every page that strangers get."""

Answer = Literal["302", "303", "200"]
"""The answer to a right password."""

Lands = Literal["home", "welcome", "next", "login"]
"""The page that it leads to."""

Again = Literal["home", "form", "notice"]
"""The login page's answer to members: a redirect to the home page, its form, or a sentence."""

Fields = Literal["plain", "brackets"]
"""``user`` and ``password``, or ``auth[user]`` and ``auth[password]``."""

Redirected = Literal["login", "bare login", "door", "home", "away", "sso", "script", "chain"]
Shown = Literal["form", "note", "teaser", "soft", "error"]
Refused = Literal["401", "403", "404", "419", "440"]
Strangers = Redirected | Shown | Refused
"""The answer to strangers at a members' page. A redirect: to the login page (with or without the
way back), to another login page (``door``), to the public home page, to another host (``away``),
to the provider of a single sign-on, by ``<meta>``, to the login page by way of another one
(``chain``). Status 200: the login form, a sentence, a part
of the page (``teaser``), the page without its secret (``soft``), JSON. Or another status."""

ClosedBy = Literal["401", "403", "404", "500", "login", "home", "form", "message"]
"""The answer to members at a page that is closed to them; ``form`` and ``message`` have status
200."""

Box = Literal["none", "one page", "everywhere"]
"""Which pages have a form with a password that is not the login's."""

Anonymous = Literal["form", "always", "never", "deleted"]
"""When strangers get a session of their own, in the cookie of members: with the form, always, never
(then the form has no token), or never and a dead cookie is deleted."""

Rotates = Literal["never", "login", "page"]
"""When the cookie of a session gets a new value: never, at a login, with every page."""

Remember = Literal["no", "silent", "redirect"]
"""Whether a second cookie renews a session that has ended: not at all, with the page, or with a
redirect to the same page."""

Provider = Literal["none", "forgets", "knows"]
"""Whether a single sign-on at another host logs in, and whether it still knows the user when the
site's own session has ended."""

ProviderHost = Literal["address", "port", "name"]
"""The provider differs from the site by its address, its port or its name."""

ProviderAnswer = Literal["redirect", "form"]
"""The provider's way to send users back: a redirect, or a form that a browser would submit."""

Flow = Literal["no", "query", "path"]
"""Whether each visit to the login page is redirected to an address of its own."""

Robots = Literal["missing", "login", "form"]
"""The answer to strangers for robots.txt: 404, a redirect to the login page, or its form."""

Api = Literal["none", "cookie", "bearer"]
"""Whether the pages are JSON, and how a session is named there."""

Exit = Literal["none", "login", "bye"]
"""Whether each page links to an address that ends the session without looking like it, and where
that leads to: to the login page, or to a farewell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A site. By default the plainest: one login page, redirects, sessions that do not end."""

    pages: int = 24
    """Pages for members, numbered, the closed ones included; page 0 is the home page."""
    address: Address = "path"
    seeds: tuple[int, ...] = (0,)
    """Pages that the crawl begins with."""
    robots: Robots = "missing"
    public: tuple[int, ...] = ()
    """Pages that strangers get as well, except for the frame."""
    frame: Frame = "link"
    box: Box = "none"
    moved: bool = False
    """All links lead to a page's old address, which redirects to the new one."""
    home_link: bool = False
    """All pages link to an address that redirects to the home page."""
    once: tuple[int, ...] = ()
    """Pages that redirect to an address that is good once, and that fails at first."""
    login_link: bool = False
    """Members' pages link to the login page as well."""

    form: Form = "page"
    answer: Answer = "302"
    lands: Lands = "home"
    again: Again = "home"
    fields: Fields = "plain"
    token: bool = False
    """The form has a token against forgery that is good once; an old one is answered 419."""
    flow: Flow = "no"
    steps: Literal[1, 2] = 1
    """Two: the user's name first, on a page without a field for the password."""
    trouble: tuple[str, ...] = ()
    """Answers to the first attempts to log in: a status, or ``reset``. ``always 503`` stays."""

    strangers: Strangers = "login"

    closed: tuple[int, ...] = ()
    closed_by: ClosedBy = "403"

    ends: tuple[int, ...] = ()
    """Sessions end before the answer to these requests of members, which are counted."""
    ends_at: tuple[int, ...] = ()
    """Sessions end when these pages are asked for, each time once: (5, 5) is twice."""
    life: int = 0
    """Pages that each session is good for; 0 is any number."""
    exit: Exit = "none"

    anonymous: Anonymous = "form"
    rotates: Rotates = "login"
    remember: Remember = "no"

    provider: Provider = "none"
    provider_host: ProviderHost = "address"
    provider_answer: ProviderAnswer = "redirect"
    api: Api = "none"

    def __str__(self) -> str:
        """Return what differs from the plainest site."""
        plain = Design()
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        different = {k: v for k, v in values.items() if v != getattr(plain, k)}
        return ", ".join(f"{name}={value!r}" for name, value in different.items()) or "plain"

    def links(self, number: int) -> list[int]:
        """Return the pages that a page links to, besides the home page."""
        targets = (2 * number + 1, 2 * number + 2, (number * 7 + 3) % self.pages)
        return [target for target in targets if 0 < target < self.pages]

    @property
    def linked(self) -> set[int]:
        """The pages that a member comes to by links on pages that are open."""
        linked, waiting = set(self.seeds), list(self.seeds)
        while waiting:
            number = waiting.pop()
            fresh = {0, *self.links(number)} - linked if number not in self.closed else set()
            linked |= fresh
            waiting += fresh
        return linked

    @property
    def open_pages(self) -> list[int]:
        """The pages that a crawl brings, in their order."""
        return sorted(self.linked - set(self.closed))

    @property
    def closed_pages(self) -> list[int]:
        """The closed pages that a crawl comes to, in their order."""
        return sorted(self.linked & set(self.closed))

    def text(self, number: int) -> str:
        """Return the text of a page as members get it, and everybody if it is public."""
        return f"public {number}" if number in self.public else f"members only {number}"
