"""The site of the crash machine, and the output that a crawl of it must give.

Both follow from a web's name alone. The server renders pages by these definitions; the wanted
output is worked out from them by a walk of its own, which shares nothing with the crawler.

Pages of a host are a heap: page ``n`` links to ``2n+1`` and ``2n+2``, so that all are found, and to
others all over the web in changing spellings. Pages that have no links of their own (redirects,
missing ones) are among the leaves.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

import msgspec

HOSTS = 3
"""On 127.0.0.1, 127.0.0.2 and so on, all on one port."""
SEEDS = (0, 3, 5)
"""Numbers of the pages of each host that a crawl starts from."""


class Shape(StrEnum):
    """The shape of a web, and of its crawl."""

    OPEN = "open"
    """By two workers, without a login."""
    SOLO = "solo"
    """Within one process; seeds come from the spider, and are fetched whatever was seen."""
    MEMBER = "member"
    """Behind a login; other visitors are redirected to it, or get 401."""
    GUEST = "guest"
    """Behind a login that the site asks for on pages with status 200."""
    PAIR = "pair"
    """Behind a login, with two accounts in two workers."""

    TOKEN = "token"
    """Behind a login whose cookie changes with each page, and is refused when it is an old one."""

    @property
    def logs_in(self) -> bool:
        """True if pages are only for members."""
        return self not in {Shape.OPEN, Shape.SOLO}


class Kind(StrEnum):
    """The kind of a page."""

    PLAIN = "plain"
    SLOW = "slow"
    """It takes its time."""
    BUSY = "busy"
    """503 with ``Retry-After: 0`` when it is first asked for."""
    BROKEN = "broken"
    """500 the first time."""
    RESET = "reset"
    """The connection is reset, the first time."""
    CUT = "cut"
    """The connection ends in the middle of the body, the first time."""
    FORM = "form"
    """It has a form that is to be sent."""
    ORDER = "order"
    """It has a form that must not be sent twice."""
    KEY = "key"
    """It sets a cookie without which the page behind it is shut."""
    ODD = "odd"
    """One of its items does not fit."""
    TYPED = "typed"
    """Its callback yields a request with values of other types that mean the right ones."""
    WRONG = "wrong"
    """Its callback yields items, and then a request with a value that means nothing."""
    MOVED = "moved"
    """It redirects to a page of its host."""
    AWAY = "away"
    """It redirects to a page of another host."""
    CHAIN = "chain"
    """It redirects to a redirect."""
    GONE = "gone"
    """404."""


_INNER: tuple[Kind, ...] = (
    *((Kind.SLOW,) * 3 + (Kind.BROKEN,) * 4 + (Kind.RESET,) * 3 + (Kind.CUT,) * 3),
    *((Kind.FORM,) * 6 + (Kind.ORDER,) * 6 + (Kind.KEY,) * 4 + (Kind.ODD,) * 6),
    *(Kind.TYPED,) * 5,
)
_LEAVES: tuple[Kind, ...] = (
    *((Kind.MOVED,) * 8 + (Kind.AWAY,) * 8 + (Kind.CHAIN,) * 4 + (Kind.GONE,) * 4),
    *((Kind.BROKEN,) * 2 + (Kind.RESET,) * 2 + (Kind.CUT,) * 2 + (Kind.ODD,) * 4),
    *(Kind.WRONG,) * 5,
)
_OF = 100
"""The number of pages that these tables describe; the rest is plain."""
_BUSY_OF = 400
"""Inner pages of which one is busy: the whole host has to wait after it."""


class Place(NamedTuple):
    """A page by its host, from 0, and its number."""

    host: int
    number: int

    def __str__(self) -> str:
        return f"{self.host}/{self.number}"


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One item, which is one line of the output; every field is known beforehand."""

    kind: str
    """``page``, ``behind`` (a shut page), ``typed`` (behind a request of other types), ``posted``,
    ``order``, ``missing``, ``wrong`` (a page whose callback failed) or ``failed``."""
    place: str
    part: int
    text: str


SURE, UNSURE = "sure", "unsure"
"""The text of an order's line: whether its response came, or is unknown."""


