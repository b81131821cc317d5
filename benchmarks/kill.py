"""Kill a crawl again and again: ``python -m benchmarks.kill --kills 20 --seed 1``.

Every process of the crawl gets SIGKILL at a random instant, the same command resumes it, and so on
until it has finished. Then its output is compared with that of an undisturbed crawl.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.crawlers import OURS, OURS_SOUP, SCRAPY_DURABLE, Crawler
from benchmarks.environments import python
from benchmarks.killing import ENDING, FETCHING, STARTING, KillResults, KillTest, reference
from benchmarks.measure import CrawlError
from benchmarks.site import SOURCES, PackagesError, serve

_KNOWN = {crawler.key: crawler for crawler in (OURS, OURS_SOUP)}

_SCRAPY_NOTE = """\
  (Scrapy's documentation promises to resume after a requested stop, not after a kill.)"""


def kill_crawls(
    crawler: Crawler, site_name: str, kills: int, seed: int, **options: Any
) -> KillResults:
    """Kill a crawler at a site, with a server of its own; arguments as those of ``Victim``."""
    python(crawler.environment)
    with serve(site_name) as site:
        untouched = reference(crawler, site)
        return KillTest(crawler, site, untouched, kills, seed, **options).run()


def summary(results: KillResults, site_name: str) -> str:
    """Return the results in three lines."""
    kills = results.kills
    return (
        f"{results.crawler.name} at {site_name}: killed {_times(kills.total())} "
        f"({kills[STARTING]} while starting, {kills[FETCHING]} while pages were being fetched, "
        f"{kills[ENDING]} while ending), resumed {_times(results.resumes)}, "
        f"crawled {_times(results.crawls)}\n"
        f"  {results.pages:,} pages in each crawl, {results.again:,} fetched again in all\n"
        f"  lost {results.total('lost')}, twice {results.total('twice')}, "
        f"torn {results.total('torn')}, "
        f"foreign {results.total('foreign')}, processes left behind {results.left_behind}"
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the test; 1 if our crawler lost or doubled anything, 2 if a package is missing."""
    options = _parser().parse_args(arguments)
    try:
        chosen = _KNOWN[options.crawler], options.site, options.kills, options.seed
        results = kill_crawls(*chosen, first_only=options.first_only)
        print(summary(results, options.site), flush=True)
        if options.peer:
            peer = kill_crawls(SCRAPY_DURABLE, options.site, 1, options.seed, aims={FETCHING: 1})
            print(summary(peer, options.site), _SCRAPY_NOTE, sep="\n")
    except PackagesError as error:
        print(error, file=sys.stderr)
        return 2
    except CrawlError as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if any(results.differences) or results.left_behind else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill", description=__doc__)
    parser.add_argument("--site", choices=list(SOURCES), default="postgresql")
    parser.add_argument("--crawler", choices=list(_KNOWN), default=OURS.key)
    parser.add_argument("--kills", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="decides the instants (default: 1)")
    parser.add_argument(
        "--first-only", action="store_true", help="kill the first process and not its workers"
    )
    parser.add_argument(
        "--peer", choices=["scrapy"], help="kill Scrapy with a JOBDIR once, for comparison"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
