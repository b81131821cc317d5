"""One word for one thing: names that the code has given up stand nowhere in code and docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("crawler/**/*.py")]

# Each with the word that is used instead.
GIVEN_UP = {
    "Assembly": "WorkerSpec",
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
    "News": "SessionRegistry, WorkerSync",
    "Opening": "Seeder",
    "Patience": "UnreachableRobots",
    "RecordingJar": "ChangeTrackingCookieJar",
    "Room": "PageBudget",
    "SessionNews": "SessionUpdate",
    "Soundness": "StoreIntegrity",
    "Spares": "PreforkPool",
    "Team": "WorkerPool",
    "Turnover": "Dispatcher",
    "Witness": "ProbePage",
    "Workshop": "TaskExecutor",
    "feeder": "dispatcher",
    "finder": "request filter",
    "guards": "crawl limits",
    "hand_over": "reassign",
    "has_arrived": "contains_final",
    "intake": "outcome handler",
    "is_nowhere": "does_not_exist",
    "jobfolder": "job.folder",
    "keeps_rules": "robots_unavailable",
    "loginpage": "login_page",
    "makes_room": "evictable",
    "patience": "unreachable robots",
    "put_away_idle": "evict_idle_hosts",
    "put_back": "requeue",
    "relist": "reschedule",
    "seedlists": "seed_formats",
    "signin": "manual_login",
    "soundness": "integrity",
    "spares": "prefork",
    "turnover": "_check_memory",
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


def test_the_pages_are_found() -> None:
    assert len(PAGES) > 150
