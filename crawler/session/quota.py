"""Quotas: how many pages an account may have in an hour or a day. Pure; times are wall clock."""

from __future__ import annotations

from msgspec.structs import replace

from crawler.messages import Usage
from crawler.session.accounts import Account


def counted(usage: Usage, at: float, account: Account | None) -> Usage:
    """``usage`` with one page more, at the time ``at``."""
    if account is None or not 0 <= at - usage.window_at < account.window:
        usage = replace(usage, window_at=at, window_pages=0)
    return replace(usage, pages=usage.pages + 1, window_pages=usage.window_pages + 1)


def wait(usage: Usage, at: float, account: Account | None) -> float:
    """Seconds until the account may have another page; 0 when it may now."""
    if account is None or account.max_pages is None or usage.window_pages < account.max_pages:
        return 0.0
    left = usage.window_at + account.window - at
    # A clock that was set back must not make the wait longer than the window.
    return min(max(left, 0.0), account.window)
