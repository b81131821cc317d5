"""Show the progress of a run on standard error, live on a terminal, and then its summary."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Self

from crawler.cli.report import duration, summary_text, trap_text
from crawler.job.seeds import BadSeed
from crawler.stats import Snapshot, Summary
from crawler.text import count, one_line, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

LIVE_EVERY = 0.25
"""Seconds between two updates on a terminal."""
PLAIN_EVERY = 10.0
"""Seconds between two lines if standard error is not a terminal."""
WINDOW = 10.0
"""Seconds over which the pages per second are counted."""
ENDLESS = 0.8
"""New requests for each page from which on no time is estimated."""
MOST_BAD_SEEDS = 20
"""Bad seeds that are shown; further ones are only counted."""
MAX_WIDTH = 100
"""Columns of the display at most."""


class Progress:
    """Shows the snapshots of a run, and its bad seeds.

    A context manager, which always restores the terminal. ``limit`` is the job's
    ``max_pages``. ``stream`` is standard error unless given.
    """

    def __init__(
        self,
        stream: IO[str] | None = None,
        *,
        limit: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream or sys.stderr
        self._limit = limit
        self._clock = clock
        self._next = -math.inf
        self._stopping = False
        self._rate = Rate()
        self._bad_seeds = 0
        self._console = _console(self._stream)
        self._live: Live | None = None

    def update(self, snapshot: Snapshot) -> None:
        """Show ``snapshot`` if an update is due."""
        now = self._clock()
        if now < self._next and snapshot.stopping == self._stopping:
            return
        first = self._next == -math.inf
        self._stopping = snapshot.stopping
        self._next = now + (LIVE_EVERY if self._console else PLAIN_EVERY)
        pages = snapshot.counters.done + snapshot.counters.failed
        self._rate.add(now, pages, snapshot.counters.pending)
        if self._console is not None:
            self._draw(snapshot, self._console)
        elif not first:
            self._print(f"{snapshot.spider}: {', '.join(self._facts(snapshot))}")
        elif snapshot.done_before and snapshot.counters.pending:
            self._print(f"{snapshot.spider}: continues after {count(snapshot.done_before, 'page')}")

    def bad_seed(self, seed: BadSeed) -> None:
        """Show a seed that cannot be crawled."""
        self._bad_seeds += 1
        if self._bad_seeds <= MOST_BAD_SEEDS:
            self._print(f"bad seed {seed}")
        elif self._bad_seeds == MOST_BAD_SEEDS + 1:
            self._print("more bad seeds are only counted")

    def close(self, summary: Summary | None = None) -> None:
        """End the display and print ``summary``."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if summary is not None:
            print(printable(summary_text(summary)), file=self._stream, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _print(self, line: str) -> None:
        line = one_line(line)
        if self._live is not None:
            self._live.console.print(f"crawl: {line}", markup=False, soft_wrap=True)
        else:
            print(f"crawl: {line}", file=self._stream, flush=True)

    def _draw(self, snapshot: Snapshot, console: Console) -> None:
        if self._live is None:
            self._live = _start_live(console)
        width = min(console.width, MAX_WIDTH)
        total = snapshot.counters.done + snapshot.counters.failed + self._left(snapshot)
        is_endless = self._rate.is_endless and self._limit is None
        display = _display(
            snapshot, self._facts(snapshot), None if is_endless else max(total, 1), width
        )
        self._live.update(display, refresh=True)

    def _facts(self, snapshot: Snapshot) -> list[str]:
        counters = snapshot.counters
        if snapshot.stopping:
            waiting = count(snapshot.in_flight, "request")
            return [f"stopping, {waiting} in flight; Ctrl-C again stops at once"]
        facts = [
            count(counters.done, "page"),
            f"{self._rate.per_second:,.1f} pages/s",
            f"{counters.pending:,} pending",
            f"{counters.failed:,} failed",
            count(counters.items, "item"),
            f"{count(snapshot.hosts, 'host')} at work",
        ]
        if snapshot.waits_for:
            waits_for = "" if snapshot.no_answer else "the robots.txt of "
            facts.append(f"waiting for {waits_for}{snapshot.waits_for}")
        if counters.traps:
            facts.append(f"no items from {trap_text(counters.traps)}: deny leaves them out")
        facts += self._estimate(snapshot)
        return facts

    def _estimate(self, snapshot: Snapshot) -> list[str]:
        """Return the time left, if it can be known: not while pages bring as many new ones."""
        left = self._left(snapshot)
        if not self._rate.per_second or not left:
            return []
        if self._rate.is_endless and self._limit is None:
            return ["new pages keep coming"]
        growth = 0.0 if self._limit is not None else self._rate.growth
        seconds = math.ceil(left / self._rate.per_second / (1 - growth))
        return [f"about {duration(seconds)} left"]

    def _left(self, snapshot: Snapshot) -> int:
        """Return the number of known pages that are still to be fetched."""
        counters = snapshot.counters
        if self._limit is None:
            return counters.pending
        left = max(0, self._limit - counters.done - counters.failed)
        return left if self._rate.is_endless else min(counters.pending, left)


class Rate:
    """Pages per second over the last ``WINDOW`` seconds, and the new ones that each brought."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque()
        self.per_second = 0.0
        self.growth = 0.0
        """New pending requests for each page that was handled."""

    def add(self, now: float, pages: int, pending: int = 0) -> None:
        """Record that ``pages`` have been handled at the time ``now``, with ``pending`` left."""
        while len(self._samples) > 1 and self._samples[1][0] <= now - WINDOW:
            self._samples.popleft()
        self._samples.append((now, pages, pages + pending))
        since, before, known_before = self._samples[0]
        self.per_second = (pages - before) / (now - since) if now > since else 0.0
        growth = (pages + pending - known_before) / (pages - before) if pages > before else 0.0
        self.growth = max(0.0, growth)

    @property
    def is_endless(self) -> bool:
        """True while pages bring nearly as many new ones, so that the end cannot be known."""
        return self.growth > ENDLESS


# On a terminal


def _console(stream: IO[str]) -> Console | None:
    """Return a console if the stream is a terminal that can redraw a line; else None."""
    if not stream.isatty():
        return None
    from rich.console import Console  # its import may take longer than a short crawl

    console = Console(file=stream, highlight=False)
    return console if console.is_terminal and not console.is_dumb_terminal else None


def _start_live(console: Console) -> Live:
    from rich.live import Live

    # Output that goes to a file must not be redirected to the terminal.
    redirect = sys.stdout.isatty()
    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=redirect)
    live.start()
    console.show_cursor(True)  # a killed crawl cannot restore it
    return live


def _display(snapshot: Snapshot, facts: list[str], total: int | None, width: int) -> RenderableType:
    """Return a bar of the done part of ``total`` pages, and the facts below it.

    ``total`` is None if it cannot be known.
    """
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    head = Table.grid(expand=False, padding=(0, 1))
    done = snapshot.counters.done + snapshot.counters.failed
    bar = ProgressBar(total=total, completed=done, width=max(10, width - 24), complete_style="cyan")
    name = Text(snapshot.spider, style="bold", overflow="ellipsis", no_wrap=True)
    head.add_column(max_width=16)
    head.add_row(name, bar, f"{100 * done // total}%" if total else "")
    return Group(head, *map(Text, packed(facts, width)))


def packed(facts: list[str], width: int) -> list[str]:
    """Join ``facts`` to lines of at most ``width`` columns, without breaking a fact."""
    lines: list[str] = []
    for fact in facts:
        if lines and len(lines[-1]) + 3 + len(fact) <= width:
            lines[-1] += " · " + fact
        else:
            lines.append(fact)
    return lines
