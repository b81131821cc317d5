"""The page at which a login has ended: detect its form, describe the page, save it."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from crawler import urls
from crawler.parsing.response import Response
from crawler.session.session import Session

log = logging.getLogger(__name__)


def asks_again(session: Session, page: Response) -> bool:
    """Return True if ``page`` is the login's form once more, as after a wrong password.

    That is a form with a password field, either at a login page or in direct response to the form.
    After a login that works, sites redirect to another page.
    """
    is_direct = page.request.method == "POST" and not page.history
    if not page.is_html or not (is_direct or session.progress.is_login_page(page.url)):
        return False
    return bool(page.xpath("//form//input[@type='password']"))


def facts(page: Response) -> list[str]:
    """Describe a page by its address, status and title."""
    title = " ".join((page.css("title::text").get() or "").split()) if page.is_html else ""
    address = [f"at {urls.redacted(page.url)}", f"status {page.status}"]
    return [*address, f"{title!r}"] if title else address


def save(session: Session, page: Response, folder: Path) -> list[str]:
    """Save the page, with secrets masked; return where, for a message."""
    path = folder / f"login-{re.sub(r'[^A-Za-z0-9_.-]', '_', session.key)}.html"
    body = session.mask.page(page.body)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with open(path, "wb", opener=_private) as file:
            file.write(body)
    except OSError as error:
        log.warning("cannot save %s: %s", path, error)
        return []
    return [f"saved as {path}"]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
