"""A web crawler framework for sites that you have an account on.

Write a spider class, give ``crawl`` a list of seeds, and get JSON lines.
"""

from crawler.api import crawl
from crawler.errors import CrawlerError, FetchError, LoginError, SettingsError, SpiderError
from crawler.parsing.links import Link
from crawler.parsing.response import Response
from crawler.parsing.sitemaps import Sitemap
from crawler.request import Request
from crawler.session.accounts import Account
from crawler.session.session import Session
from crawler.settings import Settings
from crawler.spider import Failure, Spider

__all__ = [
    "Account",
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
