"""Decide which task is sent next, and how many at the same time. No I/O.

``Lanes`` are the tasks of each host that wait to be sent, and ``RequestLimiter`` limits them over
all hosts.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from crawler.messages import Task


@dataclass(slots=True, eq=False)
class HostLane:
    """The tasks of one host; at most ``slots`` of them are under way at the same time.

    The engine sends the task of a host with a delay when it is the host's turn. Where several of
    them have had to wait here, for a login or for workers, ``delay`` keeps them apart.
    """

    slots: int
    delay: float = 0.0
    next_at: float = 0.0
    """When the next task may be sent, monotonic clock."""
    queue: list[Task] = field(default_factory=list)
    """Short, and far smaller than a deque while it is empty, as those of most hosts are."""
    running: int = 0
    ticket: int = 0
    """The number of its turn; 0 when it has none. An earlier turn of it does not count."""
    is_closed: bool = False

    @property
    def can_start(self) -> bool:
        """True if the next task may be sent."""
        return bool(self.queue) and self.running < self.slots


class Lanes:
    """The lanes of all hosts at work, by the host's id. Hosts take turns."""

    def __init__(self) -> None:
        self._lanes: dict[int, HostLane] = {}
        self._ready: deque[tuple[int, HostLane]] = deque()
        self._early: list[tuple[float, int, HostLane]] = []
        """A heap of the turns of lanes whose delay is not over."""
        self._numbers = itertools.count(1)

    def set_limits(self, host_id: int, slots: int, delay: float) -> None:
        """Make the lane of a host, or change its limits; ``delay`` is in seconds."""
        lane = self._lanes.get(host_id)
        if lane is None:
            self._lanes[host_id] = HostLane(slots, delay)
        else:
            lane.slots, lane.delay = slots, delay
            self._list(lane)

    def remove(self, host_id: int) -> None:
        """Remove the lane of a host that has nothing to do any more."""
        lane = self._lanes.pop(host_id, None)
        if lane is not None:
            lane.ticket = 0

    def push(self, task: Task) -> bool:
        """Add a task to the lane of its host; return False, and do nothing, if it is closed."""
        lane = self._lanes[task.host]
        if lane.is_closed:
            return False
        lane.queue.append(task)
        self._list(lane)
        return True

    def close(self, host_id: int) -> None:
        """Take no task of a host that is overloaded, until the engine has made it wait."""
        lane = self._lanes.get(host_id)
        if lane is not None:
            lane.is_closed = True

    def reopen(self, host_id: int) -> None:
        """Take tasks of a host again."""
        lane = self._lanes.get(host_id)
        if lane is not None:
            lane.is_closed = False

    def _list(self, lane: HostLane) -> None:
        if lane.can_start and not lane.ticket:
            lane.ticket = next(self._numbers)
            self._ready.append((lane.ticket, lane))

    def pop(self, now: float) -> Task | None:
        """Take the next task that may be sent ``now``, monotonic clock; None if there is none."""
        while self._early and self._early[0][0] <= now:
            self._ready.append(heapq.heappop(self._early)[1:])
        while self._ready:
            ticket, lane = self._ready.popleft()
            if ticket != lane.ticket:
                continue
            if lane.next_at > now:
                heapq.heappush(self._early, (lane.next_at, ticket, lane))
                continue
            lane.ticket = 0
            if lane.can_start:
                lane.running += 1
                lane.next_at = now + lane.delay
                task = lane.queue.pop(0)
                self._list(lane)
                return task
        return None

    @property
    def next_at(self) -> float | None:
        """When a task may be sent that only its host's delay holds back; None if there is none."""
        while self._early and self._early[0][1] != self._early[0][2].ticket:
            heapq.heappop(self._early)
        return self._early[0][0] if self._early else None

    def end_delay(self, host_id: int) -> None:
        """Let the next task go at once, as the last one was not sent."""
        lane = self._lanes.get(host_id)
        if lane is None:
            return
        lane.next_at = 0.0
        if lane.ticket:
            lane.ticket = 0
            self._list(lane)

    def finish(self, host_id: int) -> None:
        """Give back the slot of a task of this host."""
        lane = self._lanes.get(host_id)
        if lane is not None:
            lane.running -= 1
            self._list(lane)

    def take_queued(self, host_id: int | None) -> Iterator[Task]:
        """Yield the tasks that are not sent yet, of one host or of all, and forget them."""
        lanes = self._lanes.values() if host_id is None else [self._lanes.get(host_id)]
        for lane in lanes:
            if lane is not None:
                yield from lane.queue
                lane.queue.clear()


PLENTY = 4_000
"""Requests under way and pages that wait for workers, together, up to which any may be sent."""
_MOST_ALLOWED = 64.0


class RequestLimiter:
    """Lets so many requests be under way that workers always have pages, and few of them wait.

    Were all sent at once, all pages would come at once too: then most would wait in memory while
    nothing is sent, and later the workers would wait for the next ones. So beyond ``PLENTY``, it is
    the end of one request that lets others begin: two, or one for two while many pages wait.
    """

    def __init__(self) -> None:
        self._allowed = 0.0

    def may_begin(self, under_way: int, waiting: int) -> bool:
        """Return True if one more request may begin."""
        return under_way + waiting < PLENTY or self._allowed >= 1

    def begun(self) -> None:
        """Count a request that has begun."""
        self._allowed = max(0.0, self._allowed - 1)

    def ended(self, waiting: int) -> None:
        """Count a request whose page is handled."""
        more = 0.5 if waiting >= PLENTY // 2 else 2
        self._allowed = min(self._allowed + more, _MOST_ALLOWED)
