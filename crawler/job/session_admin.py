"""Identities: the sessions of a job as a person sees them, takes them out and forgets them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from crawler import urls
from crawler.errors import AccountError, CookieFileError
from crawler.records import LoginState, SessionRecord
from crawler.session import cookie_files
from crawler.session.cookie_files import domain_of
from crawler.session.keys import SessionKey
from crawler.store.protocols import Store


class SessionInfo(msgspec.Struct):
    """What is known of one session, without what it consists of. Times are wall clock."""

    key: str
    name: str
    """The account's, or the site's that an anonymous session is for; empty for the only one."""
    is_account: bool
    hosts: list[str]
    """The hosts that it has asked, or has cookies for."""
    cookies: int
    logged_in_at: float | None
    first_expiry: float | None
    """When the first of its cookies expires; None when none does by time."""
    pages: int
    logins: int
    logged_out_at: float | None
    waiting: str
    """What its login waits for; empty when for nothing."""


# Looking


def list_sessions(store: Store) -> list[SessionInfo]:
    """Every account that has been used, and every site that has set cookies."""
    found = [_identity(store, session) for session in store.sessions.all()]
    return [one for one in found if one.is_account or one.cookies]


def waiting(store: Store) -> dict[str, str]:
    """What logins ask that nobody has answered, by the account's name."""
    found = (
        (SessionKey.parse(session.key).name, session.login.waiting)
        for session in store.sessions.all()
    )
    return {name: question for name, question in found if question}


def _identity(store: Store, session: SessionRecord) -> SessionInfo:
    key = SessionKey.parse(session.key)
    expiries = [cookie.expires for cookie in session.cookies if cookie.expires is not None]
    return SessionInfo(
        key=session.key,
        name=key.name,
        is_account=key.is_account,
        hosts=_hosts(store, session),
        cookies=len(session.cookies),
        logged_in_at=session.login.at,
        first_expiry=min(expiries, default=None),
        pages=session.usage.pages,
        logins=session.usage.logins,
        logged_out_at=session.usage.logged_out_at,
        waiting=session.login.waiting,
    )


def _hosts(store: Store, session: SessionRecord) -> list[str]:
    key = SessionKey.parse(session.key)
    origins = list(store.hosts.origins())  # before anything else is asked of the store
    if key.is_account:
        asked = [origin for origin in origins if store.hosts.find(origin, key.name)]
    else:
        asked = [origin for origin in origins if urls.site(origin) == key.name]
    hosts = {origin.partition("://")[2] for origin in asked}
    return sorted(hosts or {domain_of(cookie).lstrip(".") for cookie in session.cookies})


# Taking out, and forgetting


def forget(store: Store, account: str | None) -> list[SessionInfo]:
    """Forget cookies and login states, of one account or of all; returns whose.

    What an account has used of its quota stays. Raises AccountError for one that is not there.
    """
    gone = chosen(store, account)
    with store.transaction():
        for one in gone:
            record = store.sessions.get(one.key) or SessionRecord(one.key, [])
            store.sessions.save(record._replace(cookies=[], login=LoginState()))
    return gone


def export(store: Store, path: Path, account: str | None) -> int:
    """Write cookies to ``path`` (mode 0600), as JSON if it is called so; returns how many.

    Raises AccountError where it is not clear whose, and CookieFileError for a file that cannot be
    written.
    """
    found = [one for one in chosen(store, account) if one.cookies]
    if len(found) > 1 and any(one.is_account for one in found):
        names = ", ".join(one.name or "the spider's own" for one in found)
        raise AccountError(f"there are several sessions: say which with --account ({names})")
    sessions = [session for one in found if (session := store.sessions.get(one.key))]
    cookies = [cookie for session in sessions for cookie in session.cookies]
    form = cookie_files.as_json if path.suffix.lower() == ".json" else cookie_files.netscape
    _write_private(path, form(cookies))
    return len(cookies)


def chosen(store: Store, account: str | None) -> list[SessionInfo]:
    """The identity of one account, or all. Raises AccountError for one that is not there."""
    found = list_sessions(store)
    if account is None:
        return found
    mine = [one for one in found if one.name == account]
    if not mine:
        known = ", ".join(one.name for one in found if one.name)
        raise AccountError(
            f"the job has no session of {account!r}" + (f" (there are {known})" if known else "")
        )
    return mine


def _write_private(path: Path, text: str) -> None:
    if path.exists() and not path.is_file():
        raise CookieFileError(f"{path} is no file to write cookies to")
    try:
        number, name = tempfile.mkstemp(prefix=".cookies-", dir=path.parent)  # has mode 0600
        with os.fdopen(number, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError as error:
        raise CookieFileError(f"cannot write {path}: {error.strerror}") from None
