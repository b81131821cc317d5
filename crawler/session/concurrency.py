"""Coordinate the fetches of one session: in parallel, or one by one while its cookies change.

Where each page brings another cookie and the one before is refused, two fetches at a time would
log each other out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager


class ReadWriteLock:
    """Who wants to be alone waits for those inside, and those who come later wait for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._waiting = 0
        self._alone = False

    @contextmanager
    def read(self) -> Iterator[None]:
        """Hold the gate shared: other ``read`` blocks may run too."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not self._waiting)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def write(self) -> Iterator[None]:
        """Hold it exclusively: wait until everybody has left, and keep others out."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._alone and not self._inside)
            self._waiting -= 1
            self._alone = True
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


CALM = 10
"""Pages in a row that change no cookie, after which fetches go side by side.

One is not enough: where each page changes the cookie, an error page may not.
"""


class FetchTurn:
    """One fetch: what its answer is taken for, and whether that has changed a cookie."""

    def __init__(self, place: ExitStack, changes: int, *, alone: bool) -> None:
        self.place = place
        self.changes = changes
        self.alone = alone
        self.changed = False
        self.worked = False
        """It was a page."""
        self.refused = False
        """Nobody is logged in. A cookie for nobody says nothing of how those of a login change."""


class FetchCoordinator:
    """Whose turn it is. Sessions that do not log in need none."""

    def __init__(self) -> None:
        self._gate = ReadWriteLock()
        self._side = ReadWriteLock()
        self._lock = threading.Lock()
        self._calm = 0
        self._changes = 0
        self._for_good = False
        self._mine = threading.local()

    @property
    def one_by_one(self) -> bool:
        """True while pages may come with another cookie each, so that one must follow the other."""
        return self._for_good or self._calm < CALM

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nothing else is fetched within, and what was has been judged: a login may begin."""
        with self._side.write(), self._gate.write():
            yield

    def aside(self) -> AbstractContextManager[None]:
        """What is no page is fetched within: beside any page, but not during a login."""
        return self._side.read()

    @contextmanager
    def next(self) -> Iterator[FetchTurn]:
        """One fetch is made within, and judged, so that the next one knows what came of it."""
        with ExitStack() as place:
            turn = FetchTurn(place, alone=self._enter(place), changes=self._changes)
            self._mine.turn = turn
            try:
                yield turn
            finally:
                self._mine.turn = None
                self._learn(turn)

    def _enter(self, place: ExitStack) -> bool:
        while True:
            alone = self.one_by_one
            place.enter_context(self._gate.write() if alone else self._gate.read())
            if alone or not self.one_by_one:
                return alone
            place.close()  # a cookie has changed while this one waited

    def note(self, *, changed: bool) -> None:
        """An answer has come in this thread; ``changed`` says that a cookie is another by it."""
        turn: FetchTurn | None = getattr(self._mine, "turn", None)
        if turn is not None:
            turn.changed = turn.changed or changed

    def _learn(self, turn: FetchTurn) -> None:
        with self._lock:
            if turn.changed and not turn.refused:
                self._calm = 0
                self._changes += 1
            elif turn.worked:
                self._calm += 1

    def settle(self, turn: FetchTurn) -> bool:
        """Wait until all that was sent beside ``turn`` is judged; True if that changed a cookie.

        Then what ``turn`` was sent with may have died on its way. Where it was refused it has: from
        then on fetches go one by one.
        """
        if not turn.alone:
            turn.place.close()
            turn.place.enter_context(self._gate.write())
            turn.alone = True
        is_late = self._changes != turn.changes
        self._for_good = self._for_good or (is_late and turn.refused)
        return is_late
