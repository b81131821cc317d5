"""A real application with a member's account, pages that it shows and pages closed to the account.

Each application extends ``MemberSite``. Its content is laid once, and kept beside the programs; a
test module serves a copy.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import filelock

from tests.apps.applications import WORK
from tests.apps.visitors import PASSWORD
from tests.sites import PATIENCE

MEMBER = "heron"
"""The account; its password is that of the other applications."""
PAGES = 24
CLOSED = 6
WORDS = ("fog", "teacup", "Größe", "mole & heron", "Łódź", '"quay"')

State = dict[str, list[str]]
"""All that a crawl could change: the rows of each table, the lines of each file."""


def page_name(number: int) -> str:
    """The name of a page; no name is within another."""
    return f"page{number:02}"


def fact(number: int) -> str:
    """The sentence that only this page has."""
    return f"Fact {number}: {WORDS[number % len(WORDS)]} {number * number}."


def neighbours(number: int) -> list[int]:
    """Return the pages that a page links to: all can be reached from page 0, in few steps."""
    return [other for other in (2 * number + 1, 2 * number + 2, number - 1) if 0 <= other < PAGES]


@dataclass
class MemberSite(ABC):
    """The process of an application, and its files in ``folder``; a context manager."""

    folder: Path
    url: str = field(default="", init=False)

    spider: ClassVar[str]
    """The spider of docs/applications.md, and its file without the suffix."""
    address: ClassVar[str]
    """The address that stands in that spider for the application's."""
    member_mark: ClassVar[str]
    """A selector for what only a member's pages have."""
    unmarked: ClassVar[str] = "(?!)"
    """A pattern of the URLs of pages, such as popups, that have no mark for members either."""
    variables: ClassVar[tuple[str, str]]
    """The environment variables from which that spider takes the user and the password."""

    closed_pages_fail: ClassVar[bool] = True
    """False where a closed page looks like a page to a spider that looks for the member's mark."""

    def __enter__(self) -> Self:
        shutil.copytree(self._seed(), self.folder, symlinks=True)
        for _ in range(10):
            port = _free_port()
            self.url = f"http://127.0.0.1:{port}"
            with (self.folder / "server.txt").open("ab") as log:
                self._process = subprocess.Popen(
                    self.command(port),
                    env=self.environment(),
                    cwd=self.folder,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            if self._answers(port):
                return self
            self._stop()
        raise AssertionError(f"{self.spider} did not start: {self.output}")

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, 9)
        self._process.communicate()

    def _answers(self, port: int) -> bool:
        """Wait until the process listens; False if it has ended."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    return self._process.poll() is None
            time.sleep(0.02)
        return False

    @property
    def output(self) -> str:
        """The output of the server."""
        return (self.folder / "server.txt").read_text(errors="replace")

    @classmethod
    def _seed(cls) -> Path:
        """Return the folder with the content, which is laid when it is not there."""
        mark = hashlib.sha256("".join(cls.sources()).encode()).hexdigest()[:12]
        final = WORK / "seeds" / f"{cls.spider}-{mark}"
        final.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(WORK / f"{cls.spider}.lock"):
            if not final.exists():
                for old in final.parent.glob(f"{cls.spider}-*"):
                    shutil.rmtree(old)
                draft = final.parent / f"{cls.spider}-draft"
                draft.mkdir()
                cls.lay(draft)
                draft.rename(final)
        return final

    @classmethod
    def sources(cls) -> list[str]:
        """Return the code that lays the content."""
        return [inspect.getsource(module) for module in (sys.modules[cls.__module__], _HERE)]

    @property
    def credentials(self) -> dict[str, str]:
        """The environment of the spider."""
        return dict(zip(self.variables, (MEMBER, PASSWORD), strict=True))

    def facts(self) -> list[tuple[str, str]]:
        """Return the name of each page that the account may see, and what only it says."""
        return [(page_name(number), fact(number)) for number in range(PAGES)]

    # Each application has its own

    @classmethod
    @abstractmethod
    def lay(cls, folder: Path) -> None:
        """Lay the content: the pages, the account, the closed pages."""

    @abstractmethod
    def command(self, port: int) -> Sequence[str]:
        """Return the command that serves the folder at a port of loopback."""

    def environment(self) -> Mapping[str, str]:
        """Return the environment of the server."""
        return os.environ

    @property
    @abstractmethod
    def logins(self) -> int:
        """The number of the account's logins."""

    @abstractmethod
    def end_sessions(self) -> None:
        """Delete all sessions on the server."""

    @abstractmethod
    def state(self) -> State:
        """Return all that a crawl could change, except what its docstring names."""

    @abstractmethod
    def closed(self) -> list[str]:
        """Return the URLs that are linked from pages and closed to the account."""

    @abstractmethod
    def pages(self) -> list[str]:
        """Return the URLs of the pages that the account may see, the start among them."""


_HERE = sys.modules[__name__]


def rows_of(database: Path, omitted: Collection[str] = ()) -> State:
    """Return the rows of each table of an SQLite database.

    ``omitted`` names tables (``sessions``) and columns (``user.last_login``).
    """
    tables: State = {}
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as db:
        names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        for (table,) in names.fetchall():
            if table in omitted:
                continue
            info = db.execute(f'PRAGMA table_info("{table}")').fetchall()
            columns = [row[1] for row in info if f"{table}.{row[1]}" not in omitted]
            listed = ", ".join(f'"{column}"' for column in columns)
            tables[table] = sorted(map(repr, db.execute(f'SELECT {listed} FROM "{table}"')))
    return tables


def files_of(folder: Path, *patterns: str) -> State:
    """Return the lines of the files that match."""
    files = {file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
    return {
        str(file.relative_to(folder)): file.read_text(errors="backslashreplace").splitlines()
        for file in files
    }


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed; its output."""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
