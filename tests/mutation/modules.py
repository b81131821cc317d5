"""The modules whose mutants are tried, and the tests that must notice them."""

from __future__ import annotations


def _tests(package: str, *names: str) -> list[str]:
    return [f"tests/{package}/test_{name}.py" for name in names]


_OUTCOMES = _tests("engine", "outcomes", "unproven", "committer")
_LOGINS = _tests(
    "session",
    *("login", "login_progress", "login_turn", "evidence", "login_closed_pages"),
)

MODULES: dict[str, list[str]] = {
    "crawler/scheduling/politeness.py": _tests("scheduling", "politeness", "frontier"),
    "crawler/scheduling/admission.py": _tests("scheduling", "admission", "frontier"),
    "crawler/scheduling/host_queue.py": _tests("scheduling", "scheduler", "frontier"),
    "crawler/scheduling/scheduler.py": _tests("scheduling", "scheduler", "frontier", "eviction"),
    "crawler/scheduling/eviction.py": _tests("scheduling", "eviction", "frontier"),
    "crawler/scheduling/frontier.py": _tests("scheduling", "frontier", "admission"),
    "crawler/scheduling/robots_retry.py": _tests("scheduling", "robots_retry"),
    "crawler/scheduling/retry.py": _tests("scheduling", "retry"),
    "crawler/scheduling/session_registry.py": _tests("scheduling", "session_registry"),
    "crawler/fetching/lanes.py": _tests("fetching", "lanes"),
    "crawler/engine/outcomes.py": _OUTCOMES,
    "crawler/engine/committer.py": _OUTCOMES,
    "crawler/engine/unproven.py": _OUTCOMES,
    "crawler/engine/dispatcher.py": _tests("engine", "outcomes", "dispatcher"),
    "crawler/engine/traps.py": _tests("engine", "traps"),
    "crawler/session/login_progress.py": _tests("session", "login_progress", "login_turn"),
    "crawler/session/login_turn.py": _LOGINS,
    "crawler/session/evidence.py": _tests("session", "evidence", "login"),
    "crawler/session/concurrency.py": _tests("session", "concurrency"),
    "crawler/session/accounts.py": _tests("session", "accounts", "accounts_at_work"),
    "crawler/store/sqlite/queue.py": [
        *_tests("store/contract", "queue", "seen", "transaction"),
        *_tests("store/sqlite", "row_counts", "tombstones", "store"),
    ],
    "crawler/store/sqlite/hosts.py": _tests("store/contract", "hosts", "transaction"),
    "crawler/store/sqlite/sessions.py": _tests(
        "store/contract", "sessions", "failures", "skipped", "meta"
    ),
    "crawler/store/sqlite/store.py": [
        *_tests("store/contract", "transaction"),
        *_tests("store/sqlite", "store", "row_counts", "checkpoints"),
    ],
    "crawler/store/sqlite/checkpoints.py": _tests("store/sqlite", "checkpoints"),
    "crawler/store/sqlite/integrity.py": _tests("store/sqlite", "integrity"),
}
