"""DokuWiki: a wiki in PHP whose pages are files, here with PHP's own server."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.apps import debian
from tests.apps.member_site import (
    CLOSED,
    MEMBER,
    PAGES,
    MemberSite,
    State,
    fact,
    files_of,
    neighbours,
    page_name,
    run,
)
from tests.apps.visitors import PASSWORD

EXTENSIONS = ["ctype", "dom", "iconv", "mbstring", "posix", "simplexml", "tokenizer", "xml"]
ACCESS = """\
*          @ALL   0
*          @user  16
secret:*   @user  0
"""
SETTINGS = {
    "title": "'A wiki'",
    "useacl": "1",
    "superuser": "'boss'",
    "disableactions": "''",
    "subscribers": "1",
    "savedir": "'{folder}/data'",
    "dmode": "0755",
    "fmode": "0644",
    "typography": "0",
    "updatecheck": "0",
    "sitemap": "0",
}
OLD = 1577880000
"""The time of the older revisions."""
PREPEND = """\
<?php
define('DOKU_MAIN_CONF', '{folder}/conf/');
define('DOKU_CONF', '{folder}/conf/');
register_shutdown_function(function () {{
    if (isset($_POST['u'], $_SERVER['REMOTE_USER'])) {{
        file_put_contents('{folder}/logins', '.', FILE_APPEND);
    }}
}});
"""
"""Says where the wiki is, and counts the logins: a form was sent, and the wiki knows its user."""


class DokuWiki(MemberSite):
    """A wiki whose member may write and delete, so that a link that acts would do so.

    A closed page says so with status 200, to a stranger with the form of the login.
    """

    spider = "DokuWiki"
    address = "https://wiki.example"
    member_mark = "a[href*='do=logout']"
    unmarked = r"/lib/exe/(mediamanager|detail)\.php"
    variables = ("WIKI_USER", "WIKI_PASSWORD")
    closed_pages_fail = False

    @classmethod
    def lay(cls, folder: Path) -> None:
        """Lay the configuration, and commit each page of the wiki, every third twice."""
        debian.fetched()
        shutil.copytree(debian.ROOT / "etc" / "dokuwiki", folder / "conf", symlinks=True)
        for file in (folder / "conf").iterdir():
            if file.is_symlink():
                file.unlink()
        hashed = hashlib.md5(PASSWORD.encode()).hexdigest()  # DokuWiki tells by its form
        users = f"{MEMBER}:{hashed}:A Member:member@wiki.example:user\n"
        (folder / "conf" / "users.auth.php").write_text(users)
        (folder / "conf" / "acl.auth.php").write_text(ACCESS)
        for name in ("attic", "cache", "index", "locks", "log", "media", "media_attic"):
            (folder / "data" / name).mkdir(parents=True)
        for name in ("media_meta", "meta", "pages", "tmp"):
            (folder / "data" / name).mkdir()
        (folder / "sessions").mkdir()
        for name, size in (("plan.txt", 3), ("map.txt", 5)):
            (folder / "data" / "media" / name).write_text("a file\n" * size)
        cls._configure(folder)
        for number in range(PAGES):
            if number % 3 == 0:
                page = folder / "data" / "pages" / f"{page_name(number)}.txt"
                page.write_text("An older text.")
                os.utime(page, (OLD, OLD))  # the next commit keeps it as an older revision
            _commit(folder, page_name(number), _text(number))
        for number in range(CLOSED):
            _commit(folder, f"secret:{number}", "Nothing for members.")

    @staticmethod
    def _configure(folder: Path) -> None:
        lines = [
            f"$conf['{name}'] = {value.format(folder=folder)};" for name, value in SETTINGS.items()
        ]
        (folder / "conf" / "local.php").write_text("<?php\n" + "\n".join(lines) + "\n")
        (folder / "prepend.php").write_text(PREPEND.format(folder=folder))

    def command(self, port: int) -> Sequence[str]:
        self._configure(self.folder)
        root = debian.ROOT / "usr" / "share" / "dokuwiki"
        return [*_php(self.folder), "-S", f"127.0.0.1:{port}", "-t", str(root)]

    def environment(self) -> Mapping[str, str]:
        return {**debian.environment(), "PHP_CLI_SERVER_WORKERS": "4"}

    @property
    def logins(self) -> int:
        file = self.folder / "logins"
        return file.stat().st_size if file.exists() else 0

    def end_sessions(self) -> None:
        """Delete the salt without which cookies cannot be read, then the sessions.

        The other way round, a cookie could begin a session in between.
        """
        salts = (self.folder / "data" / "meta").glob("_htcookiesalt*")
        for file in [*salts, *(self.folder / "sessions").iterdir()]:
            file.unlink(missing_ok=True)

    def state(self) -> State:
        """Return all files except caches, the index for searches, and what is derived from pages
        (`*.meta`, `*.indexed`); the salt of cookies is made by the first visit."""
        folders = ("attic", "locks", "media", "media_attic", "media_meta", "pages")
        meta = (f"data/meta/**/*.{suffix}" for suffix in ("changes", "mlist", "draft"))
        return files_of(self.folder, *(f"data/{name}/**/*" for name in folders), *meta, "conf/**/*")

    def closed(self) -> list[str]:
        return [f"{self.url}/doku.php?id=secret:{number}" for number in range(CLOSED)]

    def pages(self) -> list[str]:
        return [f"{self.url}/doku.php?id={page_name(number)}" for number in range(PAGES)]


def _php(folder: Path) -> list[str]:
    """Return the command of PHP with the extensions that the wiki needs, and no other."""
    program = str(debian.program("php[0-9]*"))
    libraries = (root / "usr" / "lib" / "php" for root in (debian.ROOT, Path("/")))
    library = next(folder for root in libraries for folder in root.glob("2*"))
    settings = {
        "extension_dir": str(library),
        "include_path": f".:{debian.ROOT}/usr/share/php",
        "auto_prepend_file": str(folder / "prepend.php"),
        "session.save_path": str(folder / "sessions"),
        "zend_extension": "opcache",
        "opcache.enable_cli": "1",
        "error_reporting": "0",
    }
    options = [f"{name}={value}" for name, value in settings.items()]
    options += [f"extension={name}" for name in EXTENSIONS if (library / f"{name}.so").exists()]
    return [program, "-n", *(part for option in options for part in ("-d", option))]


def _commit(folder: Path, page: str, text: str) -> None:
    (folder / "page.txt").write_text(text)
    tool = str(debian.ROOT / "usr" / "share" / "dokuwiki" / "bin" / "dwpage.php")
    commit = ["commit", "--message", "written", "page.txt", page]
    run([*_php(folder), tool, *commit], folder, debian.environment())


def _text(number: int) -> str:
    links = " ".join(f"[[{page_name(other)}]]" for other in neighbours(number))
    secret = f"[[secret:{number % CLOSED}]]"
    media = "{{:plan.txt|the plan}}"
    return f"===== {page_name(number)} =====\n\n{fact(number)}\n\nSee {links} {secret} {media}.\n"
