"""A plan: one run as the user asked for it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from crawler.job.folder import folder_for
from crawler.job.spider_loader import FOLDER, SpiderSource
from crawler.session.accounts import Account
from crawler.session.credentials import in_environment
from crawler.session.masking import Mask
from crawler.settings import Settings
from crawler.text import display_path


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


def login_command(plan: RunConfig, account: str) -> str:
    """What to type so that a person can answer what the login of ``account`` asks."""
    spider = plan.source.load()
    words = ["crawl", "login", _spec(plan)]
    if account:
        words += ["--account", account]
    if plan.folder.absolute() != folder_for(spider.name).absolute():
        words += ["--job", display_path(plan.folder)]
    return shlex.join(words)


def _spec(plan: RunConfig) -> str:
    """The spider as one would type it: its name, if that finds it."""
    path, name = plan.source.path, plan.source.load().name
    if path is None:
        return plan.source.spec
    if path.is_relative_to(FOLDER.absolute()):
        return name
    class_name = plan.source.class_name
    return f"{display_path(path)}:{class_name}" if class_name else display_path(path)
