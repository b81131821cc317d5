"""The commands about sessions: ``crawl login``, ``crawl sessions``, ``crawl logout``."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from crawler.cli import report
from crawler.cli.configure import for_login
from crawler.cli.options import PATH, of_a_job
from crawler.cli.prompts import terminal_prompt
from crawler.engine import manual_login
from crawler.errors import CookieFileError, UsageError
from crawler.job import session_admin
from crawler.job.config import RunConfig
from crawler.job.job import writer
from crawler.job.lookup import folder_of
from crawler.job.record import reader
from crawler.session import cookie_files
from crawler.session.accounts import Account
from crawler.session.credentials import encryption_key
from crawler.session.masking import Mask
from crawler.spider import Spider
from crawler.text import count, display_path, printable


@click.command(short_help="Log in, answer the site's questions, store the session.")
@click.argument("spider")
@click.option("--account", metavar="NAME", help="The account, if there are several.")
@of_a_job
@click.option(
    "--import-cookies",
    metavar="FILE",
    type=PATH,
    help="Instead of logging in, take the cookies that a logged-in browser exported to FILE.",
)
@click.pass_obj
def login(
    mask: Mask,
    spider: str,
    account: str | None,
    accounts: Path | None,
    job: Path | None,
    arguments: tuple[str, ...],
    overrides: tuple[str, ...],
    import_cookies: Path | None,
) -> None:
    """Log in as SPIDER does, and store the session in the job, where crawl run finds it.

    If the site asks for a code or a captcha, type it at this terminal. --import-cookies takes the
    session of a browser from FILE (cookies.txt or JSON).
    """
    config = for_login(
        spider, arguments=arguments, overrides=overrides, job=job, accounts=accounts, mask=mask
    )
    chosen = manual_login.the_account(config, account)
    name = config.source.load().name + (f" as {chosen.name}" if chosen else "")
    if import_cookies is None:
        manual_login.log_in(config, chosen, terminal_prompt)
        click.echo(f"crawl: {name} is logged in; crawl run continues with this session", err=True)
    else:
        _import(config, chosen, import_cookies, name)


def _import(config: RunConfig, account: Account | None, path: Path, name: str) -> None:
    cookies = cookie_files.read(_read_text(path), display_path(path))
    number = manual_login.take_cookies(config, account, cookies)
    click.echo(f"crawl: {name} has {count(number, 'cookie')} of {display_path(path)}", err=True)
    spider = config.source.load()
    if spider.logs_in() and spider.is_logged_out is Spider.is_logged_out:
        click.echo(
            "crawl: without is_logged_out() in the spider, only the statuses 401 and 403 show "
            "that the site has ended this session",
            err=True,
        )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CookieFileError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CookieFileError(f"{path} is not text in UTF-8") from None


@click.command(short_help="Show the sessions of a job.")
@click.argument("job", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--export", metavar="FILE", type=PATH, help="Write the cookies to FILE.")
@click.option("--account", metavar="NAME", help="Only this account.")
def sessions(job: str | None, as_json: bool, export: Path | None, account: str | None) -> None:
    """Show the sessions of JOB: their accounts, hosts and times, but not their cookies.

    JOB is a name under data/jobs or a folder; by default the job that ran last. --export writes
    the cookies to FILE, which only you can read: as JSON if its name ends with .json, else as
    cookies.txt.
    """
    folder = folder_of(job)
    with reader(folder, encryption_key()) as store:
        if export is not None:
            number = session_admin.export(store, export, account)
            click.echo(f"crawl: {count(number, 'cookie')} in {display_path(export)}", err=True)
            return
        infos = session_admin.chosen(store, account)
    text = printable(report.sessions_text(infos, folder))
    click.echo(report.sessions_json(infos) if as_json else text)


def waiting(folder: Path) -> dict[str, str]:
    """Return the questions of a job's logins, by account; none without the key."""
    with contextlib.suppress(UsageError), reader(folder, encryption_key()) as store:
        return session_admin.waiting(store)
    return {}


@click.command(short_help="Forget the cookies and logins of a job.")
@click.argument("job", required=False)
@click.option("--account", metavar="NAME", help="Only this account.")
def logout(job: str | None, account: str | None) -> None:
    """Forget the cookies and logins of JOB, so that its next run logs in again.

    The site is not contacted. JOB is a name under data/jobs or a folder; by default the job that
    ran last.
    """
    folder = folder_of(job)
    with writer(folder, encryption_key()) as store:
        forgotten = session_admin.forget(store, account)
    names = ", ".join(info.name or "its account" for info in forgotten) or "no account"
    click.echo(f"crawl: {display_path(folder)} has forgotten the session of {names}", err=True)
