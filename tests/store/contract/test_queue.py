"""The contract of ``QueueStore``."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from crawler.records import Delivery, Key, QueuedRequest
from crawler.store.protocols import Store
from tests.store.builders import (
    MANY,
    NOW,
    SEEN,
    TWICE,
    A,
    B,
    add,
    add_host,
    add_many,
    encoded,
    new_request,
    numbers,
    pending_count,
    queued,
)

# Adding


def test_a_fingerprint_is_queued_once(store: Store) -> None:
    a, b = add_host(store, A), add_host(store, B)
    with store.transaction():
        assert add(store, a, 1, new_request("page"))
        assert not add(store, a, 2, new_request("page"))
        assert not add(store, b, 2, new_request("page", callback="other"))
        assert add(store, a, 2, new_request("page2"))
    assert pending_count(store) == 2
    assert store.queue.next_requests(a, None, 10) == [queued(1, "page"), queued(2, "page2")]
    with store.transaction():
        store.queue.mark_done([(a, 0, 1)])
        assert not add(store, a, 3, new_request("page")), "the fingerprint of a done page stays"
    assert pending_count(store) == 1


def test_many_requests_are_added_at_once_each_with_its_number(store: Store) -> None:
    """More than fit in a statement, some of them seen before, all of them twice in one call."""
    a, b = add_host(store, A), add_host(store, B)
    requests = [(b if number % 3 else a, new_request(f"page {number}")) for number in range(1000)]
    seen = requests[::10]
    unfiltered = (b, new_request("page 1", dont_filter=True))
    with store.transaction():
        assert len(store.queue.add(seen, 1)) == 100
        rows = store.queue.add([*requests, unfiltered, *requests], 101)
    new = [request for number, request in enumerate(requests) if number % 10]
    assert rows == [
        (host_id, 0, number, 0, bytes(request.request))
        for number, (host_id, request) in enumerate([*new, unfiltered], start=101)
    ]
    for host_id in (a, b):
        before = [
            (number, bytes(request.request))
            for number, (request_host, request) in enumerate(seen, 1)
            if request_host == host_id
        ]
        after = [(row[2], row[4]) for row in rows if row[0] == host_id]
        queue = store.queue.next_requests(host_id, None, 2000)
        assert [(request.id, request.request) for request in queue] == before + after


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("twice", TWICE)
def test_of_many_requests_only_new_ones_are_added(
    store: Store, seen: Sequence[int], twice: Sequence[int]
) -> None:
    host_id = add_host(store)
    before, rows = add_many(store, host_id, seen, twice)
    new = [n for n in range(MANY) if n not in seen]
    assert [row[4] for row in rows] == [encoded(f"{n}") for n in new]
    assert [row[2] for row in rows] == [1 + before + n for n in range(len(new))]
    assert pending_count(store) == MANY
    assert store.hosts.get(host_id).requests == MANY


def test_an_unfiltered_request_is_always_queued_and_not_seen(store: Store) -> None:
    host_id = add_host(store)
    with store.transaction():
        assert add(store, host_id, 1, new_request("page", dont_filter=True))
        assert add(store, host_id, 2, new_request("page", dont_filter=True))
        assert add(store, host_id, 3, new_request("page"))
        assert add(store, host_id, 4, new_request("page", dont_filter=True))
    assert pending_count(store) == 4


def test_of_two_equal_requests_at_two_hosts_the_first_counts(store: Store) -> None:
    """Two accounts may find one page in one commit, each at a host row of its own."""
    anna, bert = add_host(store), add_host(store, B)
    with store.transaction():
        batch = [
            (bert, new_request("page", origin=B)),
            (anna, new_request("page", callback="other")),
        ]
        assert [row[0] for row in store.queue.add(batch, 1)] == [bert]
        assert not store.seen.add(new_request("page")), "the callback is that of the first"
        assert store.seen.add(new_request("page", callback="other"))


# Taking out


def test_many_requests_are_done_at_once(store: Store) -> None:
    a, b = add_host(store, A), add_host(store, B)
    with store.transaction():
        store.queue.add(
            [(host, new_request(f"{host} {n}")) for n in range(3) for host in (a, b)], 1
        )
        store.queue.mark_done([(a, 0, 1), (b, 0, 4), (a, 0, 5)])
    assert (numbers(store, a), numbers(store, b)) == ([3], [2, 6])


@pytest.mark.parametrize("due", [None, NOW])
def test_a_done_request_is_invisible(store: Store, due: float | None) -> None:
    """Also if it waited for a retry, and before and after ``compact``."""
    host_id = add_host(store, A)
    with store.transaction():
        store.queue.add([(host_id, new_request("page"))], 1)
        store.queue.replace(host_id, Key(0, 1), encoded("page"), due)
        store.queue.mark_done([(host_id, 0, 1)])
        assert store.queue.release_due(host_id, NOW + 1) == []
    for _ in range(2):
        assert store.queue.next_requests(host_id, None, 9) == []
        assert store.queue.next_due(host_id) is None
        assert not store.hosts.with_work(9)
        assert not store.accounts.with_work()
        assert pending_count(store) == 0
        with store.transaction():
            store.compact()


def test_a_request_may_be_marked_done_twice(store: Store) -> None:
    host_id = add_host(store)
    with store.transaction():
        store.queue.add([(host_id, new_request(f"{n}")) for n in range(3)], 1)
        store.queue.mark_done([(host_id, 0, 1)])
    with store.transaction():
        store.queue.mark_done([(host_id, 0, 1), (host_id, 0, 2)])
    assert numbers(store, host_id) == [3]


# The order


def test_the_head_of_a_queue_comes_in_order_behind_a_key(store: Store) -> None:
    host_id, other = add_host(store, A), add_host(store, B)
    ranks = {1: 0, 2: -5, 3: 7, 4: 0, 5: -(2**62)}
    with store.transaction():
        for number, rank in ranks.items():
            add(store, host_id, number, new_request(str(number), rank=rank))
        add(store, other, 6, new_request("6", origin=B))
    order = [queued(number, str(number), ranks[number]) for number in (5, 2, 1, 4, 3)]
    assert store.queue.next_requests(host_id, None, 10) == order
    assert store.queue.next_requests(host_id, None, 2) == order[:2]
    for position, request in enumerate(order, 1):
        assert store.queue.next_requests(host_id, request.key, 10) == order[position:]
    assert store.queue.next_requests(host_id, Key(-1, 10**9), 10) == order[2:]


# Waiting


def test_a_waiting_request_is_omitted_until_it_is_due(store: Store) -> None:
    host_id, other = add_host(store, A), add_host(store, B)
    with store.transaction():
        for number in (1, 2, 3):
            add(store, host_id, number, new_request(str(number)))
        add(store, other, 4, new_request("4", origin=B))
        store.queue.replace(host_id, Key(0, 1), encoded("one"), NOW + 10)
        store.queue.replace(host_id, Key(0, 2), encoded("two"), NOW + 5)
        store.queue.replace(other, Key(0, 4), encoded("four"), NOW)
    assert store.queue.next_requests(host_id, None, 10) == [queued(3, "3")]
    assert store.queue.next_due(host_id) == NOW + 5
    assert pending_count(store) == 4
    with store.transaction():
        assert store.queue.release_due(host_id, NOW + 4.9) == []
        assert store.queue.release_due(host_id, NOW + 5) == [queued(2, "two")]
        assert store.queue.release_due(host_id, NOW + 5) == []
    assert store.queue.next_requests(host_id, None, 10) == [queued(2, "two"), queued(3, "3")]
    assert store.queue.next_due(host_id) == NOW + 10
    assert store.queue.next_due(other) == NOW
    with store.transaction():
        assert store.queue.release_due(host_id, NOW + 99) == [queued(1, "one")]
    assert store.queue.next_due(host_id) is None


def test_a_replaced_request_may_go_out_at_once(store: Store) -> None:
    host_id = add_host(store)
    with store.transaction():
        add(store, host_id, 1, new_request("a"))
        store.queue.replace(host_id, Key(0, 1), encoded("b"), NOW)
        store.queue.replace(host_id, Key(0, 1), encoded("c"))
    assert store.queue.next_due(host_id) is None
    assert store.queue.next_requests(host_id, None, 10) == [queued(1, "c")]


def test_a_request_moves_to_another_host_and_stays_in_order(store: Store) -> None:
    a, b = add_host(store, A), add_host(store, B)
    with store.transaction():
        add(store, a, 1, new_request("a", rank=-3))
        add(store, b, 2, new_request("b", origin=B))
        store.queue.replace(a, Key(-3, 1), encoded("a"), NOW)
        store.queue.move(a, Key(-3, 1), b, encoded("moved"))
    assert store.queue.next_requests(a, None, 10) == []
    assert store.queue.next_requests(b, None, 10) == [queued(1, "moved", -3), queued(2, "b")]
    assert store.queue.next_due(b) is None
    assert store.hosts.get(b).requests == 2
    with store.transaction():
        store.queue.move(b, Key(-3, 1), b, encoded("here"))
    assert store.queue.next_requests(b, None, 1) == [queued(1, "here", -3)]
    assert store.hosts.get(b).requests == 2


# Delivery


def test_the_delivery_of_a_request_that_is_sent_once(store: Store) -> None:
    host_id, key = add_host(store), Key(0, 1)

    def delivery() -> int:
        (request,) = store.queue.next_requests(host_id, None, 9)
        return request.delivery

    with store.transaction():
        add(store, host_id, 1, new_request("order", once=True))
    assert delivery() == Delivery.AT_MOST_ONCE
    with store.transaction(synced=True):
        store.queue.set_delivery(host_id, key, Delivery.MAYBE_SENT)
    assert delivery() == Delivery.MAYBE_SENT
    with store.transaction():
        store.queue.replace(host_id, key, b"again", 5.0)
    with store.transaction():
        again = QueuedRequest(*key, b"again", Delivery.AT_MOST_ONCE)
        assert store.queue.release_due(host_id, 6.0) == [again]
    with store.transaction():
        store.queue.set_delivery(host_id, key, Delivery.MAYBE_SENT)
        store.queue.move(host_id, key, host_id, b"moved", once=True)
    assert delivery() == Delivery.AT_MOST_ONCE
    with store.transaction():
        store.queue.move(host_id, key, host_id, b"moved")
    assert delivery() == Delivery.REPEATABLE
