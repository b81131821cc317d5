"""The engine in a model of the web: nothing gets stuck, and no host is asked too early.

`make test` searches the same worlds each time, `make fuzz` new ones. A story that breaks a promise
names its world and its choices: add them to ``STORIES`` with the mend.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.messages import TaskBatch
from crawler.scheduling.eviction import Eviction
from crawler.scheduling.frontier import Frontier
from crawler.scheduling.host_queue import Assignment, HostQueue
from crawler.scheduling.politeness import HostClock
from crawler.scheduling.scheduler import Scheduler
from crawler.scheduling.session_registry import FetcherSync
from crawler.store.sqlite.store import SQLiteStore
from tests.engine.model import Choices, ModelError, World, crawl, explore, pending

FATES = (
    *("done", "retry", "overloaded", "later", "redirected"),
    *("failed", "starved", "worker dies", "fetcher dies", "killed"),
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def a_world(chance: random.Random) -> World:
    """Return a random world."""
    obeys, hosts = chance.random() < 0.5, chance.randint(1, 6)
    per_host = chance.choice([1, 1, 3, 8])
    crawl_delays: list[tuple[float | None, ...]] = [(None,), (None, 30.0), (2.0, None)]
    return World(
        hosts=hosts,
        pages=chance.randint(1, 6),
        seeds=chance.randint(1, hosts),
        accounts=chance.choice([(), (), ("good", "bad"), ("bad", "good"), ("good", "well")]),
        delay=chance.choice([0.0, 0.0, 1.0, 5.0]),
        crawl_delays=chance.choice(crawl_delays) if obeys else (None,),
        concurrency=chance.randint(1, 8),
        per_host=per_host,
        obey_robots=obeys,
        most_hosts=chance.choice([100, 100, 3, 2, 1]),
        most_idle=chance.choice([50, 1, 0]),
        durations=(0.1, 0.5, 3.0),
        holds=chance.choice([(0.0,), (0.0, 0.7)]) if per_host == 1 else (0.0,),
        fates=("done", *chance.sample(FATES[1:], chance.randint(0, 5))),
        robots_fates=chance.choice([("rules",), ("rules", "unavailable")]),
    )


def search(seeds: range) -> None:
    """Crawl a random world for each seed. Raises ModelError."""
    for seed in seeds:
        chance = random.Random(seed)
        world = a_world(chance)
        crawl(world, Choices([], chance, chance.randint(1, 60)))


# A search at random


@pytest.mark.parametrize("part", range(4))
def test_no_random_world_gets_stuck_or_is_asked_too_early(part: int) -> None:
    search(range(part * 50, part * 50 + 50))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20)
def test_no_other_world_does(seed: int) -> None:
    search(range(seed, seed + 1))


@pytest.mark.parametrize("seed", range(6))
def test_a_store_on_disk_does_the_same(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    world = a_world(chance)
    store = SQLiteStore(tmp_path / "job.db")
    on_disk = crawl(world, Choices([], chance, 20), store)
    chance = random.Random(seed)
    assert a_world(chance) == world
    in_memory = crawl(world, Choices([], chance, 20))
    assert on_disk.fetched == in_memory.fetched
    assert [url for _, url, _ in pending(store)] == [url for _, url, _ in pending(in_memory.store)]
    store.close()


# A search by depth


@pytest.mark.parametrize(
    ("world", "depth", "least"),
    [
        (World(hosts=2, pages=2, fates=FATES), 3, 700),
        (World(hosts=3, pages=1, seeds=3, most_hosts=1, most_idle=1, fates=FATES[:4]), 4, 250),
        (
            World(
                hosts=2,
                pages=2,
                seeds=2,
                delay=1.0,
                obey_robots=True,
                crawl_delays=(None, 30.0),
                fates=("done", "worker dies", "fetcher dies"),
                robots_fates=("rules", "unavailable", "fetcher dies"),
            ),
            5,
            150,
        ),
        (
            World(
                hosts=3,
                pages=1,
                seeds=3,
                accounts=("good", "bad", "well"),
                most_hosts=2,
                most_idle=0,
                fates=("done", "killed", "fetcher dies"),
            ),
            4,
            10,
        ),
    ],
)
def test_whatever_happens_first_all_ends_well(world: World, depth: int, least: int) -> None:
    def run(choices: Choices) -> None:
        crawl(world, choices)

    assert explore(run, depth) >= least


def test_all_combinations_are_tried() -> None:
    seen: list[list[tuple[int, int]]] = []

    def run(choices: Choices) -> None:
        if choices.pick(2) == 0:
            choices.pick(3)
        choices.pick(2)
        seen.append(choices.taken)

    assert explore(run, 2) == 5
    assert [[decision for decision, _ in taken] for taken in seen] == [
        *([0, 0, 0], [0, 1, 0], [0, 2, 0]),
        *([1, 0], [1, 1]),
    ]


# Stories


RESTING = World(
    hosts=6, pages=1, seeds=6, most_hosts=3, most_idle=1, concurrency=3, fates=("done", "later")
)
STORIES: dict[str, tuple[World, list[int]]] = {
    "eight refusals at once": (
        World(hosts=1, pages=9, per_host=8, concurrency=8, fates=("done", "overloaded")),
        [0, 1, 1, 1, 1, 1, 1, 1, 1],
    ),
    "an answer takes longer than the back-off": (
        World(hosts=1, pages=5, durations=(3.0,), fates=("done", "overloaded")),
        [0, 1],
    ),
    "all hosts in memory rest": (RESTING, [1, 1, 1]),
    "one account cannot log in, and its hosts fill the memory": (
        World(hosts=4, pages=1, seeds=4, accounts=("bad", "good"), most_hosts=1, most_idle=0),
        [],
    ),
    "a request that may have killed the fetching process rests with its host": (
        World(
            hosts=2,
            pages=3,
            seeds=2,
            obey_robots=True,
            crawl_delays=(30.0, None),
            durations=(0.1,),
            fates=("done", "fetcher dies"),
        ),
        [1, 0, 1],
    ),
    "a worker dies with a page of a host that rests for long": (
        World(
            hosts=2,
            pages=3,
            seeds=2,
            obey_robots=True,
            crawl_delays=(30.0, None),
            fates=("done", "worker dies"),
        ),
        [1, 1],
    ),
    "a site of two hosts, of which one leaves memory and comes again": (
        World(hosts=2, pages=2, seeds=1, most_hosts=1, most_idle=0),
        [],
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_the_story_ends_well(name: str) -> None:
    world, prefix = STORIES[name]
    crawl(world, Choices(prefix))


def test_hosts_that_rest_do_not_keep_others_waiting() -> None:
    web = crawl(RESTING, Choices([1, 1, 1]))
    first_asked = [line for line in web.log if " ask " in line][:6]
    assert len({line.split()[-1] for line in first_asked}) == 6
    assert float(first_asked[-1].split()[0]) < 1.0


# The model notices


def _keeps_sessions(patch: pytest.MonkeyPatch) -> None:
    def forget_host(self: FetcherSync, host: HostQueue) -> None:
        if self._versions.pop(host.id, None) is not None:
            self._forgotten.append(host.id)

    patch.setattr(FetcherSync, "forget_host", forget_host)


def _pauses_for_resting_suspects(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scheduler, "_has_suspect", lambda self, now: bool(self._quarantine))


def _keeps_suspended_hosts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Eviction, "useless_hosts", lambda self: [])


def _doubles_with_each_refusal(patch: pytest.MonkeyPatch) -> None:
    backed_off = HostClock.backed_off

    def forgetting(self: HostClock, now: float) -> None:
        backed_off(self, now)
        self._backed_off_at = -1.0

    patch.setattr(HostClock, "backed_off", forgetting)


def _keeps_resting_hosts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Eviction, "_resting_hosts", lambda self, unmarked, now: [])


def _does_not_rest_after_a_death(patch: pytest.MonkeyPatch) -> None:
    def fetcher_died(self: Frontier, now: float) -> list[Assignment]:
        self.sync.reset()
        return self._scheduler.fetcher_died(now)

    patch.setattr(Frontier, "fetcher_died", fetcher_died)


def _sends_ahead_in_spite_of_back_off(patch: pytest.MonkeyPatch) -> None:
    def prefetch(self: HostQueue) -> int:
        return 0 if self.clock.effective_delay > 0 else 2

    patch.setattr(HostQueue, "prefetch", property(prefetch))


def _loses_the_back_off(patch: pytest.MonkeyPatch) -> None:
    restore = HostClock.restore

    def restored(self: HostClock, *times: float) -> None:
        restore(self, *times[:4])

    patch.setattr(HostClock, "restore", restored)


def _loses_clocks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Frontier, "save_hosts", lambda self, now: self._dirty.clear())


def _forgets_a_waiting_host(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scheduler, "reschedule", lambda self, host, now: None)


def _forgets_retries(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Frontier, "_release_at", lambda self, host, due: None)


def _sets_no_timer_for_hosts_in_the_store(patch: pytest.MonkeyPatch) -> None:
    def next_release_at(self: Frontier) -> float | None:
        return self._releases[0][0] if self._releases else None

    patch.setattr(Frontier, "next_release_at", next_release_at)


def _forgets_new_hosts(patch: pytest.MonkeyPatch) -> None:
    add_updates = FetcherSync.add_updates

    def without_some(self: FetcherSync, batch: TaskBatch, host: HostQueue) -> None:
        add_updates(self, batch, host)
        self._forgotten += [host.id] if host.id == 2 and not self._forgotten else []

    patch.setattr(FetcherSync, "add_updates", without_some)


def _ignores_the_limit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scheduler, "_has_room", property(lambda self: True))


@pytest.mark.parametrize(
    "fault",
    [
        _keeps_sessions,
        _pauses_for_resting_suspects,
        _keeps_suspended_hosts,
        _doubles_with_each_refusal,
        _keeps_resting_hosts,
        _does_not_rest_after_a_death,
        _sends_ahead_in_spite_of_back_off,
        _loses_the_back_off,
        _loses_clocks,
        _forgets_a_waiting_host,
        _forgets_retries,
        _sets_no_timer_for_hosts_in_the_store,
        _forgets_new_hosts,
        _ignores_the_limit,
    ],
)
def test_the_model_notices(
    fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)

    def search_all() -> Any:
        for world, prefix in STORIES.values():
            crawl(world, Choices(prefix))
        search(range(400))

    with pytest.raises(ModelError):
        search_all()
