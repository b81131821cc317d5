"""The books and orders of the shop, invented from a seed."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from random import Random

from crawler.demo.words import CLOSINGS, MIDDLES, OPENINGS, TITLES, WORDS

FIRST_ORDER = 1001
FIRST_DAY = date(2024, 1, 8)


@dataclass(frozen=True)
class Book:
    """A title. ``price`` is in cents, ``stock`` in copies."""

    title: str
    category: str
    price: int
    stock: int
    pages: int
    description: str

    @cached_property
    def slug(self) -> str:
        """The part of its path that is unique in a shop."""
        return slug(self.title)


@dataclass(frozen=True)
class Line:
    """A row of an order: some copies of one book."""

    book: Book
    quantity: int

    @property
    def total(self) -> int:
        """Cents."""
        return self.book.price * self.quantity


@dataclass(frozen=True)
class Order:
    """The purchases of the reader on one day; each book occurs once."""

    number: int
    day: date
    state: str
    lines: tuple[Line, ...]

    @property
    def total(self) -> int:
        """Cents."""
        return sum(line.total for line in self.lines)


def money(cents: int) -> str:
    """Format an amount: ``1240`` as ``€12.40``."""
    return f"€{cents // 100}.{cents % 100:02}"


def slug(text: str) -> str:
    """Return ``text`` as part of a path: ``the-bells-of-ile`` for ``The Bells of Île``."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


def make_books(random: Random, count: int) -> list[Book]:
    """Return ``count`` books with different slugs; a larger ``count`` begins with the same ones."""
    uses: Counter[str] = Counter()
    return [_make_book(random, uses) for _ in range(count)]


def make_orders(random: Random, books: Sequence[Book], count: int) -> list[Order]:
    """Return ``count`` orders of one to five ``books`` each, the oldest first."""
    orders = []
    day = FIRST_DAY
    for number in range(FIRST_ORDER, FIRST_ORDER + count):
        chosen = random.sample(books, min(random.randint(1, 5), len(books)))
        lines = tuple(Line(book, random.choice((1, 1, 1, 2, 3))) for book in chosen)
        state = random.choice(("delivered", "delivered", "delivered", "returned"))
        orders.append(Order(number, day, state, lines))
        day += timedelta(days=random.randint(1, 9))
    return orders


def _make_book(random: Random, uses: Counter[str]) -> Book:
    category = random.choice(sorted(TITLES))
    title = _new_title(random, TITLES[category], uses)
    return Book(
        title=title,
        category=category,
        price=random.randrange(595, 3500, 5),
        stock=max(0, random.randint(-3, 24)),
        pages=random.randint(48, 640),
        description=_describe(random),
    )


def _new_title(random: Random, patterns: Sequence[str], uses: Counter[str]) -> str:
    """Return a new title; if it is hard to find, a second volume of a used one."""
    for _ in range(20):
        title = _fill(random.choice(patterns), _draw(random))
        if title not in uses:
            break
    uses[title] += 1
    return title if uses[title] == 1 else f"{title}, Volume {uses[title]}"


def _describe(random: Random) -> str:
    sentences = []
    for patterns in (OPENINGS, MIDDLES, CLOSINGS):
        words = {kind: word.lower() for kind, word in _draw(random).items() if kind != "place"}
        words["place"] = random.choice(WORDS["place"])
        sentences.append(_fill(random.choice(patterns), words))
    return " ".join(sentences)


def _draw(random: Random) -> dict[str, str]:
    """Draw one word of each kind."""
    return {kind: random.choice(words) for kind, words in WORDS.items()}


def _fill(pattern: str, words: dict[str, str]) -> str:
    return re.sub(r"\b([Aa]) (?=[AEIOUaeiou])", r"\1n ", pattern.format(**words))
