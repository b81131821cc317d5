"""A job's folder: the names in it, and where the job's output is.

An output in the folder is kept relative to it: a folder that was moved goes on, and one that was
copied has an output of its own. One elsewhere is kept by its absolute path.
"""

from __future__ import annotations

from pathlib import Path

from crawler.errors import JobError

STORE = "job.db"
STAMP = "job.stamp"
ITEMS = "items.jsonl"
REJECTED = "rejected.jsonl"
LOG = "run.log"
LOCK = "job.lock"
PAGES = "pages"
JOBS = Path("data") / "jobs"

_OF_THE_STORE = tuple(f"{STORE}{ending}" for ending in ("", "-wal", "-shm", "-journal"))
_KEPT = (f"{ITEMS}.cut", f"{REJECTED}.cut")
_OWN = frozenset({*_OF_THE_STORE, STAMP, "job.new", REJECTED, *_KEPT, LOG, LOCK, PAGES})


def folder_for(name: str) -> Path:
    """Where the job of a spider is kept unless the user says otherwise."""
    return JOBS / name


def is_in(path: Path, folder: Path) -> bool:
    """True for a file whose bytes are below ``folder``: whoever copies that copies it too."""
    return _real(path).is_relative_to(_real(folder))


def stored_path(output: Path, folder: Path) -> str:
    """``output`` as a job's record keeps it: relative to ``folder`` where it is named in it."""
    place, home = _named(output), _real(folder)
    return str(place.relative_to(home) if place.is_relative_to(home) else output.absolute())


def located(output: str, folder: Path) -> Path:
    """Where an output is that was kept so."""
    return (folder / output).absolute()


def is_same(one: Path, other: Path) -> bool:
    """True for two ways to name the same file, which need not be there."""
    return _named(one) == _named(other)


def refuse_own_file(output: Path, folder: Path) -> None:
    """Raises JobError for an output that is something else in ``folder`` already."""
    place = _real(output)
    if place.parent == _real(folder) and place.name in _OWN:
        raise JobError(
            f"cannot write the items to {output}: the job keeps something else there; "
            "give another file with -o"
        )


def _named(path: Path) -> Path:
    """``path`` by the real name of its folder; a link to the file itself stays a name."""
    return _real(path.parent) / path.name


def _real(path: Path) -> Path:
    """``path`` without links; as it is where they go in a circle, which opening it will tell."""
    try:
        return path.resolve()
    except RuntimeError:
        return path.absolute()
