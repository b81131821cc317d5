"""Decide how long a run waits for hosts whose robots.txt is unreachable. No I/O.

While the rules of a host are unknown, only its robots.txt is requested, and its pages stay pending
(RFC 9309, section 2.3.1.4). A run that has nothing else to do waits for such a host for a limited
time. A host that gives no sign at all, while others answer, does not exist: its pages fail.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

NO_SIGN = frozenset({"dns", "refused", "connect timeout", "proxy"})
"""Causes that leave open whether the host exists at all; any other cause takes a host.

A proxy that refuses is among them, since it may be the proxy that is wrong.
"""
MOST_NAMED = 3
"""Hosts that are named; further ones are counted."""


@dataclass(slots=True)
class RobotsFailure:
    """A host whose robots.txt is unreachable. Times are on the run's clock."""

    origin: str
    cause: str
    since: float = math.inf
    """The time of its first failed request in this run."""
    tries: int = 0
    """The number of its failed requests in this run."""
    next_at: float = 0.0
    """The time of its next request."""
    exists: bool = False
    """Some failure took a host."""


class UnreachableRobots:
    """The hosts of a run whose robots.txt is unreachable.

    Each is tried ``retries`` times more. After that, a run that has nothing else to do waits until
    ``limit`` seconds after the first try; ``None`` is no limit.
    """

    def __init__(self, retries: int, limit: float | None) -> None:
        self._retries = retries
        self._limit = math.inf if limit is None else limit
        self._failures: dict[int, RobotsFailure] = {}
        self.has_network = False
        """True if any host has answered in this run. Else this machine may have no network."""

    def __len__(self) -> int:
        """Return the number of hosts whose robots.txt is unreachable."""
        return len(self._failures)

    def restore(self, host_id: int, origin: str, cause: str) -> None:
        """Take over a host whose robots.txt was unreachable in an earlier run."""
        self._failures.setdefault(host_id, RobotsFailure(origin, cause))

    def failed(self, host_id: int, origin: str, cause: str, now: float, next_at: float) -> None:
        """Count a request for robots.txt in vain, which is repeated at ``next_at``."""
        failure = self._failures.setdefault(host_id, RobotsFailure(origin, cause))
        failure.cause, failure.next_at = cause, next_at
        failure.since = min(failure.since, now)
        failure.tries += 1
        failure.exists = failure.exists or cause not in NO_SIGN
        self.has_network = self.has_network or cause.startswith("http ")

    def forget(self, host_id: int) -> None:
        """Forget a host, as its robots.txt came or its pages fail."""
        self._failures.pop(host_id, None)

    def tries(self, host_id: int) -> int:
        """Return how often this run has requested the host's robots.txt in vain."""
        failure = self._failures.get(host_id)
        return 0 if failure is None else failure.tries

    def does_not_exist(self, host_id: int) -> bool:
        """Return True if a host gave no sign in all its tries, while others answer."""
        failure = self._failures[host_id]
        return failure.tries > self._retries and not failure.exists and self.has_network

    def given_up(self) -> list[int]:
        """Return the hosts that a run does not wait for if it has nothing else to do.

        If no host at all gives a sign, the reason may be this machine's network, so the run does
        not wait for the limit either.
        """
        return [
            host_id
            for host_id, failure in self._failures.items()
            if failure.tries > self._retries
            and (
                failure.next_at > failure.since + self._limit
                or not (failure.exists or self.has_network)
            )
        ]

    def evictable(self) -> list[int]:
        """Return the hosts that, if memory is full, make room for hosts not requested yet."""
        return self.given_up() if self.has_network else []

    @property
    def no_answer(self) -> bool:
        """True if no host of the run has given any sign: robots.txt is not the reason."""
        hosts = self._failures.values()
        return not self.has_network and not any(
            host.exists or host.cause not in NO_SIGN for host in hosts
        )

    @property
    def description(self) -> str:
        """The hosts whose robots.txt is unreachable, with the cause; empty if there are none."""
        named = itertools.islice(self._failures.values(), MOST_NAMED)
        text = ", ".join(f"{failure.origin} ({failure.cause})" for failure in named)
        further = len(self._failures) - MOST_NAMED
        return f"{text} and {further:,} more" if further > 0 else text
