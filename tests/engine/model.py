"""A model of a crawl: the real engine, scheduler, frontier and store, in a made-up time and web.

A ``World`` says how many hosts there are and what fits into memory. ``Choices`` decide what becomes
of each request, so a search can try all of them, or some at random. After the last choice all goes
well. The fetching process is a ``ModelFetcher``, which knows by its own record of requests and
responses when each host may be asked, and raises ``ModelError`` for:

- a request that comes too early, or is one too many,
- a run that waits for nothing while there is work,
- a host that could be asked and is not while others are,
- a session without the cookies that the engine has had from it.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from crawler import Spider, urls
from crawler.clock import WallClock
from crawler.engine.engine import Engine
from crawler.engine.fetcher_pool import FetcherPool
from crawler.errors import SystemResourceError
from crawler.fetching.lanes import Lanes
from crawler.fetching.processes import ProcessSpec
from crawler.job.config import RunConfig
from crawler.job.job import Job
from crawler.job.spider_loader import of_class
from crawler.messages import (
    Command,
    Done,
    Failed,
    FetchStats,
    HostUpdate,
    LoginFailed,
    Outcome,
    Output,
    Redirected,
    Result,
    Retry,
    Returned,
    ReturnTasks,
    RobotsFetched,
    RobotsUnavailable,
    SessionChange,
    Starved,
    Task,
    TaskBatch,
    WorkerDied,
)
from crawler.records import Cookie, FailureReport, HostRow, RobotsFile
from crawler.request import Request
from crawler.session.accounts import Account
from crawler.settings import Settings
from crawler.stats import Counters
from crawler.store.protocols import Store
from crawler.worker.request_filter import encoded
from tests.memory_sink import MemorySink
from tests.memory_store import MemoryStore

PREFETCH = 2
"""Requests that are sent ahead, in the model."""
MOST_HOST_TURNS = 3
"""Requests after which a host makes room for others, in the model."""
FOREVER = 100_000.0
"""Seconds without an event after which a run would wait for good."""
MOST_TURNS = 20_000
"""Turns of the engine's loop in a run."""
LATEST = 1.5
"""Seconds for which a host may wait that could be asked."""
SLACK = 0.01
"""Seconds by which an engine may be late: the store rounds."""


class ModelError(AssertionError):
    """The engine has broken a promise."""


class KilledError(Exception):
    """All processes were killed."""


class Choices:
    """Decisions: those of ``prefix`` first, then ``chance`` if it is given, then always 0."""

    def __init__(self, prefix: list[int], chance: random.Random | None = None, most: int = 0):
        """``most`` limits the number of decisions that may differ from 0."""
        self._prefix = prefix
        self._chance = chance
        self._most = most
        self.taken: list[tuple[int, int]] = []
        """Each decision, and the number of its options."""

    def pick(self, options: int) -> int:
        """Return a number below ``options``; 0 is the one by which all goes well."""
        number = len(self.taken)
        if number < len(self._prefix):
            decision = self._prefix[number] % options
        elif self._chance is not None and number < self._most:
            decision = self._chance.randrange(options)
        else:
            decision = 0
        self.taken.append((decision, options))
        return decision


def explore(run: Callable[[Choices], None], depth: int) -> int:
    """Run with each combination of the first ``depth`` decisions; return the number of runs."""
    prefix: list[int] = []
    for number in itertools.count(1):
        choices = Choices(prefix)
        run(choices)
        taken = choices.taken[:depth]
        while taken and taken[-1][0] + 1 >= taken[-1][1]:
            taken.pop()
        if not taken:
            return number
        prefix = [*(decision for decision, _ in taken[:-1]), taken[-1][0] + 1]
    raise AssertionError("not reached")


