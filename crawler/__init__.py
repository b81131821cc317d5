"""A web crawler framework for sites that you have an account on.

Write a spider class, give ``crawl`` a list of seeds, and get JSON lines. This module only hands on
the names that spiders and scripts import.

A command enters by ``cli``, a script by ``api``. Both describe a run as a RunConfig, open its
``job``, and let the ``engine`` run it. The packages, each with an introduction in its
``__init__``:

- ``cli``: the ``crawl`` command.
- ``engine``: the loop of a run, in the scheduling process.
- ``scheduling``: which request is next, and when its host may be asked again; retries, and the
  wait after a 429.
- ``worker``: the way of one page, in a worker process: fetch, callback, items, new requests.
- ``job``: the folder of a job, its spider, its seeds.
- ``session``: accounts, logins and secrets.
- ``http``: connections, cookies, redirects, deadlines.
- ``parsing``: text, trees, links, forms, robots.txt, sitemaps.
- ``output``: items as JSON lines.
- ``store``: the state of a job on disk, cookies included.
- ``demo``: the bookshop of the quick start.

The modules beside them are shared by all: ``request``, ``spider`` and ``settings``, which users
know; ``records``, which are stored, and ``messages``, which the processes exchange; ``scope`` and
``urls``; ``errors``, and their texts in ``system_errors`` and ``tracebacks``; ``stats``, ``text``,
``clock`` and ``gc_tuning``. ``docs/code.md`` lists every module, and the way of one URL through
them.
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
