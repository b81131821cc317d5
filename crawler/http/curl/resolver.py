"""The addresses of host names: looked up in threads, checked by the address policy, kept a while.

The system's resolver blocks, so each look-up has a thread. libcurl gets the whole list, after the
address policy has seen it. A name that does not resolve is compared with one that did before: if
that fails too, the network of this machine is down.
"""

from __future__ import annotations

import collections
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from crawler.errors import CrawlerError
from crawler.http.address_policy import AddressPolicy

MAX_LOOKUPS = 32
"""Look-ups at the same time."""
LIFETIME = 60.0
"""Seconds that an answer counts; libcurl has the same by default."""
MAX_NAMES = 20_000

_CONTROLS = 2
"""Names that resolved last: one to compare with, whichever name fails."""

_UNKNOWN: tuple[float, list[str]] = (0.0, [])

Answer = list[str] | Exception | None
"""Addresses, new ones; the error of the look-up; or None where those from before still count."""


class NoNameResolvesError(OSError):
    """This name does not resolve, nor does any other."""


class Resolver:
    """Finds the addresses of hosts. All methods are called in one thread.

    ``call`` runs a function in that thread, from another one.
    """

    def __init__(
        self,
        addresses: AddressPolicy,
        call: Callable[[Callable[[], None]], None],
        has_answered: Callable[[], bool],
    ) -> None:
        """``has_answered`` returns True if any host has answered since the start."""
        self._addresses = addresses
        self._call = call
        self._has_answered = has_answered
        self._controls: collections.deque[str] = collections.deque(maxlen=_CONTROLS)
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}
        self._waiting: dict[tuple[str, int], list[Callable[[Answer], None]]] = {}
        self._queue: collections.deque[tuple[str, int]] = collections.deque()
        self._running = 0

    def resolve(self, host: str, port: int, then: Callable[[Answer], None]) -> None:
        """Call ``then`` with the answer for ``host``, now or later."""
        key = (host, port)
        if time.monotonic() < self._known.get(key, _UNKNOWN)[0]:
            then(None)
            return
        if key in self._waiting:
            self._waiting[key].append(then)
            return
        self._waiting[key] = [then]
        self._queue.append(key)
        self._look_up()

    def latest(self, host: str, port: int) -> list[str]:
        """Return the addresses that the latest answer for ``host`` had."""
        return self._known.get((host, port), _UNKNOWN)[1]

    def _look_up(self) -> None:
        while self._queue and self._running < MAX_LOOKUPS:
            key = self._queue.popleft()
            self._running += 1
            threading.Thread(target=self._ask, args=(key,), name="dns", daemon=True).start()

    def _ask(self, key: tuple[str, int]) -> None:
        host, port = key
        found: Any
        try:
            found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            found = error
            if isinstance(error, socket.gaierror) and not self._others_resolve(host):
                found = NoNameResolvesError(str(error))
                found.__cause__ = error
        self._call(lambda: self._answer(key, found))

    def _others_resolve(self, host: str) -> bool:
        """Return True if another name resolves; called in the thread of a look-up."""
        control = next((name for name in self._controls if name != host), None)
        if control is None:
            return not self._controls and self._has_answered()
        try:
            socket.getaddrinfo(control, None, 0, socket.SOCK_STREAM)
        except OSError:
            return False
        return True

    def _answer(self, key: tuple[str, int], found: Any) -> None:
        self._running -= 1
        self._look_up()
        answer: Answer
        if isinstance(found, Exception):
            # A name that resolved before may keep its connections, and its old addresses.
            answer = (_may_pass(found) and self.latest(*key)) or found
        else:
            try:
                allowed = self._addresses.choose(*key, found)
                answer = list(dict.fromkeys(entry[4][0] for entry in allowed))
                if len(self._known) >= MAX_NAMES:
                    self._known.clear()
                self._known[key] = time.monotonic() + LIFETIME, answer
                self._note_control(key[0])
            except CrawlerError as error:
                answer = error
        waiting = self._waiting.pop(key)
        for number, then in enumerate(waiting):
            then(answer if number == 0 or isinstance(answer, Exception) else None)

    def _note_control(self, name: str) -> None:
        """Remember a name that resolves; those without a dot are this machine's own."""
        if "." in name and name not in self._controls:
            self._controls.append(name)


def _may_pass(error: Exception) -> bool:
    """Return True for a name server that does not answer, False where it denies the name."""
    cause = error.__cause__ if isinstance(error, NoNameResolvesError) else error
    return isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN
