"""Refuse folders and files that other users of the machine could change (POSIX systems).

The files of a job say which code is run and where its output goes. So a file is trusted only if no
other user can change it, or put another one in its place: see decision 27.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from crawler.errors import JobError

try:
    import grp
    import pwd
except ImportError:  # Windows, where access control lists decide; this module then allows all
    HAS_OWNERS = False
else:
    HAS_OWNERS = True

MOST_LINKS = 40
"""Links that one path may lead through, as in Linux."""
TRUST = "CRAWL_TRUST_FOLDERS"
"""The environment variable that switches the checks off, as where this user is alone."""
_ELSEWHERE = (
    "or use another folder, as in crawl run SPIDER --job FOLDER; where no other user is on the "
    f"machine, as in a container, set {TRUST}=1"
)
SAFE_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
"""Flags with which a file is opened as it is, and not what a link has led to since a check."""


def refuse_unsafe_folder(folder: Path) -> None:
    """Raise JobError if another user could change files in ``folder``, or put another in its place.

    It need not exist yet. Folders above it may be writable by others if they are sticky, as /tmp
    is, and by a group.
    """
    if not _is_checked():
        return
    refuse_foreign_links(folder)
    real = Path(os.path.realpath(folder))
    for above in real.parents:
        mode = _mode(above)
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise JobError(
                f"others can write {above}, and so put another folder in the place of {folder}: "
                f"{_command('chmod', 'o-w', above)}, {_ELSEWHERE}"
            )
    with suppress(FileNotFoundError, NotADirectoryError):
        _refuse(folder, real.stat(), is_private=False)


def refuse_unsafe_file(path: Path, *, may_be_link: bool = False, is_private: bool = False) -> None:
    """Raise JobError if another user could change the file or folder ``path``; it need not exist.

    Only with ``may_be_link`` it may be a link, of this user. ``is_private`` is for a file that no
    group may write either.
    """
    if not _is_checked():
        return
    if path.is_symlink():
        if not may_be_link:
            raise JobError(
                f"{path} is a link, and no job makes one there: another user may have put it "
                f"there; check it, then {_command('rm', path)}"
            )
        refuse_foreign_links(path)
    with suppress(FileNotFoundError, NotADirectoryError):
        _refuse(path, path.stat(), is_private=is_private)


def refuse_foreign_links(path: Path) -> None:
    """Raise JobError if ``path`` leads through a link of another user, who could change it."""
    if not _is_checked():
        return
    for link, owner in _links(path):
        if owner not in _trusted():
            raise JobError(
                f"{link} is a link of {_name(owner)}, who could let it lead anywhere: check it, "
                f"then {_command('rm', link)}, or use another path"
            )


def open_safely(path: str | os.PathLike[str], flags: int, mode: int = 0o644) -> int:
    """Open a file as ``os.open`` does, but through no link of another user.

    Raises JobError for such a link, and OSError for one that appears while the file is opened.
    """
    return os.open(safe_path(Path(path)), flags | SAFE_FLAGS, mode)


def safe_path(path: Path) -> Path:
    """Return ``path`` without links, to be opened with ``SAFE_FLAGS``.

    Raises JobError if it leads through a link of another user.
    """
    refuse_foreign_links(path)
    return Path(os.path.realpath(path))


def is_foreign(file: os.stat_result) -> bool:
    """Return True for a file of another user than this one and root."""
    return _is_checked() and file.st_uid not in _trusted()


def _is_checked() -> bool:
    return HAS_OWNERS and os.environ.get(TRUST, "") in ("", "0")


def _refuse(path: Path, file: os.stat_result, *, is_private: bool) -> None:
    """Raise JobError if another user could change a file or folder."""
    if not (stat.S_ISREG(file.st_mode) or stat.S_ISDIR(file.st_mode)):
        raise JobError(f"{path} is neither a file nor a folder: {_command('rm', path)}")
    if is_foreign(file):
        raise JobError(
            f"others can write {path}, which belongs to {_name(file.st_uid)} and says what is run: "
            f"check it, then {_command('chown', '-R', _name(os.geteuid()), path)}, {_ELSEWHERE}"
        )
    writable = file.st_mode & stat.S_IWOTH
    if file.st_mode & stat.S_IWGRP:
        writable |= is_private or not is_own_group(file.st_gid) or _has_access_list(path)
    if writable:
        raise JobError(
            f"others can write {path}, which says what is run: check it, then "
            f"{_command('chmod', 'go-w', path)}, {_ELSEWHERE}"
        )


def _links(path: Path) -> Iterator[tuple[Path, int]]:
    """Yield the links that ``path`` leads through, with their owners."""
    paths = [path.absolute()]
    for _ in range(MOST_LINKS):
        if not paths:
            return
        path = paths.pop()
        for part in (*reversed(path.parents), path):
            with suppress(OSError):  # opening the path raises the error
                file = part.lstat()
                if stat.S_ISLNK(file.st_mode):
                    yield part, file.st_uid
                    paths.append(part.parent / part.readlink())


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:  # opening a file in it raises the error
        return 0


def _trusted() -> tuple[int, int]:
    """Return the users that are trusted: this one, and root, who can change anything."""
    return os.geteuid(), 0


@lru_cache
def is_own_group(gid: int) -> bool:
    """Return True for a group with this user alone, as many systems make for each user, or root's.

    Such systems let the group write each new file (umask 002).
    """
    if gid == 0:
        return True
    try:
        user = pwd.getpwuid(os.geteuid())
    except KeyError:  # in a container, users may have neither name nor groups
        return gid == os.geteuid() and not _members(gid)
    return (
        gid == user.pw_gid and _group_name(gid) == user.pw_name and _members(gid) <= {user.pw_name}
    )


def _members(gid: int) -> set[str]:
    with suppress(KeyError):
        return set(grp.getgrgid(gid).gr_mem)
    return set()


def _group_name(gid: int) -> str | None:
    with suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return None


def _has_access_list(path: Path) -> bool:
    """Return True for a file with an access control list (Linux): its users count as the group."""
    with suppress(OSError, AttributeError):
        return bool(os.getxattr(path, "system.posix_acl_access"))
    return False


def _name(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"user {uid}" if uid != os.geteuid() else str(uid)


def _command(*words: object) -> str:
    return shlex.join(map(str, words))
