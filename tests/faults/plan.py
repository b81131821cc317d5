"""Which kills a crawl suffers. A seed and the crawl's number decide all of them.

A kill at a named point is repeatable to the instruction. A random instant is drawn here, as a
number of requests and a time after them; where it falls within the crawl, the machine decides.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from tests.faults import points
from tests.faults.web import Shape


class Target(StrEnum):
    """Whom a SIGKILL hits, or a loss of power."""

    MAIN = "the main process alone"
    FETCHER = "the fetching process alone"
    WORKER = "a worker alone"
    ALL = "all processes"
    MACHINE = "the machine"
    """It kills all processes, and takes from the disk what was not synced."""

    @property
    def takes_all(self) -> bool:
        """True if no process survives."""
        return self in {Target.ALL, Target.MACHINE}


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL: at the ``arrival``-th coming to ``point``, or without one at a random instant.

    That is ``moment`` seconds after the run's ``after``-th request. It is also when a process is
    killed that has not come to its point until then; 0 requests are right after the start.
    """

    target: Target
    point: str = ""
    arrival: int = 1
    after: int = 0
    moment: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command: ``children`` die while it goes on, and ``last`` ends it.

    ``at_the_end`` says that ``last`` comes when the crawl is done, however long it takes.
    """

    last: Kill
    children: tuple[Kill, ...] = ()
    at_the_end: bool = False

    @property
    def kills(self) -> int:
        """The number of planned kills."""
        return 1 + len(self.children)


MOST_ARRIVALS = {
    "items": 4,
    "rejected": 2,
    "commit": 5,
    "mark": 2,
    "wake": 2,
    "seeds": 5,
    "order": 8,
    "outcome": 30,
    "wal": 150,
    "database": 40,
    "closing": 20,
    "worker": 5,
    "fetcher": 12,
    "fetcher.logged_in": 2,
    **dict.fromkeys(points.CALLS, 1),
    **dict.fromkeys(("items.opened", "rejected.opened", "seeds.over", "closing.over"), 1),
    **dict.fromkeys(points.CUTTING, 1),
}
"""By a point or what it begins with: up to which arrival may be the last; otherwise the first."""

LONGEST_START = 0.9
"""Seconds within which a process is hit that is only starting."""
LONGEST_MOMENT = 0.02
"""Seconds by which a random instant may come later than the request that it is counted from."""

_FRESH = points.OPENING
_MIDDLE = (*points.OUTPUT, *points.COMMIT, *points.BETWEEN, *points.STORE)
_LEAVE_A_TAIL = frozenset({*points.OUTPUT, "commit.stored"} - {"items.write"})


class Plan:
    """The runs of one crawl, which take ``kills`` kills together.

    ``requests`` is about how many requests the crawl makes; no more than that are to pass before
    its last kill. No point is taken twice before all others have been. With ``loses_power`` most
    of the kills are deaths of the machine.
    """

    def __init__(
        self,
        seed: str,
        crawl: int,
        shape: Shape,
        kills: int,
        requests: int,
        *,
        loses_power: bool = False,
    ) -> None:
        self._random = random.Random(f"{seed}/{crawl}")
        self._crawl = crawl
        self._shape = shape
        self._kills = kills
        self._targets = [Target.MAIN, Target.ALL, *[Target.MACHINE] * (4 * loses_power)]
        self._longest = max(4, int(1.4 * requests / kills))

    def runs(self) -> list[Run]:
        """The events of the crawl, in order."""
        opening = max(1, self._kills // 8)
        ending = max(1, self._kills // 10)
        first = self._opening(opening)
        last = [
            Run(self._at(point), at_the_end=True) for point in self._turn(points.ENDING, ending)
        ]
        middle = list(self._middle(self._kills - opening - ending))
        return [*first, *middle, *last]

    def _opening(self, count: int) -> list[Run]:
        chosen = sorted(self._turn(_FRESH, count), key=_FRESH.index)  # in the order of a new job
        return [Run(self._at(point)) for point in chosen]

    def _middle(self, count: int) -> Iterator[Run]:
        named, children = self._shuffled(_MIDDLE), self._children()
        tail = ""
        while count > 0:
            kind = self._random.random()
            if tail and kind < 0.5:
                last = self._at(self._random.choice(_cutting(tail)))
            elif kind < 0.65:
                last = self._at(next(named))
            elif kind < 0.75:
                last = Kill(self._whom(), moment=self._random.uniform(0.0, LONGEST_START))
            else:
                last = Kill(self._whom(), after=self._after(), moment=self._moment())
            tail = last.point if last.point in _LEAVE_A_TAIL else ""
            dying = tuple(self._dying(children, count - 1)) if last.after else ()
            if any(kill.point for kill in dying):  # which need time to come to their points
                last = replace(last, after=self._longest + last.after)
            run = Run(last, dying)
            count -= run.kills
            yield run

    def _dying(self, named: Iterator[Kill], most: int) -> Iterator[Kill]:
        """Two at the most: a page during which a worker is killed for the third time fails."""
        if self._shape is Shape.SOLO:
            return
        chance = self._random.random()
        if chance < 0.45 and most > 0:
            yield next(named)
        if most - (chance < 0.45) <= 0:
            return
        target = self._random.choice((Target.FETCHER, Target.WORKER))
        if 0.35 < chance < 0.7:
            after = self._random.randint(0, max(1, self._longest // 2))
            yield Kill(target, after=after, moment=self._moment())
        elif 0.7 < chance < 0.85:
            yield Kill(target, moment=self._random.uniform(0.0, LONGEST_START))

    def _children(self) -> Iterator[Kill]:
        """Kills at the named points of the fetching process and of a worker, in turns.

        Callbacks call their session in webs without a login only, and often there.
        """
        calls = points.CALLS * 4 if self._shape is Shape.OPEN else ()
        both: list[tuple[Target, Iterator[str]]] = []
        for target, names in ((Target.FETCHER, points.FETCHER), (Target.WORKER, points.WORKER)):
            always = [name for name in names if name not in points.CALLS]
            if not self._shape.logs_in:
                always = [name for name in always if name != "fetcher.logged_in"]
            both.append((target, self._shuffled([*always, *(n for n in calls if n in names)])))
        while True:
            for target, turns in both:
                point = next(turns)
                yield Kill(target, point, self._arrival(point))

    def _at(self, point: str) -> Kill:
        # It comes earlier as a rule; what must not be is that a run goes on to the crawl's end.
        after = 2 * self._longest + self._after()
        return Kill(self._whom(), point, self._arrival(point), after=after)

    def _turn(self, names: Sequence[str], count: int) -> list[str]:
        """The next ``count`` of ``names``, going on where the crawl before has stopped."""
        return [names[(self._crawl * count + number) % len(names)] for number in range(count)]

    def _shuffled(self, names: Sequence[str]) -> Iterator[str]:
        """All of ``names`` in some order, again and again."""
        while True:
            yield from self._random.sample(names, len(names))

    def _arrival(self, point: str) -> int:
        of_its_kind = MOST_ARRIVALS.get(point.partition(".")[0], 1)
        return self._random.randint(1, MOST_ARRIVALS.get(point, of_its_kind))

    def _whom(self) -> Target:
        return self._random.choice(self._targets)

    def _after(self) -> int:
        return self._random.randint(1, self._longest)

    def _moment(self) -> float:
        return self._random.uniform(0.0, LONGEST_MOMENT)


def _cutting(tail: str) -> list[str]:
    """Return the points at which the rest of a kill at ``tail`` is truncated."""
    file = "rejected" if tail.startswith("rejected") and tail != "rejected.write" else "items"
    return [point for point in points.CUTTING if point.startswith(file)]
