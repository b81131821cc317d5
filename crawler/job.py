"""A job on disk: its folder, its lock, its store and its output."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout

from crawler.discovery import SpiderSource
from crawler.errors import JobError, JobLocked
from crawler.settings import Settings
from crawler.sink import JSONLines
from crawler.stats import Counters, State, status
from crawler.store import Store
from crawler.store.sqlite import SQLiteStore

STORE = "job.db"
ITEMS = "items.jsonl"
REJECTED = "rejected.jsonl"
LOG = "run.log"
LOCK = "job.lock"
JOBS = Path("data") / "jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run as the user asked for it.

    ``seeds`` are files, URLs or ``-``; without any, the spider's ``start_urls`` count.
    ``overrides`` are the settings given with ``-s`` (kept, so that ``crawl resume`` repeats
    them); ``settings`` is what results from all sources. ``fresh`` starts again; ``overwrite``
    allows it to replace an output that holds something.
    """

    source: SpiderSource
    settings: Settings
    folder: Path
    seeds: tuple[str, ...] = ()
    arguments: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    output: Path | None = None
    fresh: bool = False
    overwrite: bool = False
