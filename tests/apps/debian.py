"""Programs from Debian's archive, fetched with apt and unpacked into a folder: no root, no service.

Packages whose dependencies the system has are unpacked alone; the others bring theirs along. An
absolute link of a package leads into the folder, and so do the paths in scripts.
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

import filelock

from tests.apps.applications import WORK, NotInstalledError

PROGRAMS = ("fossil", "php-cli", "php-mbstring", "php-xml")
"""Packages that are fetched with all that they depend on."""
DATA = ("dokuwiki", "libphp-simplepie", "php-geshi", "php-phpseclib", "php-random-compat")
"""Packages that are fetched alone: what they depend on is a web server, or is among these."""

ROOT = WORK / "debian"


@cache
def fetched() -> Path:
    """Return the folder with the packages, which is filled when it is not there."""
    stamp, content = WORK / "debian.txt", inspect.getsource(sys.modules[__name__])
    WORK.mkdir(exist_ok=True)
    with filelock.FileLock(WORK / "debian.lock"):
        if not stamp.exists() or stamp.read_text() != content:
            stamp.unlink(missing_ok=True)
            shutil.rmtree(ROOT, ignore_errors=True)
            _unpack(_download())
            stamp.write_text(content)
    return ROOT


def environment() -> dict[str, str]:
    """Return the variables with which a program of the folder finds its libraries."""
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [ROOT / "lib" / triplet, ROOT / "usr" / "lib" / triplet]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(map(str, folders))}


def program(pattern: str) -> Path:
    """Return the program that a package brought, or that the system has."""
    for folder in (fetched() / "usr" / "bin", Path("/usr/bin")):
        programs = [path for path in sorted(folder.glob(pattern)) if path.is_file()]
        if programs:
            return programs[-1]
    raise NotInstalledError(f"no program is called {pattern}")


def _download() -> list[Path]:
    """Download the packages. DATA comes last: its links must not take the place of folders."""
    if not shutil.which("apt-get"):
        raise NotInstalledError("the system has no apt-get")
    folder, options = WORK / "packages", _lists()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    install = ["--simulate", "--no-install-recommends", "--reinstall", "install"]
    names = re.findall(r"(?m)^Inst (\S+)", _run("apt-get", *options, *install, *PROGRAMS))
    files: list[Path] = []
    for group in (names, DATA):
        _run("apt-get", *options, "download", *group, cwd=folder)
        files += sorted(set(folder.glob("*.deb")) - set(files), key=_dokuwiki_last)
    return files


def _dokuwiki_last(file: Path) -> tuple[bool, str]:
    return file.name.startswith("dokuwiki"), file.name


def _lists() -> list[str]:
    """Return apt's options: lists of packages of our own where the system has none."""
    quiet = ["-qq", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]
    if "Candidate: (none)" not in (shown := _run("apt-cache", "policy", *PROGRAMS)) and shown:
        return quiet
    lists = WORK / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    options = [*quiet, "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={WORK / 'cache'}"]
    (WORK / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    _run("apt-get", *options, "update")
    return options


def _unpack(files: list[Path]) -> None:
    ROOT.mkdir()
    for file in files:
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(file)], stdout=subprocess.PIPE
        ) as archive:
            tar = ["tar", "--extract", "--skip-old-files", "--no-same-owner", "--directory"]
            subprocess.run([*tar, str(ROOT)], stdin=archive.stdout, check=True)
    for path in ROOT.rglob("*"):
        if path.is_symlink() and (target := str(path.readlink())).startswith("/"):
            path.unlink()
            path.symlink_to(os.path.relpath(ROOT / target[1:], path.parent))
    for script in (ROOT / "usr" / "share").rglob("*.php"):
        if not script.is_symlink() and b"/usr/share/" in (text := script.read_bytes()):
            script.write_bytes(text.replace(b"/usr/share/", f"{ROOT}/usr/share/".encode()))


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise NotInstalledError(f"{' '.join(command[:1])}: {lines[-1]}")
    return done.stdout
