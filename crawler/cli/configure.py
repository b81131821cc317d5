"""Plans: what the user has typed, or what a job has recorded, becomes one run's plan."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from crawler.errors import JobError, UsageError
from crawler.job import seeds, spider_loader
from crawler.job.config import RunConfig
from crawler.job.folder import STORE, folder_for
from crawler.job.job import recorded
from crawler.session.accounts import Account, check_login, of_spider
from crawler.session.accounts import load as load_accounts
from crawler.session.credentials import encryption_key, refuse_in_arguments
from crawler.session.masking import Mask
from crawler.settings import Settings, from_assignments, from_pyproject, from_spider, resolve
from crawler.text import display_path


def for_run(
    spider: str,
    seed_args: Sequence[str] = (),
    *,
    arguments: Sequence[str] = (),
    overrides: Sequence[str] = (),
    job: Path | None = None,
    accounts: Path | None = None,
    mask: Mask,
) -> RunConfig:
    """The plan of a command; ``arguments`` and ``overrides`` are ``NAME=VALUE``.

    Raises UsageError for whatever of it cannot be, before there is a folder for it.
    """
    source = spider_loader.find(spider)
    given = _pairs("-a", arguments)
    refuse_in_arguments(given)
    who = _accounts(source, accounts, mask)
    made = source.make(given)
    seeds.check(seed_args)
    if not seed_args:
        seeds.check_spider(made)
    changed = _pairs("-s", overrides)
    for account in who:
        account.ask()
    return RunConfig(
        source=source,
        settings=_settings(source, changed),
        folder=job or folder_for(source.load().name),
        seeds=tuple(seeds.absolute(seed_args)),
        arguments=given,
        overrides=changed,
        accounts=who,
        accounts_file=accounts and accounts.absolute(),
        key=encryption_key(),
        mask=mask,
    )


def for_login(
    spider: str,
    *,
    arguments: Sequence[str] = (),
    overrides: Sequence[str] = (),
    job: Path | None = None,
    accounts: Path | None = None,
    mask: Mask,
) -> RunConfig:
    """The plan of a login by hand: as the job has been run, with what is given in its place.

    Nothing is asked of a person yet. Raises UsageError.
    """
    source = spider_loader.find(spider)
    folder = job or folder_for(source.load().name)
    record = None
    if (folder / STORE).exists():
        with contextlib.suppress(JobError):  # which opening the job will raise
            record = recorded(folder)
    given, changed = _pairs("-a", arguments), _pairs("-s", overrides)
    refuse_in_arguments(given)
    if record is not None and record.spider == source.spec:
        given, changed = given or record.arguments, {**record.overrides, **changed}
        accounts = accounts or (Path(record.accounts) if record.accounts else None)
    source.make(given)
    return RunConfig(
        source=source,
        settings=_settings(source, changed),
        folder=folder,
        arguments=given,
        overrides=changed,
        accounts=_accounts(source, accounts, mask),
        accounts_file=accounts and accounts.absolute(),
        key=encryption_key(),
        mask=mask,
    )


def for_resume(folder: Path, mask: Mask) -> RunConfig:
    """The plan that goes on with the job in ``folder`` as it was run last. Raises UsageError."""
    _refuse_strangers(folder)
    record = recorded(folder)
    if seeds.STDIN in record.seeds and not record.seeded:
        raise UsageError(
            f"not all seeds of {display_path(folder)} had been read from standard input, which "
            "cannot be read again: repeat the run with the same input"
        )
    source = spider_loader.find(record.spider)
    accounts = Path(record.accounts) if record.accounts else None
    who = _accounts(source, accounts, mask)
    for account in who:
        account.ask()
    return RunConfig(
        source=source,
        settings=_settings(source, record.overrides),
        folder=folder,
        seeds=tuple(record.seeds),
        arguments=record.arguments,
        overrides=record.overrides,
        accounts=who,
        accounts_file=accounts,
        resume_only=seeds.STDIN in record.seeds,
        key=encryption_key(),
        mask=mask,
    )


def _refuse_strangers(folder: Path) -> None:
    """Who can write a job's store says which code goes on with it. Raises UsageError."""
    path = folder / STORE
    if os.name != "posix" or not path.exists():
        return
    about = path.stat()
    if about.st_uid != os.geteuid() or about.st_mode & 0o022:
        raise UsageError(
            f"others can write {display_path(path)}, which says what is run: name the spider "
            f"yourself, as in crawl run SPIDER --job {shlex.quote(display_path(folder))}"
        )


def _settings(source: spider_loader.SpiderSource, overrides: dict[str, str]) -> Settings:
    return resolve(
        from_pyproject(Path("pyproject.toml")),
        from_spider(source.load()),
        from_assignments(overrides),
    )


def _accounts(
    source: spider_loader.SpiderSource, file: Path | None, mask: Mask
) -> tuple[Account, ...]:
    """Who logs in; whatever goes wrong from now on, no message shows their passwords."""
    found = load_accounts(file) if file is not None else of_spider(source.load())
    check_login(source.load(), found)
    for account in found:
        mask.watch(account.secrets)
    return tuple(found)


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` texts as a dictionary; the last one of a name wins."""
    pairs = [text.partition("=") for text in texts]
    for (name, mark, _), text in zip(pairs, texts, strict=True):
        if not mark or not name.strip():
            raise UsageError(f"{option} {text}: write it as {option} NAME=VALUE")
    return {name.strip(): value for name, _, value in pairs}
