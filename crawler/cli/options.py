"""The options that several subcommands share: the job, and its configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)

_OF_A_JOB = (
    click.option("--job", metavar="DIR", type=PATH, help="The job's folder [data/jobs/SPIDER]."),
    click.option(
        "-a",
        "arguments",
        metavar="NAME=VALUE",
        multiple=True,
        help="An argument for the spider's constructor; may be repeated.",
    ),
    click.option(
        "-s",
        "overrides",
        metavar="SETTING=VALUE",
        multiple=True,
        help="A setting, as in -s delay=0.5; may be repeated.",
    ),
    click.option(
        "--accounts",
        metavar="FILE",
        type=PATH,
        help="A TOML file of the accounts to log in with.",
    ),
)


def of_a_job(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``job``, ``arguments``, ``overrides`` and ``accounts``."""
    for option in reversed(_OF_A_JOB):
        function = option(function)
    return function
