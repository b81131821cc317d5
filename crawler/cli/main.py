"""The ``crawl`` command: what the user types becomes a RunConfig, is run, and ends with a status.

Exit status: 0 finished, 1 unexpected error, 2 bad input or settings, 3 stopped before the end,
4 login failed. What goes wrong is said in one line on standard error.
"""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click
from msgspec.structs import asdict

from crawler.cli import configure, report, session_commands
from crawler.cli import new as template
from crawler.cli.options import PATH, of_a_job
from crawler.cli.progress import Progress
from crawler.engine.engine import run as run_job
from crawler.engine.prefork import PreforkPool
from crawler.engine.signals import StopSignal, ignore_from_now_on
from crawler.errors import CrawlerError, LoginError, SystemResourceError, UsageError
from crawler.gc_tuning import freeze
from crawler.job import lookup, spider_loader
from crawler.job.config import RunConfig
from crawler.job.folder import LOG
from crawler.session.credentials import in_environment
from crawler.session.masking import Mask
from crawler.settings import VERSION, usable_cores
from crawler.system_errors import to_crawler_error
from crawler.text import display_path, one_line, printable

UNEXPECTED, BAD_INPUT, NO_LOGIN = 1, 2, 4
INTERRUPTED = 130
"""What shells say of a command that Ctrl-C has ended."""


def main() -> None:
    """The command, as a process."""
    status = execute(sys.argv[1:])
    ignore_from_now_on()
    freeze()  # it ends with the process; looking for cycles in it takes as long as many a command
    sys.exit(status)


def execute(arguments: Sequence[str]) -> int:
    """Run the command with ``arguments``; returns its exit status."""
    words, mask = list(arguments) or ["--help"], Mask(in_environment())
    try:
        status = commands.main(words, "crawl", standalone_mode=False, obj=mask)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNEXPECTED
    except Exception as error:
        if "--traceback" in arguments:
            click.echo(printable(mask(traceback.format_exc())), err=True)
        return _explain(error, mask)
    return int(status or 0)


def _explain(error: Exception, mask: Mask) -> int:
    """Say in one line what went wrong, masked; returns the exit status for it."""
    if isinstance(error, click.ClickException):
        return _complain(mask(error.format_message()), BAD_INPUT)
    if isinstance(error, UsageError):
        return _complain(mask(str(error)), BAD_INPUT)
    if isinstance(error, LoginError):
        return _complain(mask(str(error)), NO_LOGIN)
    if isinstance(error, CrawlerError):
        return _complain(mask(str(error)), UNEXPECTED)
    return _explain(_unexpected(error), mask)


def _complain(message: str, status: int) -> int:
    click.echo(f"crawl: {one_line(' '.join(message.split()))}", err=True)
    return status


