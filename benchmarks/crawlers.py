"""The crawlers that are compared, each with the command that starts it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import go_crawler, python

_HERE = Path(__file__).parent
_PEERS = _HERE / "peers"


@dataclass(frozen=True, slots=True)
class Work:
    """One crawl to run: from ``seeds`` to ``output``, with the folder ``job`` for its state.

    With a ``delay``, in seconds, it is a broad crawl: each host gets one request at a time, and
    ``concurrency`` is the limit over all hosts. Without, it is the limit of the only host.
    """

    seeds: Sequence[str]
    output: Path
    job: Path
    concurrency: int
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Crawler:
    """A crawler, which is one row of the table.

    ``environment`` names the virtualenv that its command needs; None is the project's own. Of
    several ``concurrencies`` the fastest counts.
    """

    key: str
    name: str
    command: Callable[[Work], list[str]]
    concurrencies: tuple[int, ...] = (8,)
    environment: str | None = None

    @property
    def is_ours(self) -> bool:
        """True for a spider of this project."""
        return self.key.partition("-")[0] == "crawler"

    def prepare(self) -> None:
        """Install or build the crawler. Raises MissingDependencyError if that fails."""
        if self.environment == GO:
            go_crawler()
        else:
            python(self.environment)


GO = "go"
"""The environment of the crawler that is built from Go."""


def _ours(spider: str) -> Callable[[Work], list[str]]:
    def command(work: Work) -> list[str]:
        per_host, total = (1, work.concurrency) if work.delay else (work.concurrency, 128)
        return [
            *(python(None), "-m", "crawler", "run", f"{_HERE / 'spiders.py'}:{spider}"),
            *(*work.seeds, "-o", str(work.output), "--job", str(work.job)),
            *("-s", f"delay={work.delay}", "-s", f"concurrency_per_host={per_host}"),
            *("-s", f"concurrency={total}", "-s", "workers=2", "-s", "obey_robots=false"),
        ]

    return command


def _scrapy(spider: str, *, durable: bool = False) -> Callable[[Work], list[str]]:
    def command(work: Work) -> list[str]:
        return [
            *(python("scrapy"), str(_PEERS / "scrapy_crawl.py"), spider),
            *(str(work.output), *work.seeds, "--delay", str(work.delay)),
            *("--concurrency", str(work.concurrency)),
            *(("--jobdir", str(work.job)) if durable else ()),
        ]

    return command


def _crawlee(work: Work) -> list[str]:
    return [
        *(python("crawlee"), str(_PEERS / "crawlee_crawl.py")),
        *(work.seeds[0], str(work.output), "--concurrency", str(work.concurrency)),
    ]


def _requests(work: Work) -> list[str]:
    script = str(_PEERS / "requests_crawl.py")
    return [python("requests"), script, work.seeds[0], str(work.output)]


def _go(work: Work) -> list[str]:
    return [go_crawler(), str(work.output), str(work.concurrency), work.seeds[0]]


_SCRAPY_CONCURRENCIES = (8, 16)

OURS = Crawler("crawler", "crawler, selectors", _ours("Pages"))
OURS_SOUP = Crawler("crawler-soup", "crawler, BeautifulSoup", _ours("SoupPages"))
OURS_SELECT = Crawler("crawler-select", "crawler, `select()`", _ours("SelectPages"))
OURS_BROAD = Crawler("crawler-broad", "crawler, selectors", _ours("Pages"), (128,))

SCRAPY = Crawler(
    *("scrapy", "Scrapy, selectors, tuned by hand", _scrapy("Pages")),
    *(_SCRAPY_CONCURRENCIES, "scrapy"),
)
SCRAPY_LINKS = Crawler(
    *("scrapy-links", "Scrapy, selectors, as documented", _scrapy("ExtractorPages")),
    *(_SCRAPY_CONCURRENCIES, "scrapy"),
)
SCRAPY_SOUP = Crawler(
    *("scrapy-soup", "Scrapy, BeautifulSoup", _scrapy("SoupPages")),
    *(_SCRAPY_CONCURRENCIES, "scrapy"),
)
SCRAPY_BROAD = Crawler(
    *("scrapy-broad", "Scrapy, selectors, tuned by hand", _scrapy("Pages"), (100,), "scrapy")
)
SCRAPY_DURABLE = Crawler(
    *("scrapy-jobdir", "Scrapy with JOBDIR", _scrapy("Pages", durable=True)),
    environment="scrapy",
)
REQUESTS = Crawler(
    *("requests", "requests + BeautifulSoup, one thread", _requests, (1,), "requests")
)
CRAWLEE = Crawler("crawlee", "Crawlee, BeautifulSoup", _crawlee, environment="crawlee")
GO_CRAWLER = Crawler("go", "Go: net/http and goquery", _go, environment=GO)

MANUAL_CRAWLERS = (
    *(OURS, SCRAPY_LINKS, SCRAPY, GO_CRAWLER),
    *(OURS_SOUP, SCRAPY_SOUP, CRAWLEE, REQUESTS, OURS_SELECT),
)
"""The crawlers of the two manuals, in the order of the table."""
