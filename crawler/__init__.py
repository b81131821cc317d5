"""A web crawler framework for sites that you have an account on.

Write a spider class, give ``crawl`` a list of seeds, and get JSON lines.
"""

from crawler.crawl import crawl
from crawler.errors import CrawlerError, FetchError, LoginError, SettingsError, SpiderError
from crawler.links import Link
from crawler.request import Request
from crawler.response import Response
from crawler.session import Session
from crawler.settings import Settings
from crawler.sitemaps import Sitemap
from crawler.spider import Failure, Spider

__all__ = [
    "CrawlerError",
    "Failure",
    "FetchError",
    "Link",
    "LoginError",
    "Request",
    "Response",
    "Session",
    "Settings",
    "SettingsError",
    "Sitemap",
    "Spider",
    "SpiderError",
    "crawl",
]
