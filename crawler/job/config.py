"""One run as the user asked for it. Every command and ``crawl()`` builds it here."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from crawler.job.folder import ITEMS, folder_for
from crawler.job.spider_loader import FOLDER, SpiderSource
from crawler.session.accounts import Account, check_login, load, of_spider
from crawler.session.credentials import encryption_key, in_environment, refuse_in_arguments
from crawler.session.masking import Mask
from crawler.settings import Settings, from_assignments, from_pyproject, from_spider, resolve
from crawler.spider import Spider
from crawler.text import display_path


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run as the user asked for it.

    The store of the job keeps the source, the seeds, the arguments, the overrides, the output and
    the accounts file as a JobRecord, of which ``crawl resume`` builds a RunConfig again.
    """

    source: SpiderSource
    folder: Path
    seeds: tuple[str, ...] = ()
    """Files, URLs or ``-``; without any, the spider's ``start_urls`` count."""
    arguments: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    """The settings given with ``-s``."""
    output: Path | None = None
    accounts_file: Path | None = None

    settings: Settings
    """The result of all sources."""
    accounts: tuple[Account, ...] = ()
    resume_only: bool = False
    """Add no seeds: they are in the job already."""
    fresh: bool = False
    """Forget the job's state and start again."""
    overwrite: bool = False
    """Let ``fresh`` replace an output that is not empty."""
    keeps_folder: bool = True
    """False if the folder is deleted after the run, so that no message may point into it."""
    key: str | None = field(default=None, repr=False)
    """The key with which the store encrypts sessions."""
    mask: Mask = field(default_factory=Mask, repr=False)
    """Keeps secrets out of the log and of failures."""

    def __post_init__(self) -> None:
        self.mask.watch(in_environment())
        for account in self.accounts:
            self.mask.watch(account.secrets)

    @classmethod
    def build(
        cls,
        source: SpiderSource,
        *,
        mask: Mask,
        folder: Path | None = None,
        arguments: dict[str, str] | None = None,
        overrides: dict[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        accounts_file: Path | None = None,
        **fields: Any,
    ) -> RunConfig:
        """Return a checked RunConfig; ``fields`` are further ones of the class.

        ``settings`` are checked values, and win over all other sources. Raises UsageError for
        everything that is wrong with the spider, its arguments, its settings and its accounts,
        before there is a folder.
        """
        arguments, overrides = arguments or {}, overrides or {}
        refuse_in_arguments(arguments)
        spider = source.load()
        accounts = load(accounts_file) if accounts_file is not None else of_spider(spider)
        check_login(spider, accounts)
        config = cls(
            source=source,
            folder=folder or folder_for(spider.name),
            arguments=arguments,
            overrides=overrides,
            accounts_file=accounts_file and accounts_file.absolute(),
            accounts=tuple(accounts),
            settings=resolve(
                from_pyproject(Path("pyproject.toml")),
                from_spider(spider),
                from_assignments(overrides),
                settings or {},
            ),
            key=encryption_key(),
            mask=mask,
            **fields,
        )
        config.spider  # noqa: B018 - it raises for a spider that does not take the arguments
        return config

    @cached_property
    def spider(self) -> Spider:
        """The instance of the scheduling process. Raises UsageError if it cannot be created."""
        return self.source.make(self.arguments)

    @property
    def output_path(self) -> Path:
        """The path of the output of a new job."""
        return (self.output or self.folder / ITEMS).absolute()

    def ask_passwords(self) -> None:
        """Ask at the terminal for the passwords that are to be typed. Raises AccountError."""
        for account in self.accounts:
            account.ask()


def login_command(config: RunConfig, account: str) -> str:
    """Return the command that lets a person answer the questions of the login of ``account``."""
    spider = config.source.load()
    words = ["crawl", "login", _spec(config)]
    if account:
        words += ["--account", account]
    if config.folder.absolute() != folder_for(spider.name).absolute():
        words += ["--job", display_path(config.folder)]
    return shlex.join(words)


def _spec(config: RunConfig) -> str:
    """Return the spider as a user would type it: its name, if that finds it."""
    path, name = config.source.path, config.source.load().name
    if path is None:
        return config.source.spec
    if path.is_relative_to(FOLDER.absolute()):
        return name
    class_name = config.source.class_name
    return f"{display_path(path)}:{class_name}" if class_name else display_path(path)
