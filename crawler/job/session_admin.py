"""Show, export and forget the sessions of a job, for the commands about sessions."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from crawler import urls
from crawler.errors import AccountError, CookieFileError
from crawler.records import LoginState, SessionRecord
from crawler.session.accounts import SessionKey
from crawler.session.cookie_files import as_json, domain_of, netscape
from crawler.store.protocols import Store


class SessionInfo(msgspec.Struct):
    """A session as ``crawl sessions`` shows it, without its cookies. Times are wall clock."""

    key: str
    name: str
    """The name of the account, or the site of an anonymous session; empty for the only account."""
    is_account: bool
    hosts: list[str]
    """The hosts that it has sent requests to, or has cookies for."""
    cookies: int
    logged_in_at: float | None
    first_expiry: float | None
    """The time at which the first of its cookies expires; None if none does."""
    pages: int
    logins: int
    logged_out_at: float | None
    waiting: str
    """The question that its login needs an answer to; empty if there is none."""


# Show


def all_sessions(store: Store) -> list[SessionInfo]:
    """Return every account that has been used, and every site that has set cookies."""
    infos = [_info(store, session) for session in store.sessions.all()]
    return [info for info in infos if info.is_account or info.cookies]


def waiting(store: Store) -> dict[str, str]:
    """Return the open questions of logins, by the account's name."""
    questions = (
        (SessionKey.parse(session.key).name, session.login.waiting)
        for session in store.sessions.all()
    )
    return {name: question for name, question in questions if question}


def _info(store: Store, session: SessionRecord) -> SessionInfo:
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
    origins = list(store.hosts.origins())  # all of them before the next query
    if key.is_account:
        used = [origin for origin in origins if store.hosts.find(origin, key.name)]
    else:
        used = [origin for origin in origins if urls.site(origin) == key.name]
    hosts = {urls.netloc_of(origin) for origin in used}
    return sorted(hosts or {domain_of(cookie).lstrip(".") for cookie in session.cookies})


# Forget and export


def forget(store: Store, account: str | None) -> list[SessionInfo]:
    """Forget cookies and login states, of one account or of all; return the sessions.

    The used quota of an account stays. Raises AccountError for an account without a session.
    """
    infos = chosen(store, account)
    with store.transaction():
        for info in infos:
            record = store.sessions.get(info.key) or SessionRecord(info.key, [])
            store.sessions.save(record._replace(cookies=[], login=LoginState()))
    return infos


def export(store: Store, path: Path, account: str | None) -> int:
    """Write cookies to ``path`` (mode 0600), as JSON if its name says so; return their number.

    Raises AccountError if there are several sessions to choose from, and CookieFileError for a
    file that cannot be written.
    """
    infos = [info for info in chosen(store, account) if info.cookies]
    if len(infos) > 1 and any(info.is_account for info in infos):
        names = ", ".join(info.name or "the spider's own" for info in infos)
        raise AccountError(f"there are several sessions: choose one with --account ({names})")
    sessions = [session for info in infos if (session := store.sessions.get(info.key))]
    cookies = [cookie for session in sessions for cookie in session.cookies]
    write = as_json if path.suffix.lower() == ".json" else netscape
    _write_private(path, write(cookies))
    return len(cookies)


def chosen(store: Store, account: str | None) -> list[SessionInfo]:
    """Return the session of one account, or all. Raises AccountError if it has none."""
    infos = all_sessions(store)
    if account is None:
        return infos
    matching = [info for info in infos if info.name == account]
    if not matching:
        names = ", ".join(info.name for info in infos if info.name)
        raise AccountError(
            f"the job has no session of {account!r}" + (f" (there are {names})" if names else "")
        )
    return matching


def _write_private(path: Path, text: str) -> None:
    if path.exists() and not path.is_file():
        raise CookieFileError(f"{path} is not a file that cookies can be written to")
    try:
        number, name = tempfile.mkstemp(prefix=".cookies-", dir=path.parent)  # has mode 0600
        with os.fdopen(number, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError as error:
        raise CookieFileError(f"cannot write {path}: {error.strerror}") from None