@dataclass
class Wanted:
    """The output of a whole crawl: each line once, orders in one of two forms."""

    lines: Counter[Line] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    """Places of the items that do not fit."""
    orders: set[str] = field(default_factory=set)
    pages: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Web:
    """``size`` pages on each host. ``name`` tells all of it, and is the first part of its paths."""

    shape: Shape
    seed: str
    crawl: int
    size: int

    @classmethod
    def named(cls, name: str) -> Web:
        """The web of this name. Raises ValueError if none can have it."""
        shape, seed, crawl, size = name.split("-")
        return cls(Shape(shape), seed, int(crawl), int(size))

    @cached_property
    def name(self) -> str:
        """Tells this web from all others."""
        return f"{self.shape}-{self.seed}-{self.crawl}-{self.size}"

    def draw(self, *what: object) -> int:
        """Return a number that depends on ``what`` and this web only."""
        digest = hashlib.blake2b(repr((self.name, *what)).encode(), digest_size=6)
        return int.from_bytes(digest.digest())

    def kind(self, place: Place) -> Kind:
        """Return the kind of a page."""
        number = self.draw("kind", *place)
        if place.number == self.size - 1:  # so that every host has a redirect for chains
            return Kind.AWAY
        if self._is_leaf(place):
            table = _LEAVES
        elif number % _BUSY_OF == 7:
            return Kind.BUSY
        else:
            table = _INNER
        kind = table[number % _OF] if number % _OF < len(table) else Kind.PLAIN
        # A login begins a session anew, and the cookies of the one before are gone.
        return Kind.PLAIN if kind is Kind.KEY and self.shape.logs_in else kind

    def _is_leaf(self, place: Place) -> bool:
        return 2 * place.number + 1 >= self.size

    def links(self, place: Place) -> list[Place]:
        """Return the pages that a page links to; itself and earlier pages are among them."""
        below = [Place(place.host, 2 * place.number + k) for k in (1, 2)]
        here = [page for page in below if page.number < self.size]
        there = [self._anywhere("link", k, *place) for k in range(3)]
        return [*here, *there, place]

    def _anywhere(self, *what: object) -> Place:
        return Place(self.draw("host", *what) % HOSTS, self.draw(*what) % self.size)

    def target(self, place: Place) -> Place:
        """Return the page that a redirect leads to."""
        if self.kind(place) is Kind.CHAIN:
            return next(
                other
                for other in (Place(place.host, n) for n in range(self.size // 2, self.size))
                if self.kind(other) in {Kind.MOVED, Kind.AWAY}
            )
        away = self.kind(place) is Kind.AWAY
        inner = self.draw("target", *place) % (self.size // 2 - 1)
        return Place((place.host + away) % HOSTS, inner)

    def parts(self, place: Place) -> list[str]:
        """The texts on a page, each of which is one item."""
        return [self.text("part", part, *place) for part in range(2 + place.number % 2)]

    def text(self, *what: object) -> str:
        """Some text that stands nowhere else; its length varies, for the sake of torn lines."""
        size = 4 + self.draw("size", *what) % 20
        return " ".join(f"{self.draw(word, *what):x}" for word in range(size))

    def path(self, place: Place) -> str:
        """The page's path. Some have a query."""
        query = "?a=1&b=2" if place.number % 5 == 1 else ""
        return f"/{self.name}/p/{place.number}{query}"

    def spelled(self, place: Place, origin: str, how: int) -> str:
        """One of several ways to write the page's URL that all mean the same."""
        path = self.path(place)
        plain, query = f"/{self.name}/p/{place.number}", place.number % 5 == 1
        return (
            origin + path,
            origin.partition(":")[2] + path,
            f"{origin}{path}#part-2",
            f"{origin}/{self.name}/x/../p/{place.number}" + ("?b=2&a=1" if query else "?"),
            origin + path.replace("/p/", "/%70/"),
            f"{origin.upper()}{plain}" + ("?b=2&&a=1" if query else "?#"),
        )[how % 6]

    # What must come of it

    def wanted(self) -> Wanted:
        """Return the output of a crawl of this web, from its definition."""
        wanted = Wanted()
        seeds = [Place(host, number) for host in range(HOSTS) for number in SEEDS]
        seen, ahead = set(seeds), deque(seeds)
        while ahead:
            place = ahead.popleft()
            for other in self._leads_to(place, wanted):
                if other not in seen:
                    seen.add(other)
                    ahead.append(other)
        return wanted

    def _leads_to(self, place: Place, wanted: Wanted) -> list[Place]:
        """Add the lines of a page; return the places that it leads to."""
        kind = self.kind(place)
        if kind in {Kind.MOVED, Kind.AWAY, Kind.CHAIN}:
            return [self.target(place)]
        if kind is Kind.GONE:
            wanted.lines[Line("missing", str(place), 0, "")] += 1
            wanted.failed += 1
            return []
        if kind is Kind.WRONG:  # what it yields before is dropped, and its links
            wanted.lines[Line("wrong", str(place), 0, "")] += 1
            wanted.failed += 1
            return []
        wanted.pages += 1
        wanted.lines.update(self._lines(place, kind))
        wanted.rejected.update([str(place)] * (kind is Kind.ODD))
        wanted.orders.update([str(place)] * (kind is Kind.ORDER))
        return self.links(place)

    def _lines(self, place: Place, kind: Kind) -> Iterator[Line]:
        for part, text in enumerate(self.parts(place)):
            yield Line("page", str(place), part, text)
        if kind is Kind.FORM:
            yield Line("posted", str(place), 0, self.text("posted", *place))
        if kind is Kind.KEY:
            yield Line("behind", str(place), 0, self.text("behind", *place))
        if kind is Kind.TYPED:
            yield Line("typed", str(place), 0, self.text("typed", *place))
