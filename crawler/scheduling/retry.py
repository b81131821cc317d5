"""Decide whether a failed request is tried again, and when. Nothing here waits.

The rules are tenacity's, the spider's own or those that the settings describe. They are evaluated
one try at a time, because the wait between two tries is spent in the frontier, where it survives a
restart.
"""

from __future__ import annotations

import inspect
import math
import random as _random
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    retry_if_not_result,
    retry_if_result,
    stop_after_attempt,
    wait_exponential,
)
from tenacity.retry import retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from crawler.errors import FetchError, SpiderError, StatusError
from crawler.request import Request
from crawler.settings import Settings

JITTER = 0.5
"""The waits of the settings are longer by up to this share, so that tries spread out."""

ROBOTS_MAX_WAIT = 600.0
"""Longest time, in seconds, until an unavailable robots.txt is requested again."""
ROBOTS_MIN_WAIT = 0.01
"""Seconds from which the waits for a robots.txt grow, where ``retry_wait`` is smaller."""

RESOURCE_WAIT = 1.0
"""Seconds to wait with a page for which this machine had no file handle."""

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
# Failures after which the server cannot have acted on the request.
_NEVER_SENT = frozenset({"dns", "proxy", "refused", "connect timeout"})
_NOT_ACTED_ON = frozenset({429, 503})

_KINDS: dict[type, tuple[str, str]] = {
    stop_base: ("stop_…", "| or &"),
    wait_base: ("wait_…", "+"),
    retry_base: ("retry_…", "| or &"),
}
"""The kinds of a spider's rules: how tenacity names them, and how it joins two of a kind."""

Rules = stop_base | wait_base | retry_base | Sequence[stop_base | wait_base | retry_base]
"""A spider's ``retry``."""


class RetryPolicy:
    """Decide whether a failed request is tried again, and after how many seconds.

    ``rules`` are the spider's ``retry``. Where they hold no ``stop_…``, ``wait_…`` or ``retry_…``,
    the settings ``retries``, ``retry_wait`` and ``retry_status`` count. Whatever they say, a
    request that the server may have acted on is not sent twice, a Retry-After is respected, and no
    wait is longer than ``max_retry_wait``.
    """

    def __init__(
        self,
        settings: Settings,
        rules: Rules = (),
        *,
        random: Callable[[], float] = _random.random,
    ) -> None:
        """Raise SpiderError for ``rules`` that are not tenacity's."""
        self._settings = settings
        self._random = random
        own = rules_by_kind(rules)
        growing = wait_exponential(multiplier=settings.retry_wait, max=settings.max_retry_wait)
        self._jitter = 0.0 if wait_base in own else JITTER
        self._rules = Retrying(
            stop=own.get(stop_base) or stop_after_attempt(settings.retries + 1),
            wait=own.get(wait_base) or growing,
            retry=own.get(retry_base) or retry_if_exception(self._is_temporary),
        )

    def wait(self, error: FetchError, request: Request, now: float | None = None) -> float | None:
        """Return the seconds until the next try of ``request``; ``None`` if there is none.

        ``error`` is the failure of the present try, and ``now`` is in seconds since the epoch. A
        POST or PATCH is tried again only if it is ``idempotent``, or if the server cannot have
        acted on it: it was never sent, or was answered 429 or 503 with a Retry-After, even one
        that cannot be read (RFC 9110, section 9.2.2). A request with
        ``replay`` false is tried again only if it was never sent. A Retry-After is granted up to
        ``max_retry_wait``, and never shortens the wait. Raises whatever a spider's rule raises.
        """
        now = time.time() if now is None else now
        retry_after = _retry_after(error)
        granted = self.granted(retry_after, now)
        if not _may_be_sent_again(error, request, asks_again=bool(retry_after)):
            return None
        state = state_after(request.tries + 1, error, self._rules, request, now)
        if not self._rules.retry(state):
            return None
        own = _seconds(self._rules.wait(state)) * self._lengthening(self._jitter)
        wait = max(min(own, self._settings.max_retry_wait), granted or 0.0)
        state.upcoming_sleep = wait  # which stop_before_delay reads
        return None if self._rules.stop(state) else wait

    def robots_wait(self, error: FetchError, request: Request) -> float | None:
        """Return the seconds until a robots.txt is requested again; ``None`` if it is final.

        No try is the last: nothing else may be requested from its host meanwhile. Each error of
        the server (5xx) may pass, whatever ``retry_status`` says (RFC 9309, 2.3.1.4). The spider's
        ``retry`` does not apply.
        """
        if not (error.retryable or isinstance(error, StatusError)):
            return None
        first = max(self._settings.retry_wait, ROBOTS_MIN_WAIT)
        growing = wait_exponential(multiplier=first, max=ROBOTS_MAX_WAIT)
        now = time.time()
        state = state_after(request.tries + 1, error, self._rules, request, now)
        wait = float(growing(state)) * self._lengthening(JITTER)
        return max(min(wait, ROBOTS_MAX_WAIT), self.granted(_retry_after(error), now) or 0.0)

    def host_wait(self, error: FetchError) -> float | None:
        """Return how long to leave an overloaded host alone, in seconds; ``None`` if it is not."""
        if not isinstance(error, StatusError) or error.status not in _NOT_ACTED_ON:
            return None
        return self.granted(_retry_after(error), time.time()) or 0.0

    def granted(self, retry_after: str | None, now: float) -> float | None:
        """Return the seconds that a Retry-After is granted, ``None`` if it asks for nothing."""
        seconds = None if retry_after is None else parse_retry_after(retry_after, now)
        return None if seconds is None else min(seconds, self._settings.max_retry_wait)

    def _is_temporary(self, error: BaseException) -> bool:
        if isinstance(error, StatusError):
            return error.status in self._settings.retry_status
        return isinstance(error, FetchError) and error.retryable

    def _lengthening(self, jitter: float) -> float:
        return 1.0 + jitter * self._random()


