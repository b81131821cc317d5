"""The crawlers that are compared, each with the command that starts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.environments import go_crawler, python

_HERE = Path(__file__).parent
_PEERS = _HERE / "peers"


@dataclass(frozen=True, slots=True)
class Work:
    """One crawl to run: from ``seeds`` to ``output``, with the folder ``job`` for its state.

    ``seeds`` may be the name of a file with a URL in each line. With a ``delay``, in seconds, it is
    a broad crawl: each host gets one request at a time, and ``concurrency`` is the limit over all
    hosts, 0 for the default. Without, it is the limit of the only host.
    """

    seeds: Sequence[str]
    output: Path
    job: Path
    concurrency: int
    delay: float = 0.0
    arguments: Mapping[str, str] = field(default_factory=dict)
    """The arguments of a spider of ours."""


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

    def is_earlier(self, ours: Crawler) -> bool:
        """Return True if this is ``ours`` as another checkout runs it."""
        return self.key == _earlier_key(ours)

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
        options = [f"delay={work.delay}", f"concurrency_per_host={per_host}"]
        options += [f"concurrency={total}"] if total else []
        options += ["workers=2", "obey_robots=false"]
        return [
            *(python(None), "-m", "crawler", "run", f"{_HERE / 'spiders.py'}:{spider}"),
            *(*work.seeds, "-o", str(work.output), "--job", str(work.job)),
            *(word for option in options for word in ("-s", option)),
            *(word for each in work.arguments.items() for word in ("-a", "=".join(each))),
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
OURS_DEFAULT = Crawler("crawler-default", "crawler, selectors", _ours("Pages"), (0,))
OURS_PRIVATE = Crawler(
    "crawler-private", "crawler, selectors, over HTTPS", _ours("PrivatePages"), (0,)
)
OURS_MEMBER = Crawler("crawler-member", "crawler, BeautifulSoup, logged in", _ours("MemberPages"))

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
SCRAPY_SLOW = Crawler(
    *("scrapy-slow", "Scrapy, selectors, tuned by hand", _scrapy("Pages"), (3000,), "scrapy")
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


def earlier(crawler: Crawler, checkout: Path) -> Crawler:
    """Return a crawler of ours as another checkout of the project runs it.

    The checkout has a virtualenv of its own, ``.venv``.
    """

    def command(work: Work) -> list[str]:
        _, *words = crawler.command(work)
        return [str(checkout.absolute() / ".venv" / "bin" / "python"), *words]

    name = f"{crawler.name}, before"
    return replace(crawler, key=_earlier_key(crawler), name=name, command=command)


def _earlier_key(crawler: Crawler) -> str:
    return crawler.key.replace("crawler", "earlier", 1)


MANUAL_CRAWLERS = (
    *(OURS, SCRAPY_LINKS, SCRAPY, GO_CRAWLER),
    *(OURS_SOUP, SCRAPY_SOUP, CRAWLEE, REQUESTS, OURS_SELECT),
)
"""The crawlers of the two manuals, in the order of the table."""