@dataclass(frozen=True)
class World:
    """A web, and what the crawler's memory may hold of it."""

    hosts: int = 3
    """Two of them at a time are of one site."""
    pages: int = 2
    """Pages of each host. The first links to the others, and to the first one of the next host."""
    seeds: int = 1
    """Hosts whose first page is a seed."""
    accounts: tuple[str, ...] = ()
    """The account ``bad`` cannot log in."""
    delay: float = 0.0
    crawl_delays: tuple[float | None, ...] = (None,)
    """The crawl-delays of the hosts, by turns."""
    concurrency: int = 4
    per_host: int = 1
    obey_robots: bool = False
    most_hosts: int = 100
    most_idle: int = 50
    durations: tuple[float, ...] = (0.1,)
    """The times that a fetch may take, in seconds."""
    holds: tuple[float, ...] = (0.0,)
    """The times for which a login may hold a request up, in seconds."""
    fates: tuple[str, ...] = ("done",)
    """What may become of a page."""
    robots_fates: tuple[str, ...] = ("rules",)

    def url(self, host: int, page: int) -> str:
        """Return the URL of a page."""
        return f"https://h{host}.site{host // 2}.example/{page}"

    def links(self, url: str) -> list[str]:
        """Return the links of a page."""
        host, page = self.place(url)
        if page:
            return []
        own = [self.url(host, other) for other in range(1, self.pages)]
        return [*own, self.url(host + 1, 0)] if host + 1 < self.hosts else own

    def place(self, url: str) -> tuple[int, int]:
        """Return the numbers of host and page of a URL."""
        name, _, page = url.removeprefix("https://h").partition("/")
        return int(name.partition(".")[0]), int(page)

    def crawl_delay(self, origin: str) -> float | None:
        """Return the crawl-delay in a host's robots.txt."""
        host = self.place(f"{origin}/0")[0]
        return self.crawl_delays[host % len(self.crawl_delays)]


class Clock:
    """The time of a model; stands in for the module ``time``."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the seconds on a clock that never jumps."""
        return self.now

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return 1_700_000_000.0 + self.now


@dataclass
class Manners:
    """When a host may be asked, by the record of its requests. Times are on the model's clock."""

    delay: float
    not_before: float = 0.0
    """A request that begins earlier is too early."""
    until: float = 0.0
    """No rest is due any longer."""
    back_off: float = 0.0
    backed_off_at: float = -math.inf

    def begun(self, now: float) -> None:
        """Take note of a request."""
        self.rest(self.delay + self.back_off, now)

    def rest(self, seconds: float, now: float) -> None:
        """Leave the host alone from ``now`` on."""
        self.not_before = max(self.not_before, now + seconds)
        self.until = max(self.until, now + seconds)

    def answered(self, started: float, host_wait: float | None, now: float) -> None:
        """Take note of a response, which came ``now`` to a request of ``started``."""
        is_next_round = started > self.backed_off_at
        if host_wait is not None:
            if is_next_round:
                self.back_off = min(max(2 * self.back_off, 1.0), 300.0)
                self.backed_off_at = now
                self.rest(self.delay + self.back_off, now)
            self.until = max(self.until, now + self.delay + self.back_off)
            self.rest(host_wait, now)
        elif is_next_round and self.back_off:
            self.back_off = self.back_off / 2 if self.back_off > 0.5 else 0.0


@dataclass
class Flight:
    """A request on its way."""

    task: Task
    host: HostUpdate
    url: str
    begun: float = 0.0
    """When it was sent; 0 while it waits for that."""
    rest: tuple[float, float] = (0.0, 0.0)
    """The end of the host's rest before this request, and as this request has set it."""


@dataclass
class Web:
    """What is known outside of the engine, and outlives it."""

    world: World
    choices: Choices
    clock: Clock = field(default_factory=Clock)
    store: Store = field(default_factory=MemoryStore)
    manners: dict[int, Manners] = field(default_factory=dict)
    """By the id of the host."""
    cookies: dict[str, set[str]] = field(default_factory=dict)
    """The names of the cookies that the engine has had, by the key of the session."""
    fetched: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    """How often a URL was with a fetching process as it died."""
    rests_until: float = 0.0
    """Until when a host may rest that was never asked, as the crawl was killed."""
    targets: set[str] = field(default_factory=set)
    """URLs of redirects, which may be those of other requests too."""
    log: list[str] = field(default_factory=list)

    @property
    def suspects(self) -> set[str]:
        """The requests that may have killed two fetching processes, or a worker."""
        return {url for url, deaths in self.deaths.items() if deaths > 1}

    def fail(self, problem: str) -> ModelError:
        """Return an error that tells what has happened before."""
        story = "\n".join(self.log[-60:])
        taken = [decision for decision, _ in self.choices.taken]
        return ModelError(f"{problem}\n{self.world}\nchoices {taken}\n{story}")

    def note(self, text: str) -> None:
        """Take down an event."""
        self.log.append(f"{self.clock.now - 1000.0:9.2f} {text}")


