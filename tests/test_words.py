"""One word for one thing: names that the code has given up stand nowhere in code and docs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("crawler/**/*.py")]

# Each with the word that is used instead.
GIVEN_UP = {
    "Assembly": "ProcessSpec",
    "Crashes": "CrashTracker",
    "Feeder": "Dispatcher",
    "Finder": "RequestFilter",
    "Guards": "CrawlLimits",
    "HostNews": "HostUpdate",
    "Intake": "OutcomeHandler",
    "JobClock": "WallClock",
    "KnownHost": "HostInfo",
    "Loads": "Scheduler",
    "MachineError": "SystemResourceError",
    "NeedsPersonError": "InputRequiredError",
    "News": "SessionRegistry, FetcherSync",
    "Opening": "Seeder",
    "Patience": "UnreachableRobots",
    "RecordingJar": "ChangeTrackingCookieJar",
    "Room": "PageBudget",
    "SessionNews": "SessionRecord",
    "SessionState": "ManagedSession",
    "SessionUpdate": "SessionRecord",
    "WorkerPool": "FetcherPool",
    "WorkerSync": "FetcherSync",
    "Soundness": "StoreIntegrity",
    "Spares": "PreforkPool",
    "Team": "FetcherPool",
    "Turnover": "Dispatcher",
    "Witness": "ProbePage",
    "Workshop": "TaskExecutor",
    "_Answer": "RawResponse",
    "_Guarded": "GuardedConnection",
    "_Plain": "IdentityBody",
    "_Said": "CookieAttributes",
    "_Unread": "LazyTag",
    "callbacklock": "callback_timer",
    "feeder": "dispatcher",
    "finder": "request filter",
    "found_any": "has_new_requests",
    "fruitless_logins": "failed_logins",
    "go_on": "resume_only",
    "guards": "crawl limits",
    "hand_over": "reassign",
    "hardly_ever": "reduced_gc",
    "has_any": "is_busy",
    "has_arrived": "contains_final",
    "has_worked": "verified",
    "intake": "outcome handler",
    "is_filling": "is_loading",
    "is_nowhere": "does_not_exist",
    "is_spaced": "has_delay",
    "jobfolder": "job.folder",
    "keeps_rules": "robots_unavailable",
    "leave_to_us": "configure_worker",
    "login_cures_403": "treat_403_as_logout",
    "loginpage": "login_page",
    "makes_room": "evictable",
    "no_handles": "too_many_open_files",
    "patience": "unreachable robots",
    "put_away_idle": "evict_idle_hosts",
    "put_back": "requeue",
    "relist": "reschedule",
    "seedlists": "seed_formats",
    "setcookie": "set_cookie",
    "settle_in": "configure_process",
    "share_out": "assign_workers",
    "signin": "manual_login",
    "somebody": "the user, a person, a process",
    "soundness": "integrity",
    "spares": "prefork",
    "start_anew": "reset_pages",
    "turnover": "_check_memory",
    "whoever": "the process that",
    "witness": "probe page",
    "workshop": "task executor",
}


@pytest.mark.parametrize("word", GIVEN_UP)
def test_a_name_that_was_given_up_is_used_nowhere(word: str) -> None:
    pattern = re.compile(rf"(?<![\w-]){word}(?![\w-])")
    places = [
        str(path.relative_to(ROOT)) for path in PAGES if pattern.search(path.read_text("utf-8"))
    ]
    assert places == [], f"say {GIVEN_UP[word]}"


# Words of the language, which prose may have, but no identifier of the code.
NAMES_GIVEN_UP = {
    "Addresses": "AddressPolicy",
    "at_terminal": "terminal_prompt",
    "Callbacks": "CallbackTimer",
    "Collector": "ResultCollector",
    "Direct": "FastPath",
    "Feed": "TaskBatch",
    "Found": "NewRequest, EnvironmentConfig",
    "Gate": "ReadWriteLock",
    "identities": "session_admin",
    "Identity": "SessionInfo",
    "Lane": "HostLane",
    "Missing": "RobotsFailure",
    "nobody": "no_prompt",
    "Pace": "Throttle",
    "Person": "Prompt",
    "Place": "CookieOrigin",
    "Plan": "RunConfig",
    "Queued": "QueuedRequest",
    "Recall": "ReturnTasks",
    "Reply": "RawResponse",
    "Run": "Engine",
    "Safety": "UnsafeLinkFilter",
    "Seal": "StoreEncryption",
    "Stamp": "IntegrityStamp",
    "Stop": "Shutdown",
    "suspect": "quarantined",
    "Suspicious": "StrictHTTPResponse",
    "Tally": "RowCounts, SkipCounter",
    "Target": "TreeBuilderTarget, FollowTarget",
    "together": "read",
    "trouble": "system_errors",
    "Turn": "FetchTurn",
    "Turns": "FetchCoordinator",
    "Vault": "Cipher",
}

# Likewise, by the package or the module in which they were methods, fields or variables.
MEMBERS_GIVEN_UP = {
    "engine": {
        "_keep_queues": "_save_queues",
        "_leave_out": "_skip",
        "_let_in": "_release",
        "gather": "add",
    },
    "engine.committer": {
        "since": "waiting_since",
    },
    "gc_tuning": {
        "keep": "freeze",
    },
    "http.cookie_jar": {
        "drain": "pop_changes",
        "heard": "acked",
        "take": "store_from",
    },
    "job": {
        "is_kept": "keeps_folder",
    },
    "messages": {
        "kind": "a class of its own",
        "moved": "Redirected",
    },
    "scheduling": {
        "_coming": "_loading",
        "_left": "_evicted",
        "_ruled": "_robots_changed",
        "admit": "push_new",
        "AHEAD": "PREFETCH",
        "ahead": "prefetch",
        "counted": "has_quota",
        "ended": "count_finished",
        "held": "suspended",
        "home": "preferred_worker",
        "is_at_end": "has_given_up",
        "lost": "worker_died",
        "out": "sent",
        "recall": "restore",
        "reopen": "resume",
        "settle": "forget_sent",
        "touch": "mark_dirty",
        "turn": "ticket",
        "waits_for": "description",
        "wake": "release_due",
    },
    "session": {
        "_again": "_retry_request",
        "_closed": "_access_denied",
        "_end": "_mark_logged_out",
        "_judged": "_evaluate",
        "_works_elsewhere": "_probe_succeeds",
        "settle": "freeze_defaults",
        "trusting": "user_urls_allowed",
    },
    "stats": {
        "left_out": "skipped_by_limit",
    },
    "store": {
        "arrive": "mark_final",
        "finish": "mark_done",
        "head": "next_requests",
        "mark": "set_delivery",
        "set_back": "shift_times",
        "tidy": "compact",
    },
    "store.sqlite": {
        "rest": "drain",
    },
    "system_errors": {
        "damaged": "corrupt_store",
        "explained": "to_crawler_error",
        "told": "translating_errors",
    },
    "worker": {
        "_give_back": "_return_queued",
        "_obey": "_handle_command",
    },
}
MEMBERS = {
    (place, name): word for place, names in MEMBERS_GIVEN_UP.items() for name, word in names.items()
}


@cache
def identifiers() -> dict[str, set[str]]:
    """The modules, but for the demo, that have each identifier or are called so."""
    modules: dict[str, set[str]] = {}
    for path in (ROOT / "crawler").glob("**/*.py"):
        module = ".".join(path.relative_to(ROOT / "crawler").with_suffix("").parts)
        if not module.startswith("demo."):
            names = {path.stem, *_names(ast.parse(path.read_text("utf-8")))}
            for name in names:
                modules.setdefault(name, set()).add(module)
    return modules


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        for field in ("name", "id", "attr", "arg", "asname"):
            if isinstance(name := getattr(node, field, None), str):
                yield from name.split(".")


@pytest.mark.parametrize("name", NAMES_GIVEN_UP)
def test_nothing_in_the_code_has_a_name_that_was_given_up(name: str) -> None:
    assert identifiers().get(name, set()) == set(), f"say {NAMES_GIVEN_UP[name]}"


@pytest.mark.parametrize(("place", "name"), MEMBERS)
def test_a_package_has_no_name_again_that_it_gave_up(place: str, name: str) -> None:
    modules = {
        module
        for module in identifiers().get(name, set())
        if module == place or module.startswith(f"{place}.")
    }
    assert modules == set(), f"say {MEMBERS[place, name]}"


def test_the_places_of_the_names_exist() -> None:
    modules = set().union(*identifiers().values())
    for place in MEMBERS_GIVEN_UP:
        assert any(module == place or module.startswith(f"{place}.") for module in modules), place


def test_the_pages_are_found() -> None:
    assert len(PAGES) > 150
