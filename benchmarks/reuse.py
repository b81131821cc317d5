"""The time that a session saves: ``python -m benchmarks.reuse --runs 5``.

Fetches the same pages with ``requests.get``, with a ``requests.Session`` and with the crawler's
session, over HTTP and HTTPS, and prints a table; ``--write`` saves it to ``benchmarks/REUSE.md``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import requests

from benchmarks.environments import versions
from benchmarks.machine import hardware, interpreter
from crawler import Request, Session
from crawler.settings import Settings
from tests.club import Club
from tests.sending import answered
from tests.tls import Authority

RESULTS = Path(__file__).parent / "REUSE.md"
COOKIES = {"member": "yes"}
BEFORE = 5
"""Pages that are fetched before the measurement starts."""

HOW_TO_READ = """\
One thread fetches pages of 2 KB one after the other, on loopback, and reads them completely. The
server is a separate process on the same cores; it counts connections. Over HTTPS it has a
certificate of a private authority (ECDSA P-256, TLS 1.3). Runs of the variants alternate.

- **requests/s**: the median of the runs, and in brackets the slowest and the fastest.
- **ms/page**: its inverse.
- **vs get**: that median divided by the median of `requests.get` for each page.
- **conn.**: connections at the server in a run, including five pages before the measurement.
"""

Get = Callable[[str], int]
"""Fetches a URL and returns the length of the page."""


@contextmanager
def each_by_itself(bundle: str) -> Iterator[Get]:
    """``requests.get`` for each page."""
    yield lambda url: len(requests.get(url, cookies=COOKIES, verify=bundle, timeout=30).content)


@contextmanager
def a_session(bundle: str) -> Iterator[Get]:
    """One ``requests.Session`` for all."""
    with requests.Session() as session:
        session.cookies.update(COOKIES)
        # Not as session.verify, since REQUESTS_CA_BUNDLE would override it.
        yield lambda url: len(session.get(url, verify=bundle, timeout=30).content)


@contextmanager
def our_session(bundle: str) -> Iterator[Get]:
    """The crawler's session and fetcher, as its workers use them: with all limits of a fetch."""
    settings = Settings(delay=0)
    with Session("reuse", settings) as session:
        session.cookies.update(COOKIES)
        session.verify = bundle
        yield lambda url: len(answered(Request(url), session, settings).body)


VARIANTS = {
    "`requests.get` for each page": each_by_itself,
    "`requests.Session`": a_session,
    "crawler's session": our_session,
}


@dataclass(frozen=True, slots=True)
class Row:
    """All runs of one way over one scheme."""

    scheme: str
    way: str
    rates: tuple[float, ...]
    connections: int

    @property
    def rate(self) -> float:
        """Requests per second, the median of the runs."""
        return median(self.rates)


def compare(pages: int, runs: int) -> list[Row]:
    """Measure every way over both schemes, in turn."""
    with TemporaryDirectory(prefix="benchmark-reuse-") as folder:
        authority = Authority(Path(folder))
        bundle = str(authority.bundle)
        rates: dict[tuple[str, str], list[float]] = {}
        connections: dict[tuple[str, str], int] = {}
        with Club() as http, Club(pair=authority.issue("server")) as https:
            for run in range(runs):
                for club in (http, https):
                    for way in VARIANTS:
                        key = (club.url.partition(":")[0], way)
                        rates.setdefault(key, []).append(measure(way, club, bundle, pages))
                        counts = club.counts
                        assert counts.pages == pages + BEFORE
                        connections[key] = counts.connections
                print(f"run {run + 1} of {runs}", file=sys.stderr, flush=True)
    return [Row(*key, tuple(sorted(measured)), connections[key]) for key, measured in rates.items()]


def measure(way: str, club: Club, bundle: str, pages: int) -> float:
    """Return requests per second; pages before the measurement load what is loaded once."""
    with VARIANTS[way](bundle) as get:
        for number in range(BEFORE):
            get(f"{club.url}/{number}")
        began = time.perf_counter()
        for number in range(pages):
            get(f"{club.url}/{number}")
        return pages / (time.perf_counter() - began)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    base = {row.scheme: row.rate for row in rows if row.way == next(iter(VARIANTS))}
    lines = [
        "|  |  | requests/s | ms/page | vs get | conn. |",
        "| --- | --- | --: | --: | --: | --: |",
    ]
    for row in rows:
        spread = f"{row.rate:,.0f} ({row.rates[0]:,.0f}-{row.rates[-1]:,.0f})"
        cells = (
            row.scheme.upper(),
            row.way,
            spread,
            f"{1000 / row.rate:.2f}",
            f"{row.rate / base[row.scheme]:.1f} x",
            str(row.connections),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def document(rows: Sequence[Row], pages: int) -> str:
    """Return the text of REUSE.md."""
    used = versions(None, ["requests", "urllib3"])
    packages = ", ".join(f"{name} {version}" for name, version in used.items())
    times = "once" if len(rows[0].rates) == 1 else f"{len(rows[0].rates)} times"
    return "\n".join(
        [
            "# What a session saves\n",
            "Written by `python -m benchmarks.reuse --write`; do not edit.\n",
            HOW_TO_READ,
            f"Measured on {datetime.now(UTC):%Y-%m-%d}, {pages:,} pages, each way {times}:\n",
            f"- {hardware()}",
            f"- {interpreter()}, {packages}, both ends on the same cores",
            f"\n{table(rows)}\n",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reuse", description=__doc__)
    parser.add_argument("--pages", type=int, default=1000, help="in each run (default: 1000)")
    parser.add_argument("--runs", type=int, default=5, help="of each way (default: 5)")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}, too")
    options = parser.parse_args(arguments)
    rows = compare(options.pages, options.runs)
    print(table(rows))
    if options.write:
        RESULTS.write_text(document(rows, options.pages), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