class ModelFetcher(FetcherPool):
    """A fetching process in the time of the model."""

    def __init__(self, web: Web) -> None:
        self.exit_code: int | None = None
        self.engine: Engine
        self._web = web
        self._world = web.world
        self._clock = web.clock
        self._turns = 0
        self._checked_at = web.clock.now
        self._ready_since: dict[int, float] = {}
        """Since when each host could be asked."""
        self._passed_over: Counter[int] = Counter()
        """Requests of others meanwhile."""
        self._reported: set[str] = set()
        """The pages whose results the engine has, and has not committed."""
        self._forget_all()

    def _forget_all(self) -> None:
        self._hosts: dict[int, HostUpdate] = {}
        self._sessions: dict[str, set[str]] = {}
        self._lanes = Lanes()
        self._queued: dict[int, Flight] = {}
        """Tasks that have not begun, by their id."""
        self._flights: list[tuple[float, int, Flight]] = []
        self._outcomes: list[Outcome] = []
        self._numbers = itertools.count()

    # The life of the process

    def start(self, spec: ProcessSpec) -> None:
        """Do nothing: there is no process."""

    def stop(self) -> None:
        """Do nothing."""

    def replace(self, *, isolated: bool) -> None:
        """Start anew, without any knowledge."""
        self._web.note(f"the fetching process is replaced, isolated: {isolated}")
        self._forget_all()

    @property
    def _out(self) -> list[Flight]:
        return [*self._queued.values(), *(flight for _, _, flight in self._flights)]

    # Commands

    def send(self, command: Command) -> None:
        """Take a command of the engine."""
        if isinstance(command, ReturnTasks):
            self._return_queued(command.host)
            if command.host is not None:
                self._lanes.reopen(command.host)
        elif isinstance(command, TaskBatch):
            self._learn(command)
            for task in command.tasks:
                self._take(task)
            self._check_limits()
            self._begin_tasks()

    def _learn(self, batch: TaskBatch) -> None:
        for host_id in batch.forget:
            host = self._hosts.pop(host_id, None)
            if host is None:
                raise self._web.fail(f"the unknown host {host_id} is forgotten")
            self._lanes.remove(host_id)
            if not any(other.session == host.session for other in self._hosts.values()):
                self._sessions.pop(host.session, None)
        for host in batch.hosts:
            self._hosts[host.id] = host
            self._lanes.set_limits(host.id, host.slots, host.delay)
            self._sessions.setdefault(host.session, set())
            self._manners(host).delay = host.delay
        for session in batch.sessions:
            self._sessions[session.key] |= {cookie.name for cookie in session.cookies}

    def _manners(self, host: HostUpdate) -> Manners:
        return self._web.manners.setdefault(host.id, Manners(host.delay))

    def _take(self, task: Task) -> None:
        host = self._hosts.get(task.host)
        if host is None:
            raise self._web.fail(f"a task of the unknown host {task.host}")
        url = msgspec.msgpack.decode(task.request, type=Request).url
        name = f"{url} as {host.account}" if host.account else url
        is_out = any(flight.url == url and flight.host.id == host.id for flight in self._out)
        if is_out and url not in self._web.targets:
            raise self._web.fail(f"{name} is sent twice")
        self._queued[task.id] = Flight(task, host, url)
        self._ready_since.pop(host.id, None)
        self._passed_over.pop(host.id, None)
        for other in self._passed_over:
            self._passed_over[other] += 1
        if not self._lanes.push(task):
            self._report(self._queued.pop(task.id), Returned())

    def _check_limits(self) -> None:
        number = Counter(flight.host.id for flight in self._out)
        under_way = sum(min(count, self._world.per_host) for count in number.values())
        if under_way > self._world.concurrency:
            raise self._web.fail(f"{under_way} requests under way")
        if number.total() > 2 * self._world.concurrency + PREFETCH:
            raise self._web.fail(f"{number.total()} requests out")
        for host_id, count in number.items():
            ahead = 0 if self._hosts[host_id].delay else PREFETCH
            if count > self._world.per_host + ahead:
                raise self._web.fail(f"{count} requests out at {self._hosts[host_id].origin}")

    def _begin_tasks(self) -> None:
        while (task := self._lanes.pop(self._clock.now)) is not None:
            self._begin(self._queued.pop(task.id))

    def _begin(self, flight: Flight) -> None:
        now = self._clock.now
        flight.host = host = self._hosts[flight.host.id]
        if host.account == "bad":
            self._end_lane(flight)
            self._report(flight, LoginFailed(FailureReport(flight.url, "login", "no such user")))
            return
        hold = self._pick(self._world.holds)
        if hold:
            heapq.heappush(self._flights, (now + hold, next(self._numbers), flight))
        else:
            self._ask(flight)

    def _pick(self, options: tuple[Any, ...]) -> Any:
        return options[self._web.choices.pick(len(options)) if options[1:] else 0]

    def _ask(self, flight: Flight) -> None:
        host, now, web = flight.host, self._clock.now, self._web
        manners = self._manners(host)
        web.note(f"ask {flight.url} {host.account}{' alone' if flight.task.isolated else ''}")
        if now < manners.not_before - SLACK:
            raise web.fail(f"{flight.url} is asked {manners.not_before - now:.2f} s too early")
        lacking = web.cookies.get(host.session, set()) - self._sessions[host.session]
        if lacking:
            raise web.fail(f"{flight.url} is asked without the cookies {lacking}")
        if not flight.task.robots:
            web.fetched[flight.url] += 1
        before = manners.not_before
        manners.begun(now)
        flight.begun, flight.rest = now, (before, manners.not_before)
        ends = now + self._pick(self._world.durations)
        heapq.heappush(self._flights, (ends, next(self._numbers), flight))

    def _return_queued(self, host_id: int | None) -> None:
        for task in self._lanes.take_queued(host_id):
            self._report(self._queued.pop(task.id), Returned())

    # Outcomes

    def receive(self, timeout: float, waker: Any = None) -> tuple[list[Outcome], bool]:
        """Let time pass until something happens, or for ``timeout`` seconds."""
        self._turns += 1
        if self._turns > MOST_TURNS:
            raise self._web.fail("the run does not end")
        if self.engine._committer.waiting_since is None:
            self._reported.clear()
        self._check_nothing_waits()
        if not self._outcomes:
            self._let_time_pass(timeout)
            self._begin_tasks()
            while self._flights and self._flights[0][0] <= self._clock.now:
                flight = heapq.heappop(self._flights)[2]
                if not flight.begun:
                    self._ask(flight)
                elif not self._end(flight):
                    return self._die(flight)
            self._begin_tasks()
        return self._hand_over(), False

    def _hand_over(self) -> list[Outcome]:
        outcomes, self._outcomes = self._outcomes, []
        for outcome in outcomes:
            for change in outcome.sessions:
                names = {cookie.name for cookie in change.cookies}
                self._web.cookies.setdefault(change.key, set()).update(names)
        return outcomes

    def _let_time_pass(self, timeout: float) -> None:
        times = [self._clock.now + timeout]
        times += [self._flights[0][0]] if self._flights else []
        times += [self._lanes.next_at] if self._lanes.next_at is not None else []
        at = max(min(times), self._clock.now)
        if at >= self._clock.now + FOREVER:
            if any(row.account != "bad" for row, _, _ in pending(self._web.store)):
                raise self._web.fail("the engine waits for nothing")
            at = self._clock.now + 0.5  # it looks whether the run is over
        self._clock.now = at
        self._check_nothing_waits()

    def _end(self, flight: Flight) -> bool:
        """End a request, by the decision of the choices; return False if the process dies."""
        world, host = self._world, flight.host
        self._end_lane(flight)
        fate = self._pick(world.robots_fates if flight.task.robots else world.fates)
        self._web.note(f"    {flight.url} {host.account}: {fate}")
        if fate == "fetcher dies":
            return False
        if fate == "killed":
            raise KilledError
        fetch = FetchStats(started=flight.begun, status=200, size=100)
        if flight.task.robots:
            self._report(flight, self._robots(flight, fate, fetch), fetch)
        else:
            self._report(flight, self._result(flight, fate, fetch), fetch)
        return True

    def _robots(self, flight: Flight, fate: str, fetch: FetchStats) -> Result:
        if fate == "unavailable":
            fetch.status = 503
            self._manners(flight.host).rest(2.0, self._clock.now)
            return RobotsUnavailable(RobotsFile(b"", cause="http 503", message="503"), 2.0)
        crawl_delay = self._world.crawl_delay(flight.host.origin)
        manners = self._manners(flight.host)
        manners.delay = max(self._delay(flight.host), crawl_delay or 0.0)
        manners.begun(flight.begun)
        return RobotsFetched(RobotsFile(b"", crawl_delay))

    def _delay(self, host: HostUpdate) -> float:
        return self._world.delay

    def _result(self, flight: Flight, fate: str, fetch: FetchStats) -> Result:
        if fate == "retry":
            fetch.status = 500
            return Retry(wait=3.0)
        if fate == "overloaded":
            fetch.status, fetch.host_wait = 429, 0.0
            return Retry(wait=0.5)
        if fate == "later":
            fetch.status, fetch.host_wait = 503, 60.0
            return Retry(wait=60.0)
        if fate == "redirected":
            host, page = self._world.place(flight.url)
            target = encoded(Request(self._world.url((host + 1) % self._world.hosts, page)))
            target.account = flight.host.account
            self._web.targets.add(self._world.url((host + 1) % self._world.hosts, page))
            return Redirected(target)
        if fate == "starved":
            fetch.status, fetch.started = 0, 0.0
            manners = self._manners(flight.host)
            if manners.not_before == flight.rest[1]:
                manners.not_before = flight.rest[0]
                if manners.until == flight.rest[1] and not self._is_busy(flight.host):
                    manners.until = flight.rest[0]
            return Starved("no file handle", 1.0)
        if fate == "worker dies":
            self._web.deaths[flight.url] += 2
            return WorkerDied(-11)
        if fate == "failed":
            return Failed(FailureReport(flight.url, "http 404", "not found"))
        links = [encoded(Request(url)) for url in self._world.links(flight.url)]
        for link in links:
            link.account = flight.host.account
        return Done(Output(requests=links))

    def _is_busy(self, host: HostUpdate) -> bool:
        return any(flight.host.id == host.id for flight in self._out)

    def _end_lane(self, flight: Flight) -> None:
        if flight.host.id in self._hosts:
            self._lanes.finish(flight.host.id)

    def _report(self, flight: Flight, result: Result, fetch: FetchStats | None = None) -> None:
        fetch = fetch or FetchStats()
        outcome = Outcome(flight.task.id, result, fetch)
        if fetch.started:
            self._manners(flight.host).answered(fetch.started, fetch.host_wait, self._clock.now)
            outcome.sessions = [self._cookie(flight)]
            self._sessions[flight.host.session].add(flight.url)
        else:
            self._lanes.end_delay(flight.host.id)
        self._outcomes.append(outcome)
        if not isinstance(result, (Returned, LoginFailed, WorkerDied)):
            self._reported.add(flight.url)
        if fetch.host_wait is not None:
            self._lanes.close(flight.host.id)
            self._return_queued(flight.host.id)

    def _cookie(self, flight: Flight) -> SessionChange:
        cookie = Cookie(flight.url, "1", urls.netloc_of(flight.host.origin), "/")
        return SessionChange(flight.host.session, [cookie])

    def _die(self, flight: Flight) -> tuple[list[Outcome], bool]:
        for other in [flight, *self._out]:
            self._web.deaths[other.url] += 1
            manners = self._manners(other.host)
            rest = manners.delay + manners.back_off  # it is not known when it was asked
            manners.until = max(manners.until, self._clock.now + rest)
        self.exit_code = -11
        return self._hand_over(), True

    # Work that nothing is done about

    def _check_nothing_waits(self) -> None:
        """Raise ModelError if a host could be asked, and is not for too long."""
        is_open = self._has_room and not self._must_pause
        ready = dict(self._ready_hosts()) if is_open else {}
        checked_at, self._checked_at = self._checked_at, self._clock.now
        is_full = self._world.most_hosts < self._world.hosts * len(self._world.accounts or " ")
        # The hosts in memory may be those that are asked, or that a suspect holds there.
        if is_full and (
            self._out or self._web.suspects.intersection(url for _, url, _ in self._work())
        ):
            self._ready_since.clear()
        for host_id in [*self._ready_since, *self._passed_over]:
            if host_id not in ready:
                self._ready_since.pop(host_id, None)
                self._passed_over.pop(host_id, None)
        for host_id, rested_at in ready.items():
            self._passed_over.setdefault(host_id, 0)
            since = self._ready_since.setdefault(host_id, max(rested_at, checked_at))
            if self._clock.now > since + LATEST:
                row = self._web.store.hosts.get(host_id)
                raise self._web.fail(f"{row.origin} {row.account} could be asked, and is not")
            if self._passed_over[host_id] > 4 * self._world.hosts * self._world.pages:
                raise self._web.fail(f"host {host_id} waits while others are asked")

    @property
    def _has_room(self) -> bool:
        return len(self._out) < self._world.concurrency

    @property
    def _must_pause(self) -> bool:
        """True if a request that may have killed the fetching process is out, or could be sent."""
        suspects = self._web.suspects
        if suspects.intersection(flight.url for flight in self._out):
            return True
        return any(
            url in suspects and self._rests_until(row) <= self._clock.now
            for row, url, _ in self._work()
        )

    def _ready_hosts(self) -> Iterator[tuple[int, float]]:
        """Yield the hosts that could be asked, and since when none of their rests lasts."""
        busy = Counter(flight.host.id for flight in self._out)
        for row, url, due in self._work():
            is_out = any(flight.host.id == row.id and flight.url == url for flight in self._out)
            if is_out or url in self._reported or row.account == "bad":
                continue
            rested_at = max(self._rests_until(row), due)
            if not busy[row.id] and rested_at <= self._clock.now - SLACK:
                yield row.id, rested_at

    def _rests_until(self, row: HostRow) -> float:
        manners = self._web.manners.get(row.id)
        return self._web.rests_until if manners is None else manners.until

    def _work(self) -> Iterator[tuple[HostRow, str, float]]:
        """Yield the pending requests of the store that wait for no retry."""
        yield from pending(self._web.store, self._clock)


