# mypy: ignore-errors
import os

from crawler import Spider

CODE = "https://code.example"


class Fossil(Spider):
    start_urls = [f"{CODE}/wiki?name=page00"]

    def login(self, session):
        form = session.open(f"{CODE}/login").form("input[name=u]")
        session.submit(form, u=os.environ["FOSSIL_USER"], p=os.environ["FOSSIL_PASSWORD"])

    def is_logged_out(self, response):
        return response.is_html and not response.select_one("a[href='/logout']")

    def parse(self, response):
        if response.select_one("form[action='/login']"):
            return  # closed to this account
        yield {
            "page": response.select_one("title").text.rpartition(": ")[2],
            "text": response.select_one(".content").text,
        }
        yield from response.follow_all(".content a")
