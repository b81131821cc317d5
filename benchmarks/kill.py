"""Kill a crawl again and again: ``python -m benchmarks.kill --kills 20 --seed 1``.

Every process of the crawl gets SIGKILL at a random instant, the same command resumes it, and so on
until it has finished. Then its output is compared with that of a crawl that nobody has touched.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.crawlers import OURS, OURS_SOUP, SCRAPY_DURABLE, Crawler
from benchmarks.environments import python
from benchmarks.measure import CrawlError
from benchmarks.site import SOURCES, PackagesError, serve
from benchmarks.victim import ENDING, FETCHING, STARTING, Toll, Victim, reference

_KNOWN = {crawler.key: crawler for crawler in (OURS, OURS_SOUP)}

_SCRAPY_NOTE = """\
  (Scrapy's documentation promises a resume after a stop that it is asked for, not after a kill.)"""


def torture(crawler: Crawler, site_name: str, kills: int, seed: int, **options: Any) -> Toll:
    """Kill a crawler at a site, with a server of its own; arguments as those of ``Victim``."""
    python(crawler.environment)
    with serve(site_name) as site:
        untouched = reference(crawler, site)
        return Victim(crawler, site, untouched, kills, seed, **options).suffer()


def summary(toll: Toll, site_name: str) -> str:
    """The toll in three lines."""
    kills = toll.kills
    return (
        f"{toll.crawler.name} at {site_name}: killed {_times(kills.total())} "
        f"({kills[STARTING]} while starting, {kills[FETCHING]} while pages were being fetched, "
        f"{kills[ENDING]} while ending), resumed {_times(toll.resumes)}, "
        f"crawled {_times(toll.crawls)}\n"
        f"  {toll.pages:,} pages in each crawl, {toll.again:,} fetched again in all\n"
        f"  lost {toll.total('lost')}, twice {toll.total('twice')}, torn {toll.total('torn')}, "
        f"foreign {toll.total('foreign')}, processes left behind {toll.left_behind}"
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the test; 1 if our crawler lost or doubled anything, 2 if something is not installed."""
    options = _parser().parse_args(arguments)
    try:
        chosen = _KNOWN[options.crawler], options.site, options.kills, options.seed
        toll = torture(*chosen, first_only=options.first_only)
        print(summary(toll, options.site), flush=True)
        if options.peer:
            peer = torture(SCRAPY_DURABLE, options.site, 1, options.seed, aims={FETCHING: 1})
            print(summary(peer, options.site), _SCRAPY_NOTE, sep="\n")
    except PackagesError as error:
        print(error, file=sys.stderr)
        return 2
    except CrawlError as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if any(toll.found) or toll.left_behind else 0


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
