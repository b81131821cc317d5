"""The contract of ``Store``: transactions, and changes of several groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crawler.records import FailureReport, HostRow, Key, LoginState, RobotsFile, SessionRecord
from crawler.store.protocols import Store
from tests.store.builders import (
    NOW,
    A,
    B,
    add,
    add_host,
    encoded,
    new_request,
    none_open,
    pending_count,
)


def change_everything(store: Store, host_id: int) -> None:
    store.meta.set("name", "value")
    store.hosts.add(B)
    store.hosts.save([HostRow(host_id, A, NOW)])
    store.hosts.mark_seeded([host_id])
    add(store, host_id, 2, new_request("new"))
    store.seen.add(new_request("seen"))
    store.seen.add_final(new_request("final"), none_open)
    store.queue.mark_done([(host_id, 0, 1)])
    store.failures.add(FailureReport(A, "dns", "no"), b"", NOW)
    store.sessions.save(SessionRecord("a", [], LoginState(NOW)))


def contents(store: Store) -> Any:
    hosts = sorted(store.hosts.with_work(100))
    queues = [store.queue.next_requests(host.id, None, 100) for host in hosts]
    requests = [new_request(name) for name in ("new", "seen", "final")]
    return (
        store.meta.get("name"),
        sorted(store.hosts.origins()),
        hosts,
        queues,
        [(store.seen.contains(one), store.seen.contains_final(one)) for one in requests],
        store.failures.latest(),
        store.sessions.all(),
        pending_count(store),
    )


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_transaction_that_fails_changes_nothing(
    open_store: Callable[[], Store], error: type[BaseException]
) -> None:
    store = open_store()
    host_id = add_host(store)
    with store.transaction():
        add(store, host_id, 1, new_request("old"))
    before = contents(store)

    def fail() -> None:
        with store.transaction():
            change_everything(store, host_id)
            assert contents(store) != before
            raise error

    with pytest.raises(error):
        fail()
    assert contents(store) == before
    with store.transaction():
        assert add(store, host_id, 2, new_request("new"))
        assert store.seen.add(new_request("seen"))
    store.close()
    assert pending_count(open_store()) == 2


def test_a_change_that_is_not_committed_is_invisible_to_others(
    open_store: Callable[[], Store],
) -> None:
    store = open_store()
    host_id = add_host(store)
    with store.transaction():
        add(store, host_id, 1, new_request("a"))
        assert pending_count(open_store()) == 0
    assert pending_count(open_store()) == 1


@pytest.mark.parametrize("synced", [False, True])
def test_a_committed_change_stays(open_store: Callable[[], Store], synced: bool) -> None:
    store = open_store()
    host_id = add_host(store)
    with store.transaction(synced=synced):
        change_everything(store, host_id)
    before = contents(store)
    store.drain()
    store.close()
    assert contents(open_store()) == before


def test_times_are_shifted_together(store: Store) -> None:
    """The times of hosts and of waiting requests are shifted together."""
    host_id = add_host(store)
    with store.transaction():
        store.hosts.save([HostRow(host_id, A, NOW, 30.0, RobotsFile(b""), NOW + 1)])
        store.queue.add([(host_id, new_request(name)) for name in ("waits", "ready")], 1)
        store.queue.replace(host_id, Key(0, 1), encoded("waits"), NOW + 2)
    with store.transaction():
        store.shift_times(3600.0)
    host = store.hosts.get(host_id)
    assert (host.next_at, host.granted, host.robots_at) == (NOW - 3600, 30.0, NOW - 3599)
    assert store.queue.next_due(host_id) == NOW - 3598
    assert [request.id for request in store.queue.next_requests(host_id, None, 9)] == [2]
