"""A plan: one run as the user asked for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from crawler.job.spider_loader import SpiderSource
from crawler.session.accounts import Account
from crawler.session.credentials import in_environment
from crawler.session.masking import Mask
from crawler.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
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
    accounts: tuple[Account, ...] = ()
    accounts_file: Path | None = None
    """Where they stand, for ``crawl resume``."""
    resume_only: bool = False
    """Nothing is to be added: the seeds are in the job already."""
    fresh: bool = False
    overwrite: bool = False
    keeps_folder: bool = True
    """False for a folder that is gone after the run, so that no message may point into it."""
    key: str | None = field(default=None, repr=False)
    """What sessions are encrypted with in the store."""
    mask: Mask = field(default_factory=Mask, repr=False)
    """What keeps secrets out of the log and of failures."""

    def __post_init__(self) -> None:
        self.mask.watch(in_environment())
        for account in self.accounts:
            self.mask.watch(account.secrets)
