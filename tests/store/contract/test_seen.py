"""The contract of ``SeenStore``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crawler.store.protocols import Store
from tests.store.builders import A, B, add, add_host, encoded, new_request, none_open


def test_a_fingerprint_is_new_once_for_each_callback(store: Store) -> None:
    host_id = add_host(store)
    with store.transaction():
        assert store.seen.add(new_request("target"))
        assert not store.seen.add(new_request("target"))
        assert store.seen.add(new_request("target", callback="other"))
        assert not add(store, host_id, 1, new_request("target"))
        assert add(store, host_id, 1, new_request("page", callback="other"))
        assert not store.seen.add(new_request("page", callback="other"))
        assert store.seen.add(new_request("page"))


def test_fingerprints_of_queued_and_of_done_requests_are_known(store: Store) -> None:
    host_id = add_host(store)
    page = new_request("page")
    assert not store.seen.contains(page)
    with store.transaction():
        add(store, host_id, 1, page)
        assert store.seen.contains(page)
        store.queue.mark_done([(host_id, 0, 1)])
        store.compact()
    assert store.seen.contains(page)
    assert store.seen.contains(new_request("page", callback="other"))
    assert not store.seen.contains_final(page)


def test_a_final_page_is_known_for_the_callback_that_came_first(store: Store) -> None:
    page, other = new_request("page"), new_request("page", callback="other")
    with store.transaction():
        assert store.seen.add_final(page, none_open)
        assert not store.seen.add_final(page, none_open)
    assert store.seen.contains(page)
    assert store.seen.contains_final(page)
    assert not store.seen.contains_final(other)
    with store.transaction():
        assert store.seen.add_final(other, none_open)
    assert not store.seen.contains_final(other)


def test_the_final_page_of_a_redirect_may_have_been_handled_before(store: Store) -> None:
    page = new_request("page")
    with store.transaction():
        add(store, store.hosts.add(A).id, 1, page)
        assert not store.seen.add_final(page, none_open), "its output is a duplicate"
    assert store.seen.contains_final(page)


def opening(store: Store, name: str) -> Callable[[int], int | None]:
    """Return a function that looks for the pending request with a name."""
    return lambda number: store.queue.find(A, number, encoded(name).__eq__)


def test_a_redirect_to_a_page_whose_request_waits_counts_and_supersedes_it(store: Store) -> None:
    host_id, page = add_host(store), new_request("page")
    with store.transaction():
        add(store, host_id, 1, new_request("before"))
        add(store, host_id, 2, page)
        assert not store.seen.has_superseded()
        assert store.seen.add_final(page, opening(store, "page"))
        assert not store.seen.add_final(page, opening(store, "page")), "only the first"
    assert store.seen.contains_final(page)
    assert store.seen.has_superseded()
    assert store.seen.is_superseded(2)
    assert not store.seen.is_superseded(1)


def test_a_redirect_to_a_page_whose_request_is_done_does_not_count(store: Store) -> None:
    host_id, page = add_host(store), new_request("page")
    with store.transaction():
        add(store, host_id, 1, page)
        store.queue.mark_done([(host_id, 0, 1)])
        assert not store.seen.add_final(page, opening(store, "page"))
    assert not store.seen.has_superseded()


def test_a_redirect_to_a_page_whose_request_has_failed_counts_once(store: Store) -> None:
    host_id, page = add_host(store), new_request("page")
    with store.transaction():
        add(store, host_id, 1, page)
        store.queue.mark_done([(host_id, 0, 1)])
        store.seen.mark_failed(page.fingerprint, 2)  # of another request for the page
        store.seen.mark_failed(page.fingerprint, 1)
        store.seen.mark_failed(new_request("unknown").fingerprint, 1)
        assert store.seen.add_final(page, none_open)
        assert not store.seen.add_final(page, none_open)
    assert not store.seen.has_superseded()


def test_a_failure_of_another_request_for_a_page_changes_nothing(store: Store) -> None:
    host_id, page = add_host(store), new_request("page")
    with store.transaction():
        add(store, host_id, 1, page)
        store.seen.mark_failed(page.fingerprint, 2)
        assert not store.seen.add_final(page, none_open)


@pytest.mark.parametrize("rank", [0, -5, 7])
def test_a_request_is_found_by_the_number_that_is_known_of_it(store: Store, rank: int) -> None:
    """Many are known before, so that its own number is less."""
    host_id, other = add_host(store, account="anna"), add_host(store, B)
    add_host(store)
    names = [f"{number}" for number in range(2_500)]
    with store.transaction():
        store.queue.add([(host_id, new_request(name)) for name in names[:1_990]], 1)
        rows = store.queue.add([(host_id, new_request(name, rank=rank)) for name in names], 1_991)
        store.queue.add([(other, new_request("at another host", origin=B))], 2_501)
    assert rows[0][:3] == (host_id, rank, 1_991)
    for name in ("1", "1989", "1990", "1999", "2000", "2499"):
        numbers: list[int] = []
        with store.transaction():
            final = new_request(name, rank=rank)
            assert not store.seen.add_final(final, numbers.append)
        (number,) = numbers
        assert store.queue.find(A, number, encoded(name).__eq__) == int(name) + 1
        assert store.queue.find(B, number, encoded(name).__eq__) is None
    assert store.queue.find(A, 2_500, encoded("1").__eq__) is None
