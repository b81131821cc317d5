# mypy: ignore-errors
"""The benchmark's work on Crawlee's BeautifulSoupCrawler; runs in a virtualenv that has it.

The handler writes the items, as in the other crawlers. Crawlee's own dataset, a file for each item
and then an export, would be slower.
"""

import argparse
import asyncio
import json
import warnings
from datetime import timedelta
from pathlib import Path

from bs4 import XMLParsedAsHTMLWarning
from crawlee import ConcurrencySettings
from crawlee.crawlers import BeautifulSoupCrawler

warnings.filterwarnings("ignore", category=XMLParsedAsHTMLWarning)


def squeezed(text):
    return " ".join(text.split())


async def crawl(seed, output, concurrency):
    crawler = BeautifulSoupCrawler(
        configure_logging=False,
        concurrency_settings=ConcurrencySettings(
            desired_concurrency=concurrency,
            max_concurrency=concurrency,
            min_concurrency=concurrency,
        ),
        request_handler_timeout=timedelta(minutes=5),
        max_request_retries=0,
    )
    with Path(output).open("w", encoding="utf-8") as file:

        @crawler.router.default_handler
        async def parse(context):
            if "html" not in context.http_response.headers.get("content-type", ""):
                return
            soup = context.soup
            item = {
                "url": context.request.loaded_url,
                "title": squeezed(soup.title.get_text()),
                "h1": [squeezed(h1.get_text()) for h1 in soup.find_all("h1")],
                "h2": [squeezed(h2.get_text()) for h2 in soup.find_all("h2")],
                "links": len(soup.find_all("a", href=True)),
            }
            file.write(json.dumps(item) + "\n")
            await context.enqueue_links()

        await crawler.run([seed])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("seed")
    parser.add_argument("output")
    parser.add_argument("--concurrency", type=int, default=8)
    arguments = parser.parse_args()
    asyncio.run(crawl(arguments.seed, arguments.output, arguments.concurrency))