class Commands(click.Group):
    """The commands; an unknown one is answered with the one that was meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that ``args`` begin with. Raises UsageError where there is none."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            way_out = f"did you mean {near[0]}?" if near else f"to run a spider, crawl run {name}"
            raise click.UsageError(f"there is no command {name!r}: {way_out}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands)
@click.version_option(VERSION, prog_name="crawl")
@click.option("--traceback", is_flag=True, help="Show where in the code an error comes from.")
def commands(traceback: bool) -> None:
    """Crawl sites with a spider that you write, from seeds to JSON lines, and go on at will.

    To begin: crawl new books, then crawl run books.
    """


# Running


@commands.command("run", short_help="Run a spider, or go on where it was.")
@click.argument("spider")
@click.argument("seed_args", metavar="[SEEDS]...", nargs=-1)
@click.option("-o", "--output", metavar="FILE", type=PATH, help="Where the items go.")
@of_a_job
@click.option(
    "--fresh",
    is_flag=True,
    help="Forget the job's state and delete its files, then start from the seeds.",
)
@click.option("--yes", is_flag=True, help="Overwrite the output when starting again.")
@click.pass_obj
def run(
    mask: Mask,
    spider: str,
    seed_args: tuple[str, ...],
    output: Path | None,
    job: Path | None,
    arguments: tuple[str, ...],
    overrides: tuple[str, ...],
    accounts: Path | None,
    fresh: bool,
    yes: bool,
) -> int:
    """Run SPIDER from SEEDS to JSON lines. The same command goes on where it was.

    SPIDER is a name that `crawl list` shows, a file (spiders/books.py, spiders/books.py:Books) or
    package.module:Class. SEEDS are URLs, files with one URL a line, CSV or JSON lines with a
    column url, or - for standard input; without any, the spider's start_urls.
    """
    with StopSignal() as stop, PreforkPool(_workers_wanted(overrides)) as spares:
        config = plans.for_run(
            spider,
            seed_args,
            arguments=arguments,
            overrides=overrides,
            job=job,
            output=output,
            accounts=accounts,
            fresh=fresh,
            overwrite=yes,
            mask=mask,
        )
        return _run(config, stop, spares)


def _workers_wanted(overrides: Sequence[str]) -> int:
    """How many workers there will be, as far as the command says; the spider may say otherwise."""
    named = [
        value for name, _, value in (one.partition("=") for one in overrides) if name == "workers"
    ]
    return int(named[-1]) if named and named[-1].isdecimal() else usable_cores()


@commands.command(short_help="Go on with a job.")
@click.argument("job", required=False)
@click.pass_obj
def resume(mask: Mask, job: str | None) -> int:
    """Go on with JOB, the same as repeating its run.

    JOB is a name under data/jobs or a folder; by default the job that was run last.
    """
    with StopSignal() as stop, PreforkPool(usable_cores()) as spares:
        config = plans.for_resume(jobs.folder_of(job), mask)
        return _run(config, stop, spares)


def _run(config: RunConfig, stop: StopSignal, spares: PreforkPool) -> int:
    with Progress(limit=config.settings.max_pages) as shown_progress:
        try:
            summary = run_job(
                config,
                watch=shown_progress.update,
                stop=stop,
                report_seed=shown_progress.bad_seed,
                prefork=prefork,
            )
        except CrawlerError:
            raise
        except Exception as error:
            raise _unexpected(error, config.folder / LOG) from error
        shown_progress.close(summary)
    return summary.exit_status


def _unexpected(error: Exception, log: Path | None = None) -> CrawlerError:
    if isinstance(known := to_crawler_error(error), SystemResourceError):
        return known
    where = (
        f"see {display_path(log)}" if log and log.exists() else "crawl --traceback … shows where"
    )
    return CrawlerError(f"unexpected error: {type(error).__name__}: {error} ({where})")


# Looking


@commands.command(short_help="How far a job is.")
@click.argument("job", required=False)
@click.option("--failed", is_flag=True, help="List the failed pages by cause.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(job: str | None, failed: bool, as_json: bool) -> None:
    """Show how far JOB is, be it running, stopped or finished.

    JOB is a name under data/jobs or a folder; by default the job that was run last.
    """
    folder = lookup.folder_of(job)
    found = {**lookup.job_status(folder), "waiting": {}}
    if found["reason"] == "login":
        found["waiting"] = session_commands.waiting(folder)
    if failed and as_json:
        found["failed_pages"] = list(map(asdict, lookup.failed_pages(folder)))
    if as_json:
        click.echo(report.status_json(found, folder))
    elif failed:
        click.echo(printable(report.failures_text(lookup.failed_pages(folder))))
    else:
        click.echo(printable(report.status_text(found, folder)))


@commands.command("list", short_help="The spiders in spiders/.")
def list_() -> None:
    """List the spiders in spiders/, and what is wrong with files that cannot be imported."""
    click.echo(printable(report.list_text(spider_loader.available(), spider_loader.FOLDER)))


# Sessions


for command in (session_commands.login, session_commands.sessions, session_commands.logout):
    commands.add_command(command)


# Beginning


@commands.command(short_help="A spider to start from.")
@click.argument("name")
@click.argument("url", default=template.START)
def new(name: str, url: str) -> None:
    """Write spiders/NAME.py, a small spider that follows every link from URL."""
    path = template.write(name, url)
    click.echo(f"{path} is there to be changed; run it with: crawl run {name}")


@commands.command(short_help="A small shop to try things on.")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535))
def demo(port: int) -> None:
    """Serve a small bookshop with a login on this machine, until Ctrl-C."""
    from crawler.demo.server import serve  # content that no other command needs

    serve(port=port)