def pending(store: Store, clock: Clock | None = None) -> Iterator[tuple[HostRow, str, float]]:
    """Yield the pending requests of the store: its host, its URL, and when it is due, monotonic.

    With a ``clock`` only those that are due. One whose retry is due has no URL.
    """
    for row in store.hosts.with_work(1_000):
        due = store.queue.next_due(row.id)
        requests = store.queue.next_requests(row.id, None, 1_000)
        for queued in requests:
            yield row, msgspec.msgpack.decode(queued.request, type=Request).url, 0.0
        if due is not None and not requests:
            ahead = 0.0 if clock is None else clock.time() - clock.monotonic()
            if clock is None or due <= clock.time():
                yield row, "", due - ahead


class ModelJob(Job):
    """A job without files."""

    def __init__(self, config: RunConfig, web: Web) -> None:
        self.config = config
        self.folder = config.folder
        self.log = config.folder / "run.log"
        self.rejected_output = self.output = config.folder / "items.jsonl"
        self.name = "model"
        self.clock = WallClock()
        self.store = web.store
        self.items, self.rejected = MemorySink(), MemorySink()
        self.was_killed = bool(self.store.meta.get("running", False))
        counters = self.store.meta.get("counters")
        self.counters = Counters() if counters is None else msgspec.convert(counters, Counters)

    def begin(self) -> None:
        """Mark the job as being run."""
        with self.store.transaction():
            self.store.meta.set("running", True)

    def end(self) -> None:
        """Mark the job as not running."""
        with self.store.transaction():
            self.save()
            self.store.compact()
            self.store.meta.set("running", False)


