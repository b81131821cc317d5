"""The first spider: titles and prices of the demo shop's books.

Start the shop with ``crawl demo``, then in another terminal ``crawl run spiders/books.py``.
"""

from crawler import Spider


class Books(Spider):
    start_urls = ["http://127.0.0.1:8765/books/"]

    def parse(self, response):
        for book in response.select("article.book"):
            yield {"title": book.h3.a["title"], "price": book.select_one(".price").text}
        yield from response.follow_all("a.next")
