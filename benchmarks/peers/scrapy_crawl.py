# mypy: ignore-errors
"""The benchmark's work on Scrapy; runs alone, in a virtualenv that has Scrapy.

``Pages`` and ``SoupPages`` make links distinct before they are followed: on these pages that is
faster for Scrapy than its own ``LinkExtractor`` (by a fifth with 14 KB pages, 2.6 times with the
long ones) and than following every anchor. ``ExtractorPages`` is the way of its documentation.
"""

import argparse
import warnings

import scrapy
from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning
from scrapy.crawler import CrawlerProcess
from scrapy.http import HtmlResponse
from scrapy.linkextractors import LinkExtractor

warnings.filterwarnings("ignore", category=XMLParsedAsHTMLWarning)


def squeezed(text):
    return " ".join(text.split())


def distinct(hrefs):
    found = {href.partition("#")[0].strip() for href in hrefs}
    return [href for href in found if not href.startswith("mailto:")]


class Pages(scrapy.Spider):
    """With Scrapy's own selectors."""

    name = "pages"
    allowed_domains = ["127.0.0.1"]

    async def start(self):
        for url in self.start_urls:
            yield scrapy.Request(url)  # by default a seed that is linked to is fetched twice

    def parse(self, response):
        if not isinstance(response, HtmlResponse):
            return
        hrefs = response.css("a::attr(href)").getall()
        yield {
            "url": response.url,
            "title": squeezed(response.css("title::text").get("")),
            "h1": [squeezed(h1.xpath("string()").get()) for h1 in response.css("h1")],
            "h2": [squeezed(h2.xpath("string()").get()) for h2 in response.css("h2")],
            "links": len(hrefs),
        }
        yield from response.follow_all(distinct(hrefs))


class ExtractorPages(Pages):
    """With Scrapy's own selectors and link extractor."""

    name = "extractorpages"
    extractor = LinkExtractor()

    def parse(self, response):
        if not isinstance(response, HtmlResponse):
            return
        yield next(super().parse(response))
        for link in self.extractor.extract_links(response):
            yield scrapy.Request(link.url)


class SoupPages(Pages):
    """With BeautifulSoup in the callback."""

    name = "souppages"

    def parse(self, response):
        if not isinstance(response, HtmlResponse):
            return
        soup = BeautifulSoup(response.body, "lxml")
        hrefs = [anchor["href"] for anchor in soup.find_all("a", href=True)]
        yield {
            "url": response.url,
            "title": squeezed(soup.title.get_text()),
            "h1": [squeezed(h1.get_text()) for h1 in soup.find_all("h1")],
            "h2": [squeezed(h2.get_text()) for h2 in soup.find_all("h2")],
            "links": len(hrefs),
        }
        yield from response.follow_all(distinct(hrefs))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("spider", choices=["Pages", "ExtractorPages", "SoupPages"])
    parser.add_argument("seed")
    parser.add_argument("output")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--jobdir")
    arguments = parser.parse_args()
    process = CrawlerProcess(settings_for(arguments))
    process.crawl(globals()[arguments.spider], start_urls=[arguments.seed])
    process.start()


def settings_for(arguments):
    return {
        "CONCURRENT_REQUESTS": arguments.concurrency,
        "CONCURRENT_REQUESTS_PER_DOMAIN": arguments.concurrency,
        "DOWNLOAD_DELAY": 0,
        "AUTOTHROTTLE_ENABLED": False,
        "ROBOTSTXT_OBEY": False,
        "TELNETCONSOLE_ENABLED": False,
        "LOG_LEVEL": "WARNING",
        "JOBDIR": arguments.jobdir,
        "FEEDS": {arguments.output: {"format": "jsonlines", "overwrite": False}},
    }


if __name__ == "__main__":
    main()