class ModelSpider(Spider):
    """The spider of a model, whose callback is never called."""

    name = "model"
    shares_requests = False

    def parse(self, response: Any) -> Iterator[Any]:
        """Yield nothing."""
        yield from ()


class ModelMember(ModelSpider):
    """The same for worlds with accounts."""

    def login(self, session: Any) -> None:
        """Do nothing: there is no site."""


def crawl(world: World, choices: Choices, store: Store | None = None) -> Web:
    """Crawl a world to the end, in several runs if it is killed. Raises ModelError."""
    web = Web(world, choices)
    if store is not None:
        web.store = store
    with _patched(world, web.clock):
        for _ in range(20):
            try:
                reason = _run(web)
            except (KilledError, SystemResourceError) as error:
                web.note(f"killed: {error!r}")
                _restart(web, was_killed=True)
                continue
            left = {row.account for row, _, _ in pending(web.store)}
            if not left - {"bad"}:
                break
            if reason not in {"robots", "unreachable", "login"} or (
                reason == "login" and "unavailable" not in world.robots_fates
            ):
                raise web.fail(f"the run ended with work left: {reason}")
            _restart(web, was_killed=False)
        else:
            raise web.fail("there is work left after twenty runs")
    counters = msgspec.convert(web.store.meta.get("counters"), Counters)
    ended = counters.done + counters.failed
    if ended + counters.pending != counters.sequence:
        raise web.fail(f"{counters.sequence} requests, {ended} have ended")
    return web


