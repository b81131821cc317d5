"""The guided tour, ``make demo``: crawl the shop, kill the crawl half way, resume it, count."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from crawler.demo.server import DemoServer
from crawler.demo.shop import Shop

ROOT = Path(__file__).parents[2]
CRAWL = (sys.executable, "-m", "crawler")
LOOK_EVERY = 0.05  # seconds

# For our own server on our own machine; for other sites keep the defaults.
SETTINGS = ("-s", "delay=0.01", "-s", "concurrency_per_host=4")

console = Console(highlight=False)


class Crawl:
    """The crawl of ``server``'s shop into the folder ``job``, run as a user would run it."""

    def __init__(self, server: DemoServer, job: Path) -> None:
        self.job = job
        self.arguments = ("run", "spiders/bookshop.py", "--job", str(job), *SETTINGS)
        self._environment = {
            **os.environ,
            "SHOP_URL": server.url,
            "SHOP_USER": server.shop.user,
            "SHOP_PASSWORD": server.shop.password,
        }

    def run(self, until: Callable[[], bool] | None = None) -> int:
        """Run to the end, or kill it when ``until`` returns True. Returns the exit status.

        That of a killed crawl is negative, as in ``subprocess``.
        """
        # In a process group of its own, so that its workers can be killed with it.
        process = subprocess.Popen(
            (*CRAWL, *self.arguments), cwd=ROOT, env=self._environment, start_new_session=True
        )
        try:
            while until is not None and process.poll() is None and not until():
                time.sleep(LOOK_EVERY)
            if until is None:
                process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                console.show_cursor()  # which the killed progress display has hidden
        return process.returncode

    def pages_done(self) -> int:
        """Return the number of pages in ``crawl status``; 0 as long as there is no job."""
        command = (*CRAWL, "status", str(self.job), "--json")
        status = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        return int(json.loads(status.stdout)["done"]) if status.returncode == 0 else 0

    def items(self) -> list[dict[str, Any]]:
        """Return the items of the output."""
        with self.output.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    @property
    def output(self) -> Path:
        """The file of the items."""
        return self.job / "items.jsonl"


@dataclass(frozen=True)
class Findings:
    """The comparison of an output with the content of the shop."""

    items: Counter[str]
    duplicates: int
    missing: int
    wrong: int

    @classmethod
    def of(cls, items: list[dict[str, Any]], expected: list[dict[str, Any]]) -> Findings:
        """Compare in any order; an item is right only if all its fields are."""
        actual, wanted = _counted(items), _counted(expected)
        return cls(
            items=Counter(item.get("kind", "?") for item in items),
            duplicates=len(items) - len(actual),
            missing=len(wanted.keys() - actual.keys()),
            wrong=len(actual.keys() - wanted.keys()),
        )

    @property
    def are_right(self) -> bool:
        """True if every item is there exactly once, and no other item."""
        return self.duplicates == self.missing == self.wrong == 0


def _counted(items: Iterable[dict[str, Any]]) -> Counter[str]:
    return Counter(json.dumps(item, sort_keys=True) for item in items)


def main(shop: Shop | None = None) -> int:
    """Run the tour. Returns 0 if the crawl kept its promises, else 1."""
    job = Path(tempfile.mkdtemp(prefix="crawl-demo-")) / "bookshop"
    with DemoServer(shop) as server:
        crawl = Crawl(server, job)
        pages = len(server.shop.book_paths()) + len(server.shop.order_paths())
        _explain_start(server, crawl)
        status = crawl.run(until=lambda: crawl.pages_done() >= pages // 2)
        if status < 0:
            _explain_kill(crawl, pages)
            status = crawl.run()
        elif status == 0:
            console.print("\nThe crawl finished before it could be killed half way.")
        if status != 0:
            console.print(f"\nThe crawl ended with status {status}: see its messages above.")
            return 1
        return _explain_end(server, crawl)


def _explain_start(server: DemoServer, crawl: Crawl) -> None:
    shop = server.shop
    console.rule("1. A crawl with a login", align="left")
    console.print(
        f"A bookshop is open at {server.url}: {len(shop.books)} books for all to see, and "
        f"{len(shop.orders)} orders behind the login of {shop.user!r}."
    )
    _show(crawl)


def _explain_kill(crawl: Crawl, pages: int) -> None:
    console.print()
    console.rule("2. Killed", align="left")
    console.print(
        f"With {crawl.pages_done()} of {pages} pages done, every process of the crawl was killed "
        "with SIGKILL, which leaves no chance to save anything. The same command again:"
    )
    _show(crawl)


def _explain_end(server: DemoServer, crawl: Crawl) -> int:
    shop = server.shop
    findings = Findings.of(crawl.items(), shop.expected_books(server.url) + shop.expected_orders())
    console.print()
    console.rule("3. The output, compared with the shop's own books", align="left")
    for name, value in {
        "books": f"{findings.items['book']} of {len(shop.books)}",
        "orders": f"{findings.items['order']} of {len(shop.orders)}",
        "duplicates": findings.duplicates,
        "missing": findings.missing,
        "wrong": findings.wrong,
        "logins": f"{server.counters.logins}, by the shop's count",
        "fetched twice": f"{_fetched_twice(server)} pages, under way when the crawl was killed",
        "output": crawl.output,
    }.items():
        console.print(f"  [bold]{name:14}[/]{value}", soft_wrap=True)
    if findings.are_right:
        console.print("\nNothing lost, nothing twice, and still logged in after the kill.")
        return 0
    console.print("\nThis differs from the shop: a promise is broken.", style="bold red")
    return 1


def _fetched_twice(server: DemoServer) -> int:
    visits = Counter(visit.target for visit in server.log if visit.status == 200)
    own = {"/robots.txt", "/login"}
    return sum(count - 1 for target, count in visits.items() if target not in own)


def _show(crawl: Crawl) -> None:
    # Not wrapped, so that it can be copied.
    console.print(f"\n  [bold]$ crawl {' '.join(crawl.arguments)}[/]\n", soft_wrap=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
