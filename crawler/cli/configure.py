"""Build the RunConfig of a command from its words, or from the record of a job."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from crawler.errors import JobError, UsageError
from crawler.job import seeds
from crawler.job.config import RunConfig
from crawler.job.folder import STORE, folder_for
from crawler.job.record import read_record
from crawler.job.spider_loader import find, literal_attributes
from crawler.session.credentials import encryption_key, refuse_in_arguments
from crawler.session.masking import Mask
from crawler.settings import check, from_assignments, from_pyproject, resolve
from crawler.text import display_path


def for_run(
    spider: str,
    seed_args: Sequence[str] = (),
    *,
    arguments: Sequence[str] = (),
    overrides: Sequence[str] = (),
    job: Path | None = None,
    output: Path | None = None,
    accounts: Path | None = None,
    fresh: bool = False,
    overwrite: bool = False,
    mask: Mask,
) -> RunConfig:
    """Return the configuration of ``crawl run``; ``arguments`` and ``overrides`` are NAME=VALUE.

    Raises UsageError for everything that is wrong with it, before there is a folder.
    """
    config = RunConfig.build(
        find(spider),
        folder=job,
        seeds=tuple(seeds.absolute(seed_args)),
        arguments=pairs("-a", arguments),
        overrides=pairs("-s", overrides),
        output=output,
        accounts_file=accounts,
        fresh=fresh,
        overwrite=overwrite,
        mask=mask,
    )
    seeds.check(seed_args)
    if not seed_args:
        seeds.check_spider(config.spider)
    config.ask_passwords()
    return config


def for_login(
    spider: str,
    *,
    arguments: Sequence[str] = (),
    overrides: Sequence[str] = (),
    job: Path | None = None,
    accounts: Path | None = None,
    mask: Mask,
) -> RunConfig:
    """Return the configuration of a login by hand: that of the job's last run, with changes.

    It asks for no password yet. Raises UsageError.
    """
    source = find(spider)
    folder = job or folder_for(source.load().name)
    record = None
    if (folder / STORE).exists():
        with contextlib.suppress(JobError):  # which opening the job will raise
            record = read_record(folder, encryption_key(), whole=True)
    new_arguments, new_overrides = pairs("-a", arguments), pairs("-s", overrides)
    refuse_in_arguments(new_arguments)
    if record is not None and record.spider == source.spec:
        new_arguments = new_arguments or record.arguments
        new_overrides = {**record.overrides, **new_overrides}
        accounts = accounts or (Path(record.accounts) if record.accounts else None)
    return RunConfig.build(
        source,
        folder=folder,
        arguments=new_arguments,
        overrides=new_overrides,
        accounts_file=accounts,
        mask=mask,
    )


def for_resume(folder: Path, mask: Mask) -> RunConfig:
    """Return the configuration of the last run of the job in ``folder``. Raises UsageError."""
    record = read_record(folder, encryption_key(), whole=True)
    if seeds.STDIN in record.seeds and not record.seeded:
        raise UsageError(
            f"not all seeds of {display_path(folder)} had been read from standard input, which "
            "cannot be read again: repeat the run with the same input"
        )
    config = RunConfig.build(
        find(record.spider),
        folder=folder,
        seeds=tuple(record.seeds),
        arguments=record.arguments,
        overrides=record.overrides,
        accounts_file=Path(record.accounts) if record.accounts else None,
        resume_only=seeds.STDIN in record.seeds,
        mask=mask,
    )
    config.ask_passwords()
    return config


def expected_workers(spider: str, overrides: Mapping[str, str]) -> int:
    """Return how many workers a run will probably have, without importing the spider.

    Processes are forked by this number before anything else happens. If it is wrong, some are
    dismissed, or further ones are spawned.
    """
    try:
        return resolve(
            from_pyproject(Path("pyproject.toml")),
            check(literal_attributes(spider, ["workers"]), where="spider"),
            from_assignments({name: overrides[name] for name in overrides if name == "workers"}),
        ).worker_count
    except UsageError:  # which building the configuration will raise
        return 0


def pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Return ``NAME=VALUE`` texts as a dictionary.

    The last value of a name wins, but those of ``-s deny`` are a list.
    """
    pairs = [text.partition("=") for text in texts]
    for (name, mark, _), text in zip(pairs, texts, strict=True):
        if not mark or not name.strip():
            raise UsageError(f"{option} {text}: write it as {option} NAME=VALUE")
    values: dict[str, str] = {}
    for name, _, value in pairs:
        is_list = (option, name.strip()) == ("-s", "deny") and "deny" in values
        values[name.strip()] = f"{values['deny']},{value}" if is_list else value
    return values
