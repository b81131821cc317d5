# mypy: ignore-errors
import os

from crawler import Spider

PAGES = "https://pages.example"


class Wagtail(Spider):
    start_urls = [f"{PAGES}/page00/"]

    def login(self, session):
        form = session.open(f"{PAGES}/_util/login/").form("input[name=password]")
        account = os.environ["PAGES_USER"], os.environ["PAGES_PASSWORD"]
        session.submit(form, username=account[0], password=account[1])

    def is_logged_out(self, response):
        return response.is_html and not response.select_one("#logout, #wagtail-sidebar")

    def parse(self, response):
        yield {
            "page": response.select_one("h1").text,
            "text": response.select_one("#body").text,
        }
        yield from response.follow_all("#body a")
