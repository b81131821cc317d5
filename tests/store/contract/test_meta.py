"""The contract of ``MetaStore``."""

from __future__ import annotations

from collections.abc import Callable

from crawler.store.protocols import Store


def test_values_are_stored_by_name(store: Store) -> None:
    assert store.meta.get("pages") is None
    assert store.meta.get("pages", 7) == 7
    with store.transaction():
        store.meta.set("pages", 1)
        store.meta.update({"other": 1, "pages": 2})
        store.meta.update({"none": None, "other": {"a": [1, None, "ö", 1.5]}})
    assert store.meta.get("pages", 7) == 2
    assert store.meta.get("other") == {"a": [1, None, "ö", 1.5]}
    assert store.meta.get("none", 7) is None


def test_a_value_is_stored_as_it_was_at_that_moment(open_store: Callable[[], Store]) -> None:
    store, value = open_store(), {"pages": [1]}
    with store.transaction():
        store.meta.set("value", value)
        value["pages"].append(2)
    store.meta.get("value")["pages"].append(3)
    store.close()
    assert open_store().meta.get("value") == {"pages": [1]}
