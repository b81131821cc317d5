"""The whole catalogue of the shop, and the items that a crawl of it must find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any, Generic, TypeVar

from crawler.demo.content import Book, Order, make_books, make_orders, money, slug

URL = "http://127.0.0.1:8765"
"""The default address of ``crawl demo``, which the example spiders use."""

BOOKS_PER_PAGE = 20
ORDERS_PER_PAGE = 10

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of a longer list; ``number`` counts from 1 to ``last``."""

    entries: Sequence[T]
    number: int
    last: int
    total: int


class Shop:
    """A bookshop generated from ``seed``: the same seed gives the same shop, byte for byte.

    Its only account is ``user`` with ``password``, which has all orders.
    """

    user = "reader"
    password = "demo"

    def __init__(self, seed: int = 1, books: int = 300, orders: int = 120) -> None:
        self.books = make_books(Random(f"books {seed}"), books)
        self.orders = make_orders(Random(f"orders {seed}"), self.books, orders)
        self.orders.reverse()

    @cached_property
    def categories(self) -> dict[str, str]:
        """The names of the categories that have books, by their slugs."""
        return {slug(name): name for name in sorted({book.category for book in self.books})}

    def book(self, slug: str) -> Book | None:
        """Return the book with that slug, if there is one."""
        return self._books_by_slug.get(slug)

    def order(self, number: str) -> Order | None:
        """Return the order with that number, if there is one."""
        return self._orders_by_number.get(number)

    def page_of_books(self, number: int, category: str | None = None) -> Page[Book] | None:
        """Return a page of all books or of a category; ``None`` beyond the last page."""
        books = [book for book in self.books if category in (None, book.category)]
        return _page(books, number, BOOKS_PER_PAGE)

    def page_of_orders(self, number: int) -> Page[Order] | None:
        """Return a page of the orders, the newest first; ``None`` beyond the last page."""
        return _page(self.orders, number, ORDERS_PER_PAGE)

    def public_paths(self) -> list[str]:
        """Return every path of the sitemap: the pages that need no account."""
        categories = [f"/categories/{name}" for name in self.categories]
        return ["/", *self.book_paths(), *categories]

    def book_paths(self) -> list[str]:
        """Return the paths of the list of books, and of every book."""
        lists = _list_paths("/books/", len(self.books), BOOKS_PER_PAGE)
        return lists + [f"/books/{book.slug}" for book in self.books]

    def order_paths(self) -> list[str]:
        """Return the paths of the list of orders, and of every order; they need the account."""
        lists = _list_paths("/orders", len(self.orders), ORDERS_PER_PAGE)
        return lists + [f"/orders/{order.number}" for order in self.orders]

    def expected_books(self, url: str = URL) -> list[dict[str, Any]]:
        """Return the items of books that ``spiders/bookshop.py`` yields at ``url``."""
        return [
            {
                "kind": "book",
                "title": book.title,
                "category": book.category,
                "price": money(book.price),
                "url": f"{url}/books/{book.slug}",
            }
            for book in self.books
        ]

    def expected_orders(self) -> list[dict[str, Any]]:
        """Return the items of orders that ``spiders/bookshop.py`` yields."""
        return [
            {
                "kind": "order",
                "order": str(order.number),
                "date": order.day.isoformat(),
                "total": money(order.total),
                "items": [
                    {
                        "title": line.book.title,
                        "quantity": line.quantity,
                        "price": money(line.book.price),
                    }
                    for line in order.lines
                ],
            }
            for order in self.orders
        ]

    @cached_property
    def _books_by_slug(self) -> dict[str, Book]:
        return {book.slug: book for book in self.books}

    @cached_property
    def _orders_by_number(self) -> dict[str, Order]:
        return {str(order.number): order for order in self.orders}


def _page(entries: Sequence[T], number: int, size: int) -> Page[T] | None:
    last = _pages(len(entries), size)
    if not 1 <= number <= last:
        return None
    return Page(entries[(number - 1) * size : number * size], number, last, len(entries))


def _list_paths(path: str, entries: int, size: int) -> list[str]:
    return [path] + [f"{path}?page={number}" for number in range(2, _pages(entries, size) + 1)]


def _pages(entries: int, size: int) -> int:
    """Return the number of pages of a list; an empty list has one."""
    return max(1, -(-entries // size))
