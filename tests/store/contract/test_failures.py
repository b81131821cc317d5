"""The contract of ``FailureStore``."""

from __future__ import annotations

from crawler.records import FailedRequest, FailureReport
from crawler.store.protocols import Store
from tests.store.builders import NOW


def test_the_latest_failures_come_first(store: Store) -> None:
    reports = [
        FailureReport(f"https://a.example/{n}", cause, f"message {n}", "trace" * n)
        for n, cause in enumerate(["timeout", "http 404", "http 404", "dns"])
    ]
    with store.transaction():
        for n, report in enumerate(reports):
            store.failures.add(report, b"request", NOW + n)
    failures = [FailedRequest(report, NOW + n) for n, report in enumerate(reports)]
    assert store.failures.latest() == failures[::-1]
    assert store.failures.latest(2) == failures[:1:-1]
    assert list(store.failures.by_cause().items()) == [("http 404", 2), ("dns", 1), ("timeout", 1)]