def _may_be_sent_again(error: FetchError, request: Request, *, asks_again: bool) -> bool:
    """Return True if sending the request twice does no harm."""
    if error.cause in _NEVER_SENT:
        return True
    if not request.replay:
        return False
    was_refused = isinstance(error, StatusError) and error.status in _NOT_ACTED_ON and asks_again
    return was_refused or request.idempotent or request.method in _IDEMPOTENT


# The rules of a spider


def rules_by_kind(rules: Rules, name: str = "retry") -> dict[type, Any]:
    """Return tenacity's objects by their base class. Raise SpiderError for anything else.

    ``name`` is how messages call ``rules``.
    """
    by_kind: dict[type, Any] = {}
    for rule in rules if isinstance(rules, tuple | list) else [rules]:
        kind = next((kind for kind in _KINDS if isinstance(rule, kind)), None)
        if kind is None:
            raise SpiderError(
                f"{name} holds {_named(rule)}: it takes the stop_…, wait_… and retry_… objects of "
                "tenacity, one alone or several in a tuple"
            )
        if kind in by_kind:
            prefix, joint = _KINDS[kind]
            raise SpiderError(f"{name} holds two {prefix} objects: join them with {joint}")
        _refuse_inapplicable(rule, name)
        by_kind[kind] = rule
    return by_kind


def _refuse_inapplicable(rule: Any, name: str) -> None:
    """Raise SpiderError for a rule that could never decide anything here."""
    for part in (*getattr(rule, "retries", ()), *getattr(rule, "stops", ())):
        _refuse_inapplicable(part, name)
    if isinstance(rule, retry_if_result | retry_if_not_result):
        raise SpiderError(
            f"{name} holds {_named(rule)}, but only failures are tried again: use "
            "retry_if_exception, or yield the request once more from the callback"
        )
    if inspect.iscoroutinefunction(type(rule).__call__):
        raise SpiderError(f"{name} holds {_named(rule)} of tenacity.asyncio: use tenacity's own")


def _named(rule: object) -> str:
    if isinstance(rule, type):
        return f"the class {rule.__name__}, not an object of it"
    is_data = rule is None or isinstance(rule, str | int | float | dict | set)
    return repr(rule) if is_data else f"a {type(rule).__name__}"


def state_after(
    tries: int, error: FetchError, rules: Retrying, request: Request, now: float
) -> RetryCallState:
    """Return the state that tenacity's own loop would hand to its rules after ``tries`` tries.

    That loop sleeps in one process, and a request waits in the frontier, between restarts too. So
    the state is put together anew for each failure, from what the request carries:
    ``attempt_number`` is ``tries``, ``outcome`` holds ``error``, ``args`` is ``(request,)``, and
    ``seconds_since_start`` counts from the first try, by the wall clock.
    """
    state = RetryCallState(rules, None, (request,), {})
    state.attempt_number = tries
    state.set_exception((type(error), error, None))
    began = request.first_tried or request.asked or now
    state.start_time = (state.outcome_timestamp or 0.0) - max(0.0, now - began)
    return state


def _seconds(wait: float) -> float:
    """Return a rule's wait as a float that is no less than 0, NaN included."""
    return max(0.0, float(wait))


# Retry-After


def _retry_after(error: FetchError) -> str | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    return None if headers is None else headers.get("retry-after")


_SECONDS = {
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+) ?([a-z]*)", re.ASCII)
_LONGEST_RETRY_AFTER = 500


def parse_retry_after(value: str, now: float) -> float | None:
    """Return the seconds of a Retry-After, a number or a date (RFC 9110, 10.2.3).

    ``now`` is seconds since the epoch; a date that has passed asks for 0. Servers also send
    fractions, which are rounded up, and units: ``0.5``, ``1m0s``, ``90 seconds``. ``None`` if it
    cannot be read.
    """
    text = value.strip()[:_LONGEST_RETRY_AFTER]
    seconds = _duration(text.lower())
    if seconds is not None:
        return float(math.ceil(seconds)) if math.isfinite(seconds) else None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        try:
            date = datetime.fromisoformat(text)
        except ValueError:
            return None
    try:
        # A date without a zone is in GMT, whatever the local time zone is.
        at = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, at - now)


def _duration(text: str) -> float | None:
    """Return the seconds of a number, or of numbers with units; ``None`` if it is neither."""
    if text.startswith("pt"):  # ISO 8601: PT1M30S
        text = text[2:]
    total, end = 0.0, 0
    while part := _PART.match(text, end):
        number, unit = part.groups()
        if unit not in _SECONDS or (not unit and (end or part.end() < len(text))):
            return None
        total += float(number) * _SECONDS[unit]
        end = part.end()
        end += text[end : end + 1] == " "
    return total if end and end >= len(text) else None
