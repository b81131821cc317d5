"""Keep the workers' copies of hosts, sessions and scope in step.

The scheduling process owns them. A worker gets an update together with the first task for which its
copy is too old, so that a request always has at least the cookies that were there when the page
that it was found on came.
"""

from __future__ import annotations

from crawler.messages import HostUpdate, SessionChange, SessionUpdate, TaskBatch
from crawler.scheduling.host_queue import HostQueue
from crawler.scheduling.session_registry import ManagedSession, SessionCopy, SessionRegistry


class WorkerSync:
    """The versions that each worker has, and the updates that follow from them."""

    def __init__(self, sessions: SessionRegistry, workers: int) -> None:
        self._sessions = sessions
        self._workers = workers
        self._hosts: list[dict[int, int]] = [{} for _ in range(workers)]
        self._netlocs: dict[str, None] = {}
        self._new_netlocs: list[list[str]] = [[] for _ in range(workers)]
        self._evicted: list[list[int]] = [[] for _ in range(workers)]

    def extend_scope(self, netloc: str) -> None:
        """Bring a host into the scope of all workers."""
        if netloc not in self._netlocs:
            self._netlocs[netloc] = None
            for waiting in self._new_netlocs:
                waiting.append(netloc)

    def forget_host(self, host_id: int) -> None:
        """Let workers forget a host that is no longer at work."""
        for versions, evicted in zip(self._hosts, self._evicted, strict=True):
            if versions.pop(host_id, None) is not None:
                evicted.append(host_id)

    def receive(self, worker: int, change: SessionChange) -> None:
        """Apply the changes that a worker reports; its own copy has them already."""
        session = self._sessions.get(change.key)
        copy = self._copies(session)[worker]
        was_current = copy.version == session.version
        self._sessions.apply(change)
        copy.received += len(change.cookies)
        if was_current:
            copy.version = session.version

    def add_updates(self, batch: TaskBatch, worker: int, host: HostQueue) -> None:
        """Add to ``batch`` the updates that ``worker`` needs before it gets a task of ``host``."""
        if self._new_netlocs[worker]:
            batch.scope += self._new_netlocs[worker]
            self._new_netlocs[worker] = []
        if self._evicted[worker]:
            batch.forget += self._evicted[worker]
            self._evicted[worker] = []
        versions = self._hosts[worker]
        if versions.get(host.id) != host.version:
            versions[host.id] = host.version
            batch.hosts.append(_host_update(host, worker))
        session = self._sessions.get(host.session)
        copy = self._copies(session)[worker]
        if copy.version != session.version:
            copy.version = session.version
            update = SessionUpdate(
                session.key, list(session.cookies.values()), copy.received, session.login
            )
            batch.sessions.append(update)

    def reset(self, worker: int) -> None:
        """Forget the copies of a worker that is replaced by a new one."""
        self._hosts[worker] = {}
        self._evicted[worker] = []
        self._new_netlocs[worker] = list(self._netlocs)
        for session in self._sessions.all():
            if session.copies:
                session.copies[worker] = SessionCopy()

    def _copies(self, session: ManagedSession) -> list[SessionCopy]:
        if not session.copies:
            session.copies = [SessionCopy() for _ in range(self._workers)]
        return session.copies


def _host_update(host: HostQueue, worker: int) -> HostUpdate:
    return HostUpdate(
        host.id,
        host.origin,
        host.session,
        host.slots[worker] or host.concurrency,
        host.robots,
        host.account,
        host.seeded,
    )
