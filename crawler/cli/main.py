"""The ``crawl`` command: build a RunConfig from the arguments, run it, and exit with a status.

Exit status: 0 finished, 1 unexpected error, 2 bad input or settings, 3 stopped before the end,
4 login failed, 5 no page came as robots.txt disallows them. An error is one line on standard error.
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

from crawler.cli import report, session_commands
from crawler.cli.configure import expected_workers, for_resume, for_run, pairs
from crawler.cli.new import START, write_spider
from crawler.cli.options import PATH, of_a_job
from crawler.cli.progress import Progress
from crawler.engine.engine import run as run_job
from crawler.engine.prefork import PreforkPool
from crawler.engine.signals import StopSignal, ignore_from_now_on
from crawler.errors import CrawlerError, SystemResourceError, UsageError
from crawler.gc_tuning import freeze
from crawler.job.config import RunConfig
from crawler.job.folder import LOG
from crawler.job.lookup import failed_pages, folder_of, job_status, skipped_links
from crawler.job.record import read_record
from crawler.job.spider_loader import FOLDER, available
from crawler.session.credentials import in_environment
from crawler.session.masking import Mask
from crawler.settings import VERSION
from crawler.system_errors import to_crawler_error
from crawler.text import display_path, one_line, printable

INTERRUPTED = 130
"""The status by which shells report a command that Ctrl-C has ended."""


def main() -> None:
    """Run the command of this process, and end the process."""
    status = execute(sys.argv[1:])
    ignore_from_now_on()
    freeze()  # the process ends: a search for cycles would take as long as many a command
    sys.exit(status)


def execute(arguments: Sequence[str]) -> int:
    """Run the command with ``arguments``, and return its exit status."""
    words, mask = list(arguments) or ["--help"], Mask(in_environment())
    try:
        status = commands.main(words, "crawl", standalone_mode=False, obj=mask)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output has ended, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CrawlerError.exit_status
    except Exception as error:
        if "--traceback" in arguments:
            click.echo(printable(mask(traceback.format_exc())), err=True)
        return _explain(error, mask)
    return int(status or 0)


def _explain(error: Exception, mask: Mask) -> int:
    """Print the error in one line, masked, and return its exit status."""
    if isinstance(error, click.ClickException):
        error = UsageError(error.format_message())
    elif not isinstance(error, CrawlerError):
        error = _unexpected(error)
    message = " ".join(mask(str(error)).split())
    click.echo(f"crawl: {one_line(message)}", err=True)
    return error.exit_status


class Commands(click.Group):
    """The commands; the error of an unknown one suggests the nearest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that ``args`` begin with. Raises UsageError if there is none."""
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
    """Crawl sites with your own spider, from seeds to JSON lines. Every crawl can be continued.

    To begin: crawl new books, then crawl run books.
    """


# Running


@commands.command("run", short_help="Run a spider, or continue its job.")
@click.argument("spider")
@click.argument("seed_args", metavar="[SEEDS]...", nargs=-1)
@click.option("-o", "--output", metavar="FILE", type=PATH, help="The file for the items.")
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
    """Run SPIDER from SEEDS to JSON lines. The same command continues where it stopped.

    SPIDER is a name that `crawl list` shows, a file (spiders/books.py, spiders/books.py:Books) or
    package.module:Class. SEEDS are URLs, files with one URL a line, CSV or JSON lines with a
    column url, or - for standard input; without any, the spider's start_urls.
    """
    # The fork comes before the spider is imported, which may open files and start threads.
    workers = expected_workers(spider, pairs("-s", overrides))
    with StopSignal() as stop, PreforkPool(1 if workers else 0) as prefork:
        config = for_run(
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
        return _run(config, stop, prefork)


@commands.command(short_help="Continue a job.")
@click.argument("job", required=False)
@click.pass_obj
def resume(mask: Mask, job: str | None) -> int:
    """Continue JOB, which is the same as repeating its run.

    JOB is a name under data/jobs or a folder; by default the job that ran last.
    """
    folder = folder_of(job)
    record = read_record(folder)
    workers = expected_workers(record.spider, record.overrides)
    with StopSignal() as stop, PreforkPool(1 if workers else 0) as prefork:
        config = for_resume(folder, mask)
        return _run(config, stop, prefork)


def _run(config: RunConfig, stop: StopSignal, prefork: PreforkPool) -> int:
    with Progress(limit=config.settings.max_pages) as progress:
        try:
            summary = run_job(
                config,
                watch=progress.update,
                stop=stop,
                report_seed=progress.bad_seed,
                prefork=prefork,
            )
        except CrawlerError:
            raise
        except Exception as error:
            raise _unexpected(error, config.folder / LOG) from error
        progress.close(summary)
    return summary.exit_status


def _unexpected(error: Exception, log: Path | None = None) -> CrawlerError:
    if isinstance(cause := to_crawler_error(error), SystemResourceError):
        return cause
    hint = f"see {display_path(log)}" if log and log.exists() else "crawl --traceback … shows where"
    return CrawlerError(f"unexpected error: {type(error).__name__}: {error} ({hint})")


# Showing


@commands.command(short_help="Show the progress of a job.")
@click.argument("job", required=False)
@click.option("--failed", is_flag=True, help="List the failed pages by cause.")
@click.option("--skipped", is_flag=True, help="List the links that were not followed, by shape.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(job: str | None, failed: bool, skipped: bool, as_json: bool) -> None:
    """Show the progress of JOB, whether it is running, stopped or finished.

    JOB is a name under data/jobs or a folder; by default the job that ran last.
    """
    folder = folder_of(job)
    fields = {**job_status(folder), "waiting": {}}
    if fields["reason"] == "login":
        fields["waiting"] = session_commands.waiting(folder)
    if failed and as_json:
        fields["failed_pages"] = list(map(asdict, failed_pages(folder)))
    if skipped and as_json:
        fields["skipped_links"] = [shape._asdict() for shape in skipped_links(folder)]
    if as_json:
        click.echo(report.status_json(fields, folder))
    elif failed:
        click.echo(printable(report.failures_text(failed_pages(folder))))
    elif skipped:
        click.echo(printable(report.skipped_text(skipped_links(folder))))
    else:
        click.echo(printable(report.status_text(fields, folder)))


@commands.command("list", short_help="List the spiders in spiders/.")
def list_() -> None:
    """List the spiders in spiders/, and the errors of files that cannot be imported."""
    click.echo(printable(report.list_text(available(), FOLDER)))


# Sessions


for command in (session_commands.login, session_commands.sessions, session_commands.logout):
    commands.add_command(command)


# Beginning


@commands.command(short_help="Write a first spider.")
@click.argument("name")
@click.argument("url", default=START)
def new(name: str, url: str) -> None:
    """Write spiders/NAME.py, a small spider that follows every link from URL."""
    path = write_spider(name, url)
    click.echo(f"{path} is written; change it, and run it with: crawl run {name}")


@commands.command(short_help="Serve a small shop to practise on.")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535))
def demo(port: int) -> None:
    """Serve a small bookshop with a login on this machine, until Ctrl-C."""
    from crawler.demo.server import serve  # content that no other command needs

    serve(port=port)
