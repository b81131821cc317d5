"""The contract of ``SeenStore``."""

from __future__ import annotations

from crawler.store.protocols import Store
from tests.store.builders import A, add, add_host, new_request


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
        assert store.seen.add_final(page)
        assert not store.seen.add_final(page)
    assert store.seen.contains(page)
    assert store.seen.contains_final(page)
    assert not store.seen.contains_final(other)
    with store.transaction():
        assert store.seen.add_final(other)
    assert not store.seen.contains_final(other)


def test_the_final_page_of_a_redirect_may_have_been_handled_before(store: Store) -> None:
    page = new_request("page")
    with store.transaction():
        add(store, store.hosts.add(A).id, 1, page)
        assert not store.seen.add_final(page), "its output is a duplicate"
    assert store.seen.contains_final(page)