def _restart(web: Web, *, was_killed: bool) -> None:
    if was_killed:
        web.rests_until = web.clock.now + web.world.delay
    web.cookies.clear()
    for session in web.store.sessions.all():
        web.cookies[session.key] = {cookie.name for cookie in session.cookies}
    for host_id, manners in web.manners.items():
        row = web.store.hosts.get(host_id)
        manners.back_off = row.back_off
        rules = row.robots.crawl_delay if row.robots is not None else None
        manners.delay = max(web.world.delay, rules or 0.0)
        if was_killed:  # what was not committed is forgotten
            manners.not_before = web.clock.now + manners.delay + manners.back_off
            manners.until = max(manners.until, manners.not_before)


def _run(web: Web) -> str:
    world = web.world
    start_urls = tuple(world.url(host, 0) for host in range(world.seeds))
    base = ModelMember if world.accounts else ModelSpider
    spider = type("TheSpider", (base,), {"start_urls": start_urls, "__module__": __name__})
    settings = Settings(
        delay=world.delay,
        obey_robots=world.obey_robots,
        concurrency=world.concurrency,
        concurrency_per_host=world.per_host,
        workers=0,
        retries=1,
        robots_wait=10.0,
    )
    accounts = tuple(Account(name=name) for name in world.accounts)
    config = RunConfig(
        source=of_class(spider), settings=settings, folder=Path("nowhere"), accounts=accounts
    )
    fetcher = ModelFetcher(web)
    job = ModelJob(config, web)
    engine = Engine(job, pool=fetcher)
    fetcher.engine = engine
    for _ in engine.steps():
        pass
    web.note(f"the run ended: {job.counters.reason}")
    return job.counters.reason


