"""The contracts of ``HostStore`` and ``AccountStore``."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from crawler.records import HostRow, Key, RobotsFile
from crawler.store.protocols import AT_WORK, Store
from tests.store.builders import NOW, A, B, add, add_host, encoded, new_request, numbers


def test_a_host_is_added_once(store: Store) -> None:
    assert store.hosts.find(A) is None
    a, b = add_host(store, A), add_host(store, B)
    assert a != b
    assert add_host(store, A) == a
    assert store.hosts.find(A) == store.hosts.get(a) == HostRow(a, A)
    assert sorted(store.hosts.origins()) == [A, B]
    assert store.hosts.count() == 2


def test_each_account_has_a_host_of_its_own(store: Store) -> None:
    anonymous, anna = add_host(store, A), add_host(store, A, "anna")
    assert anonymous != anna
    assert store.hosts.find(A, "anna") == HostRow(anna, A, account="anna")
    assert store.hosts.find(A, "bert") is None
    assert list(store.hosts.origins()) == [A]
    assert store.hosts.count() == 2


@pytest.mark.parametrize(
    "robots",
    [
        None,
        RobotsFile(b""),
        RobotsFile(b"User-agent: *\n\xff", 2.5),
        RobotsFile(b"", None, "dns", "no"),
    ],
)
def test_the_clock_and_rules_of_a_host_are_stored(
    open_store: Callable[[], Store], robots: RobotsFile | None
) -> None:
    store = open_store()
    host = HostRow(add_host(store), A, NOW + 0.25, 30.5, robots, NOW)
    with store.transaction():
        store.hosts.save([host])
    store.close()
    assert open_store().hosts.find(A) == host


def test_saving_a_host_leaves_the_other_hosts(store: Store) -> None:
    a, b = add_host(store, A), add_host(store, B)
    with store.transaction():
        store.hosts.save([HostRow(a, A, NOW)])
    assert store.hosts.get(b) == HostRow(b, B)


def test_saving_a_host_leaves_its_seed_and_its_count(store: Store) -> None:
    host_id = add_host(store)
    with store.transaction():
        row = store.hosts.get(host_id)
        store.hosts.mark_seeded([host_id])
        add(store, host_id, 1, new_request("a"))
        store.hosts.save([row])
    assert store.hosts.get(host_id) == HostRow(host_id, A, seeded=True, requests=1)


def test_hosts_with_work_come_in_the_order_in_which_they_are_due(store: Store) -> None:
    ids = [add_host(store, f"https://{number}.example") for number in range(5)]
    with store.transaction():
        for number, host_id in enumerate(ids):
            store.hosts.save([HostRow(host_id, f"https://{number}.example", NOW - number)])
            if number != 2:
                add(store, host_id, number + 1, new_request(str(number)))
    in_order = [ids[4], ids[3], ids[1], ids[0]]
    assert [host.id for host in store.hosts.with_work(10)] == in_order
    assert [host.id for host in store.hosts.with_work(2)] == in_order[:2]
    assert [host.id for host in store.hosts.with_work(2, without=[ids[3]])] == [ids[4], ids[1]]
    assert store.hosts.with_work(0) == []


def test_hosts_that_are_due_at_once_come_in_the_order_of_their_ids(store: Store) -> None:
    ids = [add_host(store, f"https://{number}.example") for number in (3, 1, 2)]
    with store.transaction():
        store.queue.add([(host_id, new_request(str(host_id))) for host_id in ids[::-1]], 1)
    assert [host.id for host in store.hosts.with_work(10)] == ids


def test_a_host_whose_requests_all_wait_has_work(store: Store) -> None:
    host_id = add_host(store)
    with store.transaction():
        add(store, host_id, 1, new_request("a"))
        store.queue.replace(host_id, Key(0, 1), encoded("a"), NOW)
    assert [host.id for host in store.hosts.with_work(1)] == [host_id]


def test_a_host_that_was_put_off_is_due_later(store: Store) -> None:
    one, two, three, four = (add_host(store, f"https://{number}.example") for number in range(4))
    with store.transaction():
        for number, host_id in enumerate([one, two, three, four], 1):
            add(store, host_id, number, new_request(str(number)))
        store.hosts.set_due([(one, NOW + 60.0), (two, math.inf), (four, AT_WORK)])
    assert [host.id for host in store.hosts.with_work(9)] == [three, one]
    assert [host.id for host in store.hosts.with_work(9, (), NOW)] == [three]
    assert store.hosts.next_due(NOW) == NOW + 60.0
    assert store.hosts.next_due(NOW + 60.0) is None
    with store.transaction():
        store.hosts.reset_dues()
    assert [host.id for host in store.hosts.with_work(9)] == [two, three, four, one]


def test_a_new_request_makes_a_host_due_unless_it_is_put_off_for_good(store: Store) -> None:
    one, two = add_host(store), add_host(store, B)
    with store.transaction():
        for number, host_id in enumerate([one, two], 1):
            add(store, host_id, number, new_request(str(number)))
        store.hosts.set_due([(one, NOW), (two, math.inf)])
        for number, host_id in enumerate([one, two], 3):
            add(store, host_id, number, new_request(str(number)))
    assert [host.id for host in store.hosts.with_work(9, (), 0.0)] == [one]
    assert [host.id for host in store.hosts.with_work(9)] == [one]


def test_a_host_is_idle_only_if_nothing_is_pending(store: Store) -> None:
    host_id = add_host(store)
    with store.transaction():
        add(store, host_id, 1, new_request("1"))
        store.hosts.set_due([(host_id, None)])
    assert [host.id for host in store.hosts.with_work(9)] == [host_id]
    with store.transaction():
        store.queue.mark_done([(host_id, 0, 1)])
        store.hosts.set_due([(host_id, None)])
        add(store, host_id, 2, new_request("2"))
    assert [host.id for host in store.hosts.with_work(9)] == [host_id]


# Accounts


def test_accounts_with_work_are_those_of_pending_requests(store: Store) -> None:
    bert, anna = add_host(store, A, "bert"), add_host(store, A, "anna")
    add_host(store, A, "carl")
    assert store.accounts.with_work() == []
    with store.transaction():
        store.queue.add([(bert, new_request("1")), (anna, new_request("2"))], 1)
    assert store.accounts.with_work() == ["anna", "bert"]
    with store.transaction():
        store.queue.mark_done([(bert, 0, 1)])
    assert store.accounts.with_work() == ["anna"]


def test_another_account_takes_over_what_is_pending(store: Store) -> None:
    """At hosts of its own, which exist already or not."""
    a, b, other = add_host(store, A, "anna"), add_host(store, B, "anna"), add_host(store, B, "bert")
    with store.transaction():
        names = [(a, "1"), (b, "2"), (a, "done"), (other, "4")]
        store.queue.add([(host_id, new_request(name)) for host_id, name in names], 1)
        store.queue.mark_done([(a, 0, 3)])
        store.queue.replace(a, Key(0, 1), encoded("1"), NOW)
        store.accounts.reassign("anna", "bert")
    heir = store.hosts.find(A, "bert")
    assert heir is not None
    assert (store.queue.next_due(heir.id), numbers(store, heir.id)) == (NOW, [])
    assert numbers(store, other) == [2, 4]
    assert (numbers(store, a), numbers(store, b)) == ([], [])
    assert {row.id for row in store.hosts.with_work(9)} == {heir.id, other}, "they are due"
    assert store.accounts.with_work() == ["bert"]
