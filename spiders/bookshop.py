"""Everything in the demo shop: the books that all may see, and the orders of one account.

Start the shop with ``crawl demo``, then in another terminal ``crawl run spiders/bookshop.py``.
"""

import os

from crawler import Spider

SHOP = os.environ.get("SHOP_URL", "http://127.0.0.1:8765")


class Bookshop(Spider):
    start_urls = [f"{SHOP}/books/", f"{SHOP}/orders"]

    def login(self, session):
        form = session.open(f"{SHOP}/login").form("#login")
        user = os.environ.get("SHOP_USER", "reader")
        password = os.environ.get("SHOP_PASSWORD", "demo")
        session.submit(form, user=user, password=password)

    def is_logged_out(self, response):
        # The shop sends strangers from /orders to /login?next=/orders.
        return "/login" in response.url

    def parse(self, response):
        """A page of the list of books, or of the list of orders."""
        yield from response.follow_all("article.book h3 a", callback=self.parse_book)
        yield from response.follow_all("tr.order a", callback=self.parse_order)
        yield from response.follow_all("a.next")

    def parse_book(self, response):
        yield {
            "kind": "book",
            "title": response.select_one("h1").text,
            "category": response.select_one(".category").text,
            "price": response.select_one(".price").text,
            "url": response.url,
        }

    def parse_order(self, response):
        order = response.select_one("article.order")
        yield {
            "kind": "order",
            "order": order["data-id"],
            "date": order.time["datetime"],
            "total": order.select_one(".total").text,
            "items": [
                {
                    "title": row.select_one(".title").text,
                    "quantity": int(row.select_one(".quantity").text),
                    "price": row.select_one(".price").text,
                }
                for row in order.select("tr.line")
            ],
        }
