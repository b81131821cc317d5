"""Retry: whether a request is tried again, and when. Nothing here waits.

The policies are tenacity's, asked one try at a time, because the wait between two tries is spent
in the frontier, where it survives a restart.
"""

from __future__ import annotations

import math
import random as _random
import time
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

from tenacity import RetryCallState, Retrying, stop_after_attempt, wait_exponential

from crawler.errors import FetchError, StatusError
from crawler.request import Request
from crawler.settings import Settings

JITTER = 0.5
"""A wait of the policy's own is longer by up to this share, so that tries do not come in step."""

TRY_AGAIN = 600.0
"""Longest time, in seconds, until a robots.txt that could not be had is asked for again."""
LEAST_WAIT = 0.01
"""What the waits for a robots.txt grow from at the least, in seconds."""

SPARED = 1.0
"""Seconds to wait with a page for which this machine had no file handle."""

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
# Failures after which the server cannot have acted on the request.
_NEVER_SENT = frozenset({"dns", "proxy", "refused", "connect timeout"})
_NOT_ACTED_ON = frozenset({429, 503})


class RetryPolicy:
    """What ``retries``, ``retry_status``, ``retry_wait`` and ``max_retry_wait`` mean."""

    def __init__(self, settings: Settings, *, random: Callable[[], float] = _random.random) -> None:
        self._settings = settings
        self._random = random
        self._rules = Retrying(
            stop=stop_after_attempt(settings.retries + 1),
            wait=wait_exponential(multiplier=settings.retry_wait, max=settings.max_retry_wait),
        )

    def decide(
        self,
        failure: FetchError | int,
        *,
        tries: int,
        method: str = "GET",
        replay: bool = True,
        retry_after: str | None = None,
        now: float,
    ) -> float | None:
        """Seconds until the next try, or ``None`` when there is none.

        ``failure`` is an error or a status code, ``tries`` counts the tries made so far, the
        failed one included, ``retry_after`` is the header's value, and ``now`` is seconds since
        the epoch. Statuses in ``retry_status`` and errors marked as retryable are tried again. A
        POST or PATCH only if the server cannot have acted on it: it was never sent, or was
        answered 429 or 503 with a Retry-After (RFC 9110, section 9.2.2). What must not be sent
        twice (``replay`` false) only if it was never sent.

        A Retry-After is granted up to ``max_retry_wait`` and never shortens the policy's wait.
        """
        status = failure.status if isinstance(failure, StatusError) else failure
        granted = self.granted(retry_after, now)
        if isinstance(status, int):
            wanted = status in self._settings.retry_status
            safe = replay and granted is not None and status in _NOT_ACTED_ON
        else:
            wanted = status.retryable
            safe = status.cause in _NEVER_SENT
        if not wanted or not (safe or (replay and method.upper() in _IDEMPOTENT)):
            return None
        own = self._own_wait(tries)
        return None if own is None else max(own, granted or 0.0)

    def wait(self, error: FetchError, request: Request, now: float | None = None) -> float | None:
        """As ``decide``, for a request of which ``tries`` tries had been made before this one."""
        return self.decide(
            error,
            tries=request.tries + 1,
            method=request.method,
            replay=request.replay,
            retry_after=_retry_after(error),
            now=time.time() if now is None else now,
        )

    def robots_wait(self, error: FetchError, request: Request) -> float | None:
        """Seconds until a robots.txt is asked for again, ``None`` if that is of no use.

        No try is the last one: until it comes, nothing else may be asked of its host. Whatever
        ``retry_status`` says, each error of the server (5xx) may pass (RFC 9309, 2.3.1.4).
        """
        if not (error.retryable or isinstance(error, StatusError)):
            return None
        state = RetryCallState(self._rules, None, (), {})
        state.attempt_number = request.tries + 1
        first = max(self._settings.retry_wait, LEAST_WAIT)
        wait = self._longer(wait_exponential(multiplier=first, max=TRY_AGAIN)(state))
        return max(min(wait, TRY_AGAIN), self.granted(_retry_after(error), time.time()) or 0.0)

    def host_wait(self, error: FetchError) -> float | None:
        """Seconds to leave the host alone when it says that it has too much to do, else None."""
        if not isinstance(error, StatusError) or error.status not in _NOT_ACTED_ON:
            return None
        return self.granted(_retry_after(error), time.time()) or 0.0

    def granted(self, retry_after: str | None, now: float) -> float | None:
        """Seconds that a Retry-After header is granted, ``None`` if it asks for nothing."""
        seconds = None if retry_after is None else parse_retry_after(retry_after, now)
        return None if seconds is None else min(seconds, self._settings.max_retry_wait)

    def _own_wait(self, tries: int) -> float | None:
        """``retry_wait``, doubled with each further try; ``None`` when there were enough."""
        state = RetryCallState(self._rules, None, (), {})
        state.attempt_number = tries
        if self._rules.stop(state):
            return None
        return min(self._longer(self._rules.wait(state)), self._settings.max_retry_wait)

    def _longer(self, wait: float) -> float:
        return float(wait) * (1.0 + JITTER * self._random())


def _retry_after(error: FetchError) -> str | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    return None if headers is None else headers.get("retry-after")


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or a date (RFC 9110, 10.2.3).

    ``now`` is seconds since the epoch; a date that has passed asks for 0. ``None`` if invalid.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)
        return seconds if math.isfinite(seconds) else None
    try:
        date = parsedate_to_datetime(text)
        # A date without a zone is in GMT, whatever the local time zone is.
        at = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, at - now)
