"""The order of a session's fetches: at the same time, or in series while its cookies change.

``FetchCoordinator`` decides which; a ``ReadWriteLock`` holds fetches to it: those at the same time
are its readers, a fetch in series and a login are its writers. Where each page sets another cookie
and the cookie before is refused, two fetches at a time would log each other out. A
``Throttle`` keeps a delay between requests.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager


class ReadWriteLock:
    """A read-write lock. A waiting writer blocks new readers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._waiting_writers = 0
        self._writing = False

    @contextmanager
    def read(self) -> Iterator[None]:
        """Hold the lock shared: other ``read`` blocks may run too."""
        with self._changed:
            self._changed.wait_for(lambda: not self._writing and not self._waiting_writers)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def write(self) -> Iterator[None]:
        """Hold the lock exclusively: wait until all blocks have ended, and let no other begin."""
        with self._changed:
            self._waiting_writers += 1
            self._changed.wait_for(lambda: not self._writing and not self._readers)
            self._waiting_writers -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()


STABLE_PAGES = 10
"""Pages in a row that change no cookie, after which fetches run at the same time.

A single page is not enough: where each page changes the cookie, an error page may not.
"""


class FetchTurn:
    """One fetch: the meaning of its response, and whether that has changed a cookie."""

    def __init__(self, lock: ExitStack, changes: int, *, exclusive: bool) -> None:
        self.lock = lock
        self.changes = changes
        """Cookie changes of the session before this fetch."""
        self.exclusive = exclusive
        self.changed = False
        self.accepted = False
        """The response is a page of a logged-in session."""
        self.logged_out = False
        """The response was for an anonymous session; ignore its cookies when judging rotation."""


class FetchCoordinator:
    """Decides for one session which fetches may run at the same time.

    Sessions that do not log in need none.
    """

    def __init__(self) -> None:
        self._pages = ReadWriteLock()
        self._other = ReadWriteLock()  # for robots.txt and the like, which only a login excludes
        self._lock = threading.Lock()
        self._stable_pages = 0
        self._changes = 0
        self._always_in_series = False
        self._local = threading.local()

    @property
    def in_series(self) -> bool:
        """True while each page may set another cookie, so that fetches must run in series."""
        return self._always_in_series or self._stable_pages < STABLE_PAGES

    @property
    def is_stable(self) -> bool:
        """True if the page before has changed no cookie."""
        return self._stable_pages > 0

    @contextmanager
    def login(self) -> Iterator[None]:
        """Exclude all other fetches: wait until they are judged, and let none begin."""
        with self._other.write(), self._pages.write():
            yield

    def no_login(self) -> AbstractContextManager[None]:
        """Exclude only a login, for a fetch that is no page: pages may be fetched meanwhile."""
        return self._other.read()

    @contextmanager
    def page(self, *, exclusive: bool = False) -> Iterator[FetchTurn]:
        """Fetch and judge one page in the block; the next fetch depends on the result.

        ``exclusive`` lets no other page be fetched beside it in any case.
        """
        with ExitStack() as lock:
            is_alone = self._acquire(lock, exclusive=exclusive)
            turn = FetchTurn(lock, exclusive=is_alone, changes=self._changes)
            self._local.turn = turn
            try:
                yield turn
            finally:
                self._local.turn = None
                self._record(turn)

    def _acquire(self, lock: ExitStack, *, exclusive: bool) -> bool:
        while True:
            is_alone = exclusive or self.in_series
            lock.enter_context(self._pages.write() if is_alone else self._pages.read())
            if is_alone or not self.in_series:
                return is_alone
            lock.close()  # a cookie has changed while this fetch waited

    def cookies_received(self, *, changed: bool) -> None:
        """Record that this thread has received a response; ``changed`` if it changed a cookie."""
        turn: FetchTurn | None = getattr(self._local, "turn", None)
        if turn is not None:
            turn.changed = turn.changed or changed

    def _record(self, turn: FetchTurn) -> None:
        with self._lock:
            if turn.changed and not turn.logged_out:
                self._stable_pages = 0
                self._changes += 1
            elif turn.accepted:
                self._stable_pages += 1

    def finish_others(self, turn: FetchTurn) -> bool:
        """Wait until all fetches beside ``turn`` are judged; return True if they changed a cookie.

        Then the cookie that ``turn`` was sent with may have been replaced on its way. If the
        response was for an anonymous session, it has been: from then on fetches run in series.
        """
        if not turn.exclusive:
            turn.lock.close()
            turn.lock.enter_context(self._pages.write())
            turn.exclusive = True
        is_late = self._changes != turn.changes
        self._always_in_series = self._always_in_series or (is_late and turn.logged_out)
        return is_late


class Throttle:
    """Keeps a delay between the requests of ``login`` or a callback, and the page after a login."""

    def __init__(self, delay: float) -> None:
        """``delay`` is in seconds."""
        self._delay = delay
        self._last_at = -math.inf

    def wait(self) -> None:
        """Wait until the delay has passed since the last call."""
        wait = self._last_at + self._delay - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        self._last_at = time.monotonic()
