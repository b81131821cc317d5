"""Decide how long a run waits for hosts whose robots.txt is unreachable. No I/O.

While the rules of a host are unknown, only its robots.txt is requested, and its pages stay pending
(RFC 9309, section 2.3.1.4). A run that has nothing else to do waits for such a host for a limited
time. A host that gives no sign at all, while others answer, does not exist: its pages fail.

While no host's name resolves, the network of this machine is down. Then all hosts wait in the same
way, whatever is requested from them, and nothing fails.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from crawler.settings import Settings

NO_SIGN = frozenset({"dns", "refused", "connect timeout", "proxy"})
"""Causes that leave open whether the host exists at all; any other cause takes a host.

A proxy that refuses is among them, since it may be the proxy that is wrong.
"""
NO_NETWORK = "dns"
"""The cause of a host that waits because no name resolves."""
NETWORK_WAIT = 60.0
"""Longest time, in seconds, until a host is asked again while no name resolves."""
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
    is_offline: bool = False
    """The last failure was this machine's: no name resolves."""


class UnreachableRobots:
    """The hosts of a run whose robots.txt is unreachable.

    Each is tried ``retries`` times more. After that, a run that has nothing else to do waits until
    ``limit`` seconds after the first try; ``None`` is no limit.
    """

    def __init__(self, retries: int, limit: float | None, first_wait: float = 1.0) -> None:
        """``first_wait`` is the wait for the network after a first failure, and doubles."""
        self._retries = retries
        self._first_wait = first_wait
        self._limit = math.inf if limit is None else limit
        self.failures: dict[int, RobotsFailure] = {}
        """The hosts whose robots.txt is unreachable, by id."""
        self._evicted: list[RobotsFailure] = []
        """The first of those that were evicted, and …"""
        self._evicted_count = 0
        """… the number of all."""
        self.has_network = False
        """True if a host has answered since the network was down, or since the run began."""
        self._had_network = False

    @classmethod
    def of(cls, settings: Settings) -> UnreachableRobots:
        """Return those of a run with ``settings``."""
        return cls(settings.retries, settings.robots_wait, settings.retry_wait)

    def restore(self, host_id: int, origin: str, cause: str) -> None:
        """Take over a host whose robots.txt was unreachable in an earlier run."""
        self.failures.setdefault(host_id, RobotsFailure(origin, cause))

    def failed(self, host_id: int, origin: str, cause: str, now: float, next_at: float) -> None:
        """Count a request for robots.txt in vain, which is repeated at ``next_at``."""
        failure = self.failures.setdefault(host_id, RobotsFailure(origin, cause))
        if failure.is_offline:
            failure.is_offline, failure.tries, failure.since = False, 0, math.inf
        failure.cause, failure.next_at = cause, next_at
        failure.since = min(failure.since, now)
        failure.tries += 1
        failure.exists = failure.exists or cause not in NO_SIGN
        self.has_network = self.has_network or cause.startswith("http ")

    def no_network(self, host_id: int, origin: str, now: float) -> float:
        """Count a request to a host while no name resolves; return the seconds until the next."""
        self._had_network = self._had_network or self.has_network
        failure = self.failures.setdefault(host_id, RobotsFailure(origin, NO_NETWORK))
        if not failure.is_offline:
            failure.is_offline, failure.tries, failure.since = True, 0, now
        elif now < failure.next_at:  # it was sent before the last failure
            return failure.next_at - now
        wait = min(self._first_wait * 2.0 ** min(failure.tries, 30), NETWORK_WAIT)
        failure.cause, failure.tries, failure.next_at = NO_NETWORK, failure.tries + 1, now + wait
        self.has_network = False
        return wait

    def forget_network(self, host_id: int) -> None:
        """Forget that a host waited for the network, as a page of it has an outcome."""
        failure = self.failures.get(host_id)
        if failure is not None and failure.is_offline:
            del self.failures[host_id]

    def forget(self, host_id: int) -> None:
        """Forget a host, as its robots.txt came or its pages fail."""
        self.failures.pop(host_id, None)

    def evict(self, host_id: int) -> None:
        """Only count a host from now on, which this run has given up."""
        if (failure := self.failures.pop(host_id, None)) is not None:
            self._evicted_count += 1
            if len(self._evicted) < MOST_NAMED:
                self._evicted.append(failure)

    def tries(self, host_id: int) -> int:
        """Return how often this run has requested the host's robots.txt in vain."""
        failure = self.failures.get(host_id)
        return 0 if failure is None else failure.tries

    def does_not_exist(self, host_id: int) -> bool:
        """Return True if a host gave no sign in all its tries, while others answer."""
        failure = self.failures[host_id]
        return failure.tries > self._retries and not failure.exists and self.has_network

    def given_up(self) -> list[int]:
        """Return the hosts that a run does not wait for if it has nothing else to do.

        If no host at all has given a sign in this run, it does not wait for the limit either: the
        reason may be this machine's network.
        """
        return [
            host_id
            for host_id, failure in self.failures.items()
            if failure.tries > self._retries
            and (
                failure.next_at > failure.since + self._limit
                or not (failure.exists or self.has_network or self._had_network)
            )
        ]

    def evictable(self) -> list[int]:
        """Return the hosts that, if memory is full, make room for hosts not requested yet."""
        return self.given_up() if self.has_network else []

    @property
    def no_answer(self) -> bool:
        """True if no host of the run has given any sign: robots.txt is not the reason."""
        hosts = self.failures.values()
        return not self.has_network and not any(
            host.exists or host.cause not in NO_SIGN for host in hosts
        )

    @property
    def description(self) -> str:
        """The hosts whose robots.txt is unreachable, with the cause; empty if there are none."""
        failures = itertools.chain(self._evicted, self.failures.values())
        named = itertools.islice(failures, MOST_NAMED)
        text = ", ".join(f"{failure.origin} ({failure.cause})" for failure in named)
        further = self._evicted_count + len(self.failures) - MOST_NAMED
        return f"{text} and {further:,} more" if further > 0 else text
