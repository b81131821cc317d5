"""The folder of a job: the names of its files, and the path of the job's output.

The record of a job has the path of an output in the folder relative to it: so a folder can be
moved, and a copy has an output of its own. Other outputs are recorded by their absolute path.
"""

from __future__ import annotations

from pathlib import Path

from crawler.errors import JobError
from crawler.store.permissions import refuse_unsafe_file, refuse_unsafe_folder

STORE = "job.db"
STAMP = "job.stamp"
ITEMS = "items.jsonl"
REJECTED = "rejected.jsonl"
LOG = "run.log"
LOCK = "job.lock"
PAGES = "pages"
JOBS = Path("data") / "jobs"

_BESIDE_THE_STORE = tuple(f"{STORE}-{ending}" for ending in ("wal", "shm", "journal"))
_CUT = (f"{ITEMS}.cut", f"{REJECTED}.cut")
_OWN = frozenset({STORE, *_BESIDE_THE_STORE, STAMP, "job.new", REJECTED, *_CUT, LOG, LOCK, PAGES})
_MAY_BE_LINKS = (STORE, ITEMS, REJECTED, LOG, PAGES)
"""Files that a user may have elsewhere, by a link."""


def folder_for(name: str) -> Path:
    """Return the default folder of a spider's job."""
    return JOBS / name


def is_in(path: Path, folder: Path) -> bool:
    """Return True for a file whose bytes are in ``folder``, so that a copy of it has them too."""
    return _real(path).is_relative_to(_real(folder))


def stored_path(output: Path, folder: Path) -> str:
    """Return the path for a job's record: relative to ``folder`` if it is in it by its name."""
    path, home = _named(output), _real(folder)
    return str(path.relative_to(home) if path.is_relative_to(home) else output.absolute())


def located(output: str, folder: Path) -> Path:
    """Return the path of an output from its ``stored_path``."""
    return (folder / output).absolute()


def is_same(first: Path, second: Path) -> bool:
    """Return True if both paths name the same file, which need not exist."""
    return _named(first) == _named(second)


def refuse_own_file(output: Path, folder: Path) -> None:
    """Raise JobError for an output that is another file of the job in ``folder``."""
    path = _real(output)
    if path.parent == _real(folder) and path.name in _OWN:
        raise JobError(
            f"cannot write the items to {output}: it is another file of the job; "
            "give another file with -o"
        )


def refuse_unsafe(folder: Path) -> None:
    """Raise JobError if another user could change ``folder``, or a file of the job in it.

    Called before any of these files is opened: the store says which code is run.
    """
    refuse_unsafe_folder(folder)
    for name in sorted(_OWN | {ITEMS}):
        refuse_unsafe_file(
            folder / name,
            may_be_link=name in _MAY_BE_LINKS,
            is_private=name.startswith(STORE),
        )
    store = folder / STORE
    if store.is_symlink():  # the files that belong to it are where it is
        refuse_unsafe_folder(_real(store).parent)
        for name in _BESIDE_THE_STORE:
            refuse_unsafe_file(_real(store).with_name(name), is_private=True)
    for page in (folder / PAGES).glob("*"):
        refuse_unsafe_file(page)


def _named(path: Path) -> Path:
    """Return ``path`` with the links of its folder resolved, but not a link to the file itself."""
    return _real(path.parent) / path.name


def _real(path: Path) -> Path:
    """Return ``path`` with links resolved; as it is if they form a circle (opening it fails)."""
    try:
        return path.resolve()
    except RuntimeError:
        return path.absolute()
