"""How long a run waits for hosts whose robots.txt is unreachable. Pure.

While nobody can say what is allowed, nothing but robots.txt is asked of a host, and its requests
stay pending (RFC 9309, section 2.3.1.4). Here is how often it was asked for in vain, when a run
that has nothing else to do waits no longer, and when there is no such host at all.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

NOBODY_THERE = frozenset({"dns", "refused", "connect timeout", "proxy"})
"""Causes for which nobody may be there at all; each other one takes somebody who speaks.

Who says no to a proxy is told by the proxy, and it is the proxy that may be wrong.
"""
MOST_NAMED = 3
"""Hosts that are named; further ones are counted."""


@dataclass(slots=True)
class RobotsFailure:
    """A host's robots.txt that could not be had so far. Times are on the run's clock."""

    origin: str
    cause: str
    since: float = math.inf
    """When it could not be had for the first time in this run."""
    tries: int = 0
    """The same, how often."""
    next_at: float = 0.0
    """When it is asked for again."""
    is_there: bool = False
    """Somebody has spoken, at least."""


class UnreachableRobots:
    """One for a run. ``retries`` tries more are made in any case, and after them waits a run that
    has nothing else to do ``limit`` seconds since the first; ``None`` is no limit."""

    def __init__(self, retries: int, limit: float | None) -> None:
        self._retries = retries
        self._limit = math.inf if limit is None else limit
        self._missing: dict[int, RobotsFailure] = {}
        self._anybody = False

    def restore(self, host: int, origin: str, cause: str) -> None:
        """An earlier run could not have this host's robots.txt."""
        self._missing.setdefault(host, RobotsFailure(origin, cause))

    def failed(self, host: int, origin: str, cause: str, now: float, next_at: float) -> None:
        """It could not be had, and is asked for again at ``next_at``."""
        missing = self._missing.setdefault(host, RobotsFailure(origin, cause))
        missing.cause, missing.next_at = cause, next_at
        missing.since = min(missing.since, now)
        missing.tries += 1
        missing.is_there = missing.is_there or cause not in NOBODY_THERE
        self._anybody = self._anybody or cause.startswith("http ")

    def forget(self, host: int) -> None:
        """There is nothing to wait for any more."""
        self._missing.pop(host, None)

    def answered(self) -> None:
        """Some host has answered: this machine has a network."""
        self._anybody = True

    def tries(self, host: int) -> int:
        """How often this run could not have the host's robots.txt."""
        missing = self._missing.get(host)
        return 0 if missing is None else missing.tries

    def does_not_exist(self, host: int) -> bool:
        """True when there is no such host: enough tries, not a word, and others do answer."""
        missing = self._missing[host]
        return missing.tries > self._retries and not missing.is_there and self._anybody

    def has_given_up(self, host: int) -> bool:
        """True when a run that has nothing else to do does not wait for this host.

        Where nobody at all answers, it may be this machine that has no network.
        """
        missing = self._missing.get(host)
        if missing is None or missing.tries <= self._retries:
            return False
        nobody = not missing.is_there and not self._anybody
        return nobody or missing.next_at > missing.since + self._limit

    def evictable(self) -> list[int]:
        """The hosts that make room, if memory is full, for those that have not been asked yet."""
        return [host for host in self._missing if self.has_given_up(host)] if self._anybody else []

    @property
    def description(self) -> str:
        """The hosts whose robots.txt is missing, with why; empty when there are none."""
        named = itertools.islice(self._missing.values(), MOST_NAMED)
        text = ", ".join(f"{one.origin} ({one.cause})" for one in named)
        further = len(self._missing) - MOST_NAMED
        return f"{text} and {further:,} more" if further > 0 else text
