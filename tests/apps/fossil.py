"""Fossil: a version control system with a wiki, tickets and a timeline; its database is SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tests.apps import debian
from tests.apps.member_site import (
    MEMBER,
    PAGES,
    MemberSite,
    State,
    fact,
    neighbours,
    page_name,
    rows_of,
    run,
)
from tests.apps.visitors import PASSWORD
from tests.sites import PATIENCE

REPOSITORY = "wiki.fossil"
CLOSED_PAGES = ["setup", "setup_ulist", "setup_access", "admin_log", "errorlog", "shun"]
SETTINGS = {"access-log": "on", "backoffice-disable": "on"}


class Fossil(MemberSite):
    """A wiki in a repository. A page that is closed redirects to the page with the login's form,
    for a member as for a stranger; a member's has the member's mark."""

    spider = "Fossil"
    address = "https://code.example"
    member_mark = "a[href='/logout']"
    variables = ("FOSSIL_USER", "FOSSIL_PASSWORD")
    closed_pages_fail = False

    @classmethod
    def lay(cls, folder: Path) -> None:
        """Commit each page of the wiki, twice for every third: these have a history."""
        fossil, environment = str(debian.program("fossil")), _environment(folder)
        run([fossil, "init", "--admin-user", "boss", REPOSITORY], folder, environment)
        where = ["-R", REPOSITORY]
        for number in range(PAGES):
            texts = ["An older text.", _text(number)] if number % 3 == 0 else [_text(number)]
            for verb, text in zip(("create", "commit"), texts, strict=False):
                (folder / "page.txt").write_text(text)
                wiki = [fossil, "wiki", verb, page_name(number), "page.txt", *where]
                run(wiki, folder, environment)
        run([fossil, "user", "new", MEMBER, "a member", PASSWORD, *where], folder, environment)
        # a member writes pages and tickets, and is no administrator
        run(
            [fossil, "user", "capabilities", MEMBER, "fhijkmoprtw234567", *where],
            folder,
            environment,
        )
        for user in ("nobody", "anonymous"):
            run([fossil, "user", "capabilities", user, "", *where], folder, environment)
        for name, value in SETTINGS.items():
            run([fossil, "settings", name, value, *where], folder, environment)

    def command(self, port: int) -> Sequence[str]:
        options = ["--localhost", "--port", str(port), "--nojail"]
        return [str(debian.program("fossil")), "server", *options, REPOSITORY]

    def environment(self) -> Mapping[str, str]:
        return _environment(self.folder)

    @property
    def logins(self) -> int:
        with closing(self._database()) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'accesslog'").fetchall():
                return 0  # fossil makes the table at the first login
            query = "SELECT 1 FROM accesslog WHERE uname = ? AND success"
            return len(db.execute(query, (MEMBER,)).fetchall())

    def end_sessions(self) -> None:
        with closing(self._database()) as db, db:
            db.execute("UPDATE user SET cookie = NULL, cexpire = NULL")

    def state(self) -> State:
        """Return the repository, except the log of logins, the cookies of users, the addresses at
        which it is served, and SQLite's statistics."""
        omitted = ["accesslog", "user.cookie", "user.cexpire", "user.ipaddr", "sqlite_stat1"]
        state = rows_of(self.folder / REPOSITORY, omitted)
        state["config"] = [row for row in state["config"] if "baseurl:" not in row]
        return state

    def closed(self) -> list[str]:
        return [f"{self.url}/{name}" for name in CLOSED_PAGES]

    def pages(self) -> list[str]:
        return [f"{self.url}/wiki?name={page_name(number)}" for number in range(PAGES)]

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / REPOSITORY, timeout=PATIENCE)


def _environment(folder: Path) -> dict[str, str]:
    return {**debian.environment(), "HOME": str(folder), "FOSSIL_HOME": str(folder), "USER": "boss"}


def _text(number: int) -> str:
    closed = CLOSED_PAGES[number % len(CLOSED_PAGES)]
    links = " ".join(f"[{page_name(other)}]" for other in neighbours(number))
    return f"<p>{fact(number)}</p>\n\nSee {links}, or [/{closed}|what is closed].\n"
