"""The results of the kills."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from tests.faults.plan import Target


@dataclass(slots=True)
class Toll:
    """Counts, over one crawl or over many. Whatever stands in ``wrong`` should not be."""

    kills: Counter[tuple[Target, str]] = field(default_factory=Counter)
    """By whom they hit and at which point; at random instants it is empty."""
    crawls: int = 0
    resumes: int = 0
    pages: int = 0
    """Pages that the crawls had to come to, redirects and missing ones left out."""
    requests: int = 0
    again: int = 0
    """Pages that were asked for once more, because of kills or of redirects to known ones."""
    orders: int = 0
    """Requests that must not be sent twice."""
    unsure: int = 0
    """The requests of which the output says that they may have been sent."""
    logins: int = 0
    ended: int = 0
    """Sessions that the site has ended."""
    lost: int = 0
    twice: int = 0
    torn: int = 0
    foreign: int = 0
    """Lines that should not be there, such as pages for guests."""
    left_behind: int = 0
    """Processes that went on although the one that they worked for was killed."""
    wrong: list[str] = field(default_factory=list)
    """Return every fault in words: those of these counts, and failed runs."""

    def add(self, other: Toll) -> None:
        """Take over the counts of another one."""
        for one in fields(self):
            mine, more = getattr(self, one.name), getattr(other, one.name)
            setattr(self, one.name, mine + more)

    def compare(self, what: str, found: Counter[str], wanted: Iterable[str]) -> None:
        """Count the lines that ``found`` lacks, repeats, or should not have."""
        known = set(wanted)
        lost, foreign = known - found.keys(), found.keys() - known
        twice = {one: times for one, times in found.items() if times > 1}
        self.lost += len(lost)
        self.foreign += len(foreign)
        self.twice += sum(twice.values()) - len(twice)
        for name, some in (("lost", lost), ("foreign", foreign), ("twice", twice)):
            self.wrong += [f"{what} {name}: {one[:200]}" for one in sorted(some)[:_SHOWN]]

    def at_points(self) -> Counter[str]:
        """Kills at each named point."""
        counts: Counter[str] = Counter()
        for (_, point), times in self.kills.items():
            counts[point] += times
        del counts[""]
        return counts

    def of(self, target: Target, *, named: bool) -> int:
        """Kills that hit ``target``, at named points or at random instants."""
        return sum(
            times
            for (whom, point), times in self.kills.items()
            if whom is target and bool(point) is named
        )


_SHOWN = 5
"""The number of lines of a kind that are shown in words."""
