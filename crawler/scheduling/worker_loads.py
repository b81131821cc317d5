"""Count the requests that each worker holds, and choose the worker of the next. No I/O."""

from __future__ import annotations

from crawler.scheduling.host_queue import PREFETCH, HostQueue


class WorkerLoads:
    """One for a scheduler. A worker runs ``threads`` requests at the same time and holds more."""

    def __init__(self, workers: int, threads: int) -> None:
        self._threads = threads
        self._most = threads + 2 * PREFETCH
        self._loads = [0] * workers
        self.paused: set[int] = set()
        """Workers that take nothing of any host."""

    @property
    def workers(self) -> int:
        """How many there are."""
        return len(self._loads)

    def of(self, worker: int) -> int:
        """How many requests the worker holds."""
        return self._loads[worker]

    def add(self, host: HostQueue, worker: int) -> None:
        """One more request of this host."""
        self._loads[worker] += 1
        host.in_flight[worker] += 1
        host.running += 1

    def remove(self, host: HostQueue, worker: int) -> None:
        """The worker has answered, or is dead."""
        self._loads[worker] -= 1
        host.in_flight[worker] -= 1
        host.running -= 1

    @property
    def are_full(self) -> bool:
        """True when no worker would take a request of any host."""
        for worker, load in enumerate(self._loads):
            if load < self._most and worker not in self.paused:
                return False
        return True

    def worker_for(self, host: HostQueue) -> int | None:
        """The worker with the most room for this host; its home where there is no difference."""
        best, most = None, 0
        spaced, ahead = host.has_delay, host.prefetch
        for worker in host.workers:
            if worker in self.paused:
                continue
            load = self._loads[worker]
            if not spaced:
                slots = host.slots[worker]
                room = slots + ahead - host.in_flight[worker] if slots else 0
            # Home it is, where its connection is: another must have half of its threads free.
            elif worker == host.preferred_worker or 2 * load < self._threads:
                room = self._most - self._threads + 1
            else:
                continue
            if load + room > self._most:
                room = self._most - load
            if room > most:
                best, most = worker, room
        return best
