"""Log in at a terminal, or import a browser's cookies, and store the session in a job."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from threading import Lock

from msgspec.structs import replace

from crawler import urls
from crawler.errors import AccountError, CookieFileError, SpiderError
from crawler.http.adapter import CurlAdapter
from crawler.http.address_policy import AddressPolicy
from crawler.job.config import RunConfig
from crawler.job.folder import LOG, PAGES
from crawler.job.job import Job
from crawler.messages import SessionChange
from crawler.output.log import log_to
from crawler.records import Cookie, SessionRecord
from crawler.scheduling.session_registry import SessionRegistry
from crawler.session.accounts import Account, SessionKey
from crawler.session.cookie_files import domain_of
from crawler.session.login import Login
from crawler.session.prober import Prober
from crawler.session.session import Prompt, Session
from crawler.spider import has_own_logout_check
from crawler.store.protocols import Store


def the_account(config: RunConfig, name: str | None) -> Account | None:
    """Return the account called ``name``; None for a spider without accounts.

    Raises AccountError for an unknown name, and without a name if there are several accounts.
    """
    names = [account.name for account in config.accounts]
    if name is None and len(names) <= 1:
        return config.accounts[0] if config.accounts else None
    if name in names:
        return config.accounts[names.index(name)]
    listing = ", ".join(names)
    if name is None:
        raise AccountError(f"there are several accounts: choose one with --account ({listing})")
    hint = f" (there are {listing})" if names else ", and no others: give --accounts FILE"
    raise AccountError(f"there is no account {name!r}{hint}")


def log_in(config: RunConfig, account: Account | None, prompt: Prompt) -> None:
    """Log in, with answers from ``prompt``, and store the session in the job; fetch no page.

    Raises UsageError, and LoginError, after which the job is as before.
    """
    spider = config.spider
    if not spider.logs_in():
        raise SpiderError(
            f"{spider.name} has no login(self, session); to use a login made in a browser, give "
            "--import-cookies FILE"
        )
    if account is not None:
        config.mask.watch(account.secrets)
    with _job(config) as job, log_to(job.folder / LOG, config.mask):
        record = _record(job.store, _key(account))
        adapter = CurlAdapter(addresses=AddressPolicy(anywhere=config.settings.allow_private))
        with Session(
            record.key,
            config.settings,
            adapter,
            config.mask,
            prompt=prompt,
            wall=job.clock.wall,
        ) as session:
            session.account = account
            spider.prepare(session)
            session.freeze_defaults()
            session.load(record)
            session.progress.forget()
            prober = Prober(spider, Lock(), has_own_check=has_own_logout_check(spider))
            login = Login(
                spider, prober, config.settings.retries, job.folder / PAGES, wall=job.clock.wall
            )
            login.ensure(session)
            _save(job.store, record, session.pop_changes())


def take_cookies(config: RunConfig, account: Account | None, cookies: Iterable[Cookie]) -> int:
    """Store the cookies of a browser that has logged in, except expired ones; return their number.

    They go into the session of the account; if the spider does not log in, each goes into that of
    its site. Raises UsageError.
    """
    now = time.time()
    valid = [cookie for cookie in cookies if cookie.expires is None or cookie.expires > now]
    if not valid:
        raise CookieFileError("all of the cookies have expired: export them again")
    has_accounts = account is not None or config.source.load().logs_in()
    by_key: dict[str, list[Cookie]] = {}
    for cookie in valid:
        key = _key(account) if has_accounts else str(SessionKey.of_site(_site(cookie)))
        by_key.setdefault(key, []).append(cookie)
    with _job(config) as job, job.store.transaction():
        for key, group in by_key.items():
            record = _record(job.store, key)
            merged = {cookie.key: cookie for cookie in (*record.cookies, *group)}
            login = replace(record.login, at=now, waiting="")
            job.store.sessions.save(record._replace(cookies=list(merged.values()), login=login))
    return len(valid)


@contextlib.contextmanager
def _job(config: RunConfig) -> Iterator[Job]:
    """Open the job, new or not. No run may use it meanwhile."""
    with Job(config) as job:
        with job.store.transaction():
            job.store.meta.set("pid", os.getpid())  # a run that is refused names this process
        yield job


def _save(store: Store, record: SessionRecord, change: SessionChange | None) -> None:
    sessions = SessionRegistry()
    sessions.load(record)
    if change is not None:
        sessions.apply(change)
    with store.transaction():
        sessions.save(store.sessions)


def _record(store: Store, key: str) -> SessionRecord:
    return store.sessions.get(key) or SessionRecord(key, [])


def _key(account: Account | None) -> str:
    return str(SessionKey.of_account("" if account is None else account.name))


def _site(cookie: Cookie) -> str:
    return urls.site(f"http://{domain_of(cookie).lstrip('.')}/")