@contextlib.contextmanager
def _patched(world: World, clock: Clock) -> Iterator[None]:
    """Replace the clocks, and what fits into memory. Timers alone wake the engine."""
    with pytest.MonkeyPatch.context() as patch:
        fake = SimpleNamespace(monotonic=clock.monotonic, time=clock.time)
        for module in ("crawler.clock", "crawler.engine.engine", "crawler.engine.dispatcher"):
            patch.setattr(f"{module}.time", fake)
        patch.setattr("crawler.engine.engine.LONGEST_WAIT", 2 * FOREVER)
        patch.setattr("crawler.scheduling.frontier.MOST_HOSTS", world.most_hosts)
        patch.setattr("crawler.scheduling.frontier.MOST_IDLE", world.most_idle)
        patch.setattr("crawler.scheduling.eviction.LEAST_REST", 0.2)
        patch.setattr("crawler.scheduling.eviction.LOOK_EVERY", 0.05)
        patch.setattr("crawler.scheduling.eviction.MOST_TURNS", MOST_HOST_TURNS)
        for module in ("frontier", "eviction"):
            patch.setattr(f"crawler.scheduling.{module}.AT_ONCE", 2)
        patch.setattr("crawler.scheduling.frontier.FIRST_HEAD", 2)
        patch.setattr("crawler.scheduling.scheduler.HEAD_TOTAL", 8)
        for module in ("scheduler", "host_queue"):
            patch.setattr(f"crawler.scheduling.{module}.PREFETCH", PREFETCH)
        yield
