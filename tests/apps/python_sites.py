"""Trac, Roundup and Wagtail: applications from PyPI, each served by a script in ``servers/``."""

from __future__ import annotations

import html
import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from tests.apps.applications import HERE, environment
from tests.apps.member_site import (
    CLOSED,
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

REQUIREMENTS = HERE / "requirements-members.txt"


class PythonSite(MemberSite):
    """An application that runs in the virtual environment of all three."""

    script: ClassVar[str]
    database: ClassVar[str]
    """The file with the content, in the folder."""
    sessions: ClassVar[tuple[str, str]]
    """The file and the table of the sessions."""
    omitted: ClassVar[list[str]]
    """Tables and columns that a login or a visit may change."""

    @classmethod
    def sources(cls) -> list[str]:
        return [*super().sources(), (HERE / "servers" / cls.script).read_text()]

    @classmethod
    def lay(cls, folder: Path) -> None:
        """Hand the texts to the script, which writes them as the application does."""
        (folder / "content.json").write_text(json.dumps(cls.content()))
        run([*cls._command(folder), "lay"], folder, _environment(0))

    @classmethod
    def content(cls) -> list[tuple[str, str]]:
        """Return names and texts of the pages, in the order of writing: some are written twice."""
        older = [(page_name(number), "An older text.") for number in range(0, PAGES, 3)]
        return older + [(page_name(number), cls.text(number)) for number in range(PAGES)]

    @classmethod
    def text(cls, number: int) -> str:
        """Return the text of a page, with its links."""
        raise NotImplementedError

    @classmethod
    def _command(cls, folder: Path) -> list[str]:
        python = environment(REQUIREMENTS, "members")
        return [str(python), str(HERE / "servers" / cls.script), str(folder)]

    def command(self, port: int) -> Sequence[str]:
        return self._command(self.folder)

    def environment(self) -> Mapping[str, str]:
        return _environment(int(self.url.rpartition(":")[2]))

    @property
    def logins(self) -> int:
        file = self.folder / "logins"
        return len(file.read_text().split()) if file.exists() else 0

    def end_sessions(self) -> None:
        file, table = self.sessions
        with closing(sqlite3.connect(self.folder / file, timeout=PATIENCE)) as db, db:
            db.execute(f"DELETE FROM {table}")

    def state(self) -> State:
        """Return the database, except the tables and columns that are ``omitted``."""
        return rows_of(self.folder / self.database, self.omitted)


def _environment(port: int) -> dict[str, str]:
    return {**os.environ, "APP_USER": MEMBER, "APP_PASSWORD": PASSWORD, "PORT": str(port)}


class Trac(PythonSite):
    """A wiki with tickets. A page without the right to see it is a 403, for all."""

    script = "trac_site.py"
    spider = "Trac"
    address = "https://trac.example"
    member_mark = "#logout"
    variables = ("TRAC_USER", "TRAC_PASSWORD")
    database = "trac/db/trac.db"
    sessions = (database, "auth_cookie")
    omitted = ["auth_cookie", "session", "session_attribute"]  # the last visit, and the last query

    @classmethod
    def text(cls, number: int) -> str:
        links = " ".join(f"[wiki:{page_name(other)}]" for other in neighbours(number))
        links += f" [//report/{number % CLOSED + 1} report] #{number % 3 + 1}"
        return f"{fact(number)}\n\nSee {links}.\n"

    def closed(self) -> list[str]:
        return [f"{self.url}/report/{number + 1}" for number in range(CLOSED)]

    def pages(self) -> list[str]:
        return [f"{self.url}/wiki/{page_name(number)}" for number in range(PAGES)]


class Roundup(PythonSite):
    """A tracker of issues. Strangers get the form of the login in the sidebar of each page."""

    script = "roundup_site.py"
    spider = "Roundup"
    address = "https://tracker.example"
    member_mark = "a[href*='@action=logout']"
    unmarked = r"@template=(help|calendar)"
    variables = ("TRACKER_USER", "TRACKER_PASSWORD")
    database = "tracker/db/db"
    sessions = ("tracker/db/db-session", "sessions")
    omitted = []
    closed_pages_fail = False

    @classmethod
    def content(cls) -> list[tuple[str, str]]:
        """Return the issues in the order of their pages: these have no older texts."""
        return [(page_name(number), cls.text(number)) for number in range(PAGES)]

    @classmethod
    def text(cls, number: int) -> str:
        links = " ".join(f"issue{other + 1}" for other in neighbours(number))
        return f"{fact(number)}\n\nSee {links} keyword{number % CLOSED + 1}.\n"

    def closed(self) -> list[str]:
        return [f"{self.url}/keyword{number + 1}" for number in range(CLOSED)]

    def pages(self) -> list[str]:
        return [f"{self.url}/issue{number + 1}" for number in range(PAGES)]


class Wagtail(PythonSite):
    """Pages for members. A closed one redirects to the page of the login, as for strangers."""

    script = "wagtail_site.py"
    spider = "Wagtail"
    address = "https://pages.example"
    member_mark = "#logout, #wagtail-sidebar"
    variables = ("PAGES_USER", "PAGES_PASSWORD")
    database = "app.db"
    sessions = (database, "django_session")
    omitted = [
        *("django_session", "auth_user.last_login", "sqlite_sequence"),
        # the form of a page notes who looks at it, and has a row to be subscribed by
        *("wagtailadmin_editingsession", "wagtailcore_pagesubscription"),
    ]

    @classmethod
    def text(cls, number: int) -> str:
        links = " ".join(
            f'<a href="/{page_name(other)}/">{page_name(other)}</a>' for other in neighbours(number)
        )
        links += f' <a href="/closed{number % CLOSED}/">closed</a>'
        return f"<p>{html.escape(fact(number))}</p><p>See {links}.</p>"

    def closed(self) -> list[str]:
        return [f"{self.url}/closed{number}/" for number in range(CLOSED)]

    def pages(self) -> list[str]:
        return [f"{self.url}/{page_name(number)}/" for number in range(PAGES)]
