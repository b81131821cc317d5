"""The crawlers that are compared, and the command that starts each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import python

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Work:
    """One crawl that is wanted: from ``seed`` to ``output``, ``job`` being a folder for state."""

    seed: str
    output: Path
    job: Path
    concurrency: int


@dataclass(frozen=True, slots=True)
class Crawler:
    """One row of the table.

    ``parser`` says which rows do the same work in the callback, ``environment`` which virtualenv
    the command needs besides the project's.
    """

    key: str
    name: str
    parser: str
    command: Callable[[Work], list[str]]
    concurrencies: tuple[int, ...] = (8,)
    environment: str | None = None


def _ours(spider: str) -> Callable[[Work], list[str]]:
    def command(work: Work) -> list[str]:
        return [
            *(python(None), "-m", "crawler", "run", f"{_HERE / 'spiders.py'}:{spider}", work.seed),
            *("-o", str(work.output), "--job", str(work.job)),
            *("-s", "delay=0", "-s", f"concurrency_per_host={work.concurrency}"),
            *("-s", "workers=2", "-s", "obey_robots=false"),
        ]

    return command


def _scrapy(spider: str, *, durable: bool = False) -> Callable[[Work], list[str]]:
    def command(work: Work) -> list[str]:
        return [
            *(python("scrapy"), str(_HERE / "peers" / "scrapy_crawl.py")),
            *(spider, work.seed, str(work.output), "--concurrency", str(work.concurrency)),
            *(("--jobdir", str(work.job)) if durable else ()),
        ]

    return command


def _crawlee(work: Work) -> list[str]:
    return [
        *(python("crawlee"), str(_HERE / "peers" / "crawlee_crawl.py")),
        *(work.seed, str(work.output), "--concurrency", str(work.concurrency)),
    ]


def _requests(work: Work) -> list[str]:
    script = str(_HERE / "peers" / "requests_crawl.py")
    return [python(None), script, work.seed, str(work.output)]


SCRAPY_CONCURRENCIES = (8, 16)
"""Scrapy is run with each of these, and the better one counts."""

OURS = Crawler("crawler", "crawler, selectors", "selectors", _ours("Pages"))
OURS_SOUP = Crawler("crawler-soup", "crawler, BeautifulSoup", "soup", _ours("SoupPages"))
SCRAPY = Crawler(
    "scrapy", "Scrapy, selectors", "selectors", _scrapy("Pages"), SCRAPY_CONCURRENCIES, "scrapy"
)
SCRAPY_SOUP = Crawler(
    "scrapy-soup",
    "Scrapy, BeautifulSoup",
    "soup",
    _scrapy("SoupPages"),
    SCRAPY_CONCURRENCIES,
    "scrapy",
)
SCRAPY_LINKS = Crawler(
    *("scrapy-links", "Scrapy, selectors, LinkExtractor", "selectors"),
    *(_scrapy("ExtractorPages"), SCRAPY_CONCURRENCIES, "scrapy"),
)
SCRAPY_DURABLE = Crawler(
    "scrapy-jobdir",
    "Scrapy with JOBDIR",
    "selectors",
    _scrapy("Pages", durable=True),
    environment="scrapy",
)
REQUESTS = Crawler("requests", "requests + BeautifulSoup, one thread", "soup", _requests, (1,))
CRAWLEE = Crawler("crawlee", "Crawlee, BeautifulSoup", "soup", _crawlee, environment="crawlee")

USUAL = (OURS, SCRAPY, OURS_SOUP, SCRAPY_SOUP, REQUESTS)
"""What is compared when nothing else is asked for, in the order of the table."""
PEERS = (SCRAPY_LINKS, CRAWLEE)
"""What is compared when it is asked for."""
BASELINES = {"selectors": SCRAPY, "soup": SCRAPY_SOUP}
"""For each parser the crawler whose rate is 1."""
