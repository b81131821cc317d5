"""The page that a login has come to: does it ask for the password again, what is it, keep it."""

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
    """True when ``page`` is the login's form once more, as sites answer to a wrong password.

    That is one with a field for a password, where the form stood, or which the form itself was
    answered with. Who is let in is sent on to another page.
    """
    is_answer = page.request.method == "POST" and not page.history
    if not page.is_html or not (is_answer or session.progress.is_login_page(page.url)):
        return False
    return bool(page.xpath("//form//input[@type='password']"))


def facts(page: Response) -> list[str]:
    """A page by its address, status and title."""
    title = " ".join((page.css("title::text").get() or "").split()) if page.is_html else ""
    told = [f"at {urls.redacted(page.url)}", f"status {page.status}"]
    return [*told, f"{title!r}"] if title else told


def save(session: Session, page: Response, folder: Path) -> list[str]:
    """Keep the page for a look, without what was typed into password fields; says where."""
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
