"""What each worker must be told before it can handle a task: hosts, rules, cookies, scope.

The scheduling process owns the cookies. A worker keeps copies; it is told again when its copy is
older than what the process knows, so that a request always sees at least the cookies that were
there when the page that it was found on came.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from crawler.messages import HostUpdate, SessionChange, SessionUpdate, TaskBatch
from crawler.records import Cookie, LoginState, RobotsFile, SessionRecord, Usage
from crawler.scheduling.host_queue import HostQueue
from crawler.session.accounts import Account, count_page, quota_wait


@dataclass(slots=True)
class ManagedSession:
    """A session's cookies and login state, and what each worker has heard of them."""

    key: str
    cookies: dict[tuple[str, str, str], Cookie]
    login: LoginState
    usage: Usage
    account: Account | None
    version: int = 0
    sent_versions: list[int] = field(default_factory=list)
    """The version that each worker has; -1 for none."""
    received: list[int] = field(default_factory=list)
    """How many changes each worker has reported."""
    hosts: int = 0
    """Hosts at work that belong to it."""
    changed: bool = False
    """Something is not in the store yet."""

    def record(self) -> SessionRecord:
        """The session as the store keeps it."""
        return SessionRecord(self.key, list(self.cookies.values()), self.login, self.usage)


class WorkerSync:
    """Who knows what. One for a run, in the scheduling process."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._sessions: dict[str, ManagedSession] = {}
        self._hosts: list[dict[int, int]] = [{} for _ in range(workers)]
        self._versions: dict[int, int] = {}
        self._robots: dict[int, RobotsFile | None] = {}
        self._scope: list[list[str]] = [[] for _ in range(workers)]
        self._netlocs: set[str] = set()
        self._forgotten: list[list[int]] = [[] for _ in range(workers)]
        self._logins = 0

    # Hosts

    def set_robots(self, host: int, rules: RobotsFile | None) -> None:
        """A host's robots.txt, to be told with the next task; ``None`` if nobody asked for it."""
        self._robots[host] = rules
        self._versions[host] = self._versions.get(host, 0) + 1

    def forget_host(self, host: HostQueue) -> None:
        """A host is no longer at work; its session goes too, if nothing else needs it."""
        self._robots.pop(host.id, None)
        self._versions.pop(host.id, None)
        for known, forgotten in zip(self._hosts, self._forgotten, strict=True):
            if known.pop(host.id, None) is not None:
                forgotten.append(host.id)
        state = self._sessions[host.session]
        state.hosts -= 1
        if not state.hosts and not state.changed:
            del self._sessions[host.session]

    # Scope

    def add_netloc(self, netloc: str) -> None:
        """A host that has come into scope, if it has not before."""
        if netloc in self._netlocs:
            return
        self._netlocs.add(netloc)
        for waiting in self._scope:
            waiting.append(netloc)

    # Sessions

    def knows_session(self, key: str) -> bool:
        """True when the session has been loaded from the store."""
        return key in self._sessions

    def use_session(self, key: str) -> None:
        """One more host at work belongs to the session."""
        self._sessions[key].hosts += 1

    def load_session(self, record: SessionRecord, account: Account | None = None) -> None:
        """A session as the store has it, and whose it is."""
        cookies = {cookie.key: cookie for cookie in record.cookies}
        state = ManagedSession(record.key, cookies, record.login, record.usage, account)
        state.sent_versions = [-1] * self._workers
        state.received = [0] * self._workers
        self._sessions[record.key] = state

    def apply(self, worker: int, change: SessionChange) -> None:
        """What a worker's responses changed. Its own copy has it already; the others' have not."""
        state = self._sessions[change.key]
        for cookie in change.cookies:
            if cookie.value is None:
                state.cookies.pop(cookie.key, None)
            else:
                state.cookies[cookie.key] = cookie
        if change.login is not None:
            self._note_login(state, change.login)
        up_to_date = state.sent_versions[worker] == state.version
        state.version += 1
        state.received[worker] += len(change.cookies)
        if up_to_date:
            state.sent_versions[worker] = state.version
        state.changed = True

    def _note_login(self, state: ManagedSession, login: LoginState) -> None:
        was_in, is_in = state.login.at is not None, login.at is not None
        if is_in and login.at != state.login.at:
            state.usage = replace(state.usage, logins=state.usage.logins + 1)
            self._logins += 1
        elif was_in and not is_in:
            state.usage = replace(state.usage, logged_out_at=time.time())
        state.login = login

    def new_logins(self) -> int:
        """How many logins there have been since the last call."""
        found, self._logins = self._logins, 0
        return found

    def count_page(self, key: str, at: float) -> None:
        """A response came through a session, at wall-clock time ``at``."""
        state = self._sessions[key]
        state.usage = count_page(state.usage, at, state.account)
        state.changed = True

    def cooldown(self, key: str) -> float:
        """Seconds that the session's account rests after it was told that it is too much."""
        account = self._sessions[key].account
        return 0.0 if account is None else account.cooldown

    def quota_wait(self, key: str, at: float) -> float:
        """Seconds until the session's account may have another page."""
        state = self._sessions[key]
        return quota_wait(state.usage, at, state.account)

    def changed_sessions(self) -> Iterable[SessionRecord]:
        """What must be in the next commit."""
        for state in list(self._sessions.values()):
            if state.changed:
                state.changed = False
                yield state.record()
                if not state.hosts:
                    del self._sessions[state.key]

    # Telling

    def add_updates(self, feed: TaskBatch, worker: int, host: HostQueue) -> None:
        """Put into ``feed`` what ``worker`` must know before it gets a task of ``host``."""
        if self._scope[worker]:
            feed.scope = [*feed.scope, *self._scope[worker]]
            self._scope[worker] = []
        if self._forgotten[worker]:
            feed.forget = [*feed.forget, *self._forgotten[worker]]
            self._forgotten[worker] = []
        version = self._versions.get(host.id, 0)
        if self._hosts[worker].get(host.id) != version:
            self._hosts[worker][host.id] = version
            slots = host.slots[worker] or host.concurrency
            robots = self._robots.get(host.id)
            of_host = (host.id, host.origin, host.session, slots, robots, host.account, host.seeded)
            news = HostUpdate(*of_host)
            feed.hosts = [*feed.hosts, news]
        state = self._sessions[host.session]
        if state.sent_versions[worker] != state.version:
            state.sent_versions[worker] = state.version
            cookies = list(state.cookies.values())
            told = SessionUpdate(state.key, cookies, state.received[worker], state.login)
            feed.sessions = [*(s for s in feed.sessions if s.key != state.key), told]

    def forget_worker(self, worker: int) -> None:
        """A worker is gone; the one in its place knows nothing."""
        self._hosts[worker] = {}
        self._forgotten[worker] = []
        self._scope[worker] = sorted(self._netlocs)
        for state in self._sessions.values():
            state.sent_versions[worker] = -1
            state.received[worker] = 0
