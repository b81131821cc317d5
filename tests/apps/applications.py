"""Real applications by other authors, installed from PyPI and served on loopback."""

from __future__ import annotations

import os
import select
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import filelock

from tests.apps.visitors import PASSWORD, USER
from tests.sites import PATIENCE

HERE = Path(__file__).parent
WORK = HERE / "work"
REQUIREMENTS = HERE / "requirements.txt"


class NotInstalledError(Exception):
    """pip could not install the applications; the message says why."""


def environment(requirements: Path = REQUIREMENTS, name: str = "venv") -> Path:
    """Return the Python of a virtual environment that has the applications of a file.

    It is in the folder ``name``, and made when it is not there.
    """
    folder, stamp = WORK / name, WORK / f"{name}.txt"
    python = folder / "bin" / "python"
    content = f"{sys.version}\n{requirements.read_text()}"
    WORK.mkdir(exist_ok=True)
    with filelock.FileLock(WORK / f"{name}.lock"):
        if not stamp.exists() or stamp.read_text() != content:
            stamp.unlink(missing_ok=True)
            _install(folder, python, requirements)
            stamp.write_text(content)
    return python


def _install(folder: Path, python: Path, requirements: Path) -> None:
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            raise NotInstalledError(f"{' '.join(command[1:4])}: {said[-1]}")


@dataclass(frozen=True)
class Kind:
    """One application: the script that serves it, and the right result of a crawl."""

    script: str
    spider: str
    start: str
    table: str
    first_page: int
    page_size: int
    shelf: str
    book: str
    sessions: str = ""
    """The table of its sessions, when they are in the database."""


DJANGO = Kind(
    "django_admin.py",
    "Admin",
    start="/admin/auth/book/?p=1",
    table="auth_book",
    first_page=1,
    page_size=100,
    shelf="/admin/auth/book/?p={page}",
    book="/admin/auth/book/{id}/change/",
    sessions="django_session",
)
APPBUILDER = Kind(
    "appbuilder.py",
    "Builder",
    start="/bookview/list/?page_BookView=0",
    table="book",
    first_page=0,
    page_size=25,
    shelf="/bookview/list/?page_BookView={page}",
    book="/bookview/show/{id}",
)
TOKENS = Kind(
    "tokens.py",
    "Tokens",
    start="/books?page=1",
    table="book",
    first_page=1,
    page_size=20,
    shelf="/books?page={page}",
    book="/books/{id}",
)


@dataclass
class Application:
    """A process that serves one application; a context manager. Its files are in ``folder``.

    Each answer takes ``latency`` seconds at least; a session ends ``session_seconds`` after its
    login.
    """

    kind: Kind
    python: Path
    folder: Path
    latency: float = 0.0
    session_seconds: float = 3600.0
    url: str = field(default="", init=False)

    def __enter__(self) -> Self:
        self.folder.mkdir()
        self._errors = (self.folder / "server.txt").open("wb")
        self._process = subprocess.Popen(
            [str(self.python), str(HERE / "servers" / self.kind.script), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={
                **os.environ,
                "APP_USER": USER,
                "APP_PASSWORD": PASSWORD,
                "LATENCY": str(self.latency),
                "SESSION_SECONDS": str(self.session_seconds),
            },
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        self.url = self._process.stdout.readline().decode().strip() if ready else ""
        if not self.url:
            self.__exit__()
            raise AssertionError(f"{self.kind.script} did not start: {self.said}")
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    @property
    def said(self) -> str:
        """The server's standard error."""
        return (self.folder / "server.txt").read_text(errors="replace")

    # What it has seen

    @property
    def logins(self) -> list[float]:
        """The times of the logins."""
        return [float(line) for line in self._read("logins").split()]

    @property
    def pages(self) -> int:
        """The number of pages served to logged-in users, login forms included."""
        return self._read("visits").count(".")

    @property
    def refusals(self) -> int:
        """The number of requests that it has answered with a redirect, 401 or 403."""
        return self._read("visits").count("-")

    def _read(self, name: str) -> str:
        file = self.folder / name
        return file.read_text() if file.exists() else ""

    def end_sessions(self) -> None:
        """Log everybody out."""
        if self.kind.sessions:
            with closing(self._database()) as db, db:
                db.execute(f"DELETE FROM {self.kind.sessions}")
        else:
            with (self.folder / "generation").open("ab") as file:
                file.write(b"+")

    # What there is

    def expected(self) -> list[dict[str, Any]]:
        """Every item that a crawl must give, by the database: shelves and books."""
        with closing(self._database()) as db:
            books = db.execute(f"SELECT id, title, cents FROM {self.kind.table}").fetchall()
        kind, sizes = self.kind, range(0, len(books), self.kind.page_size)
        return [
            *(
                {
                    "url": self.url + kind.shelf.format(page=kind.first_page + number),
                    "books": min(kind.page_size, len(books) - before),
                }
                for number, before in enumerate(sizes)
            ),
            *(
                {"url": self.url + kind.book.format(id=id), "title": title, "cents": str(cents)}
                for id, title, cents in books
            ),
        ]

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / "app.db", timeout=PATIENCE)
